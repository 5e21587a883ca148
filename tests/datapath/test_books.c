/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The books balance (DESIGN "Events", E26): random packets through the real programs, the collector on their maps, then
 * what the flow log says of each ENI, direction and verdict against what the programs said of each packet. Virtual
 * time; collectors are stopped and started in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/ip.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "datapath/beside.h"
#include "datapath/datapath.h"
#include "datapath/internal.h"
#include "datapath/records.h"
#include "enid/flow_hash.h"
#include "flowlog/collector.h"
#include "flowlog/reader.h"
#include "lib/fill.h"
#include "lib/world.h"
#include "replay/runner.h"
#include "lib/folder.h"

#define NS        1000000000ull
#define BASE_NS   (1000000 * NS) /* virtual CLOCK_MONOTONIC at the start */
#define BASE_S    1760000040ull  /* wall clock then: a full minute */
#define ENIS      3
#define STEPS     20000
#define STRANGERS 2 /* addresses that no ENI owns: one of the VPC, one outside */

enum column { EGRESS_ACCEPT, EGRESS_REJECT, INGRESS_ACCEPT, INGRESS_REJECT, COLUMNS };

struct sum {
	uint64_t packets, bytes;
};

struct books_test {
	struct world *world;
	struct image *image;
	struct datapath *datapath;
	struct collector *collector;
	struct runner runner;
	struct dice dice;
	uint64_t now_ns;
	char dir[64];
	uint32_t port[ENIS];
	struct sum said[ENIS][COLUMNS];   /* by the programs */
	struct sum logged[ENIS][COLUMNS]; /* by the flow log */
	unsigned int lines, nodata, skipdata, restarts;
};

static const char *const eni_ids[ENIS] = {"eni-a", "eni-b", "eni-c"};
static const char *const addresses[ENIS + STRANGERS] = {"10.0.1.10", "10.0.2.20", "10.0.1.11", "10.0.2.99", "8.8.8.8"};

/* ---- the state: two subnets with a network ACL each, three ENIs with one group */

static struct sg_permission *permit(struct world *world, int protocol, int from, int to, const char *cidr)
{
	struct sg_permission *permission = world_alloc(world, 1, sizeof(*permission));

	*permission = (struct sg_permission){.protocol = protocol, .from = from, .to = to, .place = "IpPermissions[0]"};
	permission->peers = world_alloc(world, 1, sizeof(*permission->peers));
	permission->peers[0] =
		(struct sg_peer){.kind = PEER_CIDR, .cidr = world_cidr(cidr), .peering = "", .rule_id = ""};
	permission->nr_peers = 1;
	return permission;
}

static void add_group(struct world *world)
{
	struct security_group *group = world_alloc(world, 1, sizeof(*group));

	*group =
		(struct security_group){.id = "sg-1", .name = "one", .owner = "111122223333", .vpc = world->state.vpcs};
	group->in = world_alloc(world, 3, sizeof(*group->in));
	group->nr_in = 3;
	group->in[0] = *permit(world, 6, 80, 90, "10.0.0.0/16");
	group->in[1] = *permit(world, 17, 53, 53, "0.0.0.0/0");
	group->in[2] = *permit(world, 1, -1, -1, "10.0.1.0/24");
	group->out = world_alloc(world, 3, sizeof(*group->out));
	group->nr_out = 3;
	group->out[0] = *permit(world, 6, 80, 100, "0.0.0.0/0");
	group->out[1] = *permit(world, 17, 0, 65535, "0.0.0.0/0");
	group->out[2] = *permit(world, 1, -1, -1, "0.0.0.0/0");
	world->state.groups = group;
	world->state.nr_groups = 1;
}

