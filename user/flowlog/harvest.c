/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From records and tallies to the sums of the window. Pure: works on memory only. */
#include <netinet/in.h>
#include <string.h>

#include "datapath/datapath.h"
#include "enid/reasons.h"
#include "flowlog/harvest.h"
#include "flowlog/line.h"
#include "flowlog/telling.h"
#include "flowlog/vantage.h"

#define NS_PER_S 1000000000ll

static uint32_t wall_s(const struct harvest *harvest, uint64_t at_ns)
{
	return (uint32_t)(((int64_t)at_ns + harvest->wall_ns) / NS_PER_S);
}

/* ---- rules */

/* What is known of a decision; asked for once. */
static const struct known_rule *known(struct harvest *harvest, uint32_t decision)
{
	struct known_rule *known = &harvest->known[decision * 0x9e3779b1u >> 16 & (RULES_KNOWN - 1)];
	uint32_t stage = DECISION_STAGE(decision);
	struct decision_text text;

	if (known->decision == decision)
		return known;
	*known = (struct known_rule){.decision = decision};
	if (harvest->decide && harvest->decide(harvest->decide_arg, decision, &text)) {
		known->slot = harvest->rules ? rulebook_slot(harvest->rules, stage, text.id, text.rule) : 0;
		known->tgw = stage == STAGE_TGW_ROUTE ? log_enis_tgw(harvest->enis, text.id) : 0;
	}
	return known;
}

/* The slot of a decision in the rulebook; 0 = none. */
static uint32_t rule_slot(struct harvest *harvest, uint32_t decision)
{
	if (!decision || !harvest->rules || DECISION_STAGE(decision) == STAGE_CONNTRACK)
		return 0;
	return known(harvest, decision)->slot;
}

static void find_transit(struct harvest *harvest, const struct flow_record *record, struct way *way)
{
	for (int side = 0; side < 2 && harvest->enis->nr_transit; side++) {
		way->tgw[side] = 0;
		for (int i = 0; i < record->half[side].nr_trace && i < HALF_TRACE_MAX && !way->tgw[side]; i++)
			if (DECISION_STAGE(way->trace[side][i]) == STAGE_TGW_ROUTE)
				way->tgw[side] = known(harvest, way->trace[side][i])->tgw;
	}
}

void harvest_forget_rules(struct harvest *harvest)
{
	memset(harvest->known, 0, sizeof(harvest->known));
}

static void use_rules(struct harvest *harvest, const struct flow_half *half, const uint32_t *trace,
		      const struct window_count *count)
{
	for (int i = 0; harvest->rules && i < half->nr_trace && i < HALF_TRACE_MAX; i++)
		rulebook_use(harvest->rules, rule_slot(harvest, trace[i]), count->packets, count->bytes, false,
			     count->last_s);
}

/* Which of a way's decisions stands for a line: the group's of that ENI, else the network ACL's. */
static uint32_t deciding_rule(struct harvest *harvest, const struct flow_half *half, const uint32_t *trace, bool egress)
{
	uint32_t acl = 0;

	for (int i = 0; i < half->nr_trace && i < HALF_TRACE_MAX; i++) {
		uint32_t stage = DECISION_STAGE(trace[i]);

		if (stage == (egress ? STAGE_SG_EGRESS : STAGE_SG_INGRESS))
			return rule_slot(harvest, trace[i]);
		if (stage == (egress ? STAGE_NACL_EGRESS : STAGE_NACL_INGRESS))
			acl = trace[i];
	}
	return rule_slot(harvest, acl);
}

/* ---- lines */

/* Within the window that is open, or the one of the last packet; the earliest where nobody knows. */
static void clip(const struct harvest *harvest, uint32_t step, struct window_key *key, struct window_count *count)
{
	uint32_t open_s = harvest->open_s / step * step, last_s = count->last_s / step * step;

	key->start_s = last_s < open_s ? last_s : open_s;
	if (count->last_s >= key->start_s + step)
		count->last_s = key->start_s + step - 1;
	if (count->first_s < key->start_s)
		count->first_s = key->start_s;
	if (count->first_s > count->last_s)
		count->first_s = count->last_s;
}

/* One line's worth: packets seen at `port` with `tuple` (as they were there). key: what else is known */
static void add(struct harvest *harvest, struct window_key key, const struct tuple *tuple,
		const struct window_count *count)
{
	const struct log_eni *eni = log_eni(harvest->enis, key.port);
	struct window_count clipped = *count;

	if (eni && !eni->transit)
		meters_count(harvest->meters, key.port, eni->id, key.egress, key.reject,
			     &(const struct counter){.packets = count->packets, .bytes = count->bytes});
	if (!eni || !eni->what)
		return;
	clip(harvest, eni->interval_s, &key, &clipped);
	key.src = tuple->saddr;
	key.dst = tuple->daddr;
	if (tuple->proto != IPPROTO_ICMP && tuple->proto != IPPROTO_ICMPV6) {
		key.sport = tuple->sport;
		key.dport = tuple->dport;
	}
	key.proto = tuple->proto;
	key.family = tuple->family;
	if (window_add(harvest->window, &key, eni->interval_s, &clipped))
		books_skip(harvest->books, key.port, count->packets);
}

