/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The books: every drop has a reason and a counter, every packet that no record counts has a tally (PATH-14). */
#ifndef ENID_ACCOUNT_H
#define ENID_ACCOUNT_H

#include "mtu.h"
#include "rate.h"

static __always_inline void count_drop(struct pkt *p, __u32 reason)
{
	struct drop_key key = {.port = IN_PORT(p->in), .reason = reason};
	struct counter first = {.packets = 0, .bytes = 0}, *found;

	found = bpf_map_lookup_elem(&drops, &reason);
	if (found) {
		found->packets += p->segments;
		found->bytes += p->bytes;
	}
	found = bpf_map_lookup_elem(&port_drops, &key);
	if (!found) {
		bpf_map_update_elem(&port_drops, &key, &first, BPF_NOEXIST);
		found = bpf_map_lookup_elem(&port_drops, &key);
	}
	if (found) {
		__sync_fetch_and_add(&found->packets, p->segments);
		__sync_fetch_and_add(&found->bytes, p->bytes);
	}
}

static __always_inline void tally_skip(__u32 port, bool reject, __u64 packets)
{
	struct port_stats *stats = bpf_map_lookup_elem(&port_stats, &port);

	if (!stats)
		return;
	if (reject)
		__sync_fetch_and_add(&stats->skipped_rejects, packets);
	else
		__sync_fetch_and_add(&stats->skipped_accepts, packets);
}

static __always_inline void tally_spill(struct pkt *p, const struct tally_key *key)
{
	__u32 n = p->nr_spilled;

	if (n >= SPILLED_MAX) {
		tally_skip(key->port, key->reject, p->segments);
		return;
	}
	p->spilled[n] = *key;
	p->nr_spilled = n + 1;
}

static __always_inline bool tally_admitted(const struct port_stats *stats)
{
	__u32 used = READ_ONCE(control.tallies_used[0]) + READ_ONCE(control.tallies_used[1]);

	return used < TALLIES_MAX && stats->tallies[0] + stats->tallies[1] < TALLIES_MAX - used;
}

/* TCP flags that this packet adds to its line of a flow log. */
static __always_inline __u8 tally_flags(const struct pkt *p)
{
	return p->tuple.proto == IPPROTO_TCP && p->fragment != FRAGMENT_LATER ? log_flags(p->tcp_flags) : 0;
}

#define TALLY_AGAIN 1

/* A new entry that has counted the packet, if the port may have one more. ret: 0, -1 = it may not, TALLY_AGAIN =
 * another CPU has made it, or there is no memory */
static __always_inline int tally_open(const struct pkt *p, const struct tally_key *key)
{
	__u32 port = key->port;
	struct port_stats *stats = bpf_map_lookup_elem(&port_stats, &port);
	struct tally first = {};

	if (!stats || !tally_admitted(stats))
		return -1;
	first.packets = p->segments;
	first.bytes = p->bytes;
	first.first_ns = p->now;
	first.last_ns = p->now;
	first.tcp_flags = tally_flags(p);
	first.decision = p->nr_trace ? p->trace[(p->nr_trace - 1) & (TRACE_MAX - 1)] : 0;
	if (bpf_map_update_elem(&tallies, key, &first, BPF_NOEXIST))
		return TALLY_AGAIN;
	__sync_fetch_and_add(&stats->tallies[key->parity & 1], 1);
	__sync_fetch_and_add(&control.tallies_used[key->parity & 1], 1);
	return 0;
}

/* One line of a flow log in the making: the packet as `tuple` at `port`. */
__noinline int tally(struct pkt *p, const struct tuple *tuple, __u32 port, __u32 flags)
{
	struct tally_key key = {};
	struct tally *found;
	int r;

	if (!p || !tuple)
		return 0;
	key.tuple = *tuple;
	key.tuple.zero = 0;
	if (tuple->proto == IPPROTO_ICMP || tuple->proto == IPPROTO_ICMPV6) {
		key.tuple.sport = 0;
		key.tuple.dport = 0;
	}
	key.port = port;
	key.egress = flags & 1;
	key.reject = flags >> 1 & 1;
	key.parity = control.log_parity & 1;
	key.reason = flags >> 8;
	found = bpf_map_lookup_elem(&tallies, &key);
	if (!found) {
		r = tally_open(p, &key);
		if (!r)
			return 0;
		found = r == TALLY_AGAIN ? bpf_map_lookup_elem(&tallies, &key) : NULL;
	}
	if (!found) {
		tally_spill(p, &key);
		return 0;
	}
	__sync_fetch_and_add(&found->packets, p->segments);
	__sync_fetch_and_add(&found->bytes, p->bytes);
	found->last_ns = p->now;
	found->tcp_flags |= tally_flags(p);
	return 0;
}

#define TALLY_EGRESS    1u
#define TALLY_REJECT    2u
#define TALLY_REASON(r) ((__u32)(r) << 8)

/* Block public access refuses at the ENI whose address is outside: the receiver, the sender, or a NAT gateway's
 * (VPC-18, FL-08). ret: the sender's packet has its line. */
