/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* C4, C23: everything at once. Two CPUs send flows that open, close, come back and expire within a second; the kernel's
 * sweeper, the agent's collector and its edits run against them. The verdict of every packet is known by construction:
 *   churn     TCP with random flags on a few flows, UDP on many: always admitted
 *   private   to eni-b and back; the answer passes by tracking alone: at once it must, unasked or much later it must
 *   not mixed admitted by no state, but by a mix of two
 * In the end every packet sent stands in the flow log, or is declared as skipped, at each ENI, exactly once. */
#include "race/tests.h"

#include <string.h>
#include <unistd.h>

#include "lib/audit.h"
#include "race/logsum.h"

#define NS              1000000000ull
#define HOT_FLOWS       8
#define COLD_SIDE       150 /* squared: the UDP flows, each seen about once a second */
#define PRIVATE_FLOWS   500
#define STRESS_FLOWS    256
#define CROWDED_BUCKETS 7168 /* for 45,000 names */
#define SURELY_ALIVE    (NS / 2)
#define SURELY_EXPIRED  (5 * NS / 2)

struct private_flow {
	uint64_t asked_ns; /* 0 = never */
};

struct churn {
	struct private_flow flows[SENDERS][PRIVATE_FLOWS];
	uint64_t answers[SENDERS], refusals[SENDERS];
};

static void expect_exit(struct sender *sender, const struct stage_packet *packet, int expected, const char *what)
{
	int exit = race_send(sender, packet);

	if (exit != expected)
		race_wrong(sender->race, "%s, %u to %u, flags %x: exit %d, not %d; table full: %llu", what,
			   packet->sport, packet->dport, packet->tcp_flags, exit, expected,
			   (unsigned long long)stage_drops(&sender->race->stage, packet->from, REASON_CONNTRACK_FULL));
}

static void send_churn(struct sender *sender, bool tcp)
{
	static const uint8_t flags[] = {0x02, 0x12, 0x10, 0x18, 0x11, 0x14};
	uint32_t side = tcp ? 1 : COLD_SIDE, back = dice_below(&sender->dice, 2);
	uint16_t near = (uint16_t)(1000 + dice_below(&sender->dice, tcp ? HOT_FLOWS : COLD_SIDE));
	uint16_t far = (uint16_t)(1000 + dice_below(&sender->dice, side));
	struct stage_packet packet = {.from = back ? ENI_B : ENI_A,
				      .to = back ? ENI_A : ENI_B,
				      .proto = tcp ? 6 : 17,
				      .tcp_flags = flags[dice_below(&sender->dice, sizeof(flags))],
				      .sport = back ? far : near,
				      .dport = back ? near : far};

	expect_exit(sender, &packet, packet.to, tcp ? "TCP churn" : "UDP churn");
}

/* Answers to nobody's question, in time, or too late. */
static void send_private(struct sender *sender)
{
	struct churn *churn = sender->race->own;
	uint32_t number = dice_below(&sender->dice, PRIVATE_FLOWS);
	struct private_flow *flow = &churn->flows[sender->cpu][number];
	uint16_t near = (uint16_t)(10000 + number), far = (uint16_t)(3000 + sender->cpu);
	struct stage_packet ask = {.from = ENI_A, .to = ENI_B, .proto = 17, .sport = near, .dport = far};
	struct stage_packet answer = {.from = ENI_B, .to = ENI_A, .proto = 17, .sport = far, .dport = near};
	uint64_t now = stage_now_ns(), since = now - flow->asked_ns;

	if (!flow->asked_ns || since > SURELY_EXPIRED) {
		expect_exit(sender, &answer, STAGE_NOWHERE,
			    flow->asked_ns ? "an answer too late" : "an unasked answer");
		churn->refusals[sender->cpu]++;
		flow->asked_ns = stage_now_ns();
		expect_exit(sender, &ask, ENI_B, "a question");
	} else if (since < SURELY_ALIVE && dice_hit(&sender->dice, 2)) {
		int exit = race_send(sender, &answer);

		/* a thread that lost its CPU for long knows nothing */
		if (exit != ENI_A && stage_now_ns() - flow->asked_ns < SURELY_ALIVE)
			race_wrong(sender->race, "an answer in time: exit %d", exit);
		flow->asked_ns = now;
		churn->answers[sender->cpu]++;
	}
}

