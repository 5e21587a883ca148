/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* NAT gateways by the hundred thousand: ports run out, two CPUs race, ports cannot be foreseen, nobody outside gets in
 * (hazards D1..D4, D6, D12; NAT-03..NAT-10). Needs root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "compile/image.h"
#include "datapath/beside.h"
#include "datapath/datapath.h"
#include "datapath/internal.h"
#include "datapath/records.h"
#include "lib/audit.h"
#include "show/nat.h"
#include "state/state.h"

#define NS            1000000000ull
#define FRAME         54          /* Ethernet, IPv4, TCP */
#define OWN           0x0a00010au /* 10.0.1.10 to .13 are the ENI's own addresses, and get answers */
#define OWNS          4
#define OTHERS        0x0a090000u
#define GATEWAY       0xcb007109u /* 203.0.113.9 */
#define GATEWAY2      0xcb00710au
#define OTHER_GATEWAY 0xcb007163u
#define SERVER        0xc6336400u /* 198.51.100.0/24 */
#define FIN           0x01
#define SYN           0x02
#define ACK           0x10

static const char state_text[] =
	"{\"Vpcs\":[{\"VpcId\":\"v\",\"CidrBlock\":\"10.0.0.0/16\"}],"
	"\"Subnets\":[{\"SubnetId\":\"S0\",\"VpcId\":\"v\",\"CidrBlock\":\"10.0.0.0/24\"},"
	"{\"SubnetId\":\"S1\",\"VpcId\":\"v\",\"CidrBlock\":\"10.0.1.0/24\"}],"
	"\"SecurityGroups\":[{\"GroupId\":\"sg\",\"VpcId\":\"v\",\"IpPermissions\":[],"
	"\"IpPermissionsEgress\":[{\"IpProtocol\":\"-1\",\"IpRanges\":[{\"CidrIp\":\"0.0.0.0/0\"}]}]}],"
	"\"RouteTables\":["
	"{\"RouteTableId\":\"main\",\"VpcId\":\"v\",\"Associations\":[{\"Main\":true}],\"Routes\":["
	"{\"DestinationCidrBlock\":\"10.0.0.0/16\",\"GatewayId\":\"local\"},"
	"{\"DestinationCidrBlock\":\"0.0.0.0/0\",\"GatewayId\":\"igw\"}]},"
	"{\"RouteTableId\":\"inside\",\"VpcId\":\"v\",\"Associations\":[{\"SubnetId\":\"S1\"}],\"Routes\":["
	"{\"DestinationCidrBlock\":\"10.0.0.0/16\",\"GatewayId\":\"local\"},"
	"{\"DestinationCidrBlock\":\"0.0.0.0/0\",\"NatGatewayId\":\"nat\"}]}],"
	"\"NetworkInterfaces\":["
	"{\"NetworkInterfaceId\":\"a\",\"VpcId\":\"v\",\"SubnetId\":\"S1\",\"MacAddress\":\"02:00:00:00:00:01\","
	"\"SourceDestCheck\":false,\"Groups\":[{\"GroupId\":\"sg\"}],"
	"\"PrivateIpAddresses\":[{\"PrivateIpAddress\":\"10.0.1.10\",\"Primary\":true},"
	"{\"PrivateIpAddress\":\"10.0.1.11\"},{\"PrivateIpAddress\":\"10.0.1.12\"},{\"PrivateIpAddress\":\"10.0.1.13\"}"
	"]},"
	"{\"NetworkInterfaceId\":\"n\",\"VpcId\":\"v\",\"SubnetId\":\"S0\",\"MacAddress\":\"02:00:00:00:00:07\","
	"\"InterfaceType\":\"nat_gateway\",\"SourceDestCheck\":false,\"Groups\":[],\"PrivateIpAddresses\":["
	"{\"PrivateIpAddress\":\"10.0.0.9\",\"Primary\":true,\"Association\":{\"PublicIp\":\"203.0.113.9\"}}%s]}],"
	"\"InternetGateways\":[{\"InternetGatewayId\":\"igw\",\"Attachments\":[{\"VpcId\":\"v\"}]}],"
	"\"NatGateways\":[{\"NatGatewayId\":\"nat\",\"VpcId\":\"v\",\"SubnetId\":\"S0\",\"NatGatewayAddresses\":["
	"{\"NetworkInterfaceId\":\"n\",\"PrivateIp\":\"10.0.0.9\",\"PublicIp\":\"203.0.113.9\",\"IsPrimary\":true}%s]}]"
	","
	"\"Hosts\":[{\"HostId\":\"h\",\"Ports\":[{\"NetworkInterfaceId\":\"a\",\"Device\":\"a\"},"
	"{\"NetworkInterfaceId\":\"n\"}%s],\"Uplinks\":[{\"GatewayId\":\"igw\",\"Device\":\"up\"}%s]}]}";
static const char second_private[] =
	",{\"PrivateIpAddress\":\"10.0.0.10\",\"Association\":{\"PublicIp\":\"203.0.113.10\"}}";
static const char second_listed[] =
	",{\"NetworkInterfaceId\":\"n\",\"PrivateIp\":\"10.0.0.10\",\"PublicIp\":\"203.0.113.10\"}";

