/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* C14: two CPUs open the same flow, or the two directions of it, at the same moment. C16: while there is room for one
 * of the two names only, or for none. */
#include "race/tests.h"

#include <unistd.h>

#include "enid/names.h"
#include "lib/audit.h"
#include "lib/fill.h"

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
		uint64_t before = race.senders[0].refused;

		stage_agent_alive(&race.stage, true);
		names_fill(race.stage.datapath, room % 5);
		run_opens(&race, &opens);
		names_unfill(race.stage.datapath);
		expect_clean(&race, &audit);
		refused += race.senders[0].refused - before;
		run_opens(&race, &again); /* what was refused left nothing behind that could refuse others */
		expect_clean(&race, &audit);
	}
	print_message("%llu refused on CPU 0, %u records at the end\n", (unsigned long long)refused, audit.live);
	assert_true(refused > 500);
	race_close(&race);
}

#define SHELVED 16384 /* enough for shelves of a few records */

/* C11: a CPU that took more records than it uses takes them from nobody: the last flow that fits is not refused. */
void c11_no_record_stays_on_a_shelf(void **state)
{
	static struct stage stage;
	struct stage_packet packet;
	uint8_t frame[STAGE_FRAME];
	struct audit audit;
	uint32_t refused = 0;
	(void)state;

	stage_open(&stage, SHELVED, 0);
	stage_unlimited(&stage);
	stage_agent_alive(&stage, true);
	assert_true(datapath_control(stage.datapath)->flows_batch > 1);
	for (uint32_t flow = 0; flow < SHELVED + 100; flow++) {
		stage_pin_thread(flow < 100 ? 1 : 0);
		packet = flow_packet(flow, false);
		stage_frame(&packet, frame);
		refused += stage_send_frame(&stage, packet.from, frame) != packet.to;
	}
	assert_null(audit_all(stage.datapath, &audit));
	assert_int_equal(audit.live, SHELVED);
	assert_int_equal(stage_drops(&stage, ENI_A, REASON_CONNTRACK_FULL) + refused, 200);
	stage_close(&stage);
}

/* Nothing can be delivered there, so no record is made for it, nor is it told as accepted. */
void c12_no_record_for_an_eni_without_a_device(void **state)
{
	static struct stage stage;
	struct stage_packet packet;
	uint8_t frame[STAGE_FRAME];
	struct audit audit;
	(void)state;

	stage_open(&stage, SHELVED, 0);
	stage_unlimited(&stage);
	stage_agent_alive(&stage, true);
	packet = flow_packet(0, false);
	assert_int_equal(datapath_clear_device(stage.datapath, stage.ifindex[packet.to]), 0);
	for (uint32_t flow = 0; flow < 100; flow++) {
		packet = flow_packet(flow, false);
		stage_frame(&packet, frame);
		assert_int_not_equal(stage_send_frame(&stage, packet.from, frame), packet.to);
	}
	assert_null(audit_all(stage.datapath, &audit));
	assert_int_equal(audit.live, 0);
	assert_int_equal(stage_drops(&stage, packet.from, REASON_NO_OWNER), 100);
	stage_close(&stage);
}

#define AWAY_US 50000

static void locks_set(struct datapath *datapath, uint32_t lock)
{
	struct name_bucket *buckets = datapath_names(datapath);

	for (uint32_t i = 0; i < datapath_control(datapath)->nr_buckets; i++)
		__atomic_store_n(&buckets[i].lock, lock, __ATOMIC_RELEASE);
}

struct away {
	struct datapath *datapath;
	pthread_barrier_t gone;
};

/* On a CPU of its own: who waits for a lock leaves its CPU to nobody. */
static void *give_locks_back(void *arg)
{
	struct away *away = arg;

	stage_pin_thread(1);
	pthread_barrier_wait(&away->gone);
	usleep(AWAY_US);
	locks_set(away->datapath, 0);
	return NULL;
}

/* C14: the hypervisor took away the CPU that holds a bucket's lock: the other one waits for it, as for any lock of the
 * kernel, and no flow is refused. A lock that nobody gives back refuses the flow and tells so; no CPU hangs. */
void c14_the_holder_of_a_lock_is_away(void **state)
{
	static struct stage stage;
	struct stage_packet packet;
	pthread_t holder;
	struct away away;
	(void)state;

	stage_open(&stage, 1024, 0);
	stage_unlimited(&stage);
	stage_agent_alive(&stage, true);
	away.datapath = stage.datapath;
	pthread_barrier_init(&away.gone, NULL, 2);
	stage_pin_thread(0);
	for (uint32_t flow = 0; flow < 4; flow++) {
		packet = flow_packet(flow, false);
		locks_set(stage.datapath, 1);
		assert_int_equal(pthread_create(&holder, NULL, give_locks_back, &away), 0);
		pthread_barrier_wait(&away.gone);
		assert_int_equal(stage_send(&stage, &packet), packet.to);
		pthread_join(holder, NULL);
	}
	locks_set(stage.datapath, 1);
	packet = flow_packet(4, false);
	assert_int_equal(stage_send(&stage, &packet), STAGE_NOWHERE);
	assert_int_equal(stage_drops(&stage, ENI_A, REASON_CONNTRACK_FULL), 1);
	stage_close(&stage);
}
