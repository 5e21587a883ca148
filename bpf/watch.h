/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Packets with the verdict on each, for `enid capture`. While nobody captures, all that is paid is a look at a word
 * whose cache line every packet needs anyway (control.watch).
 *
 * Before it is judged a packet is as it came; afterwards the verdict is known, and what goes on to another port is as
 * that will see it. So the interface of a port shows what came from it (two events, enid/capture.h), what was sent to
 * it, and what would have been sent to it had it not been refused there. */
#ifndef ENID_WATCH_H
#define ENID_WATCH_H

#include "enid/capture.h"

#include "ctx.h"

struct { /* port number -> whose packets are asked for */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PORTS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct capture_port);
} capture_ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} capture_ring SEC(".maps");

/* A packet that is being judged, by hook. */
struct under_way {
	__u32 armed; /* its frame was told: the verdict shall follow */
	__u32 number;
	struct captured event;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CAPTURED_HOOKS);
	__type(key, __u32);
	__type(value, struct under_way);
} capture_under_way SEC(".maps");

static __always_inline bool watching(void)
{
	return !replay && unlikely(control.watch);
}

static __always_inline struct under_way *under_way(__u32 hook)
{
	return bpf_map_lookup_elem(&capture_under_way, &hook);
}

static __always_inline struct capture_port *asked_for(__u32 port)
{
	return port ? bpf_map_lookup_elem(&capture_ports, &port) : NULL;
}

static __always_inline struct pkt *watched_packet(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&scratch, &zero);
}

/* Every way through the pipeline sets what it knows; what it does not come to shall not be another packet's. */
static __always_inline void nothing_known(struct pkt *p)
{
	p->action = ACTION_DROP;
	p->reason = REASON_ACCEPTED;
	p->exit = 0;
	p->segments = 1;
	p->ref = REF_NONE;
	p->nr_trace = 0;
	p->source.port = 0;
	p->target.port = 0;
}

static __always_inline void watched_begin(struct captured *event, __u32 hook, __u32 port, __u32 len, __u32 most)
{
	event->at_ns = bpf_ktime_get_ns();
	event->hook = hook;
	event->port = port;
	event->outbound = hook == CAPTURED_TX;
	event->number = 0;
	event->len = len;
	event->bytes = len < most ? len : most;
	event->vlan_tpid = 0;
	event->vlan_tci = 0;
}

/* A CPU without a ring has come online since the capture began, which then makes new ones; or nobody captures any more,
 * whoever said so: it was killed. Who lives fills the word up again before it is empty (CAPTURE_PATIENCE). */
static __always_inline void nobody_listens(void)
{
	__u16 left = *(volatile __u16 *)&control.watch;

	if (left)
		control.watch = left - 1;
}

static __always_inline bool told(struct capture_port *asked, long r)
{
	if (!r) {
		__sync_fetch_and_add(&asked->packets, 1);
		return true;
	}
	if (r == -2 /* ENOENT */)
		nobody_listens();
	__sync_fetch_and_add(&asked->lost, 1);
	return false;
}

static __always_inline long tell(void *ctx, struct captured *event)
{
	return bpf_perf_event_output(ctx, &capture_ring, BPF_F_CURRENT_CPU | (__u64)event->bytes << 32, event,
				     sizeof(*event));
}

/* ---- as it came */

__noinline int watch_came(struct __sk_buff *ctx, __u32 hook)
{
	struct pkt *p = watched_packet();
	struct under_way *way = under_way(hook);
	struct capture_port *asked;
	__u32 port;
	long r;

	if (!way || !p)
		return 0;
	nothing_known(p);
	way->armed = 0;
	port = device_port(ctx->ifindex);
	asked = asked_for(port);
	if (!asked)
		return 0;
	watched_begin(&way->event, hook, port, ctx->len, asked->bytes);
	if (ctx->vlan_present) {
		way->event.vlan_tpid = ctx->vlan_proto;
		way->event.vlan_tci = ctx->vlan_tci;
	}
	way->event.kind = CAPTURED_FRAME;
	way->event.number = ++way->number;
	r = tell(ctx, &way->event);
	if (r)
		told(asked, r); /* what got through is counted with its verdict */
	way->armed = !r;
	return 0;
}