static void add_nacl(struct world *world, struct nacl *nacl, const char *id, int denied_in, int denied_out)
{
	const struct nacl_entry all = {
		.number = 100, .allow = true, .protocol = PROTOCOL_ANY, .cidr = world_cidr("0.0.0.0/0"), .to = 65535};
	const struct nacl_entry deny = {.number = 50, .protocol = 6, .cidr = world_cidr("0.0.0.0/0")};

	*nacl = (struct nacl){.id = id, .vpc = world->state.vpcs, .nr_in = 2, .nr_out = 2};
	nacl->in = world_alloc(world, 2, sizeof(*nacl->in));
	nacl->out = world_alloc(world, 2, sizeof(*nacl->out));
	nacl->in[0] = nacl->out[0] = deny;
	nacl->in[1] = nacl->out[1] = all;
	nacl->in[0].from = nacl->in[0].to = denied_in;
	nacl->out[0].from = nacl->out[0].to = denied_out;
}

static void add_eni(struct world *world, int i, struct vpc_subnet *subnet)
{
	struct eni *eni = &world->state.enis[i];
	int family;

	*eni = (struct eni){.id = eni_ids[i],
			    .vpc = world->state.vpcs,
			    .subnet = subnet,
			    .mac = {2, 0, 0, 0, 0, (uint8_t)i},
			    .live = true,
			    .check = true,
			    .type = "interface",
			    .owner = "111122223333",
			    .instance = "",
			    .tcp_established_s = 350,
			    .udp_s = 30,
			    .udp_stream_s = 180};
	eni->groups = world_alloc(world, 1, sizeof(*eni->groups));
	eni->groups[0] = world->state.groups;
	eni->nr_groups = 1;
	eni->addresses = world_alloc(world, 1, sizeof(*eni->addresses));
	eni->addresses[0] = (struct eni_address){
		.addr = world_addr(addresses[i], &family), .family = 4, .prefixlen = 32, .primary = true};
	eni->nr_addresses = 1;
}

static struct world *make_state(void)
{
	struct world *world = world_empty(1);
	struct state *state = &world->state;

	state->vpcs = world_alloc(world, 1, sizeof(*state->vpcs));
	state->nr_vpcs = 1;
	state->vpcs[0] = (struct vpc){.id = "vpc-1",
				      .owner = "111122223333",
				      .dhcp_options = "",
				      .zone = 1,
				      .vni = 1,
				      .primary = world_cidr("10.0.0.0/16"),
				      .dns_support = true};
	state->vpcs[0].cidrs = world_alloc(world, 1, sizeof(struct cidr));
	state->vpcs[0].cidrs[0] = state->vpcs[0].primary;
	state->vpcs[0].nr_cidrs = 1;
	add_group(world);
	state->nacls = world_alloc(world, 2, sizeof(*state->nacls));
	state->nr_nacls = 2;
	add_nacl(world, &state->nacls[0], "acl-1", 81, 82);
	add_nacl(world, &state->nacls[1], "acl-2", 83, 84);
	state->subnets = world_alloc(world, 2, sizeof(*state->subnets));
	state->nr_subnets = 2;
	for (int i = 0; i < 2; i++)
		state->subnets[i] = (struct vpc_subnet){.id = i ? "subnet-2" : "subnet-1",
							.vpc = state->vpcs,
							.az = "",
							.az_id = "",
							.nacl = &state->nacls[i],
							.cidr4 = world_cidr(i ? "10.0.2.0/24" : "10.0.1.0/24")};
	state->enis = world_alloc(world, ENIS, sizeof(*state->enis));
	state->nr_enis = ENIS;
	add_eni(world, 0, &state->subnets[0]);
	add_eni(world, 1, &state->subnets[1]);
	add_eni(world, 2, &state->subnets[0]);
	state->hosts = world_alloc(world, 1, sizeof(*state->hosts));
	state->nr_hosts = 1;
	state->hosts[0] = (struct host){.id = "host-a", .router_mac = {2, 0x65, 0x6e, 0x69, 0x64, 1}, .nr_ports = ENIS};
	state->hosts[0].ports = world_alloc(world, ENIS, sizeof(struct host_port));
	for (int i = 0; i < ENIS; i++)
		state->hosts[0].ports[i] = (struct host_port){.eni = &state->enis[i], .device = ""};
	return world;
}