/* Another tenant, who has the same addresses and a gateway of his own (D3). */
static const char tenant_ports[] = ",{\"NetworkInterfaceId\":\"a2\",\"Device\":\"a2\"},{\"NetworkInterfaceId\":\"n2\"}";
static const char tenant_uplink[] = ",{\"GatewayId\":\"igw2\",\"Device\":\"up2\"}";
static const char tenant_text[] =
	"{\"Vpcs\":[{\"VpcId\":\"w\",\"CidrBlock\":\"10.0.0.0/16\"}],"
	"\"Subnets\":[{\"SubnetId\":\"T0\",\"VpcId\":\"w\",\"CidrBlock\":\"10.0.0.0/24\"},"
	"{\"SubnetId\":\"T1\",\"VpcId\":\"w\",\"CidrBlock\":\"10.0.1.0/24\"}],"
	"\"SecurityGroups\":[{\"GroupId\":\"sg2\",\"VpcId\":\"w\",\"IpPermissions\":[],"
	"\"IpPermissionsEgress\":[{\"IpProtocol\":\"-1\",\"IpRanges\":[{\"CidrIp\":\"0.0.0.0/0\"}]}]}],"
	"\"RouteTables\":["
	"{\"RouteTableId\":\"main2\",\"VpcId\":\"w\",\"Associations\":[{\"Main\":true}],\"Routes\":["
	"{\"DestinationCidrBlock\":\"10.0.0.0/16\",\"GatewayId\":\"local\"},"
	"{\"DestinationCidrBlock\":\"0.0.0.0/0\",\"GatewayId\":\"igw2\"}]},"
	"{\"RouteTableId\":\"inside2\",\"VpcId\":\"w\",\"Associations\":[{\"SubnetId\":\"T1\"}],\"Routes\":["
	"{\"DestinationCidrBlock\":\"10.0.0.0/16\",\"GatewayId\":\"local\"},"
	"{\"DestinationCidrBlock\":\"0.0.0.0/0\",\"NatGatewayId\":\"nat2\"}]}],"
	"\"NetworkInterfaces\":["
	"{\"NetworkInterfaceId\":\"a2\",\"VpcId\":\"w\",\"SubnetId\":\"T1\",\"MacAddress\":\"02:00:00:00:00:01\","
	"\"SourceDestCheck\":false,\"Groups\":[{\"GroupId\":\"sg2\"}],"
	"\"PrivateIpAddresses\":[{\"PrivateIpAddress\":\"10.0.1.10\",\"Primary\":true}]},"
	"{\"NetworkInterfaceId\":\"n2\",\"VpcId\":\"w\",\"SubnetId\":\"T0\",\"MacAddress\":\"02:00:00:00:00:07\","
	"\"InterfaceType\":\"nat_gateway\",\"SourceDestCheck\":false,\"Groups\":[],\"PrivateIpAddresses\":["
	"{\"PrivateIpAddress\":\"10.0.0.9\",\"Primary\":true,\"Association\":{\"PublicIp\":\"203.0.113.99\"}}]}],"
	"\"InternetGateways\":[{\"InternetGatewayId\":\"igw2\",\"Attachments\":[{\"VpcId\":\"w\"}]}],"
	"\"NatGateways\":[{\"NatGatewayId\":\"nat2\",\"VpcId\":\"w\",\"SubnetId\":\"T0\",\"NatGatewayAddresses\":["
	"{\"NetworkInterfaceId\":\"n2\",\"PrivateIp\":\"10.0.0.9\",\"PublicIp\":\"203.0.113.99\",\"IsPrimary\":true}]}]"
	"}";

enum how {                /* flags of nat_open */
	   LIVE = 1,      /* the real clock and devices, else virtual ones */
	   TWO = 2,       /* two addresses */
	   TENANTS = 4,   /* two tenants */
	   FEW_SIDES = 8, /* LIVE: the agent saw no gateway in the state when it made the maps */
};

struct nat {
	struct datapath *datapath;
	struct state *state;
	struct image *image;
	uint32_t a, up, gateway; /* port numbers */
	uint32_t ifindex;        /* of a */
	int prog;
	uint64_t now_ns;
	bool live; /* the real clock and devices, else virtual ones */
};

struct packet {
	bool inbound;
	uint8_t proto, flags;
	uint32_t src, dst;
	uint16_t sport, dport;
};

/* ret_path: mkstemps makes the file's name of it */
static void write_file(char *ret_path, const char *format, ...)
{
	int fd = mkstemps(ret_path, 5);
	va_list args;

	assert_true(fd >= 0);
	va_start(args, format);
	assert_true(vdprintf(fd, format, args) > 0);
	va_end(args);
	close(fd);
}

static struct state *load_state(enum how how)
{
	char path[2][40] = {"/tmp/enid-test-nat-XXXXXX.json", "/tmp/enid-test-nat-XXXXXX.json"};
	const char *paths[] = {path[0], path[1]};
	struct state_messages messages = {};
	bool two = how & TWO, tenants = how & TENANTS;
	struct state *state = NULL;

	write_file(path[0], state_text, two ? second_private : "", two ? second_listed : "",
		   tenants ? tenant_ports : "", tenants ? tenant_uplink : "");
	write_file(path[1], "%s", tenants ? tenant_text : "{}");
	assert_int_equal(state_load(paths, 2, &state, &messages), 0);
	state_messages_done(&messages);
	unlink(path[0]);
	unlink(path[1]);
	return state;
}