__noinline int watch_came_xdp(void)
{
	struct pkt *p = watched_packet();

	if (p)
		nothing_known(p);
	return 0;
}

/* ---- what became of it */

/* A kept decision's are in `traces` (recall() in pipeline.h). */
static __always_inline void watched_decisions(struct captured *event, const struct pkt *p)
{
	__u32 index = p->ref >> 1;
	struct limbo *rest = p->ref == REF_NONE ? NULL : bpf_map_lookup_elem(&limbo, &index);
	struct flow_record *record = p->ref == REF_NONE ? NULL : bpf_map_lookup_elem(&records, &index);
	const struct trace *kept;
	__u32 number;

	event->record = record ? index + 1 : 0;
	event->generation = record ? GS_GENERATION(record->half[0].gs) : 0;
	event->hit = 0;
	event->nr_trace = p->nr_trace;
	__builtin_memcpy(event->trace, p->trace, sizeof(event->trace)); /* no loops: each follows a call, see ctx.h */
	if (p->nr_trace || p->reason || !rest || !record)
		return;
	event->hit = 1;
	event->nr_trace = p->ref & 1 ? record->half[1].nr_trace : record->half[0].nr_trace;
	number = p->ref & 1 ? rest->trace[1] : rest->trace[0];
	kept = number ? trace_at(number - 1) : NULL;
	if (kept)
		__builtin_memcpy(event->trace, kept->decisions, sizeof(kept->decisions));
}

static __always_inline void watched_verdict(struct captured *event, const struct pkt *p, int code)
{
	event->code = code;
	event->action = p->action;
	event->reason = p->reason;
	event->in = p->in;
	event->exit = p->exit;
	event->segments = p->segments;
	watched_decisions(event, p);
}

/* On whose interface else the packet is shown: the one it goes to, or would have. */
static __always_inline __u32 shown_to(const struct pkt *p)
{
	if (p->action == ACTION_DELIVER || p->action == ACTION_UPLINK)
		return p->exit;
	if (p->action != ACTION_DROP)
		return 0;
	if (p->reason == REASON_SG_INGRESS || p->reason == REASON_NACL_INGRESS)
		return p->target.port ? p->target.port : p->at_port;
	return p->target.port;
}

static __always_inline void watched_whole(void *ctx, struct captured *event, struct capture_port *asked,
					  const struct pkt *p, int code)
{
	event->kind = CAPTURED_WHOLE;
	watched_verdict(event, p, code);
	told(asked, tell(ctx, event));
}

__noinline int watch_judged(struct __sk_buff *ctx, __u32 hook, int code)
{
	struct pkt *p = watched_packet();
	struct under_way *way = under_way(hook);
	struct capture_port *asked;
	__u32 armed, port;

	if (!way || !p)
		return 0;
	armed = way->armed;
	asked = armed ? asked_for(way->event.port) : NULL;
	if (asked) {
		way->event.kind = CAPTURED_VERDICT;
		way->event.bytes = 0;
		watched_verdict(&way->event, p, code);
		told(asked, tell(ctx, &way->event));
	}
	if (hook == CAPTURED_TX || (armed && p->action == ACTION_DROP))
		return 0; /* a refused packet has been shown where it came in */
	port = shown_to(p);
	asked = asked_for(port);
	if (!asked)
		return 0;
	watched_begin(&way->event, hook, port, ctx->len, asked->bytes);
	way->event.outbound = 1;
	watched_whole(ctx, &way->event, asked, p, code);
	return 0;
}

/* The XDP program changes nothing of what it drops; the rest meets tc_rx. */
__noinline int watch_dropped_xdp(struct xdp_md *ctx, int code)
{
	struct pkt *p = watched_packet();
	struct under_way *way = under_way(CAPTURED_XDP);
	struct capture_port *asked;
	__u32 in, port;

	if (!way || !p)
		return 0;
	in = port = device_port(ctx->ingress_ifindex);
	asked = asked_for(port);
	if (!asked) {
		port = shown_to(p);
		asked = asked_for(port);
	}
	if (!asked)
		return 0;
	watched_begin(&way->event, CAPTURED_XDP, port, ctx_len(ctx, HOOK_XDP), asked->bytes);
	way->event.outbound = port != in;
	watched_whole(ctx, &way->event, asked, p, code);
	return 0;
}

#endif
