/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Replay as a user meets it: one line out for each line in, time that is virtual, records that run out. Needs root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "replay/replay.h"

/* Two ENIs of one subnet; b admits UDP from a's CIDR, so flows are tracked. */
static const char state_text[] =
	"{\"Vpcs\":[{\"VpcId\":\"vpc-1\",\"CidrBlock\":\"10.0.0.0/16\"}],"
	"\"Subnets\":[{\"SubnetId\":\"subnet-1\",\"VpcId\":\"vpc-1\",\"CidrBlock\":\"10.0.1.0/24\"}],"
	"\"SecurityGroups\":[{\"GroupId\":\"sg-1\",\"VpcId\":\"vpc-1\","
	"\"IpPermissions\":[{\"IpProtocol\":\"udp\",\"FromPort\":0,\"ToPort\":65535,"
	"\"IpRanges\":[{\"CidrIp\":\"10.0.0.0/16\"}]}],"
	"\"IpPermissionsEgress\":[{\"IpProtocol\":\"-1\",\"IpRanges\":[{\"CidrIp\":\"10.0.0.0/16\"}]}]}],"
	"\"NetworkInterfaces\":["
	"{\"NetworkInterfaceId\":\"eni-a\",\"VpcId\":\"vpc-1\",\"SubnetId\":\"subnet-1\",\"MacAddress\":\"02:00:00:00:"
	"00:01\","
	"\"PrivateIpAddresses\":[{\"PrivateIpAddress\":\"10.0.1.10\",\"Primary\":true}],\"Groups\":[{\"GroupId\":\"sg-"
	"1\"}]},"
	"{\"NetworkInterfaceId\":\"eni-b\",\"VpcId\":\"vpc-1\",\"SubnetId\":\"subnet-1\",\"MacAddress\":\"02:00:00:00:"
	"00:02\","
	"\"PrivateIpAddresses\":[{\"PrivateIpAddress\":\"10.0.1.11\",\"Primary\":true}],\"Groups\":[{\"GroupId\":\"sg-"
	"1\"}]}],"
	"\"Hosts\":[{\"HostId\":\"h\",\"Ports\":[{\"NetworkInterfaceId\":\"eni-a\",\"Device\":\"a\"},{"
	"\"NetworkInterfaceId\":\"eni-b\",\"Device\":\"b\"}]}]}";

/* UDP 10.0.1.10:port > 10.0.1.11:53, no payload, no checksum. */
#define UDP(port) \
	"020000000002" \
	"020000000001" \
	"0800" \
	"4500001c0001000040110000" \
	"0a00010a" \
	"0a00010b" port "0035" \
	"0008" \
	"0000"

static char *write_file(const char *text)
{
	char *path = strdup("/tmp/enid-test-replay-XXXXXX");
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	return path;
}

/* Run `input` and return its output lines as a JSON array. */
static json_t *replay(const char *input, uint32_t flows_max, bool xdp)
{
	char *state = write_file(state_text), *from = write_file(input), *to = write_file(""), line[8192];
	FILE *out = fopen(to, "r+");
	const struct replay_options options = {.states = (const char *const[]){state},
					       .nr_states = 1,
					       .host = "h",
					       .input = from,
					       .flows_max = flows_max,
					       .xdp = xdp,
					       .fd = fileno(out)};
	json_t *lines = json_array();

	assert_int_equal(replay_run(&options), 0);
	rewind(out);
	while (fgets(line, sizeof(line), out)) {
		json_t *object = json_loads(line, 0, NULL);

		assert_non_null(object);
		assert_int_equal(json_integer_value(json_object_get(object, "n")), json_array_size(lines));
		json_array_append_new(lines, object);
	}
	fclose(out);
	for (size_t i = 0; i < 3; i++) {
		char *path = (char *[]){state, from, to}[i];

		unlink(path);
		free(path);
	}
	return lines;
}

/* Line n has this action, and, when it was dropped, this reason. */
static void check(const json_t *lines, size_t n, const char *action, const char *reason)
{
	const json_t *line = json_array_get(lines, n);

	assert_non_null(line);
	assert_string_equal(json_string_value(json_object_get(line, "action")), action);
	if (reason)
		assert_string_equal(json_string_value(json_object_get(line, "reason")), reason);
}