#define NAT64_GROWTH 20

/* Packets that change their family on the way (NAT-21) leave with another header than they came with. */
static uint64_t bytes_leaving(const struct window_count *count, uint8_t came, uint8_t leaves)
{
	uint64_t change = (uint64_t)count->packets * NAT64_GROWTH;

	if (came == leaves)
		return count->bytes;
	return leaves == 6 ? count->bytes + change : count->bytes > change ? count->bytes - change : 0;
}

/* What a record has to say: by half, and who saw it. */
struct news {
	struct delta {
		uint64_t packets, bytes;
	} delta[2];
	struct sight sights[2][SIGHTS_MAX];
	int nr[2];
};

_Static_assert(2 * SIGHTS_MAX <= TELLING_SIGHTS, "a place for each");

/* Accepted packets of one direction, at all ENIs that saw them. first: their number in the telling */
static void add_half(struct harvest *harvest, const struct flow_record *record, const struct way *way, int side,
		     const struct news *news, const struct window_count *count, int first)
{
	const struct flow_half *half = &record->half[side];
	const struct sight *sights = news->sights[side];
	int nr = news->nr[side];

	use_rules(harvest, half, way->trace[side], count);
	for (int i = 0; i < nr; i++) {
		struct window_key key = {.port = sights[i].port,
					 .egress = sights[i].egress,
					 .path = sights[i].path,
					 .pair = sights[i].pair,
					 .from = sights[i].from,
					 .to = sights[i].to};
		struct window_count told = *count;
		bool end = i == 0 || i == nr - 1;

		told.bytes = bytes_leaving(count, half->tuple.family, sights[i].tuple.family);
		told.rule = end ? deciding_rule(harvest, half, way->trace[side], key.egress) : 0;
		add(harvest, key, &sights[i].tuple, &told);
		telling_is_in(&harvest->books->page->telling, (uint32_t)(first + i));
	}
}

static bool find_deltas(const struct flow_record *record, uint32_t generation, struct delta ret[2])
{
	for (int side = 0; side < 2; side++) {
		const struct flow_half *half = &record->half[side];

		ret[side].packets = half_untold(half, generation, half_packets(half));
		ret[side].bytes = half_untold_bytes(half, generation, half_bytes(half));
	}
	return ret[0].packets || ret[1].packets;
}

static void add_deltas(struct harvest *harvest, uint32_t index, const struct flow_record *record, const struct way *way,
		       const struct news *news)
{
	for (int side = 0; side < 2; side++) {
		const struct flow_half *half = &record->half[side];
		struct window_count count = {
			.packets = news->delta[side].packets,
			.bytes = news->delta[side].bytes,
			.last_s = wall_s(harvest, half->last_ns),
			.tcp_flags = half->tcp_flags,
			.flow = line_flow_id(index, GS_GENERATION(record->half[0].gs)),
		};

		if (count.packets || count.bytes)
			add_half(harvest, record, way, side, news, &count, side ? news->nr[0] : 0);
	}
}

static bool is_logged(const struct harvest *harvest, uint32_t port)
{
	const struct log_eni *eni = log_eni(harvest->enis, port);

	return eni && eni->what;
}

/* From the record to the window, at once for whoever looks later (telling.h). copy: with the counters that are told */
static void tell(struct harvest *harvest, uint32_t index, struct flow_record *record, const struct flow_record *copy,
		 const struct way *way, struct news *news)
{
	struct telling *telling = &harvest->books->page->telling;
	uint32_t nr = 0;

	telling_note(telling, index, copy);
	for (int side = 0; side < 2; side++) {
		news->nr[side] = vantage_sights(harvest->enis, copy, way, side, news->sights[side]);
		for (int i = 0; i < news->nr[side]; i++, nr++)
			telling_owe(telling, nr, news->sights[side][i].port,
				    is_logged(harvest, news->sights[side][i].port) ? news->delta[side].packets : 0);
	}
	telling_begin(telling, nr, record);
	add_deltas(harvest, index, copy, way, news);
	telling_end(telling);
}

/* What stands beside a record. */
static void copy_way(const struct harvest *harvest, uint32_t index, const struct flow_record *record, struct way *ret)
{
	const struct side *side = beside_side(&harvest->beside, record, index);

	memset(ret, 0, sizeof(*ret));
	for (int half = 0; half < 2; half++)
		memcpy(ret->trace[half], beside_trace(&harvest->beside, index, half), sizeof(ret->trace[half]));
	if (side)
		ret->mapping = side->mapping;
}