static void make_devices(struct nat *nat)
{
	uint32_t up;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	assert_int_equal(
		system("ip link add in0 type veth peer name guest0 && ip link add out0 type veth peer name world"), 0);
	nat->ifindex = if_nametoindex("in0");
	up = if_nametoindex("out0");
	assert_int_equal(datapath_set_device(nat->datapath, nat->a, nat->ifindex, DELIVER_PEER), 0);
	assert_int_equal(datapath_set_device(nat->datapath, nat->up, up, DELIVER_NEIGH), 0);
}

static void nat_open(struct nat *nat, uint32_t flows_max, enum how how)
{
	bool live = how & LIVE;
	struct datapath_options options = {.flows_max = flows_max, .replay = !live, .gated = !(how & FEW_SIDES)};
	volatile struct control *control;
	struct apply_result applied;
	char *why = NULL;

	*nat = (struct nat){.live = live, .now_ns = 1000 * NS, .state = load_state(how)};
	assert_int_equal(compile_image(nat->state, state_host(nat->state, "h"), &nat->image, &why), 0);
	assert_int_equal(datapath_open(&options, &nat->datapath, &why), 0);
	assert_int_equal(datapath_apply(nat->datapath, nat->image, &applied, &why), 0);
	nat->a = datapath_port_number(nat->datapath, "a");
	nat->up = datapath_port_number(nat->datapath, "igw");
	nat->gateway = datapath_port_number(nat->datapath, "n");
	nat->prog = datapath_prog_fd(nat->datapath, "tc_rx");
	assert_true(nat->a && nat->up && nat->gateway);
	control = datapath_control(nat->datapath);
	control->half_open_max = control->flows_guarantee = control->flows_shared = flows_max;
	if (live)
		make_devices(nat);
}

static void nat_close(struct nat *nat)
{
	datapath_close(&nat->datapath);
	image_free(&nat->image);
	state_free(&nat->state);
}

static uint16_t ip_sum(const struct iphdr *ip)
{
	const uint16_t *words = (const uint16_t *)ip;
	uint32_t sum = 0;

	for (size_t i = 0; i < sizeof(*ip) / 2; i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~(sum + (sum >> 16));
}

static void make_frame(const struct packet *p, uint8_t frame[FRAME])
{
	static const uint8_t router[6] = {0x02, 0x65, 0x6e, 0x69, 0x64, 0x01}, client[6] = {2, 0, 0, 0, 0, 1};
	struct iphdr ip = {.version = 4,
			   .ihl = 5,
			   .tot_len = htons(40),
			   .ttl = 64,
			   .protocol = p->proto,
			   .saddr = htonl(p->src),
			   .daddr = htonl(p->dst)};
	struct tcphdr tcp = {.source = htons(p->sport),
			     .dest = htons(p->dport),
			     .seq = htonl(1),
			     .ack_seq = htonl(p->flags & ACK ? 1 : 0),
			     .doff = 5};

	memset(frame, 0, FRAME);
	memcpy(frame, router, 6);
	memcpy(frame + 6, client, 6);
	frame[12] = 8;
	ip.check = ip_sum(&ip);
	memcpy(frame + 14, &ip, sizeof(ip));
	if (p->proto == IPPROTO_UDP) {
		struct udphdr udp = {.source = tcp.source, .dest = tcp.dest, .len = htons(20)};

		memcpy(frame + 34, &udp, sizeof(udp));
		return;
	}
	memcpy(frame + 34, &tcp, sizeof(tcp));
	frame[47] = p->flags;
}

/* ret: it passed; then *p is the packet as it leaves */
static bool nat_send(const struct nat *nat, struct packet *p)
{
	volatile struct control *control = datapath_control(nat->datapath);
	uint8_t frame[FRAME], out[FRAME + 256];
	struct __sk_buff ctx = {.ifindex = nat->ifindex};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame), .data_out = out,
		    .data_size_out = sizeof(out));
	struct iphdr ip;

	make_frame(p, frame);
	if (nat->live) {
		opts.ctx_in = &ctx;
		opts.ctx_size_in = sizeof(ctx);
	} else {
		control->in = p->inbound ? nat->up : nat->a;
		control->now_ns = nat->now_ns;
		control->wire_len = FRAME;
	}
	assert_int_equal(bpf_prog_test_run_opts(nat->prog, &opts), 0);
	if (nat->live ? opts.retval != TC_ACT_REDIRECT
		      : datapath_report(nat->datapath)->action != (p->inbound ? ACTION_DELIVER : ACTION_UPLINK))
		return false;
	memcpy(&ip, out + 14, sizeof(ip));
	p->src = ntohl(ip.saddr);
	p->dst = ntohl(ip.daddr);
	p->sport = (uint16_t)(out[34] << 8 | out[35]);
	p->dport = (uint16_t)(out[36] << 8 | out[37]);
	return true;
}

static uint32_t address_of(uint32_t client)
{
	return client < OWNS ? OWN + client : OTHERS + client;
}

static struct packet syn(uint32_t client, uint16_t sport, uint32_t server, uint16_t dport)
{
	return (struct packet){.proto = IPPROTO_TCP,
			       .flags = SYN,
			       .src = address_of(client),
			       .dst = SERVER + server,
			       .sport = sport,
			       .dport = dport};
}