static void send_mixed(struct sender *sender)
{
	struct stage_packet packet = {.from = ENI_A,
				      .to = ENI_B,
				      .proto = 17,
				      .sport = 5000,
				      .dport = (uint16_t)(2000 + dice_below(&sender->dice, 1000))};

	expect_exit(sender, &packet, STAGE_NOWHERE, "a packet that no state admits");
}

static void churn_step(struct sender *sender)
{
	uint32_t dice = dice_below(&sender->dice, 100);

	if (dice < 25)
		send_churn(sender, true);
	else if (dice < 60)
		send_churn(sender, false);
	else if (dice < 95)
		send_private(sender);
	else
		send_mixed(sender);
}

/* FLOWTABLE's stress: a few flows, either direction first, and a quarter of the steps end one: both sides say FIN, then
 * a SYN of either side finds it closed, ends it and opens its successor, while the other CPU does the same. */
static void stress_step(struct sender *sender)
{
	static const uint8_t end[] = {0x11, 0x11, 0x02};
	uint16_t number = (uint16_t)(1000 + dice_below(&sender->dice, STRESS_FLOWS));
	bool ends = dice_below(&sender->dice, 4) == 0;
	uint32_t back = dice_below(&sender->dice, 2);

	for (uint32_t i = 0; i < (ends ? sizeof(end) : 1); i++, back ^= 1) {
		struct stage_packet packet = {.from = back ? ENI_B : ENI_A,
					      .to = back ? ENI_A : ENI_B,
					      .proto = 6,
					      .tcp_flags = ends ? end[i] : 0x10,
					      .sport = back ? 1999 : number,
					      .dport = back ? number : 1999};

		expect_exit(sender, &packet, packet.to, "stress");
	}
}

/* The agent's loop: its collector each tick, an edit now and then, and our own look at the names. */
static void play_agent(struct race *race, struct logsum *sum, struct dice *dice, uint64_t until)
{
	uint32_t seen = 0;
	const char *why;

	while (stage_now_ns() < until && !race->why[0]) {
		logsum_tick(sum);
		if (dice_hit(dice, 30)) {
			stage_apply(&race->stage, (int)dice_below(dice, STAGE_STATES));
			stage_unlimited(&race->stage);
		}
		why = audit_names_of_live(race->stage.datapath, &seen);
		if (why)
			race_wrong(race, "under way: %s", why);
		usleep(20000);
	}
}

/* The kernel's sweeper alone: an agent that was killed, or hangs. */
static void play_nobody(struct race *race, uint64_t until)
{
	uint32_t seen = 0;
	const char *why;

	stage_agent_alive(&race->stage, false);
	while (stage_now_ns() < until && !race->why[0]) {
		why = audit_names_of_live(race->stage.datapath, &seen);
		if (why)
			race_wrong(race, "without the agent: %s", why);
		usleep(20000);
	}
}

static void stand_still(struct race *race, struct audit *audit)
{
	const char *why;

	race_halt(race);
	stage_agent_alive(&race->stage, true);
	usleep(30000); /* a sweep that began before is over */
	why = audit_all(race->stage.datapath, audit);
	if (why)
		race_wrong(race, "at rest: %s", why);
}

/* C23: what is over is gone: two seconds without a packet, with nobody but the sweeper. */
static void expect_emptied(struct race *race)
{
	const volatile struct control *control = datapath_control(race->stage.datapath);
	uint64_t until = stage_now_ns() + 90 * NS;
	struct flow_record *records = datapath_records(race->stage.datapath);
	struct audit audit;

	for (uint32_t index = 0; index < control->flows_fresh;
	     index++) /* TCP that is not established lives for minutes */
		for (int side = 0; side < 2; side++)
			records[index].half[side].leg_s = 1;
	stage_agent_alive(&race->stage, false);
	while (datapath_flows_used(race->stage.datapath) && stage_now_ns() < until)
		usleep(10000);
	assert_int_equal(datapath_flows_used(race->stage.datapath), 0);
	assert_null(audit_all(race->stage.datapath, &audit));
	assert_int_equal(audit.free, control->flows_fresh);
}

