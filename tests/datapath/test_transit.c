/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a transit gateway loses is tallied where a flow log asks for it, and only there (FL-27, TGW-13). Needs root. */
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
#include "enid/report.h"
#include "state/state.h"

#define FRAME 42 /* Ethernet, IPv4, UDP */

/* Two VPCs and a gateway between them; %s: the flow logs */
static const char state_text[] =
	"{\"Vpcs\":[{\"VpcId\":\"v\",\"CidrBlock\":\"10.0.0.0/16\"},{\"VpcId\":\"w\","
	"\"CidrBlock\":\"10.2.0.0/16\"}],\"Subnets\":[{\"SubnetId\":\"S\",\"VpcId\":\"v\","
	"\"CidrBlock\":\"10.0.1.0/24\",\"AvailabilityZone\":\"eu-west-1a\"},{\"SubnetId\":\"T\",\"VpcId\":\"w\","
	"\"CidrBlock\":\"10.2.1.0/24\",\"AvailabilityZone\":\"eu-west-1a\"}],"
	"\"SecurityGroups\":[{\"GroupId\":\"sg-v\",\"VpcId\":\"v\",\"IpPermissions\":[{\"IpProtocol\":\"-1\","
	"\"IpRanges\":[{\"CidrIp\":\"0.0.0.0/0\"}]}],\"IpPermissionsEgress\":[{\"IpProtocol\":\"-1\","
	"\"IpRanges\":[{\"CidrIp\":\"0.0.0.0/0\"}]}]},{\"GroupId\":\"sg-w\",\"VpcId\":\"w\","
	"\"IpPermissions\":[{\"IpProtocol\":\"-1\",\"IpRanges\":[{\"CidrIp\":\"0.0.0.0/0\"}]}],"
	"\"IpPermissionsEgress\":[{\"IpProtocol\":\"-1\",\"IpRanges\":[{\"CidrIp\":\"0.0.0.0/0\"}]}]}],"
	"\"RouteTables\":[{\"RouteTableId\":\"rtb-v\",\"VpcId\":\"v\",\"Associations\":[{\"Main\":true}],"
	"\"Routes\":[{\"DestinationCidrBlock\":\"10.0.0.0/16\",\"GatewayId\":\"local\",\"State\":\"active\"},"
	"{\"DestinationCidrBlock\":\"10.0.0.0/8\",\"TransitGatewayId\":\"tgw-1\",\"State\":\"active\"}]},"
	"{\"RouteTableId\":\"rtb-w\",\"VpcId\":\"w\",\"Associations\":[{\"Main\":true}],"
	"\"Routes\":[{\"DestinationCidrBlock\":\"10.2.0.0/16\",\"GatewayId\":\"local\",\"State\":\"active\"},"
	"{\"DestinationCidrBlock\":\"10.0.0.0/8\",\"TransitGatewayId\":\"tgw-1\",\"State\":\"active\"}]}],"
	"\"NetworkInterfaces\":[{\"NetworkInterfaceId\":\"a\",\"VpcId\":\"v\",\"SubnetId\":\"S\","
	"\"MacAddress\":\"02:00:00:00:00:11\",\"Groups\":[{\"GroupId\":\"sg-v\"}],"
	"\"PrivateIpAddresses\":[{\"PrivateIpAddress\":\"10.0.1.11\",\"Primary\":true}]},"
	"{\"NetworkInterfaceId\":\"c\",\"VpcId\":\"w\",\"SubnetId\":\"T\",\"MacAddress\":\"02:00:00:00:00:12\","
	"\"Groups\":[{\"GroupId\":\"sg-w\"}],\"PrivateIpAddresses\":[{\"PrivateIpAddress\":\"10.2.1.12\","
	"\"Primary\":true}]}],\"TransitGateways\":[{\"TransitGatewayId\":\"tgw-1\",\"State\":\"available\"}],"
	"\"TransitGatewayVpcAttachments\":[{\"TransitGatewayAttachmentId\":\"tgw-attach-v\","
	"\"TransitGatewayId\":\"tgw-1\",\"VpcId\":\"v\",\"SubnetIds\":[\"S\"],\"State\":\"available\"},"
	"{\"TransitGatewayAttachmentId\":\"tgw-attach-w\",\"TransitGatewayId\":\"tgw-1\",\"VpcId\":\"w\","
	"\"SubnetIds\":[\"T\"],\"State\":\"available\"}],"
	"\"TransitGatewayAttachments\":[{\"TransitGatewayAttachmentId\":\"tgw-attach-v\","
	"\"TransitGatewayId\":\"tgw-1\",\"ResourceType\":\"vpc\",\"ResourceId\":\"v\",\"State\":\"available\","
	"\"Association\":{\"TransitGatewayRouteTableId\":\"rt\",\"State\":\"associated\"}},"
	"{\"TransitGatewayAttachmentId\":\"tgw-attach-w\",\"TransitGatewayId\":\"tgw-1\","
	"\"ResourceType\":\"vpc\",\"ResourceId\":\"w\",\"State\":\"available\","
	"\"Association\":{\"TransitGatewayRouteTableId\":\"rt\",\"State\":\"associated\"}}],"
	"\"TransitGatewayRouteTables\":[{\"TransitGatewayRouteTableId\":\"rt\",\"TransitGatewayId\":\"tgw-1\","
	"\"State\":\"available\"}],\"TransitGatewayRoutes\":[{\"TransitGatewayRouteTableId\":\"rt\","
	"\"Routes\":[{\"DestinationCidrBlock\":\"10.2.0.0/16\",\"Type\":\"static\",\"State\":\"active\","
	"\"TransitGatewayAttachments\":[{\"TransitGatewayAttachmentId\":\"tgw-attach-w\"}]},"
	"{\"DestinationCidrBlock\":\"10.3.0.0/16\",\"Type\":\"static\",\"State\":\"blackhole\"}]}],"
	"\"FlowLogs\":[%s],\"Hosts\":[{\"HostId\":\"h\",\"Ports\":[{\"NetworkInterfaceId\":\"a\","
	"\"Device\":\"a\"},{\"NetworkInterfaceId\":\"c\",\"Device\":\"c\"}]}]}";

