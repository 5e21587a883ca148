/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Floods (C10, C11, C12, A4): one ENI sends ten times what a table holds; those who were there lose nothing, others get
 * all they ask for, and the books balance to the packet.
 * FLOODS_RECORDS: size of the flow table (the whole of it: 1048576). */
#include "race/tests.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "enid/limits.h"
#include "lib/audit.h"
#include "race/logsum.h"

#define IDLE        1000
#define BUSY        1000 /* so many established flows of eni-b, idle and busy */
#define NOBODY_PORT 4000 /* admitted by no rule */

struct flood {
	struct stage stage;
	struct logsum sum;
	uint32_t records;
	uint64_t sent[STAGE_ENIS], accepted[STAGE_ENIS], refused[STAGE_ENIS];
	uint64_t refused_in[STAGE_ENIS]; /* by the target's groups */
};

static int send_one(struct flood *flood, const struct stage_packet *packet)
{
	int exit = stage_send(&flood->stage, packet);

	flood->sent[packet->from]++;
	if (exit == STAGE_NOWHERE)
		flood->refused[packet->from]++;
	else
		flood->accepted[exit]++;
	return exit;
}

/* Packet of flow n from `from` to `to`; back: of the other end. Ports admit a million flows both ways. */
static struct stage_packet flow_of(int from, int to, uint8_t proto, uint32_t n, bool back, uint8_t flags)
{
	uint16_t near = (uint16_t)(1000 + n % 1000), far = (uint16_t)(1000 + n / 1000 % 1000);

	return (struct stage_packet){.from = back ? to : from,
				     .to = back ? from : to,
				     .proto = proto,
				     .tcp_flags = flags,
				     .sport = back ? far : near,
				     .dport = back ? near : far};
}

static void must_pass(struct flood *flood, const struct stage_packet *packet)
{
	assert_int_equal(send_one(flood, packet), packet->to);
}

static void establish(struct flood *flood, uint32_t n)
{
	struct stage_packet syn = flow_of(ENI_X, ENI_B, 6, n, false, 0x02);
	struct stage_packet answer = flow_of(ENI_X, ENI_B, 6, n, true, 0x12);
	struct stage_packet ack = flow_of(ENI_X, ENI_B, 6, n, false, 0x10);

	must_pass(flood, &syn);
	must_pass(flood, &answer);
	must_pass(flood, &ack);
}

/* One packet of a busy flow, and one conversation that begins now, of an ENI below its share of the table. */
static void others_go_on(struct flood *flood, uint32_t step)
{
	struct stage_packet busy = flow_of(ENI_X, ENI_B, 6, IDLE + step % BUSY, step & 1, 0x18);
	struct stage_packet ask = flow_of(ENI_Y, ENI_X, 17, step, false, 0),
			    answer = flow_of(ENI_Y, ENI_X, 17, step, true, 0);

	must_pass(flood, &busy);
	if (step % 16)
		return;
	must_pass(flood, &ask);
	must_pass(flood, &answer);
}

static void flood_open(struct flood *flood)
{
	memset(flood, 0, sizeof(*flood));
	flood->records = stage_seconds("FLOODS_RECORDS", 16384);
	stage_open(&flood->stage, flood->records, 0);
	logsum_open(&flood->sum, &flood->stage);
	logsum_tick(&flood->sum);
	for (uint32_t n = 0; n < IDLE + BUSY; n++)
		establish(flood, n);
}

/* Nothing of the established flows is lost; nothing is missing in the books. */
static void flood_close(struct flood *flood, const char *what)
{
	struct audit audit;
	uint64_t refused_in = 0;

	for (uint32_t n = 0; n < IDLE + BUSY; n++)
		for (int back = 0; back < 2; back++) {
			struct stage_packet packet = flow_of(ENI_X, ENI_B, 6, n, back, 0x18);

			must_pass(flood, &packet);
		}
	usleep(30000);
	assert_null(audit_all(flood->stage.datapath, &audit));
	logsum_close(&flood->sum);
	for (int eni = 0; eni < STAGE_ENIS; eni++) {
		uint64_t seen = flood->sent[eni] + flood->accepted[eni] + flood->refused_in[eni];

		refused_in += flood->refused_in[eni];
		print_message("%s: eni-%c: %llu seen, %llu in the log, %llu skipped\n", what, "abxy"[eni],
			      (unsigned long long)seen, (unsigned long long)flood -> sum.packets[eni],
			      (unsigned long long)flood->sum.skipped[eni]);
		assert_int_equal(seen, flood->sum.packets[eni] + flood->sum.skipped[eni]);
	}
	print_message("%s: %u live records, %llu refused by targets\n", what, audit.live,
		      (unsigned long long)refused_in);
	stage_close(&flood->stage);
}

/* Ten tables' worth of first packets by eni-a, most of which find no record. */
static void flood_table(struct flood *flood, uint8_t proto, bool answered)
{
	uint64_t full = stage_drops(&flood->stage, ENI_A, REASON_CONNTRACK_FULL);

	for (uint32_t n = 0; n < 10 * flood->records; n++) {
		struct stage_packet first = flow_of(ENI_A, ENI_B, proto, n, false, 0x02);
		struct stage_packet answer = flow_of(ENI_A, ENI_B, proto, n, true, 0x12);
		bool opened = send_one(flood, &first) == ENI_B;

		if (opened && answered)
			must_pass(flood, &answer);
		if (n % 100 == 0)
			others_go_on(flood, n / 100);
		if (n % 4096 == 0)
			logsum_tick(&flood->sum);
	}
	full = stage_drops(&flood->stage, ENI_A, REASON_CONNTRACK_FULL) - full;
	flood->refused_in[ENI_B] += full; /* told at the target */
	assert_int_equal(flood->refused[ENI_A], full);
	assert_int_equal(flood->refused[ENI_X] + flood->refused[ENI_Y] + flood->refused[ENI_B], 0);
	assert_true(full > flood->records);
}