/* ---- packets */

struct shot {
	int src, dst;  /* index in addresses; dst >= ENIS: a stranger's */
	size_t length; /* IP total length */
	bool spoofed;
	uint8_t frame[1600];
};

static void put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void fill_ip(struct shot *shot, uint8_t proto)
{
	struct iphdr *ip = (struct iphdr *)(shot->frame + 14);
	uint32_t sum = 0;

	*ip = (struct iphdr){.version = 4, .ihl = 5, .ttl = 64, .protocol = proto};
	ip->tot_len = htons((uint16_t)shot->length);
	ip->saddr = inet_addr(shot->spoofed ? "10.0.9.9" : addresses[shot->src]);
	ip->daddr = inet_addr(addresses[shot->dst]);
	for (int i = 0; i < 10; i++)
		sum += ((const uint16_t *)ip)[i];
	sum = (sum & 0xffff) + (sum >> 16);
	ip->check = (uint16_t) ~(sum + (sum >> 16));
}

static void fill_l4(struct shot *shot, struct dice *dice, uint8_t proto)
{
	static const uint8_t tcp_flags[] = {0x02, 0x12, 0x10, 0x18, 0x11, 0x04};
	static const uint16_t ports[] = {80, 81, 82, 83, 84, 85, 99, 53, 7, 40000, 40001};
	uint8_t *l4 = shot->frame + 34;

	if (proto == 1) {
		l4[0] = dice_hit(dice, 60) ? 8 : 0;
		l4[5] = (uint8_t)dice_below(dice, 3);
		return;
	}
	put16(l4, ports[dice_below(dice, sizeof(ports) / sizeof(*ports))]);
	put16(l4 + 2, ports[dice_below(dice, sizeof(ports) / sizeof(*ports))]);
	if (proto == 17) {
		put16(l4 + 4, (uint16_t)(shot->length - 20));
		return;
	}
	l4[12] = 5 << 4;
	l4[13] = tcp_flags[dice_below(dice, sizeof(tcp_flags))];
}

static struct shot random_shot(struct dice *dice)
{
	static const uint8_t protos[] = {6, 6, 6, 17, 1, 50};
	static const uint8_t router[6] = {2, 0x65, 0x6e, 0x69, 0x64, 1};
	uint8_t proto = protos[dice_below(dice, sizeof(protos))];
	struct shot shot = {.src = (int)dice_below(dice, ENIS), .length = 40 + dice_below(dice, 1400)};

	do
		shot.dst = (int)dice_below(dice, ENIS + STRANGERS);
	while (shot.dst == shot.src);
	shot.spoofed = dice_hit(dice, 3);
	memcpy(shot.frame, router, 6);
	memcpy(shot.frame + 6, (uint8_t[6]){2, 0, 0, 0, 0, (uint8_t)shot.src}, 6);
	put16(shot.frame + 12, 0x0800);
	fill_ip(&shot, proto);
	fill_l4(&shot, dice, proto);
	return shot;
}

static void say(struct books_test *test, int eni, enum column column, size_t bytes)
{
	test->said[eni][column].packets++;
	test->said[eni][column].bytes += bytes;
}