static struct packet reply_to(const struct packet *sent, uint8_t flags)
{
	return (struct packet){.inbound = true,
			       .proto = sent->proto,
			       .flags = flags,
			       .src = sent->dst,
			       .dst = sent->src,
			       .sport = sent->dport,
			       .dport = sent->sport};
}

static uint32_t last_reason(const struct nat *nat)
{
	return datapath_report(nat->datapath)->reason;
}

static const struct nat_stats *stats_of(const struct nat *nat)
{
	return &datapath_nat_stats(nat->datapath)[nat->gateway];
}

/* ---- D2: all ports of a destination taken */

static void d2_ports_run_out(void **unused)
{
	static uint8_t taken[65536];
	struct packet p, again;
	struct nat nat;

	(void)unused;
	nat_open(&nat, 131072, 0);
	memset(taken, 0, sizeof(taken));
	for (uint32_t i = 0; i < NAT_PORTS_LIMIT; i++) { /* few ports of their own: most are chosen */
		p = syn(i >> 8, (uint16_t)(2000 + (i & 255)), 7, 80);
		assert_true(nat_send(&nat, &p));
		assert_int_equal(p.src, GATEWAY);
		assert_true(p.sport >= NAT_PORT_FIRST);
		assert_false(taken[p.sport]++);
	}
	assert_int_equal(stats_of(&nat)->active, NAT_PORTS_LIMIT);
	assert_int_equal(stats_of(&nat)->attempts, NAT_PORTS_LIMIT);
	for (uint64_t refused = 1; refused <= 3; refused++) { /* TV-24, and consistently */
		p = syn(250, (uint16_t)(2000 + refused), 7, 80);
		assert_false(nat_send(&nat, &p));
		assert_int_equal(last_reason(&nat), REASON_NAT_NO_PORT);
		assert_int_equal(stats_of(&nat)->no_port, refused);
	}
	p = syn(250, 2000, 7, 81);
	assert_true(nat_send(&nat, &p)); /* another port has its own 55,000 */
	p = syn(250, 2000, 8, 80);
	assert_true(nat_send(&nat, &p)); /* so has another server */
	p = syn(250, 2000, 7, 80);
	p.proto = IPPROTO_UDP;
	assert_true(nat_send(&nat, &p));              /* and another protocol */
	for (uint32_t i = 0; i < OWNS << 8; i += 7) { /* the old ones live, with the port they had */
		p = syn(i >> 8, (uint16_t)(2000 + (i & 255)), 7, 80);
		assert_true(nat_send(&nat, &p));
		again = reply_to(&p, SYN | ACK);
		assert_true(nat_send(&nat, &again));
		assert_int_equal(again.dst, address_of(i >> 8));
		assert_int_equal(again.dport, 2000 + (i & 255));
	}
	nat.now_ns += 61 * NS; /* half-open ones are over (NAT-09): there is room again */
	(void)records_sweep(nat.datapath, nat.now_ns, NULL, NULL);
	p = syn(250, 2001, 7, 80);
	assert_true(nat_send(&nat, &p));
	nat_close(&nat);
}

/* D3: gateways that share an address and a way out may take all its ports together (here the count of the 55,000 is
 * forgotten instead): the search ends, as a refusal that is counted. */
static void d3_search_for_a_port_ends(void **unused)
{
	struct timespec before, after;
	struct nat nat;
	struct packet p;
	uint32_t i;

	(void)unused;
	nat_open(&nat, 131072, 0);
	for (i = 0; i < NAT_PORTS + 1; i++) {
		if (i == NAT_PORTS_LIMIT)
			memset(nat.datapath->nat_uses.at, 0, NAT_USES * sizeof(uint64_t));
		p = syn(i >> 8, (uint16_t)(2000 + (i & 255)), 7, 80);
		clock_gettime(CLOCK_MONOTONIC, &before);
		if (!nat_send(&nat, &p))
			break;
	}
	clock_gettime(CLOCK_MONOTONIC, &after);
	printf("refused with %u of %u ports taken, after %.3f ms\n", i, NAT_PORTS,
	       (double)(after.tv_sec - before.tv_sec) * 1e3 + (double)(after.tv_nsec - before.tv_nsec) / 1e6);
	assert_in_range(i, NAT_PORTS - 300, NAT_PORTS - 1); /* it did not look at each of them */
	assert_int_equal(last_reason(&nat), REASON_NAT_NO_PORT);
	assert_int_equal(stats_of(&nat)->no_port, 1);
	assert_int_equal(stats_of(&nat)->active, i);
	p = syn(1, 2000, 8, 80);
	assert_true(nat_send(&nat, &p));
	nat_close(&nat);
}

