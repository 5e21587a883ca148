/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "lib/stage.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/pkt_cls.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000ull

static const char *const eni_ids[STAGE_ENIS] = {"eni-a", "eni-b", "eni-x", "eni-y"};
static const char *const addresses[STAGE_ENIS + 1] = {"10.0.1.10", "10.0.2.20", "10.0.2.30", "10.0.2.40", "10.0.2.99"};
static const uint8_t router_mac[6] = {0x02, 0x65, 0x6e, 0x69, 0x64, 0x01};

static void die(const char *what, int r, const char *why)
{
	fprintf(stderr, "stage: %s: %s\n", what, why ? why : strerror(r < 0 ? -r : r));
	abort();
}

/* ---- the states */

static void put_permission(FILE *to, const char *proto, int first, int last)
{
	fprintf(to, "{\"IpProtocol\":\"%s\",\"FromPort\":%d,\"ToPort\":%d,\"IpRanges\":[{\"CidrIp\":\"10.0.0.0/16\"}]}",
		proto, first, last);
}

static void put_permissions(FILE *to, const char *key, int mixed, bool one_way)
{
	fprintf(to, ",\"%s\":[", key);
	for (int udp = 0; udp < 2; udp++) {
		put_permission(to, udp ? "udp" : "tcp", 1000, 1999);
		fputc(',', to);
		put_permission(to, udp ? "udp" : "tcp", mixed, mixed + 499);
		fputc(',', to);
		if (one_way) {
			put_permission(to, udp ? "udp" : "tcp", 3000, 3999);
			fputc(',', to);
		}
	}
	put_permission(to, "icmp", 8, -1);
	fputc(']', to);
}

/* A group for each ENI. What eni-a may send and what eni-b takes in of the ports 2000-2999 never meet. */
static void put_groups(FILE *to, int odd)
{
	fprintf(to, ",\"SecurityGroups\":[");
	for (int i = 0; i < STAGE_ENIS; i++) {
		fprintf(to, "%s{\"GroupId\":\"sg-%d\",\"GroupName\":\"g%d\",\"VpcId\":\"vpc-1\"", i ? "," : "", i, i);
		put_permissions(to, "IpPermissions", odd ? 2000 : 2500, i == ENI_B);
		put_permissions(to, "IpPermissionsEgress", odd ? 2500 : 2000, i != ENI_B);
		fputc('}', to);
	}
	fputc(']', to);
}

static void put_enis(FILE *to, int which)
{
	int nr = which == 2 ? ENI_Y : STAGE_ENIS, owner = which == 1 ? ENI_Y : ENI_X;

	fprintf(to, ",\"NetworkInterfaces\":[");
	for (int i = 0; i < nr; i++) {
		fprintf(to,
			"%s{\"NetworkInterfaceId\":\"%s\",\"VpcId\":\"vpc-1\",\"SubnetId\":\"subnet-%d\","
			"\"MacAddress\":"
			"\"02:00:00:00:00:%02x\",\"Status\":\"in-use\",\"InterfaceType\":\"interface\",\"Groups\":[{"
			"\"GroupId\":"
			"\"sg-%d\"}],\"PrivateIpAddress\":\"%s\",\"PrivateIpAddresses\":[{\"Primary\":true,"
			"\"PrivateIpAddress\":"
			"\"%s\"}",
			i ? "," : "", eni_ids[i], i ? 2 : 1, i + 1, i, addresses[i], addresses[i]);
		if (i == owner)
			fprintf(to, ",{\"Primary\":false,\"PrivateIpAddress\":\"%s\"}", addresses[STAGE_MOVING]);
		fprintf(to, "]}");
	}
	fprintf(to, "],\"Hosts\":[{\"HostId\":\"stage\",\"Ports\":[");
	for (int i = 0; i < nr; i++)
		fprintf(to, "%s{\"NetworkInterfaceId\":\"%s\",\"Device\":\"stage%d\"}", i ? "," : "", eni_ids[i], i);
	fprintf(to, "]}]}");
}

