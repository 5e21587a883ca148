/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What traffic mirror sessions may send, and what is kept of them: budgets, and books of sessions that are gone (TM-02,
 * TM-15). Needs root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compile/image.h"
#include "datapath/datapath.h"
#include "enid/mirror.h"
#include "state/state.h"

#define NS    1000000000ull
#define FRAME 42 /* Ethernet, IPv4, UDP */

#define ENI(id, last) \
	"{\"NetworkInterfaceId\":\"" id "\",\"VpcId\":\"v\",\"SubnetId\":\"S\",\"MacAddress\":\"02:00:00:00:00:" last \
	"\",\"Groups\":[{\"GroupId\":\"sg\"}],\"PrivateIpAddresses\":[{\"PrivateIpAddress\":\"10.0.1." last \
	"\",\"Primary\":true}]}"
#define SESSION_TO(id, number, target, vni) \
	"{\"TrafficMirrorSessionId\":\"tms-" id "\",\"NetworkInterfaceId\":\"" id \
	"\",\"TrafficMirrorTargetId\":\"" target "\",\"TrafficMirrorFilterId\":\"f\",\"SessionNumber\":" number \
	",\"VirtualNetworkId\":" vni "}"
#define SESSION(id, number) SESSION_TO(id, number, "t", "77")

/* a and b are mirrored to m, or n; %s: the sessions */
static const char state_text[] =
	"{\"Vpcs\":[{\"VpcId\":\"v\",\"CidrBlock\":\"10.0.0.0/16\"}],"
	"\"Subnets\":[{\"SubnetId\":\"S\",\"VpcId\":\"v\",\"CidrBlock\":\"10.0.1.0/24\"}],"
	"\"SecurityGroups\":[{\"GroupId\":\"sg\",\"VpcId\":\"v\",\"IpPermissions\":[{\"IpProtocol\":\"-1\","
	"\"IpRanges\":[{\"CidrIp\":\"0.0.0.0/0\"}]}],\"IpPermissionsEgress\":[{\"IpProtocol\":\"-1\","
	"\"IpRanges\":[{\"CidrIp\":\"0.0.0.0/0\"}]}]}],"
	"\"NetworkInterfaces\":[" ENI("a", "11") "," ENI("b", "12") "," ENI("m", "13") "," ENI(
		"n", "14") "],"
			   "\"TrafficMirrorTargets\":[{\"TrafficMirrorTargetId\":\"t\",\"Type\":\"network-interface\","
			   "\"NetworkInterfaceId\":\"m\"},"
			   "{\"TrafficMirrorTargetId\":\"u\",\"Type\":\"network-interface\","
			   "\"NetworkInterfaceId\":\"n\"}],"
			   "\"TrafficMirrorFilters\":[{\"TrafficMirrorFilterId\":\"f\",\"EgressFilterRules\":[{"
			   "\"RuleNumber\":1,"
			   "\"RuleAction\":\"accept\",\"SourceCidrBlock\":\"0.0.0.0/"
			   "0\",\"DestinationCidrBlock\":\"0.0.0.0/0\"}]}],"
			   "\"TrafficMirrorSessions\":[%s],"
			   "\"Hosts\":[{\"HostId\":\"h\",\"Ports\":[{\"NetworkInterfaceId\":\"a\",\"Device\":\"a\"},"
			   "{\"NetworkInterfaceId\":\"b\",\"Device\":\"b\"},{\"NetworkInterfaceId\":\"m\",\"Device\":"
			   "\"m\"},{\"NetworkInterfaceId\":\"n\",\"Device\":\"n\"}]}]}";

static struct datapath *subject;
static uint64_t now_ns = 1000 * NS;

static void apply(const char *sessions)
{
	char path[] = "/tmp/enid-test-mirror-XXXXXX.json";
	const char *paths[] = {path};
	struct state_messages messages = {};
	struct apply_result applied;
	struct state *state = NULL;
	struct image *image = NULL;
	char *why = NULL;
	int fd = mkstemps(path, 5);

	assert_true(fd >= 0);
	assert_true(dprintf(fd, state_text, sessions) > 0);
	close(fd);
	assert_int_equal(state_load(paths, 1, &state, &messages), 0);
	unlink(path);
	state_messages_done(&messages);
	assert_int_equal(compile_image(state, state_host(state, "h"), &image, &why), 0);
	assert_int_equal(datapath_apply(subject, image, &applied, &why), 0);
	image_free(&image);
	state_free(&state);
}