/* PATH-14 and FL-17: which lines one packet belongs to, by what the program said of it. */
static void expect(struct books_test *test, const struct shot *shot, const struct verdict *verdict)
{
	switch (verdict->reason) {
	case REASON_ACCEPTED:
		assert_int_equal(verdict->action, ACTION_DELIVER);
		assert_int_equal(verdict->exit, test->port[shot->dst]);
		say(test, shot->src, EGRESS_ACCEPT, shot->length);
		say(test, shot->dst, INGRESS_ACCEPT, shot->length);
		break;
	case REASON_SG_EGRESS:
	case REASON_NACL_EGRESS:
		say(test, shot->src, EGRESS_REJECT, shot->length);
		break;
	case REASON_SG_INGRESS:
	case REASON_NACL_INGRESS:
		say(test, shot->src, EGRESS_ACCEPT, shot->length);
		say(test, shot->dst, INGRESS_REJECT, shot->length);
		break;
	case REASON_NO_OWNER:
	case REASON_NO_ROUTE:
	case REASON_BLACKHOLE:
		say(test, shot->src, EGRESS_ACCEPT, shot->length);
		break;
	case REASON_SOURCE_CHECK:
		assert_true(shot->spoofed);
		break;
	default:
		fail_msg("a packet of this test was dropped for reason %u", verdict->reason);
	}
}

/* ---- the collector */

static void start_collector(struct books_test *test)
{
	char *why = NULL;
	int r = collector_open(test->datapath, &test->world->state, test->image,
			       &(struct collector_options){.log_dir = test->dir}, &test->collector, &why);

	if (r)
		fail_msg("collector_open: %d %s", r, why ? why : "");
}

static void tick(struct books_test *test)
{
	uint64_t wall_ns = BASE_S * NS + (test->now_ns - BASE_NS);

	assert_int_equal(collector_tick(test->collector, test->now_ns, wall_ns), 0);
	collector_wait(test->collector);
}

/* A second of virtual time; now and then the agent is restarted, or time jumps over every idle time-out. */
static void advance(struct books_test *test)
{
	test->now_ns += NS / 7;
	if (dice_below(&test->dice, 4000) == 0)
		test->now_ns += 400 * NS;
	if (dice_below(&test->dice, 2000) == 0) {
		collector_close(&test->collector);
		start_collector(test);
		test->restarts++;
	}
	if (dice_below(&test->dice, 40) == 0)
		tick(test);
}

static int eni_of(const char *id)
{
	for (int i = 0; i < ENIS; i++)
		if (!strcmp(id, eni_ids[i]))
			return i;
	fail_msg("a line of %s, which does not exist", id);
	return -1;
}

static int read_line(void *arg, const char *text, size_t len)
{
	struct books_test *test = arg;
	char line[256], *field[15], *rest = line;
	uint64_t start, end, packets;
	struct sum *sum;
	int eni, egress, nr = 0;

	assert_in_range(len, 1, sizeof(line) - 1);
	memcpy(line, text, len);
	line[len] = 0;
	test->lines++;
	if (strstr(line, "NODATA") || strstr(line, "SKIPDATA")) {
		test->nodata += strstr(line, "NODATA") != NULL;
		test->skipdata += strstr(line, "SKIPDATA") != NULL;
		return 0;
	}
	while (nr < 15 && (field[nr] = strsep(&rest, " ")))
		nr++;
	if (nr != 14) {
		fail_msg("not a line of 14 fields: %.*s", (int)len, text);
		return -EINVAL;
	}
	packets = strtoull(field[8], NULL, 10);
	start = strtoull(field[10], NULL, 10);
	end = strtoull(field[11], NULL, 10);
	assert_true(start <= end && end - start <= 61 && packets > 0);
	eni = eni_of(field[2]);
	egress = !strcmp(field[3], addresses[eni]);
	sum = &test->logged[eni][(egress ? EGRESS_ACCEPT : INGRESS_ACCEPT) + !strcmp(field[12], "REJECT")];
	sum->packets += packets;
	sum->bytes += strtoull(field[9], NULL, 10);
	return 0;
}

static void open_datapath(struct books_test *test)
{
	struct datapath_options options = {.replay = true, .flows_max = 8192};
	struct apply_result result;
	char *why = NULL;

	if (datapath_open(&options, &test->datapath, &why))
		fail_msg("datapath_open: %s", why);
	assert_int_equal(compile_image(&test->world->state, test->world->state.hosts, &test->image, &why), 0);
	if (datapath_apply(test->datapath, test->image, &result, &why))
		fail_msg("datapath_apply: %s", why);
	assert_int_equal(runner_init(&test->runner, test->datapath, false), 0);
	for (int i = 0; i < ENIS; i++)
		test->port[i] = datapath_port_number(test->datapath, eni_ids[i]);
}