/* Shorter time-outs than a state may ask for. */
static void shorten(struct image *image, uint16_t seconds)
{
	for (size_t i = 0; i < image->nr_ports; i++)
		image->ports[i].tcp_established_s = image->ports[i].udp_s = image->ports[i].udp_stream_s = seconds;
}

static void load_state(struct stage *stage, int which, uint16_t seconds)
{
	char path[] = "/tmp/enid-stage-XXXXXX.json", *why = NULL;
	const char *paths[] = {path};
	struct state_messages messages = {};
	int fd = mkstemps(path, 5), r;
	FILE *to = fd < 0 ? NULL : fdopen(fd, "w");

	if (!to)
		die("mkstemps", errno, NULL);
	fprintf(to, "{\"Vpcs\":[{\"VpcId\":\"vpc-1\",\"CidrBlock\":\"10.0.0.0/16\"}],\"Subnets\":["
		    "{\"SubnetId\":\"subnet-1\",\"VpcId\":\"vpc-1\",\"CidrBlock\":\"10.0.1.0/24\"},"
		    "{\"SubnetId\":\"subnet-2\",\"VpcId\":\"vpc-1\",\"CidrBlock\":\"10.0.2.0/24\"}]");
	put_groups(to, which == 1);
	put_enis(to, which);
	fclose(to);
	r = state_load(paths, 1, &stage->state[which], &messages);
	for (size_t i = 0; i < messages.nr_errors; i++)
		fprintf(stderr, "stage: %s\n", messages.errors[i].text);
	state_messages_done(&messages);
	unlink(path);
	if (!r)
		r = compile_image(stage->state[which], state_host(stage->state[which], "stage"), &stage->image[which],
				  &why);
	if (r)
		die("the state", r, why);
	if (seconds)
		shorten(stage->image[which], seconds);
}

void stage_unlimited(struct stage *stage)
{
	volatile struct control *control = datapath_control(stage->datapath);

	control->half_open_max = control->flows_guarantee = control->flows_shared = control->flows_max;
}

void stage_apply(struct stage *stage, int which)
{
	struct apply_result result;
	char *why = NULL;
	int r = datapath_apply(stage->datapath, stage->image[which], &result, &why);

	if (r)
		die("apply", r, why);
	stage->now = which;
}

/* ---- devices */

static void make_devices(struct stage *stage)
{
	static bool apart;
	char command[128];

	if (!apart && unshare(CLONE_NEWNET))
		die("a network namespace", errno, NULL);
	for (int i = 0; i < STAGE_ENIS; i++) {
		snprintf(command, sizeof(command), "stage%d", i);
		if (!apart) {
			snprintf(command, sizeof(command), "ip link add stage%d up type veth peer name peer%d", i, i);
			if (system(command))
				die("a veth pair", EIO, NULL);
			snprintf(command, sizeof(command), "stage%d", i);
		}
		stage->ifindex[i] = if_nametoindex(command);
	}
	apart = true;
}

void stage_open(struct stage *stage, uint32_t flows_max, uint16_t seconds)
{
	struct datapath_options options = {.flows_max = flows_max};
	char *why = NULL;
	int r;

	*stage = (struct stage){.prog = -1};
	make_devices(stage);
	r = datapath_open(&options, &stage->datapath, &why);
	if (r)
		die("datapath_open", r, why);
	for (int which = 0; which < STAGE_STATES; which++)
		load_state(stage, which, seconds);
	stage_apply(stage, 0);
	stage->prog = datapath_prog_fd(stage->datapath, "tc_rx");
	for (int i = 0; i < STAGE_ENIS; i++) {
		stage->port[i] = datapath_port_number(stage->datapath, eni_ids[i]);
		r = datapath_set_device(stage->datapath, stage->port[i], stage->ifindex[i], DELIVER_REDIRECT);
		if (r)
			die("set_device", r, NULL);
	}
}

void stage_close(struct stage *stage)
{
	datapath_close(&stage->datapath);
	for (int which = 0; which < STAGE_STATES; which++) {
		image_free(&stage->image[which]);
		state_free(&stage->state[which]);
	}
}