static int set_up(void **state)
{
	const struct datapath_options options = {.flows_max = 1024, .replay = true};
	char *why = NULL;

	(void)state;
	if (datapath_open(&options, &subject, &why) < 0)
		fail_msg("%s", why);
	apply(SESSION("a", "1") "," SESSION("b", "2"));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	datapath_close(&subject);
	return 0;
}

/* UDP from one ENI to another, by the last bytes of their addresses. ret: what became of its copy */
static enum enid_reason send_packet(const char *eni, uint8_t from, uint8_t to)
{
	uint8_t frame[FRAME] = {0x02, 0x65, 0x6e, 0x69, 0x64, 0x01, 0x02, 0, 0, 0,  0,    from == 11 ? 0x11 : 0x12,
				8,    0,    0x45, 0,    0,    28,   0,    0, 0, 0,  64,   17,
				0,    0,    10,   0,    1,    from, 10,   0, 1, to, 0x10, 0,
				0x20, 0,    0,    8};
	uint8_t out[FRAME + 256];
	volatile struct control *control = datapath_control(subject);
	struct report *report = (struct report *)(uintptr_t)datapath_report(subject);
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame), .data_out = out,
		    .data_size_out = sizeof(out));
	uint32_t sum = 0;

	for (int i = 14; i < 34; i += 2)
		sum += (uint32_t)frame[i] << 8 | frame[i + 1];
	sum = ~((sum & 0xffff) + (sum >> 16));
	frame[24] = (uint8_t)(sum >> 8);
	frame[25] = (uint8_t)sum;
	control->in = datapath_port_number(subject, eni);
	control->now_ns = now_ns;
	control->wire_len = FRAME;
	report->copies = 0;
	assert_int_equal(bpf_prog_test_run_opts(datapath_prog_fd(subject, "tc_rx"), &opts), 0);
	assert_int_equal(report->action, ACTION_DELIVER);
	assert_int_equal(report->copies, 1);
	return datapath_copies(subject)[0].reason;
}

static struct mirror_key key_of(const char *eni, uint16_t session, enum enid_reason reason)
{
	return (struct mirror_key){datapath_port_number(subject, eni), session, (uint16_t)reason};
}

static uint64_t counted(const char *eni, uint16_t session, enum enid_reason reason)
{
	const struct mirror_key key = key_of(eni, session, reason);
	struct counter counter = {};

	(void)bpf_map_lookup_elem(datapath_map_fd(subject, "mirror_counts"), &key, &counter);
	return counter.packets;
}

static void set_budget(const char *eni, uint16_t session, uint32_t tokens)
{
	const struct mirror_key key = key_of(eni, session, REASON_ACCEPTED);
	const struct bucket budget = {.at_ns = now_ns, .tokens = tokens};

	assert_int_equal(bpf_map_update_elem(datapath_map_fd(subject, "mirror_budgets"), &key, &budget, BPF_EXIST), 0);
}

/* The packets go on, whatever becomes of their copies; what is lost is counted; another session has its own budget. */
static void tm_15_copies_are_the_first_to_go(void **state)
{
	uint64_t sent, lost = counted("a", 1, REASON_RATE_LIMIT);

	(void)state;
	assert_int_equal(send_packet("a", 11, 12), REASON_ACCEPTED);
	assert_int_equal(send_packet("b", 12, 11), REASON_ACCEPTED);
	sent = counted("a", 1, REASON_ACCEPTED);
	set_budget("a", 1, 3);
	for (int i = 0; i < 10; i++)
		assert_int_equal(send_packet("a", 11, 12), i < 3 ? REASON_ACCEPTED : REASON_RATE_LIMIT);
	assert_int_equal(counted("a", 1, REASON_ACCEPTED), sent + 3);
	assert_int_equal(counted("a", 1, REASON_RATE_LIMIT), lost + 7);
	assert_int_equal(send_packet("b", 12, 11), REASON_ACCEPTED);
	now_ns += NS / MIRROR_RATE + 1;
	assert_int_equal(send_packet("a", 11, 12), REASON_ACCEPTED);
	assert_int_equal(send_packet("a", 11, 12), REASON_RATE_LIMIT);
	now_ns += NS;
	for (int i = 0; i < 10; i++)
		assert_int_equal(send_packet("a", 11, 12), REASON_ACCEPTED);
}