/* Every packet leaves its source (accepted or not) and arrives where it was accepted or refused on the way in. */
static void expect_books(struct race *race, const struct logsum *sum)
{
	uint64_t refused_in = stage_drops(&race->stage, ENI_A, REASON_SG_INGRESS); /* at eni-b; eni-b meets none */
	uint64_t seen[2] = {0, refused_in};

	for (int i = 0; i < SENDERS; i++)
		for (int eni = 0; eni < 2; eni++)
			seen[eni] += race->senders[i].sent[eni] + race->senders[i].accepted[eni];
	for (int eni = 0; eni < 2; eni++) {
		print_message("eni-%c: %llu seen, %llu in the log, %llu skipped\n", 'a' + eni,
			      (unsigned long long)seen[eni], (unsigned long long)sum->packets[eni],
			      (unsigned long long)sum->skipped[eni]);
		assert_int_equal(seen[eni], sum->packets[eni] + sum->skipped[eni]);
	}
	assert_int_equal(stage_drops(&race->stage, ENI_A, REASON_CONNTRACK_FULL), 0);
	assert_int_equal(stage_drops(&race->stage, ENI_B, REASON_CONNTRACK_FULL), 0);
}

/* buckets: of the table of names, 0 = as many as it has */
static void run_churn(race_step step, uint32_t buckets)
{
	uint64_t until;
	struct dice dice;
	static struct churn churn;
	static struct race race;
	struct audit audit = {.live = 0};
	struct logsum sum;
	unsigned long long deaths, answers, refusals;
	uint32_t away = 0;

	memset(&churn, 0, sizeof(churn));
	race_open(&race, 262144, 1, step, "churn");
	race.own = &churn;
	dice.at = race.seed + SENDERS;
	if (buckets)
		datapath_control(race.stage.datapath)->nr_buckets = buckets;
	logsum_open(&sum, &race.stage);
	until = stage_now_ns() + stage_seconds("RACE_SECONDS", 8) * NS; /* set-up alone may take as long */
	for (int phase = 0; (phase < 4 || stage_now_ns() < until) && !race.why[0]; phase++) {
		uint64_t end = stage_now_ns() + 3 * NS / 2;

		race_go(&race);
		if (phase % 2)
			play_nobody(&race, end);
		else
			play_agent(&race, &sum, &dice, end);
		stand_still(&race, &audit);
		away = audit.far > away ? audit.far : away;
	}
	deaths = datapath_control(race.stage.datapath)->closed;
	answers = churn.answers[0] + churn.answers[1];
	refusals = churn.refusals[0] + churn.refusals[1];
	assert_string_equal(race.why, "");
	expect_emptied(&race);
	logsum_close(&sum);
	print_message("%llu packets, %llu deaths, %llu answers passed, %llu refused; %u live at the end\n",
		      race_packets(&race), deaths, answers, refusals, audit.live);
	expect_books(&race, &sum);
	assert_true(deaths && (step != churn_step || (answers && refusals)));
	print_message("%u names in the hash at the most\n", away);
	assert_true(away || !buckets);
	race_close(&race);
}

void c4_c23_expiry_sweeper_collector_and_edits(void **state)
{
	(void)state;
	run_churn(churn_step, 0);
}

/* The same where a fifth of the names stand in the neighbour of their bucket, or in the hash: buckets for a half of
 * what there will be. */
void c23_names_away_from_home_come_and_go(void **state)
{
	(void)state;
	run_churn(churn_step, CROWDED_BUCKETS);
}

void c14_c23_few_flows_opened_and_ended_all_the_time(void **state)
{
	(void)state;
	run_churn(stress_step, 0);
}