/* NAT-04: every destination has a count of its own, in however crowded a place it lies. */
static void destinations_share_no_count(void **unused)
{
	const uint64_t *uses;
	uint32_t counted = 0;
	struct packet p;
	struct nat nat;

	(void)unused;
	nat_open(&nat, 131072, 0);
	uses = nat.datapath->nat_uses.at;
	for (uint32_t i = 0; i < 65536; i++) { /* a quarter of the words: thousands want one that another has */
		p = syn(1, 40000, i & 255, (uint16_t)(1 + (i >> 8)));
		p.proto = IPPROTO_UDP;
		assert_true(nat_send(&nat, &p));
	}
	for (uint32_t i = 0; i < NAT_USES; i++) {
		assert_true(NAT_USE_COUNT(uses[i]) <= 1);
		counted += NAT_USE_COUNT(uses[i]);
	}
	assert_in_range(counted, 65536 - 16, 65536); /* the few that found all their places taken go uncounted */
	nat.now_ns += 351 * NS;
	(void)records_sweep(nat.datapath, nat.now_ns, NULL, NULL);
	for (uint32_t i = 0; i < NAT_USES; i++)
		assert_int_equal(NAT_USE_COUNT(uses[i]), 0);
	nat_close(&nat);
}

/* D3: the next tenant does not even notice. */
static void d3_a_tenant_takes_his_own_ports_only(void **unused)
{
	struct packet p, back;
	struct nat nat, other;

	(void)unused;
	nat_open(&nat, 131072, TENANTS);
	other = nat;
	other.a = datapath_port_number(nat.datapath, "a2");
	other.up = datapath_port_number(nat.datapath, "igw2");
	other.gateway = datapath_port_number(nat.datapath, "n2");
	assert_true(other.a && other.up && other.gateway);
	for (uint32_t i = 0; i < NAT_PORTS_LIMIT; i++) {
		p = syn(i >> 8, (uint16_t)(2000 + (i & 255)), 7, 80);
		assert_true(nat_send(&nat, &p));
	}
	p = syn(0, 40000, 7, 80);
	assert_false(nat_send(&nat, &p));
	assert_int_equal(last_reason(&nat), REASON_NAT_NO_PORT);
	for (uint32_t i = 0; i < 256; i++) { /* of the same client, server and ports */
		p = syn(0, (uint16_t)(2000 + i), 7, 80);
		assert_true(nat_send(&other, &p));
		assert_int_equal(p.src, OTHER_GATEWAY);
		assert_int_equal(p.sport, 2000 + i);
		back = reply_to(&p, SYN | ACK);
		assert_true(nat_send(&other, &back));
		assert_int_equal(back.dst, OWN);
		back = reply_to(&p, SYN | ACK);
		assert_false(nat_send(&nat, &back)); /* by the first tenant's uplink it is nobody's */
	}
	assert_int_equal(stats_of(&other)->no_port, 0);
	assert_int_equal(stats_of(&other)->active, 256);
	nat_close(&nat);
}

/* NAT-06, NAT-07: a second address has its own 55,000, and clients spread. */
static void addresses_share_the_load(void **unused)
{
	uint32_t first = 0, second = 0, clients[2] = {0};
	struct packet p;
	struct nat nat;

	(void)unused;
	nat_open(&nat, 131072, TWO);
	for (uint32_t client = 0; client < 256; client++) {
		p = syn(client, 40000, 9, 443);
		assert_true(nat_send(&nat, &p));
		assert_true(p.src == GATEWAY || p.src == GATEWAY2);
		clients[p.src == GATEWAY2]++;
	}
	assert_in_range(clients[0], 64, 192);
	for (uint32_t i = 0; i < 2 * NAT_PORTS_LIMIT; i++) { /* one client: its own address first, then the other */
		p = syn(1, (uint16_t)(1024 + i % 60000), 7, 80);
		p.src += i / 60000 << 8;
		assert_true(nat_send(&nat, &p));
		first += p.src == GATEWAY;
		second += p.src == GATEWAY2;
	}
	assert_int_equal(first, NAT_PORTS_LIMIT);
	assert_int_equal(second, NAT_PORTS_LIMIT);
	p = syn(77, 2001, 7, 80);
	assert_false(nat_send(&nat, &p));
	assert_int_equal(last_reason(&nat), REASON_NAT_NO_PORT);
	nat_close(&nat);
}

/* ---- D4: what is not preserved cannot be foreseen */

#define DRAWS 16384
#define BINS  64

static void d4_ports_are_unpredictable(void **unused)
{
	uint32_t bins[BINS] = {0}, run = 1, longest = 1, before = 0, up = 0;
	double expected = (double)DRAWS / BINS, chi2 = 0;
	struct packet p;
	struct nat nat;

	(void)unused;
	nat_open(&nat, 65536, 0);
	for (uint32_t i = 0; i < DRAWS; i++) {
		p = syn(i >> 8, 123, i & 127, (uint16_t)(1 + (i >> 7 & 1))); /* a port that the gateway never uses */
		p.proto = IPPROTO_UDP;
		assert_true(nat_send(&nat, &p));
		assert_true(p.sport >= NAT_PORT_FIRST);
		bins[(uint32_t)(p.sport - NAT_PORT_FIRST) * BINS / NAT_PORTS]++;
		run = p.sport > before ? run + 1 : 1;
		up += p.sport > before;
		longest = run > longest ? run : longest;
		before = p.sport;
	}
	for (size_t i = 0; i < BINS; i++)
		chi2 += ((double)bins[i] - expected) * ((double)bins[i] - expected) / expected;
	printf("chi-square of %d ports in %d bins: %.1f; longest run upward %u, upward %u\n", DRAWS, BINS, chi2,
	       longest, up);
	assert_true(chi2 > 30 && chi2 < 110); /* 63 degrees of freedom: one in 10,000 lies outside */
	assert_true(longest < 12);
	assert_in_range(up, DRAWS * 48 / 100, DRAWS * 52 / 100);
	nat_close(&nat);
}