static int set_up(void **state)
{
	struct books_test *test = calloc(1, sizeof(*test));

	if (!test)
		return -1;
	strcpy(test->dir, "/tmp/flowlog-books-XXXXXX");
	if (!mkdtemp(test->dir))
		return -1;
	test->world = make_state();
	test->now_ns = BASE_NS;
	test->dice.at = test_seed("test_books");
	open_datapath(test);
	start_collector(test);
	*state = test;
	return 0;
}

static int tear_down(void **state)
{
	struct books_test *test = *state;

	collector_close(&test->collector);
	datapath_close(&test->datapath);
	image_free(&test->image);
	world_free(test->world);
	folder_remove(test->dir);
	free(test);
	return 0;
}

/* From now on, for the rest of the minute, what no record counts goes through the ring. */
static void fill_tallies(struct books_test *test)
{
	int fd = datapath_map_fd(test->datapath, "tallies");
	struct tally_key key = {.parity = datapath_control(test->datapath)->log_parity & 1};
	struct tally none = {.packets = 0};

	do {
		key.tuple.zero++;
		key.reason += !key.tuple.zero;
	} while (!bpf_map_update_elem(fd, &key, &none, BPF_NOEXIST));
	assert_int_equal(errno, E2BIG);
}

static enum enid_reason send_shot(struct books_test *test, const struct shot *shot)
{
	struct verdict verdict;
	size_t length = 14 + shot->length;

	assert_int_equal(
		runner_run(&test->runner, test->port[shot->src], test->now_ns, shot->frame, length, length, &verdict),
		0);
	if (verdict.reason != REASON_RATE_LIMIT && verdict.reason != REASON_FRAGMENT)
		expect(test, shot, &verdict);
	return verdict.reason;
}

static void compare(struct books_test *test)
{
	collector_close(&test->collector);
	assert_int_equal(log_read(test->dir, false, read_line, NULL, test), 0);
	for (int eni = 0; eni < ENIS; eni++) {
		for (int column = 0; column < COLUMNS; column++) {
			assert_int_equal(test->logged[eni][column].packets, test->said[eni][column].packets);
			assert_int_equal(test->logged[eni][column].bytes, test->said[eni][column].bytes);
		}
	}
	assert_int_equal(test->skipdata, 0);
}

/* A piece of a datagram to UDP port `dport`; offset 0 = the first. */
static struct shot piece(int src, int dst, uint16_t dport, uint16_t id, uint16_t offset)
{
	struct shot shot = {.src = src, .dst = dst, .length = 20 + 64};

	memcpy(shot.frame, (uint8_t[6]){2, 0x65, 0x6e, 0x69, 0x64, 1}, 6);
	memcpy(shot.frame + 6, (uint8_t[6]){2, 0, 0, 0, 0, (uint8_t)src}, 6);
	put16(shot.frame + 12, 0x0800);
	fill_ip(&shot, 17);
	put16(shot.frame + 18, id);
	put16(shot.frame + 20, offset ? offset / 8 : 0x2000);
	if (!offset) {
		put16(shot.frame + 34, 4000);
		put16(shot.frame + 36, dport);
		put16(shot.frame + 38, 128);
	}
	return shot;
}

/* B14, A4: of a refused datagram nothing is remembered, so its pieces stand nowhere, whatever this CPU has judged in
 * between, and however many there were, they take no room. */
