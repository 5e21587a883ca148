/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From records and tallies to the sums of the window. Pure: works on memory only. */
#include <netinet/in.h>
#include <string.h>

#include "flowlog/harvest.h"

#define NS_PER_S 1000000000ll

static uint32_t wall_s(const struct harvest *harvest, uint64_t at_ns)
{
	return (uint32_t)(((int64_t)at_ns + harvest->wall_ns) / NS_PER_S);
}

/* One line's worth: packets seen at `port` with `tuple` (as they were there). */
static void add(struct harvest *harvest, uint32_t port, bool egress, bool reject, const struct tuple *tuple,
		const struct window_count *count)
{
	const struct log_eni *eni = log_eni(harvest->enis, port);
	struct window_key key = {.port = port, .egress = egress, .reject = reject};
	struct window_count clipped = *count;
	uint32_t step, open_s;

	if (!eni || !eni->what)
		return;
	step = eni->interval_s;
	open_s = harvest->open_s / step * step;
	key.start_s = count->last_s / step * step < open_s ? count->last_s / step * step : open_s;
	if (clipped.last_s >= key.start_s + step)
		clipped.last_s = key.start_s + step - 1;
	if (clipped.first_s < key.start_s)
		clipped.first_s = key.start_s;
	if (clipped.first_s > clipped.last_s)
		clipped.first_s = clipped.last_s;
	key.src = tuple->saddr;
	key.dst = tuple->daddr;
	log_eni_own(eni, tuple->family, egress ? &tuple->saddr : &tuple->daddr, egress ? &key.src : &key.dst);
	if (tuple->proto != IPPROTO_ICMP && tuple->proto != IPPROTO_ICMPV6) {
		key.sport = tuple->sport;
		key.dport = tuple->dport;
	}
	key.proto = tuple->proto;
	key.family = tuple->family;
	if (window_add(harvest->window, &key, step, &clipped))
		books_skip(harvest->books, port, count->packets);
}

static struct tuple reversed(const struct tuple *tuple)
{
	struct tuple r = *tuple;

	r.saddr = tuple->daddr;
	r.daddr = tuple->saddr;
	r.sport = tuple->dport;
	r.dport = tuple->sport;
	return r;
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

/* Accepted packets of one direction: at the ENI whose guest sent them, and at the one whose guest gets them. What a
 * device receives came from the guest, unless the device is the ENI itself; what the host sends out of it goes there.
 * Such packets (IN_TX) have no other end here. */
static void add_half(struct harvest *harvest, const struct flow_record *record, int side,
		     const struct window_count *count)
{
	const struct flow_half *half = &record->half[side];
	const struct log_eni *eni = log_eni(harvest->enis, IN_PORT(half->in));
	bool tx = half->in & IN_TX, egress = eni && eni->side_instance == tx;
	struct window_count told = *count;
	struct tuple leaves;

	if (eni)
		add(harvest, IN_PORT(half->in), egress, false, &half->tuple, count);
	if (tx || (eni && !egress) || !half->exit)
		return;
	leaves = half->flags & HALF_REWRITE ? reversed(&record->half[!side].tuple) : half->tuple;
	told.bytes = bytes_leaving(count, half->tuple.family, leaves.family);
	add(harvest, half->exit, false, false, &leaves, &told);
}

struct delta {
	uint64_t packets, bytes;
};

static bool find_deltas(const struct flow_record *record, const struct ledger *ledger, uint32_t generation,
			struct delta ret[2])
{
	bool told = ledger->generation == generation;