/* ---- D6: nobody outside gets in */

static void d6_scans_find_nothing(void **unused)
{
	static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP};
	struct packet p;
	struct nat nat;

	(void)unused;
	nat_open(&nat, 8192, 0);
	for (uint32_t i = 0; i < 1000; i++) {
		p = syn(i & 15, (uint16_t)(30000 + i), i & 31, 443);
		p.proto = protocols[i & 1];
		assert_true(nat_send(&nat, &p));
	}
	for (uint32_t i = 0; i < 2 * 65536; i++) /* from elsewhere, and from a server's other port */
		for (int from_server = 0; from_server < 2; from_server++) {
			p = (struct packet){.inbound = true,
					    .proto = protocols[i & 1],
					    .flags = SYN,
					    .dst = GATEWAY,
					    .src = from_server ? SERVER + (i & 31) : SERVER + 200,
					    .sport = from_server ? 444 : 443,
					    .dport = (uint16_t)(i >> 1)};
			assert_false(nat_send(&nat, &p));
			assert_int_equal(last_reason(&nat), REASON_NAT_NO_MAPPING);
		}
	nat_close(&nat);
}

/* ---- D12: a port rests while the server may hold it in TIME_WAIT */

static uint16_t open_close(struct nat *nat, uint32_t client)
{
	struct packet p = syn(client, 40001, 7, 80), back;
	uint16_t port;

	assert_true(nat_send(nat, &p));
	port = p.sport;
	back = reply_to(&p, SYN | ACK);
	assert_true(nat_send(nat, &back));
	p = syn(client, 40001, 7, 80);
	p.flags = ACK;
	assert_true(nat_send(nat, &p));
	p = syn(client, 40001, 7, 80);
	p.flags = ACK | FIN;
	assert_true(nat_send(nat, &p));
	back = reply_to(&p, ACK | FIN);
	assert_true(nat_send(nat, &back));
	return port;
}

/* NAT-25: live and ended flows together. */
static void check_metric(const struct nat *nat, const char *name, json_int_t wanted)
{
	json_t *list = nat_gateways(nat->datapath);

	assert_int_equal(json_array_size(list), 1);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 0), name)), wanted);
	json_decref(list);
}

static void d12_closed_ports_rest(void **unused)
{
	struct nat nat;

	(void)unused;
	nat_open(&nat, 1024, 0);
	assert_int_equal(open_close(&nat, 1), 40001);
	nat.now_ns += 59 * NS;
	assert_int_not_equal(open_close(&nat, 2), 40001);
	nat.now_ns += 2 * NS;
	assert_int_equal(open_close(&nat, 3), 40001);
	assert_int_equal(stats_of(&nat)->established, 3);
	assert_int_equal(stats_of(&nat)->idle_timeout, 0);
	check_metric(&nat, "ActiveConnectionCount", 2); /* the second one rests, too */
	check_metric(&nat, "PacketsInFromSource", 9);
	check_metric(&nat, "PacketsOutToSource", 6);
	nat.now_ns += 61 * NS;
	(void)records_sweep(nat.datapath, nat.now_ns, NULL, NULL);
	check_metric(&nat, "ActiveConnectionCount", 0);
	check_metric(&nat, "BytesInFromSource", 9 * 40);
	check_metric(&nat, "PacketsOutToSource", 6);
	nat_close(&nat);
}

static bool send_udp(const struct nat *nat, uint32_t client)
{
	struct packet p = syn(client, 2000, 7, 53);

	p.proto = IPPROTO_UDP;
	return nat_send(nat, &p);
}

/* NAT-25: what ended by silence, and what the gateway dropped. */
static void nat_25_silence_and_drops_are_counted(void **unused)
{
	struct packet probe = {.inbound = true, .proto = IPPROTO_UDP, .src = SERVER + 7, .dst = GATEWAY, .sport = 53};
	struct nat nat;

	(void)unused;
	nat_open(&nat, 1024, 0);
	for (uint32_t client = 0; client < 5; client++)
		assert_true(send_udp(&nat, client));
	nat.now_ns += 300 * NS;
	assert_true(send_udp(&nat, 3));
	check_metric(&nat, "IdleTimeoutCount", 0);
	nat.now_ns += 52 * NS;
	(void)records_sweep(nat.datapath, nat.now_ns, NULL, NULL);
	check_metric(&nat, "IdleTimeoutCount", 4);
	check_metric(&nat, "ActiveConnectionCount", 1);
	for (uint16_t port = 0; port < 3; port++) {
		probe.dport = (uint16_t)(50000 + port);
		assert_false(nat_send(&nat, &probe));
		assert_int_equal(last_reason(&nat), REASON_NAT_NO_MAPPING);
	}
	check_metric(&nat, "PacketsDropCount", 3);
	nat.now_ns += 351 * NS;
	(void)records_sweep(nat.datapath, nat.now_ns, NULL, NULL);
	check_metric(&nat, "IdleTimeoutCount", 5);
	check_metric(&nat, "ActiveConnectionCount", 0);
	check_metric(&nat, "ErrorPortAllocation", 0);
	nat_close(&nat);
}

