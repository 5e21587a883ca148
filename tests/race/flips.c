/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* C15, C20: states that change as fast as packets come. An address moves to and fro between two ENIs; each admits it
 * only while it is its own. Epochs and grace periods are kept as the agent keeps them, but without its system calls, so
 * that hundreds of thousands of flips meet packets under way. */
#include "race/tests.h"

#include <bpf/bpf.h>
#include <string.h>
#include <unistd.h>

#define HOT_FLOWS 2

struct flips {
	struct address_key moving, never;
	uint32_t epoch;
	uint64_t flips;
};

static struct port_policy *slot_of(struct race *race, int eni, uint32_t slot)
{
	return &datapath_ports(race->stage.datapath)[race->stage.port[eni]].slot[slot];
}

/* 10.0.2.99 is X's in slot 0 and Y's in slot 1, 10.0.2.98 the other way round; X admits in slot 0 only, Y in slot 1. */
static void set_slots(struct race *race, struct flips *flips)
{
	int fd = datapath_map_fd(race->stage.datapath, "addresses");
	const uint32_t x = race->stage.port[ENI_X], y = race->stage.port[ENI_Y];
	struct address_key key, *at = NULL;
	struct address moving = {{x, y}}, never = {{y, x}};

	for (; !bpf_map_get_next_key(fd, at, &key); at = &key)
		if (key.addr.bytes[14] == 2 && key.addr.bytes[15] == 99)
			flips->moving = key;
	flips->never = flips->moving;
	flips->never.addr.bytes[15] = 98;
	(void)bpf_map_update_elem(fd, &flips->moving, &moving, BPF_ANY);
	(void)bpf_map_update_elem(fd, &flips->never, &never, BPF_ANY);
	slot_of(race, ENI_X, 1)->sg_in = 0;
	slot_of(race, ENI_Y, 0)->sg_in = 0;
	flips->epoch = slot_of(race, ENI_A, 0)->epoch;
}

/* Until no packet of the other sender that began before is still under way. */
static void own_grace(const struct sender *other)
{
	uint64_t then = __atomic_load_n(&other->ticks, __ATOMIC_SEQ_CST);

	while (then & 1 && other->ticks == then)
		__builtin_ia32_pause();
}

/* By sender 1 between two of its packets: what it sends next meets a packet of sender 0 in the old state. The slot that
 * is filled here has been out of force since the last flip; nobody reads it any more after the grace. */
static void flip(struct sender *sender)
{
	struct race *race = sender->race;
	struct flips *flips = race->own;
	volatile struct control *control = datapath_control(race->stage.datapath);
	uint32_t next = control->generation + 1;

	own_grace(&race->senders[0]);
	flips->epoch++;
	for (int i = 0; i < STAGE_ENIS; i++)
		slot_of(race, i, next & 1)->epoch = flips->epoch;
	for (volatile uint32_t wait = dice_below(&sender->dice, 3000); wait;) /* the other's next packet is anywhere */
		wait--;
	__atomic_store_n(&control->generation, next, __ATOMIC_SEQ_CST);
	flips->flips++;
}

static void to_never(uint8_t frame[STAGE_FRAME])
{
	frame[33]--; /* last byte of the destination */
	frame[25]++; /* last byte of the checksum */
}

/* What state `generation` says of this packet. */
static int verdict_in(uint32_t generation, const struct stage_packet *packet, bool never)
{
	int owner = generation & 1 ? ENI_Y : ENI_X;

	if (never)
		return STAGE_NOWHERE;
	return packet->from == ENI_A ? owner : packet->from == owner ? ENI_A : STAGE_NOWHERE;
}

static void step(struct sender *sender)
{
	const volatile struct control *control = datapath_control(sender->race->stage.datapath);
	uint32_t dice = dice_below(&sender->dice, 100), before, after, flow = dice_below(&sender->dice, HOT_FLOWS);
	struct stage_packet packet = {
		.from = ENI_A, .to = STAGE_MOVING, .proto = 17, .sport = (uint16_t)(1000 + flow), .dport = 1500};
	uint8_t frame[STAGE_FRAME];
	bool never = dice < 10;
	int exit, as_before, as_after;

	if (sender->cpu == 1 && dice_hit(&sender->dice, 50))
		flip(sender);
	stage_frame(&packet, frame);
	if (never)
		to_never(frame);
	before = control->generation;
	exit = race_send_frame(sender, packet.from, frame);
	after = control->generation;
	as_before = verdict_in(before, &packet, never);
	as_after = verdict_in(after, &packet, never);
	if (exit == as_before || exit == as_after || after - before > 1)
		return;
	race_wrong(sender->race, "packet %llu of CPU %d, generation %u to %u: exit %d, not %d or %d%s",
		   (unsigned long long)sender->packets, sender->cpu, before, after, exit, as_before, as_after,
		   never ? " (never admitted)" : "");
}

/* Between two storms each flow stands where the state says, whatever the storm left in its record. */
static void check_calm(struct race *race)
{
	const volatile struct control *control = datapath_control(race->stage.datapath);

	for (uint16_t flow = 0; flow < HOT_FLOWS; flow++)
		for (int again = 0; again < 2; again++) {
			struct stage_packet packet = {.from = ENI_A,
						      .to = STAGE_MOVING,
						      .proto = 17,
						      .sport = (uint16_t)(1000 + flow),
						      .dport = 1500};
			int exit = stage_send(&race->stage, &packet);

			if (exit != verdict_in(control->generation, &packet, false))
				race_wrong(race, "flow %u after the storm, generation %u: exit %d", flow,
					   control->generation, exit);
		}
}

void c15_state_flips_never_leave_an_old_exit(void **state)
{
	uint64_t until;
	struct flips flips = {.flips = 0};
	static struct race race;
	(void)state;

	race_open(&race, 4096, 0, step, "flips");
	set_slots(&race, &flips);
	race.own = &flips;
	until = stage_now_ns() + stage_seconds("RACE_SECONDS", 8) * 1000000000ull; /* set-up alone may take as long */
	while (!race.why[0] && stage_now_ns() < until) {
		race_go(&race);
		usleep(20000);
		race_halt(&race);
		check_calm(&race);
	}
	print_message("%llu flips, %llu packets\n", (unsigned long long)flips.flips, race_packets(&race));
	race_close(&race);
	assert_string_equal(race.why, "");
	assert_true(flips.flips > 1000);
}