#define COUNT_TRIES 16

/* The counters as they are at one moment, although the owner may move some of them meanwhile. */
static bool copy_counters(const struct flow_half *half, struct flow_half *ret)
{
	for (int i = 0; i < COUNT_TRIES; i++) {
		uint64_t packets = __atomic_load_n(&half->others.packets, __ATOMIC_ACQUIRE);
		uint64_t bytes = __atomic_load_n(&half->others.bytes, __ATOMIC_ACQUIRE);
		uint64_t own = __atomic_load_n(&half->own, __ATOMIC_ACQUIRE);

		if (own & OWN_MOVING || __atomic_load_n(&half->others.packets, __ATOMIC_ACQUIRE) != packets ||
		    __atomic_load_n(&half->others.bytes, __ATOMIC_ACQUIRE) != bytes)
			continue;
		ret->own = own;
		ret->others.packets = packets;
		ret->others.bytes = bytes;
		return true;
	}
	return false;
}

/* Copy a record that packets may be writing. ret: false = it is not in use, or was given to another flow meanwhile */
static bool copy_record(const struct harvest *harvest, uint32_t index, const struct flow_record *record,
			struct flow_record *ret, struct way *ret_way)
{
	uint32_t gs = __atomic_load_n(&record->half[0].gs, __ATOMIC_ACQUIRE);

	if (GS_STATE(gs) != RECORD_LIVE && GS_STATE(gs) != RECORD_CLOSING)
		return false;
	memcpy(ret, record, sizeof(*ret));
	copy_way(harvest, index, ret, ret_way);
	for (int side = 0; side < 2; side++)
		if (!copy_counters(&record->half[side], &ret->half[side]))
			return false; /* another time */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	ret->half[0].gs = gs;
	return GS_GENERATION(__atomic_load_n(&record->half[0].gs, __ATOMIC_RELAXED)) == GS_GENERATION(gs);
}

static void walk_changed(struct harvest *harvest, uint32_t index, struct flow_record *record)
{
	struct flow_record copy;
	struct way way;
	struct news news;
	uint32_t generation;

	if (!copy_record(harvest, index, record, &copy, &way))
		return;
	generation = GS_GENERATION(copy.half[0].gs);
	if (!find_deltas(&copy, generation, news.delta))
		return;
	/* The flags of a half whose packets are not told now stay for the window in which they are. */
	for (int side = 0; side < 2; side++)
		copy.half[side].tcp_flags =
			news.delta[side].packets
				? __atomic_exchange_n(&record->half[side].tcp_flags, 0, __ATOMIC_RELAXED)
				: 0;
	find_transit(harvest, &copy, &way);
	tell(harvest, index, record, &copy, &way, &news);
}

static bool has_news(const struct flow_record *record)
{
	uint32_t gs = __atomic_load_n(&record->half[0].gs, __ATOMIC_RELAXED);

	if (GS_STATE(gs) != RECORD_LIVE && GS_STATE(gs) != RECORD_CLOSING)
		return false;
	return half_untold(&record->half[0], GS_GENERATION(gs), half_packets(&record->half[0])) ||
	       half_untold(&record->half[1], GS_GENERATION(gs), half_packets(&record->half[1]));
}

uint32_t harvest_walk(struct harvest *harvest, struct flow_record *records, uint32_t from, uint32_t nr, uint32_t budget)
{
	for (; from < nr && budget; from++) {
		if (!has_news(&records[from]))
			continue;
		walk_changed(harvest, from, &records[from]);
		budget--;
	}
	return from;
}

void harvest_final(struct harvest *harvest, uint32_t index, struct flow_record *record)
{
	uint32_t generation = GS_GENERATION(record->half[0].gs);
	struct news news;
	struct way way;

	copy_way(harvest, index, record, &way);
	find_transit(harvest, record, &way);
	if (find_deltas(record, generation, news.delta))
		tell(harvest, index, record, record, &way, &news);
}

void harvest_tally(struct harvest *harvest, const struct tally_key *key, const struct tally *tally)
{
	struct window_key line = {.port = key->port, .egress = key->egress, .reject = key->reject};
	struct window_count count = {
		.packets = tally->packets,
		.bytes = tally->bytes,
		.first_s = wall_s(harvest, tally->first_ns),
		.last_s = wall_s(harvest, tally->last_ns),
		.tcp_flags = tally->tcp_flags,
		.rule = rule_slot(harvest, tally_refused_by(key, tally)),
	};

	line.reason = key->reject ? key->reason : 0;
	if (key->reject)
		rulebook_use(harvest->rules, count.rule, count.packets, count.bytes, true, count.last_s);
	add(harvest, line, &key->tuple, &count);
}