static struct datapath *subject;

static void apply(const char *logs)
{
	char path[] = "/tmp/enid-test-transit-XXXXXX.json";
	const char *paths[] = {path};
	struct state_messages messages = {};
	struct apply_result applied;
	struct state *state = NULL;
	struct image *image = NULL;
	char *why = NULL;
	int fd = mkstemps(path, 5);

	assert_true(fd >= 0);
	assert_true(dprintf(fd, state_text, logs) > 0);
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
	apply("");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	datapath_close(&subject);
	return 0;
}

/* UDP from a to 10.net.1.12, of `bytes` bytes that must not be cut. ret: what became of it */
static uint32_t send_packet(uint8_t net, uint16_t bytes, uint8_t ttl)
{
	uint8_t frame[FRAME] = {0x02,
				0x65,
				0x6e,
				0x69,
				0x64,
				0x01,
				0x02,
				0,
				0,
				0,
				0,
				0x11,
				8,
				0,
				0x45,
				0,
				bytes >> 8,
				bytes & 255,
				0,
				0,
				0x40,
				0,
				ttl,
				17,
				0,
				0,
				10,
				0,
				1,
				11,
				10,
				net,
				1,
				12,
				0x10,
				0,
				0x20,
				0,
				(bytes - 20) >> 8,
				(bytes - 20) & 255};
	uint8_t out[FRAME + 256];
	volatile struct control *control = datapath_control(subject);
	struct report *report = (struct report *)(uintptr_t)datapath_report(subject);
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame), .data_out = out,
		    .data_size_out = sizeof(out));
	uint32_t sum = 0;

	for (int i = 14; i < 34; i += 2)
		sum += (uint32_t)frame[i] << 8 | frame[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~(sum + (sum >> 16));
	frame[24] = (uint8_t)(sum >> 8);
	frame[25] = (uint8_t)sum;
	control->in = datapath_port_number(subject, "a");
	control->now_ns = 1000000000000ull;
	control->wire_len = 14u + bytes;
	assert_int_equal(bpf_prog_test_run_opts(datapath_prog_fd(subject, "tc_rx"), &opts), 0);
	return report->reason;
}

/* Packets that are tallied at the attachment as lost for this reason. */
static uint64_t lost(const char *attachment, uint32_t reason)
{
	int fd = datapath_map_fd(subject, "tallies");
	struct tally_key key, *before = NULL;
	uint64_t packets = 0;

	for (; !bpf_map_get_next_key(fd, before, &key); before = &key) {
		struct tally tally;

		if (key.port == datapath_port_number(subject, attachment) && key.reason == reason && key.reject &&
		    !bpf_map_lookup_elem(fd, &key, &tally))
			packets += tally.packets;
	}
	return packets;
}

static void lose_some(void)
{
	assert_int_equal(send_packet(2, 8500, 64), REASON_ACCEPTED);
	assert_int_equal(send_packet(2, 8501, 64), REASON_MTU);
	assert_int_equal(send_packet(3, 100, 64), REASON_TGW_BLACKHOLE);
	assert_int_equal(send_packet(4, 100, 64), REASON_TGW_NO_ROUTE);
}

static void expect_lost(uint64_t wanted)
{
	static const uint32_t reasons[] = {REASON_MTU, REASON_TGW_BLACKHOLE, REASON_TGW_NO_ROUTE};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++) {
		assert_int_equal(lost("tgw-attach-v", reasons[i]), wanted);
		assert_int_equal(lost("tgw-attach-w", reasons[i]), 0);
	}
}

static void fl_27_only_where_a_log_asks(void **state)
{
	(void)state;
	lose_some();
	expect_lost(0);
	apply("{\"FlowLogId\":\"fl-1\",\"ResourceId\":\"v\"},{\"FlowLogId\":\"fl-2\",\"ResourceId\":\"tgw-attach-w\"}");
	lose_some();
	expect_lost(0);
	apply("{\"FlowLogId\":\"fl-1\",\"ResourceId\":\"tgw-1\"}");
	lose_some();
	expect_lost(1);
	apply("{\"FlowLogId\":\"fl-1\",\"ResourceId\":\"tgw-attach-v\"}");
	lose_some();
	expect_lost(2);
	apply("");
	lose_some();
	expect_lost(2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fl_27_only_where_a_log_asks),
	};

	if (geteuid()) {
		printf("SKIP test_transit: needs root\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
