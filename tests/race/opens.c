/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* C14: two CPUs open the same flow, or the two directions of it, at the same moment. C16: while there is room for one
 * of the two names only, or for none. */
#include "race/tests.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <unistd.h>

#include "lib/audit.h"

#define PORTS 1000 /* 1000-1999 are admitted both ways */
#define BATCH 20000

struct opens {
	volatile uint64_t at[SENDERS]; /* the flow that each is at: they go hand in hand */
	uint64_t first, nr;
	bool reverse_too, may_lack_records;
	volatile bool done[SENDERS];
};

static struct stage_packet flow_packet(uint64_t flow, bool back)
{
	uint16_t near = (uint16_t)(1000 + flow % PORTS), far = (uint16_t)(1000 + flow / PORTS % PORTS);

	return (struct stage_packet){.from = back ? ENI_B : ENI_A,
				     .to = back ? ENI_A : ENI_B,
				     .proto = 17,
				     .sport = back ? far : near,
				     .dport = back ? near : far};
}

/* Wait for the other at each flow, then both send. */
static void open_step(struct sender *sender)
{
	struct race *race = sender->race;
	struct opens *opens = race->own;
	uint64_t at = opens->at[sender->cpu];
	struct stage_packet packet;
	uint8_t frame[STAGE_FRAME];
	bool back;
	int exit;

	if (at >= opens->nr) {
		opens->done[sender->cpu] = true;
		return;
	}
	back = opens->reverse_too && sender->cpu == 1 && at & 1;
	packet = flow_packet(opens->first + at, back);
	stage_frame(&packet, frame);
	__atomic_store_n(&opens->at[sender->cpu], at + 1, __ATOMIC_SEQ_CST);
	while (opens->at[!sender->cpu] < at + 1 && !race->pause)
		__builtin_ia32_pause();
	exit = race_send_frame(sender, packet.from, frame);
	if (exit != packet.to && !opens->may_lack_records)
		race_wrong(race, "flow %llu on CPU %d: exit %d", (unsigned long long)at, sender->cpu, exit);
}

static void run_opens(struct race *race, struct opens *opens)
{
	race->own = opens;
	race_go(race);
	while (!(opens->done[0] && opens->done[1]))
		usleep(1000);
	race_halt(race);
}

static void expect_clean(struct race *race, struct audit *audit)
{
	const char *why;

	stage_agent_alive(&race->stage, true);
	usleep(20000); /* a sweep that began before is over */
	why = audit_all(race->stage.datapath, audit);
	if (why)
		race_wrong(race, "%s", why);
	assert_string_equal(race->why, "");
}

void c14_two_cpus_open_one_flow(void **state)
{
	uint32_t flows = (stage_seconds("RACE_SECONDS", 8) + 1) / 2 * BATCH;
	struct audit audit;
	static struct race race;
	(void)state;

	flows = flows > 1000000 ? 1000000 : flows;
	race_open(&race, flows + 1024, 0, open_step, "opens");
	for (uint32_t first = 0; first < flows; first += BATCH) {
		struct opens opens = {.first = first, .nr = BATCH, .reverse_too = true};

		stage_agent_alive(&race.stage, true);
		run_opens(&race, &opens);
		expect_clean(&race, &audit);
		assert_int_equal(audit.live, first + opens.nr); /* one record a flow, with both its names */
		assert_int_equal(audit.names, 2 * audit.live);
	}
	print_message("%u flows\n", audit.live);
	assert_int_equal(stage_drops(&race.stage, ENI_A, REASON_CONNTRACK_FULL), 0);
	race_close(&race);
}

/* Fill `names` until only `room` names find place. */
static uint64_t fill_names(struct race *race, uint32_t room)
{
	int fd = datapath_map_fd(race->stage.datapath, "names");
	uint64_t print = 0;
	uint32_t nowhere = UINT32_MAX;

	while (!bpf_map_update_elem(fd, &print, &nowhere, BPF_NOEXIST))
		print++;
	assert_int_equal(errno, E2BIG);
	for (uint64_t gone = print - room; gone < print; gone++)
		assert_int_equal(bpf_map_delete_elem(fd, &gone), 0);
	return print - room;
}

static void empty_names(struct race *race, uint64_t nr)
{
	int fd = datapath_map_fd(race->stage.datapath, "names");

	for (uint64_t print = 0; print < nr; print++)
		assert_int_equal(bpf_map_delete_elem(fd, &print), 0);
}

void c16_a_full_name_table_leaks_nothing(void **state)
{
	struct audit audit;
	static struct race race;
	uint64_t refused = 0;
	(void)state;

	race_open(&race, 8192, 0, open_step, "names");
	for (uint32_t room = 0; room < 20; room++) {
		struct opens opens = {.first = room * 1000, .nr = 100, .reverse_too = true, .may_lack_records = true};
		struct opens again = {.first = 500000 + room * 1000, .nr = 20, .reverse_too = true};
		uint64_t filled, before = race.senders[0].refused;

		stage_agent_alive(&race.stage, true);
		filled = fill_names(&race, room % 5);
		run_opens(&race, &opens);
		empty_names(&race, filled);
		expect_clean(&race, &audit);
		refused += race.senders[0].refused - before;
		run_opens(&race, &again); /* what was refused left nothing behind that could refuse others */
		expect_clean(&race, &audit);
	}
	print_message("%llu refused on CPU 0, %u records at the end\n", (unsigned long long)refused, audit.live);
	assert_true(refused > 500);
	race_close(&race);
}