static void b14_later_fragments_of_what_was_refused_are_unknown(void **state)
{
	struct books_test *test = *state;
	const struct port_stats *stats = &datapath_port_stats(test->datapath)[test->port[0]];
	struct shot first = piece(0, 1, 7, 1, 0), later = piece(0, 1, 7, 1, 64);
	struct shot own = piece(1, 0, 99, 2, 0), other = piece(1, 2, 53, 3, 0);

	tick(test);
	assert_int_equal(send_shot(test, &first), REASON_SG_INGRESS);
	assert_int_equal(send_shot(test, &other), REASON_ACCEPTED);
	assert_int_equal(send_shot(test, &later), REASON_FRAGMENT);
	assert_int_equal(send_shot(test, &own), REASON_SG_INGRESS);
	assert_int_equal(send_shot(test, &later), REASON_FRAGMENT);
	assert_int_equal(stats->fragments, 0);
	compare(test);
}

/* A4: what is remembered of datagrams is forgotten again, and the budget of the ENI with it. */
static void a4_fragments_are_forgotten(void **state)
{
	struct books_test *test = *state;
	const struct port_stats *stats = &datapath_port_stats(test->datapath)[test->port[0]];
	struct shot first, later;

	for (uint32_t id = 0; id < FRAGMENTS_PER_PORT + 100; id++) {
		test->now_ns += NS / 1000;
		first = piece(0, 1, 53, (uint16_t)id, 0);
		assert_int_equal(send_shot(test, &first), REASON_ACCEPTED);
	}
	assert_int_equal(stats->fragments, FRAGMENTS_PER_PORT);
	later = piece(0, 1, 53, FRAGMENTS_PER_PORT + 50, 64);
	assert_int_equal(send_shot(test, &later), REASON_FRAGMENT);
	test->now_ns += (FRAGMENT_MEMORY_S + 1) * NS;
	assert_int_equal(send_shot(test, &first), REASON_ACCEPTED);
	later = piece(0, 1, 53, FRAGMENTS_PER_PORT + 99, 64);
	assert_int_equal(send_shot(test, &later), REASON_ACCEPTED);
	assert_int_equal(stats->fragments, 1);
}

/* When the last flow is over, every budget is whole again, and no record looks as if its limbo were long past (I4). */
static void check_budgets(struct books_test *test)
{
	const volatile struct control *control = datapath_control(test->datapath);
	const struct flow_record *records = datapath_records(test->datapath);
	const struct beside beside = datapath_beside(test->datapath);

	for (int i = 0; i < 3; i++) {
		test->now_ns += 700 * NS;
		tick(test);
	}
	assert_int_equal(control->flows_used, 0);
	for (int i = 0; i < ENIS; i++) {
		assert_int_equal(datapath_port_stats(test->datapath)[test->port[i]].flows, 0);
		assert_int_equal(datapath_port_stats(test->datapath)[test->port[i]].half_open, 0);
	}
	for (uint32_t index = 0; index < control->flows_fresh; index++)
		assert_int_equal(GS_STATE(records[index].half[1].gs), RECORD_FREE);
	for (uint32_t place = 0; place < beside.nr_sides; place++)
		assert_int_equal(beside.sides[place].owner, 0);
}

static void set_record(struct books_test *test, uint32_t index, const struct flow_record *record)
{
	assert_int_equal(bpf_map_update_elem(datapath_map_fd(test->datapath, "records"), &index, record, BPF_ANY), 0);
}