/* ---- D1: two CPUs */

#define RACE_FLOWS   1000000u
#define RACE_SERVERS 20u
#define RACE_CPUS    2

struct racer {
	const struct nat *nat;
	pthread_t thread;
	pthread_barrier_t *start;
	uint32_t number, passed;
	uint16_t *ports; /* by flow, as it left */
};

/* Both CPUs send the first packet of every flow, in orders that meet again and again. */
static void *race(void *arg)
{
	struct racer *racer = arg;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(racer->number % (uint32_t)sysconf(_SC_NPROCESSORS_ONLN), &cpus);
	(void)pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
	pthread_barrier_wait(racer->start);
	for (uint32_t i = 0; i < RACE_FLOWS; i++) {
		uint32_t flow = i ^ (racer->number ? i >> 8 & 7 : 0), client = flow / RACE_SERVERS;
		struct packet p = syn(client & 0xfff, (uint16_t)(40000 + (client >> 12)), flow % RACE_SERVERS, 80);

		if (flow >= RACE_FLOWS || !nat_send(racer->nat, &p))
			continue;
		racer->ports[flow] = p.sport;
		racer->passed++;
	}
	return NULL;
}

static void check_race(const struct nat *nat, const struct racer racers[RACE_CPUS])
{
	uint8_t(*taken)[65536] = calloc(RACE_SERVERS, sizeof(*taken));
	const struct flow_record *records = datapath_records(nat->datapath);
	uint32_t live = 0, fresh = datapath_control(nat->datapath)->flows_fresh;

	assert_non_null(taken);
	for (uint32_t i = 0; i < fresh; i++) {
		const struct flow_half *half = records[i].half;
		uint32_t server = ntohl(half[1].tuple.saddr.ip4) - SERVER, port = ntohs(half[1].tuple.dport);
		uint32_t address = ntohl(half[0].tuple.saddr.ip4), flow;
		uint32_t client = address < OTHERS ? address - OWN : address - OTHERS;

		if (GS_STATE(half[0].gs) != RECORD_LIVE)
			continue;
		live++;
		assert_true(server < RACE_SERVERS && port >= NAT_PORT_FIRST);
		assert_int_equal(ntohl(half[1].tuple.daddr.ip4), GATEWAY);
		assert_false(taken[server][port]++); /* no outside tuple twice */
		flow = (client | (uint32_t)(ntohs(half[0].tuple.sport) - 40000) << 12) * RACE_SERVERS + server;
		for (int cpu = 0; cpu < RACE_CPUS; cpu++) /* and every packet that left bore its own */
			assert_true(!racers[cpu].ports[flow] || racers[cpu].ports[flow] == port);
	}
	printf("%u mappings live; %u and %u packets passed\n", live, racers[0].passed, racers[1].passed);
	assert_int_equal(live, RACE_FLOWS);
	assert_int_equal(stats_of(nat)->active, RACE_FLOWS);
	assert_true(racers[0].passed + racers[1].passed > 2 * RACE_FLOWS - 2 * RACE_FLOWS / 1000);
	free(taken);
}

static void d1_two_cpus_never_share_a_port(void **unused)
{
	struct racer racers[RACE_CPUS];
	pthread_barrier_t start;
	struct nat nat;

	(void)unused;
	nat_open(&nat, 1048576, LIVE);
	pthread_barrier_init(&start, NULL, RACE_CPUS);
	for (uint32_t i = 0; i < RACE_CPUS; i++) {
		racers[i] = (struct racer){
			.nat = &nat, .start = &start, .number = i, .ports = calloc(RACE_FLOWS, sizeof(uint16_t))};
		assert_non_null(racers[i].ports);
		assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
	}
	for (uint32_t i = 0; i < RACE_CPUS; i++)
		pthread_join(racers[i].thread, NULL);
	check_race(&nat, racers);
	for (uint32_t i = 0; i < RACE_CPUS; i++)
		free(racers[i].ports);
	nat_close(&nat);
}

/* ---- sides (I7 of enid/flow.h) */

#define SIDES_FLOWS 4096u

/* So many flows as there are records, each through the gateway, by turns to ports of a few servers. ret: that passed */
static uint32_t open_all(const struct nat *nat)
{
	uint32_t passed = 0;

	for (uint32_t i = 0; i < SIDES_FLOWS; i++) {
		struct packet p = syn(0, (uint16_t)(2000 + i), i % 4, 443);

		passed += nat_send(nat, &p);
	}
	return passed;
}

/* At rest: names, budgets, free records; and each side belongs to a record, each such record has one. */
static void check_books(const struct nat *nat)
{
	struct audit audit;
	const char *why = audit_all(nat->datapath, &audit);

	if (why)
		fail_msg("%s", why);
}

static uint32_t sides_taken(const struct nat *nat)
{
	const struct beside beside = datapath_beside(nat->datapath);
	uint32_t taken = 0;

	for (uint32_t i = 0; i < beside.nr_sides; i++)
		taken += beside.sides[i].owner != 0;
	return taken;
}