static void every_line_is_answered(void **state)
{
	json_t *lines = replay(
		"{\"port\":\"eni-a\",\"packet\":\"" UDP(
			"0400") "000000000000\",\"at\":1}\n" /* padding */
				"nonsense\n"
				"\n"
				"{\"port\":\"eni-x\",\"packet\":\"00\"}\n"
				"{\"port\":\"eni-a\",\"packet\":\"0g\"}\n"
				"{\"port\":\"eni-a\",\"packet\":\"\"}\n"
				"{\"port\":\"eni-a\",\"packet\":\"" UDP(
					"0400") "\",\"at\":0.5}\n"
						"{\"port\":\"tunnel\",\"from\":\"h2\",\"vni\":1,\"packet\":\"" UDP(
							"0400") "\"}\n"
								"{\"state\":\"/nowhere.json\"}\n"
								"{\"port\":\"eni-a\",\"packet\":\"" UDP("0400") "\"}",
		0, false);
	const json_t *first = json_array_get(lines, 0);

	(void)state;
	assert_int_equal(json_array_size(lines), 10);
	check(lines, 0, "deliver", "accepted");
	assert_string_equal(json_string_value(json_object_get(first, "to")), "eni-b");
	assert_string_equal(json_string_value(json_object_get(first, "packet")), UDP("0400"));
	assert_int_equal(json_array_size(json_object_get(first, "decided_by")), 2);
	for (size_t n = 1; n < 5; n++)
		check(lines, n, "refused", NULL);
	check(lines, 5, "drop", "malformed");
	check(lines, 6, "refused", NULL);
	check(lines, 7, "drop", "not-served");
	check(lines, 8, "refused", NULL);
	check(lines, 9, "deliver", "accepted"); /* the last good state is in force; no newline at the end */
	json_decref(lines);
}

/* CT-16: the third flow finds no record, the others go on; when they ran out (30 s), there is room. */
static void records_run_out_and_come_back(void **state)
{
	static const char input[] = "{\"port\":\"eni-a\",\"packet\":\"" UDP(
		"0401") "\",\"at\":0}\n"
			"{\"port\":\"eni-a\",\"packet\":\"" UDP(
				"0402") "\",\"at\":0}\n"
					"{\"port\":\"eni-a\",\"packet\":\"" UDP(
						"0403") "\",\"at\":1}\n"
							"{\"port\":\"eni-a\",\"packet\":\"" UDP(
								"0401") "\",\"at\":20}\n"
									"{\"port\":\"eni-a\",\"packet\":\"" UDP(
										"0403") "\",\"at\":29}\n"
											"{\"port\":\"eni-a\","
											"\"packet\":\"" UDP(
												"0403") "\",\"at\":31}"
													"\n"
													"{\"port\":"
													"\"eni-a\","
													"\"packet\":"
													"\"" UDP(
														"0404") "\",\"at\":32}\n"
															"{\"port\":\"eni-a\",\"packet\":\"" UDP(
																"0404") "\",\"at\":500000}\n";

	(void)state;
	for (int xdp = 0; xdp < 2; xdp++) {
		json_t *lines = replay(input, 2, xdp);

		check(lines, 0, "deliver", NULL);
		check(lines, 1, "deliver", NULL);
		check(lines, 2, "drop", "conntrack-full");
		check(lines, 3, "deliver", NULL);
		check(lines, 4, "drop", "conntrack-full");
		check(lines, 5, "deliver", NULL); /* the second flow's record */
		check(lines, 6, "drop", "conntrack-full");
		check(lines, 7, "deliver", NULL);
		json_decref(lines);
	}
}

/* Found by comparing the kernel's answers with the host build's: the frame that no stage judged was told to have been
 * decided by the rules of the packet before it. */
static void a_broken_frame_is_decided_by_nothing(void **state)
{
	static const char input[] = "{\"port\":\"eni-a\",\"packet\":\"" UDP(
		"0400") "\"}\n"
			"{\"port\":\"eni-a\",\"packet\":\"0200000000020200000000018100000108004500\"}\n";

	(void)state;
	for (int xdp = 0; xdp < 2; xdp++) {
		json_t *lines = replay(input, 0, xdp);

		check(lines, 0, "deliver", "accepted");
		check(lines, 1, "drop", "vlan");
		assert_int_equal(json_array_size(json_object_get(json_array_get(lines, 1), "decided_by")), 0);
		json_decref(lines);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_line_is_answered),
		cmocka_unit_test(records_run_out_and_come_back),
		cmocka_unit_test(a_broken_frame_is_decided_by_nothing),
	};

	if (geteuid()) {
		printf("SKIP test_replay: needs root\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