/* E2: an agent that was killed while it closed or freed a record leaks neither the record nor its names. */
static void e2_half_done_deaths_are_finished(void **state)
{
	struct books_test *test = *state;
	const volatile struct control *control = datapath_control(test->datapath);
	struct shot closing = piece(0, 1, 53, 1, 0), freeing = piece(2, 1, 53, 1, 0);
	struct flow_record record;
	uint32_t index = 0;

	assert_int_equal(send_shot(test, &closing), REASON_ACCEPTED);
	assert_int_equal(send_shot(test, &freeing), REASON_ACCEPTED);
	assert_int_equal(control->flows_used, 2);
	for (index = 0; index < 2; index++) {
		assert_int_equal(bpf_map_lookup_elem(datapath_map_fd(test->datapath, "records"), &index, &record), 0);
		record.half[0].gs = GS_MAKE(GS_GENERATION(record.half[0].gs), index ? RECORD_BUSY : RECORD_CLOSING);
		record.half[1].gs = GS_MAKE(GS_GENERATION(record.half[0].gs), RECORD_CLOSING);
		set_record(test, index, &record);
	}
	assert_int_equal(records_repair(test->datapath, test->now_ns), 2);
	assert_int_equal(records_repair(test->datapath, test->now_ns), 0);
	assert_int_equal(control->flows_used, 1);
	assert_int_equal(records_sweep(test->datapath, test->now_ns + NS, NULL, NULL).freed, 1);
	assert_int_equal(control->flows_used, 0);
	closing = piece(0, 1, 53, 2, 0); /* its names are free again: it has a record */
	assert_int_equal(send_shot(test, &closing), REASON_ACCEPTED);
	assert_int_equal(control->flows_used, 1);
}

/* ---- names and records at their limits */

/* A whole packet of `proto` (UDP, or a TCP SYN) between two ports. */
static struct shot whole(int src, int dst, uint8_t proto, uint16_t sport, uint16_t dport)
{
	struct shot shot = piece(src, dst, dport, 0, 0);

	fill_ip(&shot, proto);
	put16(shot.frame + 34, sport);
	put16(shot.frame + 38, 64);
	if (proto == 6) {
		shot.frame[46] = 5 << 4;
		shot.frame[47] = 2;
	}
	return shot;
}

static enum enid_reason run_shot(struct books_test *test, const struct shot *shot)
{
	struct verdict verdict;
	size_t length = 14 + shot->length;

	assert_int_equal(
		runner_run(&test->runner, test->port[shot->src], test->now_ns, shot->frame, length, length, &verdict),
		0);
	return verdict.reason;
}

/* C4: ten minutes of a flow that speaks in one direction only, then in the other, swept every 100 ms. */
static void c4_a_live_flow_outlives_the_sweeper(void **state)
{
	struct books_test *test = *state;
	struct shot there = whole(0, 1, 17, 4000, 53), back = whole(1, 0, 17, 53, 4000);

	assert_int_equal(run_shot(test, &there), REASON_ACCEPTED);
	for (int i = 0; i < 6000; i++) {
		test->now_ns += NS / 10;
		if (i % 290 == 0)
			assert_int_equal(run_shot(test, i < 3000 ? &back : &there), REASON_ACCEPTED);
		assert_int_equal(records_sweep(test->datapath, test->now_ns, NULL, NULL).closed, 0);
	}
	assert_int_equal(datapath_control(test->datapath)->flows_used, 1);
	assert_int_equal(datapath_control(test->datapath)->flows_fresh, 1);
	test->now_ns += 200 * NS;
	assert_int_equal(records_sweep(test->datapath, test->now_ns, NULL, NULL).closed, 1);
	assert_int_equal(names_count(test->datapath), 0);
}

/* C13: what decides where a name lies in its map is secret, and fresh with every data path. */
static void c13_nobody_can_aim_at_a_bucket(void **state)
{
	static const char *const hashes[] = {"names_spilled", "fragments", "addresses", "tallies", "port_drops"};
	struct datapath_options options = {.flows_max = 4096};
	struct books_test *test = *state;
	uint64_t secrets[2][FLOW_SECRETS];
	struct bpf_map_info info;

	for (int round = 0; round < 2; round++) {
		struct datapath *datapath = NULL;
		char *why = NULL;

		if (datapath_open(&options, &datapath, &why))
			fail_msg("datapath_open: %s", why);
		for (int i = 0; i < FLOW_SECRETS; i++)
			secrets[round][i] = datapath_control(datapath)->secrets[i];
		datapath_close(&datapath);
	}
	for (int i = 0; i < FLOW_SECRETS; i++) {
		assert_true(secrets[0][i] && secrets[1][i]);
		assert_int_not_equal(secrets[0][i], secrets[1][i]);
	}
	for (size_t i = 0; i < sizeof(hashes) / sizeof(*hashes); i++) {
		uint32_t size = sizeof(info);

		info = (struct bpf_map_info){.type = 0};
		assert_int_equal(bpf_obj_get_info_by_fd(datapath_map_fd(test->datapath, hashes[i]), &info, &size), 0);
		assert_int_equal(info.type, BPF_MAP_TYPE_HASH);
		assert_int_equal(info.map_flags & BPF_F_ZERO_SEED, 0);
	}
}