/* Where the state has gateways, their flows have the whole table. */
static void every_record_may_have_a_mapping(void **state)
{
	struct nat nat;

	(void)state;
	nat_open(&nat, SIDES_FLOWS, LIVE);
	assert_int_equal(datapath_beside(nat.datapath).nr_sides, SIDES_FLOWS);
	assert_int_equal(open_all(&nat), SIDES_FLOWS);
	assert_int_equal(sides_taken(&nat), SIDES_FLOWS);
	assert_int_equal(datapath_control(nat.datapath)->sides_refused, 0);
	assert_false(datapath_short_of_sides(nat.datapath, nat.image));
	nat_close(&nat);
}

/* ... and where it got them later, a quarter: the others are refused, counted, and cost nothing. */
static void few_sides_are_all_used_and_no_more(void **state)
{
	uint32_t passed;
	struct nat nat;

	(void)state;
	nat_open(&nat, SIDES_FLOWS, LIVE | FEW_SIDES);
	assert_true(datapath_short_of_sides(nat.datapath, nat.image));
	passed = open_all(&nat);
	assert_in_range(passed, sides_max(SIDES_FLOWS, false) * 95 / 100, sides_max(SIDES_FLOWS, false));
	assert_int_equal(sides_taken(&nat), passed);
	assert_int_equal(datapath_flows_used(nat.datapath), passed);
	assert_int_equal(datapath_control(nat.datapath)->sides_refused, SIDES_FLOWS - passed);
	check_books(&nat);
	nat_close(&nat);
}

#define LOOPBACK 1 /* where test runs without a context come in */

/* NAT-25: a packet that XDP refuses and leaves to TC, since it gets an answer, is dropped once. */
static void a_drop_counts_once(void **state)
{
	struct packet ack = syn(1, 40000, 7, 80);
	uint8_t frame[FRAME], out[FRAME + 256];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame), .data_out = out,
		    .data_size_out = sizeof(out));
	struct nat nat;

	(void)state;
	nat_open(&nat, 1024, LIVE);
	assert_int_equal(datapath_set_device(nat.datapath, nat.a, LOOPBACK, DELIVER_PEER), 0);
	ack.flags = ACK;
	make_frame(&ack, frame);
	for (uint64_t n = 1; n <= 3; n++) {
		assert_int_equal(bpf_prog_test_run_opts(datapath_program(nat.datapath, "xdp_rx", NULL), &opts), 0);
		assert_int_equal(opts.retval, XDP_PASS);
		assert_int_equal(stats_of(&nat)->drops, n - 1);
		opts.data_size_out = sizeof(out);
		assert_int_equal(bpf_prog_test_run_opts(nat.prog, &opts), 0);
		assert_int_equal(opts.retval, TC_ACT_REDIRECT);
		assert_int_equal(stats_of(&nat)->drops, n);
		opts.data_size_out = sizeof(out);
	}
	nat_close(&nat);
}

#define LARGE 2000 /* more than an internet gateway carries */

/* IGW-09: pieces that the uplink's device, which is down, does not take are a packet that is lost, and counted. */
static void lost_pieces_are_counted(void **state)
{
	struct packet udp = syn(1, 40000, 7, 53);
	static uint8_t frame[ETH_HLEN + LARGE], out[ETH_HLEN + LARGE + 256];
	struct __sk_buff ctx = {.ifindex = 0};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame), .data_out = out,
		    .data_size_out = sizeof(out), .ctx_in = &ctx, .ctx_size_in = sizeof(ctx));
	struct drop_key key = {.reason = REASON_MTU};
	struct iphdr *ip = (struct iphdr *)(frame + ETH_HLEN);
	struct counter lost;
	struct nat nat;

	(void)state;
	nat_open(&nat, 1024, LIVE);
	ctx.ifindex = nat.ifindex;
	key.port = nat.a;
	udp.proto = IPPROTO_UDP;
	make_frame(&udp, frame);
	ip->tot_len = htons(LARGE);
	ip->check = 0;
	ip->check = ip_sum(ip);
	((struct udphdr *)(ip + 1))->len = htons(LARGE - sizeof(*ip));
	for (uint64_t n = 1; n <= 3; n++) {
		assert_int_equal(bpf_prog_test_run_opts(nat.prog, &opts), 0);
		assert_int_equal(opts.retval, TC_ACT_SHOT);
		lost = (struct counter){.packets = 0};
		(void)bpf_map_lookup_elem(datapath_map_fd(nat.datapath, "port_drops"), &key, &lost);
		assert_int_equal(lost.packets, n);
		opts.data_size_out = sizeof(out);
	}
	nat_close(&nat);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_record_may_have_a_mapping),
		cmocka_unit_test(few_sides_are_all_used_and_no_more),
		cmocka_unit_test(a_drop_counts_once),
		cmocka_unit_test(lost_pieces_are_counted),
		cmocka_unit_test(d2_ports_run_out),
		cmocka_unit_test(d3_a_tenant_takes_his_own_ports_only),
		cmocka_unit_test(d3_search_for_a_port_ends),
		cmocka_unit_test(destinations_share_no_count),
		cmocka_unit_test(addresses_share_the_load),
		cmocka_unit_test(d4_ports_are_unpredictable),
		cmocka_unit_test(d6_scans_find_nothing),
		cmocka_unit_test(d12_closed_ports_rest),
		cmocka_unit_test(nat_25_silence_and_drops_are_counted),
		cmocka_unit_test(d1_two_cpus_never_share_a_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