static unsigned nr_keys(const char *map, uint16_t session)
{
	struct mirror_key key, *before = NULL;
	unsigned nr = 0;

	for (; !bpf_map_get_next_key(datapath_map_fd(subject, map), before, &key); before = &key)
		nr += key.session == session;
	return nr;
}

static void tm_02_sessions_that_are_gone(void **state)
{
	(void)state;
	set_budget("a", 1, 0);
	assert_int_equal(send_packet("a", 11, 12), REASON_RATE_LIMIT);
	assert_int_equal(send_packet("b", 12, 11), REASON_ACCEPTED);
	assert_int_equal(nr_keys("mirror_counts", 1), 2);
	apply(SESSION("b", "2"));
	assert_int_equal(nr_keys("mirror_counts", 1) + nr_keys("mirror_budgets", 1), 0);
	assert_int_equal(nr_keys("mirror_counts", 2), 1);
	assert_int_equal(nr_keys("mirror_budgets", 2), 1);
	apply(SESSION("a", "1") "," SESSION("b", "3"));
	assert_int_equal(nr_keys("mirror_counts", 2) + nr_keys("mirror_budgets", 2), 0);
	assert_int_equal(send_packet("a", 11, 12), REASON_ACCEPTED);
	assert_int_equal(counted("a", 1, REASON_RATE_LIMIT), 0);
	apply("");
	assert_int_equal(nr_keys("mirror_counts", 1) + nr_keys("mirror_budgets", 1), 0);
}

/* One that takes the place of another of its number begins at zero; one whose filter changed goes on. */
static void tm_02_sessions_that_are_replaced(void **state)
{
	static const char *const others[] = {SESSION_TO("a", "1", "u", "77"), SESSION_TO("a", "1", "u", "78")};

	(void)state;
	apply(SESSION("a", "1") "," SESSION("b", "2"));
	assert_int_equal(send_packet("b", 12, 11), REASON_ACCEPTED);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(send_packet("a", 11, 12), REASON_ACCEPTED);
		set_budget("a", 1, 0);
		assert_int_equal(send_packet("a", 11, 12), REASON_RATE_LIMIT);
		apply(others[i]);
		assert_int_equal(nr_keys("mirror_counts", 1) + nr_keys("mirror_budgets", 1), 0);
	}
	assert_int_equal(send_packet("a", 11, 12), REASON_ACCEPTED);
	apply(SESSION_TO("a", "1", "u", "78") "," SESSION("b", "2"));
	assert_int_equal(counted("a", 1, REASON_ACCEPTED), 1);
	apply("");
}

/* A budget alone, as a kill between two deletions leaves it. */
static void tm_15_budgets_without_counts(void **state)
{
	const struct mirror_key key = key_of("a", 9, REASON_ACCEPTED);
	const struct bucket budget = {.at_ns = now_ns};

	(void)state;
	apply(SESSION("a", "1"));
	assert_int_equal(bpf_map_update_elem(datapath_map_fd(subject, "mirror_budgets"), &key, &budget, BPF_ANY), 0);
	apply("");
	assert_int_equal(nr_keys("mirror_budgets", 9), 0);
}

/* What the budget has no room for is lost with its bytes. */
static void tm_15_bytes_of_what_is_lost(void **state)
{
	const struct mirror_key key = key_of("a", 1, REASON_RATE_LIMIT), kept = key_of("a", 1, REASON_ACCEPTED);
	struct counter lost = {}, sent = {};

	(void)state;
	apply(SESSION("a", "1"));
	assert_int_equal(send_packet("a", 11, 12), REASON_ACCEPTED);
	assert_int_equal(bpf_map_lookup_elem(datapath_map_fd(subject, "mirror_counts"), &kept, &sent), 0);
	set_budget("a", 1, 0);
	assert_int_equal(send_packet("a", 11, 12), REASON_RATE_LIMIT);
	assert_int_equal(bpf_map_lookup_elem(datapath_map_fd(subject, "mirror_counts"), &key, &lost), 0);
	assert_int_equal(lost.bytes, sent.bytes);
	apply("");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tm_15_copies_are_the_first_to_go), cmocka_unit_test(tm_02_sessions_that_are_gone),
		cmocka_unit_test(tm_02_sessions_that_are_replaced), cmocka_unit_test(tm_15_budgets_without_counts),
		cmocka_unit_test(tm_15_bytes_of_what_is_lost),
	};

	if (geteuid()) {
		printf("SKIP test_mirror: needs root\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