/* C16: no room for the first of the two names, or for the second: the flow is refused and nothing of it stays. */
static void c16_half_a_pair_is_rolled_back(void **state)
{
	struct books_test *test = *state;
	const volatile struct control *control = datapath_control(test->datapath);
	const struct port_stats *stats = &datapath_port_stats(test->datapath)[test->port[0]];
	struct shot shot;
	uint32_t full;

	names_fill(test->datapath, 0);
	full = names_count(test->datapath);
	for (uint32_t room = 0; room < 2; room++) {
		for (uint16_t i = 0; i < 20; i++) {
			shot = whole(0, 1, 6, (uint16_t)(4000 + i), 80);
			assert_int_equal(run_shot(test, &shot), REASON_CONNTRACK_FULL);
			assert_int_equal(names_count(test->datapath), full - room);
			assert_int_equal(control->flows_used, 0);
			assert_int_equal(stats->flows, 0);
			assert_int_equal(stats->half_open, 0);
		}
		names_make_room(test->datapath);
	}
	assert_int_equal(run_shot(test, &shot), REASON_ACCEPTED);
	assert_int_equal(names_count(test->datapath), full);
	assert_int_equal(control->flows_used, 1);
	assert_int_equal(control->flows_fresh, 1); /* each try gave its record back */
}

static void e26_every_packet_stands_in_the_flow_log_once(void **state)
{
	struct books_test *test = *state;
	uint64_t all[COLUMNS] = {0};

	tick(test);
	for (int i = 0; i < STEPS; i++) {
		struct shot shot = random_shot(&test->dice);

		(void)send_shot(test, &shot);
		advance(test);
		if (i == STEPS / 2)
			fill_tallies(test);
	}
	check_budgets(test);
	compare(test);
	for (int eni = 0; eni < ENIS; eni++)
		for (int column = 0; column < COLUMNS; column++)
			all[column] += test->said[eni][column].packets;
	print_message(
		"%u lines (%u NODATA), %u restarts; packets accepted out %llu in %llu, rejected out %llu in %llu\n",
		test->lines, test->nodata, test->restarts, (unsigned long long)all[EGRESS_ACCEPT],
		(unsigned long long)all[INGRESS_ACCEPT], (unsigned long long)all[EGRESS_REJECT],
		(unsigned long long)all[INGRESS_REJECT]);
	for (int column = 0; column < COLUMNS; column++)
		assert_true(all[column] > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(e26_every_packet_stands_in_the_flow_log_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(b14_later_fragments_of_what_was_refused_are_unknown, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a4_fragments_are_forgotten, set_up, tear_down),
		cmocka_unit_test_setup_teardown(e2_half_done_deaths_are_finished, set_up, tear_down),
		cmocka_unit_test_setup_teardown(c4_a_live_flow_outlives_the_sweeper, set_up, tear_down),
		cmocka_unit_test_setup_teardown(c13_nobody_can_aim_at_a_bucket, set_up, tear_down),
		cmocka_unit_test_setup_teardown(c16_half_a_pair_is_rolled_back, set_up, tear_down),
	};

	if (geteuid()) {
		printf("test_books: SKIPPED: loading BPF programs needs root\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