__noinline int account_blocked(struct pkt *p)
{
	struct port_policy *e;

	if (!p)
		return 0;
	if (p->target.port) {
		tally(p, &p->out, p->target.port, TALLY_REJECT | TALLY_REASON(REASON_BPA));
		return 0;
	}
	if (p->at_port && p->at_port == p->source.port) {
		tally(p, &p->tuple, p->at_port, TALLY_EGRESS | TALLY_REJECT | TALLY_REASON(REASON_BPA));
		return 1;
	}
	e = p->at_port ? policy_of(p, p->at_port) : NULL;
	if (e && e->kind == PORT_NAT)
		tally(p, &p->out, p->at_port, TALLY_EGRESS | TALLY_REJECT | TALLY_REASON(REASON_BPA));
	return 0; /* one that an appliance returned has its line from before */
}

/* What a transit gateway lost, where a flow log of it asks (FL-27): at the attachment by which it came in. */
static __always_inline void account_transit(struct pkt *p, const struct tuple *tuple, __u32 attachment, __u32 reason)
{
	struct gateway_policy *g = attachment ? gateway_at(p, attachment) : NULL;

	if (g && g->flags & GATEWAY_LOGGED)
		tally(p, tuple, attachment, TALLY_REJECT | TALLY_REASON(reason));
}

/* A packet that dies: REJECT where SG, NACL or block public access stopped it, ACCEPT at a source that it had left
 * (PATH-14, FL-17); the checks of ENI-10 and the faults of headers leave a counter only. */
static __always_inline void account_drop(struct pkt *p, __u32 reason)
{
	count_drop(p, reason);
	if (reason == REASON_BPA && account_blocked(p))
		return;
	if (p->seen_egress && p->source.port)
		tally(p, &p->tuple, p->source.port, TALLY_EGRESS);
	switch (reason) {
	case REASON_SG_EGRESS:
	case REASON_NACL_EGRESS:
		if (!p->seen_egress && p->source.port)
			tally(p, &p->tuple, p->source.port, TALLY_EGRESS | TALLY_REJECT | TALLY_REASON(reason));
		else if (p->seen_egress && p->at_port) /* stopped on its way out of a gateway's subnet */
			tally(p, &p->out, p->at_port, TALLY_EGRESS | TALLY_REJECT | TALLY_REASON(reason));
		break;
	case REASON_SG_INGRESS:
	case REASON_NACL_INGRESS:
		if (p->target.port || p->at_port)
			tally(p, &p->out, p->target.port ? p->target.port : p->at_port,
			      TALLY_REJECT | TALLY_REASON(reason));
		break;
	case REASON_CONNTRACK_FULL:
		if (p->target.port)
			tally(p, &p->out, p->target.port, TALLY_REJECT | TALLY_REASON(reason));
		else if (p->source.port)
			tally(p, &p->tuple, p->source.port, TALLY_EGRESS | TALLY_REJECT | TALLY_REASON(reason));
		break;
	case REASON_TGW_NO_ROUTE:
	case REASON_TGW_BLACKHOLE:
	case REASON_TTL:
		if (p->at == AT_TRANSIT)
			account_transit(p, &p->out, p->at_gateway, reason);
		break;
	case REASON_MTU:
		if (p->entered && size_on_wire(p) > path_mtu(PATH_8500 << HALF_PATH_SHIFT)) /* TGW-13 */
			account_transit(p, p->entered_out ? &p->out : &p->tuple, p->entered, reason);
		break;
	}
}

/* A packet that passes without a record. */
static __always_inline void account_pass(struct pkt *p)
{
	if (p->source.port)
		tally(p, &p->tuple, p->source.port, TALLY_EGRESS);
	if (p->target.port)
		tally(p, &p->out, p->target.port, 0);
}

/* What found no room in the map goes out through the ring; what finds none there either is declared as skipped. */
static __always_inline void spill(void *ctx, struct pkt *p)
{
	struct event event = {.kind = EVENT_TALLY};

	event.packets = p->segments;
	event.bytes = p->bytes;
	event.at_ns = p->now;
	event.tcp_flags = tally_flags(p);
	for (int i = 0; i < SPILLED_MAX; i++) {
		struct port_stats *stats;
		__u32 port;

		if (i >= (int)p->nr_spilled)
			break;
		event.key = p->spilled[i];
		port = event.key.port;
		stats = bpf_map_lookup_elem(&port_stats, &port);
		if (!stats || !rate_allows(&stats->event_rate, p->now, EVENT_RATE) ||
		    bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &event, sizeof(event)))
			tally_skip(port, event.key.reject, p->segments);
	}
}

__noinline int tc_spill(struct __sk_buff *ctx, struct pkt *p)
{
	if (p)
		spill(ctx, p);
	return 0;
}

__noinline int xdp_spill(struct xdp_md *ctx, struct pkt *p)
{
	if (p)
		spill(ctx, p);
	return 0;
}

static __always_inline void fill_report(const struct pkt *p, bool hit)
{
	__u32 zero = 0;
	struct report *told;

	if (!replay)
		return;
	told = bpf_map_lookup_elem(&report, &zero);
	if (!told)
		return;
	told->action = p->action;
	told->reason = p->reason;
	told->exit = p->exit;
	told->record = p->ref == REF_NONE ? 0 : (p->ref >> 1) + 1;
	told->hit = hit;
	told->cut = p->flags & PACKET_CUT && p->action != ACTION_DROP ? p->mtu : 0;
	told->nr_trace = p->nr_trace;
	for (int i = 0; i < TRACE_MAX; i++)
		told->trace[i] = p->trace[i];
}

#endif