/* ---- packets */

static void put_l4(const struct stage_packet *packet, uint8_t *l4)
{
	uint16_t ports[2] = {htons(packet->sport), htons(packet->dport)};
	uint16_t length = htons(STAGE_FRAME - 34);

	if (packet->proto == IPPROTO_ICMP) {
		l4[0] = packet->tcp_flags ? 0 : 8;
		memcpy(l4 + 4, &ports[1], 2);
		return;
	}
	memcpy(l4, ports, 4);
	if (packet->proto == IPPROTO_UDP) {
		memcpy(l4 + 4, &length, 2);
		return;
	}
	l4[12] = 5 << 4;
	l4[11] = !!(packet->tcp_flags & 0x10); /* an acknowledgement of something */
	l4[13] = packet->tcp_flags;
}

void stage_frame(const struct stage_packet *packet, uint8_t ret[STAGE_FRAME])
{
	struct iphdr ip = {.version = 4,
			   .ihl = 5,
			   .ttl = 64,
			   .protocol = packet->proto,
			   .tot_len = htons(STAGE_FRAME - 14),
			   .id = htons(packet->id),
			   .frag_off = htons(packet->offset)};
	uint16_t words[10];
	uint32_t sum = 0;

	memset(ret, 0, STAGE_FRAME);
	memcpy(ret, router_mac, 6);
	memcpy(ret + 6, (uint8_t[6]){2, 0, 0, 0, 0, (uint8_t)(packet->from + 1)}, 6);
	ret[12] = 8;
	inet_pton(AF_INET, addresses[packet->from], &ip.saddr);
	inet_pton(AF_INET, addresses[packet->to], &ip.daddr);
	memcpy(words, &ip, sizeof(words));
	for (int i = 0; i < 10; i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	ip.check = (uint16_t) ~(sum + (sum >> 16));
	memcpy(ret + 14, &ip, sizeof(ip));
	if (!(packet->offset & 0x1fff))
		put_l4(packet, ret + 34);
}

int stage_send_frame(const struct stage *stage, int from, const uint8_t frame[STAGE_FRAME])
{
	struct __sk_buff ctx = {.ifindex = stage->ifindex[from]};
	uint8_t out[STAGE_FRAME + 64];
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = STAGE_FRAME, .data_out = out,
		    .data_size_out = sizeof(out), .ctx_in = &ctx, .ctx_size_in = sizeof(ctx));
	int r = bpf_prog_test_run_opts(stage->prog, &run);

	if (r)
		die("a test run", r, NULL);
	if (run.retval == TC_ACT_SHOT)
		return STAGE_NOWHERE;
	if (run.retval != TC_ACT_REDIRECT || out[5] < 1 || out[5] > STAGE_ENIS)
		die("an unknown verdict", EPROTO, NULL);
	return out[5] - 1;
}

int stage_send(const struct stage *stage, const struct stage_packet *packet)
{
	uint8_t frame[STAGE_FRAME];

	stage_frame(packet, frame);
	return stage_send_frame(stage, packet->from, frame);
}

/* ---- the rest */

void stage_pin_thread(int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu % (int)sysconf(_SC_NPROCESSORS_ONLN), &cpus);
	(void)sched_setaffinity(0, sizeof(cpus), &cpus);
}

static uint64_t read_clock(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t stage_now_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

void stage_agent_alive(struct stage *stage, bool alive)
{
	datapath_control(stage->datapath)->agent_alive_ns = alive ? stage_now_ns() : 0;
}

uint64_t stage_drops(const struct stage *stage, int eni, enum enid_reason reason)
{
	struct drop_key key = {.port = stage->port[eni], .reason = reason};
	struct counter counter = {.packets = 0};

	(void)bpf_map_lookup_elem(datapath_map_fd(stage->datapath, "port_drops"), &key, &counter);
	return counter.packets;
}

unsigned int stage_seconds(const char *name, unsigned int otherwise)
{
	const char *given = getenv(name);

	return given ? (unsigned int)strtoul(given, NULL, 0) : otherwise;
}
