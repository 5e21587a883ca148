/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Ageing without the agent: one timer walks the record array, a bounded number of records and of closings a tick. The
 * agent's collector normally frees first, because it takes the final counters along; while it is alive the sweeper
 * gives it a head start. What the sweeper frees after all has lost its final counters: they are declared as skipped,
 * and so by SKIPDATA. */
#ifndef ENID_SWEEP_H
#define ENID_SWEEP_H

#include "account.h"
#include "flow.h"
#include "fragment.h"

#define SWEEP_RECORDS      2048 /* a tick: ~45 us */
#define SWEEP_CLOSINGS     128  /* a tick: ~40 us */
#define SWEEP_FRAGMENTS    512  /* a tick: ~80 us */
#define SWEEP_TICK_NS      10000000ull
#define SWEEP_HASTE_NS     250000ull /* until the next tick, when the closings of one were not enough */
#define AGENT_HEAD_START_S 30
#define AGENT_STALE_NS     10000000000ull

struct sweeper {
	struct bpf_timer timer;
	__u32 at;       /* next record */
	__u32 closings; /* of this tick */
	__u64 now;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sweeper);
} sweeper SEC(".maps");

struct sweep_pass { /* bpf_loop wants its context on the stack */
	struct sweeper *sweeper;
};

static __always_inline bool agent_alive(__u64 now)
{
	__u64 alive = READ_ONCE(control.agent_alive_ns);

	/* our coarse clock lags behind the agent's: `alive` may be later than `now` */
	return alive && now < alive + AGENT_STALE_NS;
}

/* Final counters that nobody will collect: say so (E26). */
static __always_inline void declare_lost(const struct flow_record *record)
{
	__u64 packets;

	for (int i = 0; i < 2; i++) {
		packets = half_untold(&record->half[i], GS_GENERATION(record->half[0].gs),
				      half_packets(&record->half[i]));
		if (!packets)
			continue;
		if (record->half[i].in)
			tally_skip(IN_PORT(record->half[i].in), false, packets);
		if (record->half[i].exit)
			tally_skip(record->half[i].exit, false, packets);
	}
}

static long sweep_one(__u32 step, struct sweep_pass *pass)
{
	struct sweeper *s = pass->sweeper;
	__u32 index = s->at, gs;
	struct flow_record *record;
	const struct side *side;
	bool alive;

	if (index >= control.flows_fresh || s->closings >= SWEEP_CLOSINGS) {
		if (index >= control.flows_fresh)
			s->at = 0;
		return 1;
	}
	s->at = index + 1;
	record = bpf_map_lookup_elem(&records, &index);
	if (!record)
		return 1;
	gs = READ_ONCE(record->half[0].gs);
	OBSERVE();
	alive = agent_alive(s->now);
	side = GS_STATE(gs) == RECORD_LIVE ? side_of(record, index << 1) : NULL;
	if (GS_STATE(gs) == RECORD_LIVE &&
	    record_expired(record, side, s->now, alive ? AGENT_HEAD_START_S : EXPIRY_MARGIN_S)) {
		s->closings++;
		flow_close(index << 1, s->now);
	} else if (GS_STATE(gs) == RECORD_LIVE && mapping_over(record, side, s->now - EXPIRY_MARGIN_S * NS_PER_S)) {
		s->closings++;
		mapping_end_alone(index << 1, s->now);
	} else if (GS_STATE(gs) == RECORD_CLOSING && gone_for(READ_ONCE(record->half[1].gs), s->now,
							      LIMBO_NS + (alive ? AGENT_HEAD_START_S * NS_PER_S : 0))) {
		s->closings++;
		if (flow_bury(record, gs)) {
			declare_lost(record);
			flow_free(index, record);
		}
	}
	return 0;
}

static int sweep_tick(void *map, __u32 *key, struct sweeper *s)
{
	struct sweep_pass pass = {.sweeper = s};
	__u64 before = s->now;
	bool haste;

	s->now = bpf_ktime_get_coarse_ns();
	s->closings = 0;
	bpf_loop(SWEEP_RECORDS, sweep_one, &pass, 0);
	haste = s->closings >= SWEEP_CLOSINGS;
	if (s->now / SWEEP_TICK_NS != before / SWEEP_TICK_NS) /* in haste, too: it is no part of that work */
		fragment_reap(s->now, SWEEP_FRAGMENTS);
	bpf_timer_start(&s->timer, haste ? SWEEP_HASTE_NS : SWEEP_TICK_NS, 0);
	return 0;
}

static __always_inline int sweeper_start(void)
{
	struct sweeper *s;
	__u32 zero = 0;

	s = bpf_map_lookup_elem(&sweeper, &zero);
	if (!s)
		return 1;
	bpf_timer_init(&s->timer, &sweeper, 1); /* CLOCK_MONOTONIC; fails harmlessly if it runs already */
	bpf_timer_set_callback(&s->timer, sweep_tick);
	return bpf_timer_start(&s->timer, SWEEP_TICK_NS, 0) ? 1 : 0;
}

#endif