	for (int side = 0; side < 2; side++) {
		ret[side].packets = half_packets(&record->half[side]) - (told ? ledger->half[side].packets : 0);
		ret[side].bytes = half_bytes(&record->half[side]) - (told ? ledger->half[side].bytes : 0);
	}
	return ret[0].packets || ret[1].packets;
}

static void add_deltas(struct harvest *harvest, const struct flow_record *record, const struct delta deltas[2])
{
	for (int side = 0; side < 2; side++) {
		const struct flow_half *half = &record->half[side];
		struct window_count count = {
			.packets = deltas[side].packets,
			.bytes = deltas[side].bytes,
			.last_s = wall_s(harvest, half->last_ns),
			.tcp_flags = half->tcp_flags,
		};

		if (count.packets || count.bytes)
			add_half(harvest, record, side, &count);
	}
}

static void tell(struct ledger *ledger, const struct flow_record *record, uint32_t generation)
{
	if (ledger->generation != generation)
		__atomic_store_n(&ledger->generation, 0, __ATOMIC_RELEASE);
	for (int side = 0; side < 2; side++) {
		ledger->half[side].packets = half_packets(&record->half[side]);
		ledger->half[side].bytes = half_bytes(&record->half[side]);
	}
	__atomic_store_n(&ledger->generation, generation, __ATOMIC_RELEASE);
}

/* Copy a record that packets may be writing. ret: false = it is not in use, or was given to another flow meanwhile */
static bool copy_record(const struct flow_record *record, struct flow_record *ret)
{
	uint32_t gs = __atomic_load_n(&record->half[0].gs, __ATOMIC_ACQUIRE);

	if (GS_STATE(gs) != RECORD_LIVE && GS_STATE(gs) != RECORD_CLOSING)
		return false;
	memcpy(ret, record, sizeof(*ret));
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	ret->half[0].gs = gs;
	return GS_GENERATION(__atomic_load_n(&record->half[0].gs, __ATOMIC_RELAXED)) == GS_GENERATION(gs);
}

static void walk_changed(struct harvest *harvest, struct flow_record *record, struct ledger *ledger)
{
	struct flow_record copy;
	struct delta deltas[2];
	uint32_t generation;

	if (!copy_record(record, &copy))
		return;
	generation = GS_GENERATION(copy.half[0].gs);
	if (!find_deltas(&copy, ledger, generation, deltas))
		return;
	/* The flags of a half whose packets are not told now stay for the window in which they are. */
	for (int side = 0; side < 2; side++)
		copy.half[side].tcp_flags =
			deltas[side].packets ? __atomic_exchange_n(&record->half[side].tcp_flags, 0, __ATOMIC_RELAXED)
					     : 0;
	tell(ledger, &copy, generation);
	add_deltas(harvest, &copy, deltas);
}

static bool has_news(const struct flow_record *record, const struct ledger *ledger)
{
	uint32_t gs = __atomic_load_n(&record->half[0].gs, __ATOMIC_RELAXED);

	if (GS_STATE(gs) != RECORD_LIVE && GS_STATE(gs) != RECORD_CLOSING)
		return false;
	return ledger->generation != GS_GENERATION(gs) || ledger->half[0].packets != half_packets(&record->half[0]) ||
	       ledger->half[1].packets != half_packets(&record->half[1]);
}

uint32_t harvest_walk(struct harvest *harvest, struct flow_record *records, struct ledger *ledger, uint32_t from,
		      uint32_t nr, uint32_t budget)
{
	for (; from < nr && budget; from++) {
		if (!has_news(&records[from], &ledger[from]))
			continue;
		walk_changed(harvest, &records[from], &ledger[from]);
		budget--;
	}
	return from;
}

void harvest_final(struct harvest *harvest, const struct flow_record *record, struct ledger *ledger)
{
	uint32_t generation = GS_GENERATION(record->half[0].gs);
	struct delta deltas[2];

	find_deltas(record, ledger, generation, deltas);
	if (ledger->generation == generation)
		__atomic_store_n(&ledger->generation, 0, __ATOMIC_RELEASE);
	add_deltas(harvest, record, deltas);
}

void harvest_tally(struct harvest *harvest, const struct tally_key *key, const struct tally *tally)
{
	struct window_count count = {
		.packets = tally->packets,
		.bytes = tally->bytes,
		.first_s = wall_s(harvest, tally->first_ns),
		.last_s = wall_s(harvest, tally->last_ns),
		.tcp_flags = tally->tcp_flags,
	};

	add(harvest, key->port, key->egress, key->reject, &key->tuple, &count);
}