static void c10_syn_flood_unanswered(void **state)
{
	static struct flood flood;
	(void)state;

	flood_open(&flood);
	flood_table(&flood, 6, false);
	flood_close(&flood, "SYN");
}

static void c10_syn_flood_answered(void **state)
{
	static struct flood flood;
	(void)state;

	flood_open(&flood);
	flood_table(&flood, 6, true);
	flood_close(&flood, "SYN answered");
}

static void c12_udp_flood(void **state)
{
	static struct flood flood;
	(void)state;

	flood_open(&flood);
	flood_table(&flood, 17, false);
	flood_close(&flood, "UDP");
}

/* 65,536 identifiers a pair of addresses; each is a flow for 30 s. */
static void c12_echo_flood(void **state)
{
	static struct flood flood;
	uint64_t full;
	(void)state;

	flood_open(&flood);
	for (uint32_t n = 0; n < 2 * 65536; n++) {
		struct stage_packet echo = {.from = ENI_A, .to = ENI_B, .proto = 1, .dport = (uint16_t)n};

		(void)send_one(&flood, &echo);
		if (n % 50 == 0)
			others_go_on(&flood, n / 50);
		if (n % 4096 == 0)
			logsum_tick(&flood.sum);
	}
	full = stage_drops(&flood.stage, ENI_A, REASON_CONNTRACK_FULL);
	assert_int_equal(flood.refused[ENI_A], full);
	assert_int_equal(flood.refused[ENI_X] + flood.refused[ENI_Y], 0);
	flood.refused_in[ENI_B] += full;
	flood_close(&flood, "echo");
}

/* C12: rejects without end, each another flow, leave room for the one reject line of somebody else, who comes when the
 * map is as full as the flood can make it, with more packets than would go through the ring. */
static void c12_reject_flood_crowds_nobody_out(void **state)
{
	static struct flood flood;
	struct stage_packet other = {.from = ENI_X, .to = ENI_B, .proto = 17, .sport = 7, .dport = NOBODY_PORT};
	(void)state;

	flood_open(&flood);
	for (uint32_t n = 0; n < 10 * TALLIES_MAX; n++) {
		struct stage_packet packet = {.from = ENI_A, .to = ENI_B, .proto = 17};

		packet.sport = (uint16_t)n;
		packet.dport = (uint16_t)(NOBODY_PORT + n / 65536);
		assert_int_equal(send_one(&flood, &packet), STAGE_NOWHERE);
		if (n % 100 == 0)
			others_go_on(&flood, n / 100);
		if (n % (2 * TALLIES_MAX) > TALLIES_MAX / 4 * 5 && n % 5 == 0)
			assert_int_equal(send_one(&flood, &other), STAGE_NOWHERE);
		if (n % (2 * TALLIES_MAX) == 0)
			logsum_tick(&flood.sum);
	}
	flood_close(&flood, "reject");
	assert_int_equal(flood.sum.rejects[ENI_X], flood.refused[ENI_X]);
	assert_int_equal(flood.sum.skipped[ENI_X], 0);
	assert_true(flood.sum.skipped[ENI_A] > 0);
}

/* A4: datagrams of which only the first piece comes. What is remembered is bounded for each ENI; another ENI's
 * datagrams are whole. */
static void a4_fragment_flood(void **state)
{
	static struct flood flood;
	const struct port_stats *stats;
	uint64_t limited;
	(void)state;

	flood_open(&flood);
	stats = datapath_port_stats(flood.stage.datapath);
	for (uint32_t n = 0; n < 100000; n++) {
		struct stage_packet first = flow_of(ENI_A, ENI_B, 17, n % 1000, false, 0);
		struct stage_packet other = flow_of(ENI_X, ENI_Y, 17, n % 1000, false, 0);

		first.offset = other.offset = 0x2000;
		first.id = other.id = (uint16_t)n;
		(void)send_one(&flood, &first);
		if (n % 2000)
			continue;
		must_pass(&flood, &other);
		other.offset = 8;
		must_pass(&flood, &other);
		logsum_tick(&flood.sum);
		assert_true(stats[flood.stage.port[ENI_A]].fragments <= FRAGMENTS_PER_PORT);
	}
	limited = stage_drops(&flood.stage, ENI_A, REASON_RATE_LIMIT);
	print_message("%llu of %llu pieces over the rate, %u datagrams remembered\n", (unsigned long long)limited,
		      (unsigned long long)flood.sent[ENI_A], stats[flood.stage.port[ENI_A]].fragments);
	assert_int_equal(flood.refused[ENI_A], limited);
	flood.sent[ENI_A] -= limited; /* a header check leaves a counter, and no line (PATH-14) */
	flood_close(&flood, "fragments");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(c10_syn_flood_unanswered),
		cmocka_unit_test(c10_syn_flood_answered),
		cmocka_unit_test(c12_udp_flood),
		cmocka_unit_test(c12_echo_flood),
		cmocka_unit_test(c12_reject_flood_crowds_nobody_out),
		cmocka_unit_test(a4_fragment_flood),
	};

	if (geteuid()) {
		printf("floods: SKIPPED: loading BPF programs needs root\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
