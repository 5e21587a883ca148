/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The kernel's helpers, as bpf/ calls them (helper_NAME stands for bpf_NAME), for one packet at a time.
 *
 * The linear part of a frame lies below 4 GB, since a context holds 32-bit pointers, and everything around it is
 * poisoned: a program that reads a byte too much is caught. The rest of a frame is reached by helpers only. */
#include <errno.h>
#include <linux/pkt_cls.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bpf/bpf_helpers.h"
#include "host.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#endif
#endif
#ifndef ASAN_POISON_MEMORY_REGION
#define ASAN_POISON_MEMORY_REGION(at, size)   ((void)(at), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#endif

#define HEADROOM  256
#define FRAME_MIN 14

struct host_effects host_effects;
uint64_t host_lookups_left, host_accesses_left;
uint64_t host_clock_ns;

static struct {
	uint8_t *area; /* headroom, linear part, room to grow */
	uint8_t *whole; /* the frame as it would leave */
	uint32_t length, linear;
	union {
		struct __sk_buff skb;
		struct xdp_md xdp;
	};
} packet;

/* ---- maps: a map variable points to its host_map, once it is loaded */

static struct host_map *map_of(const void *variable)
{
	return *(struct host_map *const *)variable;
}

void *helper_map_lookup_elem(void *map, const void *key)
{
	if (host_lookups_left && !--host_lookups_left)
		return NULL;
	return host_map_lookup(map_of(map), key);
}

long helper_map_update_elem(void *map, const void *key, const void *value, __u64 flags)
{
	return host_map_update(map_of(map), key, value, flags);
}

long helper_map_delete_elem(void *map, const void *key)
{
	return host_map_delete(map_of(map), key);
}

long helper_map_push_elem(void *map, const void *value, __u64 flags)
{
	return host_map_push(map_of(map), value, flags);
}

long helper_map_pop_elem(void *map, void *value)
{
	return host_map_pop(map_of(map), value, false);
}

long helper_map_peek_elem(void *map, void *value)
{
	return host_map_pop(map_of(map), value, true);
}

void *helper_map_lookup_percpu_elem(void *map, const void *key, __u32 cpu)
{
	return cpu ? NULL : host_map_lookup(map_of(map), key);
}

long helper_for_each_map_elem(void *map, void *callback_fn, void *callback_ctx, __u64 flags)
{
	long (*each)(void *, const void *, void *, void *) = (long (*)(void *, const void *, void *, void *))callback_fn;
	struct host_map *from = map_of(map);
	uint8_t key[256], next[256];
	long n = 0;

	if (flags || from->key_size > sizeof(key))
		return -EINVAL;
	if (!from->chains) {
		for (__u32 i = 0; i < from->max_entries; i++, n++)
			if (each(map, &i, host_map_lookup(from, &i), callback_ctx))
				return n + 1;
		return n;
	}
	if (host_map_next(from, NULL, key))
		return 0;
	for (bool more = true; more; n++) {
		more = !host_map_next(from, key, next);
		if (each(map, key, host_map_lookup(from, key), callback_ctx))
			return n + 1;
		memcpy(key, next, from->key_size);
	}
	return n;
}

long helper_perf_event_output(void *ctx, void *map, __u64 flags, void *data, __u64 size)
{
	volatile uint8_t last = ((uint8_t *)data)[size - 1]; /* all of it is there to read */

	(void)ctx, (void)map, (void)flags, (void)last;
	if (host_effects.ring_full)
		return -ENOSPC;
	host_effects.events++;
	return 0;
}

/* ---- control, time */

long helper_loop(__u32 nr_loops, void *callback_fn, void *callback_ctx, __u64 flags)
{
	long (*step)(__u32, void *) = (long (*)(__u32, void *))callback_fn;

	if (flags)
		return -EINVAL;
	if (nr_loops > 8u << 20)
		return -E2BIG;
	for (__u32 i = 0; i < nr_loops; i++)
		if (step(i, callback_ctx))
			return i + 1;
	return nr_loops;
}

__u64 helper_ktime_get_coarse_ns(void)
{
	return host_clock_ns;
}

__u64 helper_jiffies64(void)
{
	return host_clock_ns;
}

__u64 helper_ktime_get_ns(void)
{
	return host_clock_ns;
}

__u64 helper_ktime_get_boot_ns(void)
{
	return host_clock_ns;
}

__u32 helper_get_smp_processor_id(void)
{
	return 0;
}

/* The same numbers in every process: inputs must do the same each time. */
__u32 helper_get_prandom_u32(void)
{
	static uint64_t at = 1;

	at = at * 6364136223846793005ull + 1442695040888963407ull;
	return (__u32)(at >> 32);
}

long helper_spin_lock(struct bpf_spin_lock *lock)
{
	if (lock->val)
		abort(); /* taken twice */
	lock->val = 1;
	return 0;
}

long helper_spin_unlock(struct bpf_spin_lock *lock)
{
	if (!lock->val)
		abort();
	lock->val = 0;
	return 0;
}

/* ---- one timer */

static struct {
	struct bpf_timer *timer;
	struct host_map *map;
	long (*tick)(void *, void *, void *);
	bool armed;
} the_timer;

long helper_timer_init(struct bpf_timer *timer, void *map, __u64 flags)
{
	bool again = the_timer.timer == timer && the_timer.map == map_of(map);

	(void)flags;
	the_timer.timer = timer;
	the_timer.map = map_of(map);
	return again ? -EBUSY : 0;
}

long helper_timer_set_callback(struct bpf_timer *timer, void *callback_fn)
{
	if (timer != the_timer.timer)
		return -EINVAL;
	the_timer.tick = (long (*)(void *, void *, void *))callback_fn;
	return 0;
}

long helper_timer_start(struct bpf_timer *timer, __u64 nsecs, __u64 flags)
{
	(void)nsecs, (void)flags;
	the_timer.armed = timer == the_timer.timer && the_timer.tick;
	return the_timer.armed ? 0 : -EINVAL;
}

bool host_tick(void)
{
	struct host_map *map = the_timer.map;
	__u32 zero = 0;

	if (!the_timer.armed)
		return false;
	the_timer.armed = false;
	the_timer.tick(&map, &zero, host_map_lookup(map, &zero));
	host_grace();
	return true;
}

/* ---- frame */

static void *area(void)
{
	if (!packet.area) {
		packet.area = mmap(NULL, HEADROOM + 2 * HOST_FRAME_MAX, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
		packet.whole = malloc(2 * HOST_FRAME_MAX);
		if (packet.area == MAP_FAILED || !packet.whole)
			abort();
		ASAN_POISON_MEMORY_REGION(packet.area, HEADROOM + 2 * HOST_FRAME_MAX);
	}
	return packet.area + HEADROOM;
}

static uint8_t *linear(void)
{
	return (uint8_t *)area();
}

static bool access_fails(void)
{
	return host_accesses_left && !--host_accesses_left;
}

/* What stands behind the linear part lies in `whole`. */
static bool inside(__u32 offset, __u32 len)
{
	return !access_fails() && offset <= packet.length && len <= packet.length - offset;
}

static void move(__u32 offset, void *bytes, __u32 len, bool out)
{
	__u32 near = offset >= packet.linear ? 0 : packet.linear - offset < len ? packet.linear - offset : len;
	uint8_t *there = bytes;

	if (out) {
		memcpy(there, linear() + offset, near);
		memcpy(there + near, packet.whole + offset + near, len - near);
	} else {
		memcpy(linear() + offset, there, near);
		memcpy(packet.whole + offset + near, there + near, len - near);
	}
}

static void set_linear(__u32 length)
{
	__u32 data = (__u32)(uintptr_t)linear();

	packet.linear = length;
	ASAN_POISON_MEMORY_REGION(linear(), 2 * HOST_FRAME_MAX);
	ASAN_UNPOISON_MEMORY_REGION(linear(), length);
	if (packet.skb.data) {
		packet.skb.data = data;
		packet.skb.data_end = data + length;
	}
}

long helper_skb_load_bytes(const void *skb, __u32 offset, void *to, __u32 len)
{
	(void)skb;
	if (!inside(offset, len)) {
		memset(to, 0, len);
		return -EFAULT;
	}
	move(offset, to, len, true);
	return 0;
}

long helper_skb_store_bytes(struct __sk_buff *skb, __u32 offset, const void *from, __u32 len, __u64 flags)
{
	(void)skb;
	if (flags & ~(__u64)(BPF_F_RECOMPUTE_CSUM | BPF_F_INVALIDATE_HASH))
		return -EINVAL;
	if (!inside(offset, len))
		return -EFAULT;
	move(offset, (void *)(uintptr_t)from, len, false);
	return 0;
}

long helper_skb_pull_data(struct __sk_buff *skb, __u32 len)
{
	__u32 wanted = len ? len : packet.linear;

	(void)skb;
	if (wanted > packet.length)
		return -ENOMEM;
	if (wanted > packet.linear) {
		__u32 before = packet.linear;

		set_linear(wanted);
		memcpy(linear() + before, packet.whole + before, wanted - before);
	}
	return 0;
}

static long resize(__u32 len)
{
	if (len < packet.linear) {
		set_linear(len);
	} else if (len > packet.length) {
		__u32 before = packet.length;

		helper_skb_pull_data(NULL, before);
		set_linear(len);
		memset(linear() + before, 0, len - before);
	}
	packet.length = len;
	return 0;
}

long helper_skb_change_tail(struct __sk_buff *skb, __u32 len, __u64 flags)
{
	if (flags || len < FRAME_MIN || len > 16384 || access_fails())
		return -EINVAL;
	resize(len);
	skb->len = len;
	return 0;
}

#define PROTOCOL_IP4 0x0008 /* network order */
#define PROTOCOL_IP6 0xdd86

/* Room of zeros is made behind `at` bytes, or what stands there is taken. */
static void shift(struct __sk_buff *skb, __u32 at, __s32 len_diff)
{
	long behind = (long)packet.length - at;

	if (len_diff > 0)
		resize((__u32)(packet.length + len_diff));
	helper_skb_pull_data(skb, packet.length);
	if (len_diff > 0) {
		memmove(linear() + at + len_diff, linear() + at, (size_t)behind);
		memset(linear() + at, 0, (size_t)len_diff);
	} else {
		memmove(linear() + at, linear() + at - len_diff, (size_t)(behind + len_diff));
		resize((__u32)(packet.length + len_diff));
	}
	skb->len = packet.length;
}

#define ENCAPSULATE (BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP)

/* Behind the Ethernet header, or the IP header. */
long helper_skb_adjust_room(struct __sk_buff *skb, __s32 len_diff, __u32 mode, __u64 flags)
{
	bool six = skb->protocol == PROTOCOL_IP6;
	bool wraps = flags == ENCAPSULATE && len_diff > 0 && mode == BPF_ADJ_ROOM_MAC;
	long net = (long)packet.length - FRAME_MIN, base = six ? 40 : 20;

	if (len_diff > 0xfff || len_diff < -0xfff || access_fails())
		return -EFAULT;
	if ((mode != BPF_ADJ_ROOM_MAC && mode != BPF_ADJ_ROOM_NET) ||
	    (!wraps && flags & ~(__u64)BPF_F_ADJ_ROOM_FIXED_GSO) || (!six && skb->protocol != PROTOCOL_IP4) ||
	    (len_diff < 0 && net + len_diff < base))
		return -ENOTSUP;
	if (mode == BPF_ADJ_ROOM_NET && net + (len_diff < 0 ? len_diff : 0) < base)
		return -ENOMEM;
	shift(skb, FRAME_MIN + (mode == BPF_ADJ_ROOM_NET ? (__u32)base : 0), len_diff);
	if (wraps)
		skb->protocol = PROTOCOL_IP4;
	return 0;
}

long helper_skb_change_proto(struct __sk_buff *skb, __be16 proto, __u64 flags)
{
	bool widen = skb->protocol == PROTOCOL_IP4 && proto == PROTOCOL_IP6;

	if (flags || access_fails())
		return -EINVAL;
	if (!widen && (skb->protocol != PROTOCOL_IP6 || proto != PROTOCOL_IP4))
		return -ENOTSUP;
	if (!widen && packet.length < FRAME_MIN + 20)
		return -ENOMEM;
	shift(skb, FRAME_MIN, widen ? 20 : -20);
	skb->protocol = proto;
	return 0;
}

/* Room in front of the frame. */
long helper_skb_change_head(struct __sk_buff *skb, __u32 len, __u64 flags)
{
	__u32 before = packet.length;

	if (flags || before + len > HOST_FRAME_MAX || access_fails())
		return -EINVAL;
	resize(before + len);
	memmove(linear() + len, linear(), before);
	memset(linear(), 0, len);
	skb->len = packet.length;
	return 0;
}

long helper_skb_change_type(struct __sk_buff *skb, __u32 type)
{
	if (skb->pkt_type > 3 || type > 3)
		return -EINVAL;
	skb->pkt_type = type;
	return 0;
}

__u64 helper_xdp_get_buff_len(struct xdp_md *xdp_md)
{
	(void)xdp_md;
	return packet.length;
}

long helper_xdp_load_bytes(struct xdp_md *xdp_md, __u32 offset, void *buf, __u32 len)
{
	(void)xdp_md;
	if (!inside(offset, len))
		return -EINVAL;
	move(offset, buf, len, true);
	return 0;
}

long helper_xdp_store_bytes(struct xdp_md *xdp_md, __u32 offset, void *buf, __u32 len)
{
	(void)xdp_md;
	if (!inside(offset, len))
		return -EINVAL;
	move(offset, buf, len, false);
	return 0;
}

long helper_xdp_adjust_tail(struct xdp_md *xdp_md, int delta)
{
	long len = (long)packet.length + delta;

	if (len < FRAME_MIN || len > 4096 || access_fails())
		return -EINVAL;
	resize((__u32)len);
	xdp_md->data_end = xdp_md->data + (__u32)len;
	return 0;
}

long helper_xdp_adjust_head(struct xdp_md *xdp_md, int delta)
{
	long len = (long)packet.length - delta;

	if (len < FRAME_MIN || delta < -HEADROOM || access_fails())
		return -EINVAL;
	helper_skb_pull_data(NULL, packet.length);
	if (delta > 0)
		memmove(linear(), linear() + delta, (size_t)len);
	resize((__u32)len);
	if (delta < 0) {
		memmove(linear() - delta, linear(), (size_t)(len + delta));
		memset(linear(), 0, (size_t)-delta);
	}
	xdp_md->data_end = xdp_md->data + (__u32)len;
	return 0;
}

/* ---- checksums: the kernel's own arithmetic, so that the two zeros come out alike */

static __u32 csum_add(__u32 a, __u32 b)
{
	a += b;
	return a + (a < b);
}

static __u16 csum_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)~sum;
}

static __u16 csum_replace(__u16 check, __u64 from, __u64 to)
{
	return csum_fold(csum_add(csum_add(~(__u32)check, ~(__u32)from), (__u32)to));
}

long helper_l3_csum_replace(struct __sk_buff *skb, __u32 offset, __u64 from, __u64 to, __u64 size)
{
	__u16 check;

	(void)skb;
	if (offset & 1 || !inside(offset, 2) || (size != 0 && size != 2 && size != 4) || (!size && from))
		return -EINVAL;
	move(offset, &check, 2, true);
	check = size ? csum_replace(check, from, to) : csum_fold(csum_add(~(__u32)check, (__u32)to));
	move(offset, &check, 2, false);
	return 0;
}

long helper_l4_csum_replace(struct __sk_buff *skb, __u32 offset, __u64 from, __u64 to, __u64 flags)
{
	bool zero_is_none = flags & BPF_F_MARK_MANGLED_0, anyway = flags & BPF_F_MARK_ENFORCE;
	__u64 size = flags & BPF_F_HDR_FIELD_MASK;
	__u16 check;

	(void)skb;
	if (offset & 1 || !inside(offset, 2) || (size != 0 && size != 2 && size != 4) || (!size && from))
		return offset & 1 ? -EFAULT : -EINVAL;
	move(offset, &check, 2, true);
	if (zero_is_none && !anyway && !check)
		return 0;
	check = size ? csum_replace(check, from, to) : csum_fold(csum_add(~(__u32)check, (__u32)to));
	if (zero_is_none && !check)
		check = 0xffff;
	move(offset, &check, 2, false);
	return 0;
}

__s64 helper_csum_diff(__be32 *from, __u32 from_size, __be32 *to, __u32 to_size, __wsum seed)
{
	__u32 sum = seed;

	if ((from_size | to_size) & 3 || from_size + to_size > 512)
		return -EINVAL;
	for (__u32 i = 0; i < from_size / 4; i++)
		sum = csum_add(sum, ~from[i]);
	for (__u32 i = 0; i < to_size / 4; i++)
		sum = csum_add(sum, to[i]);
	return sum;
}

/* ---- where to */

static long leave(int to, __u32 ifindex)
{
	host_effects.to = to;
	host_effects.ifindex = ifindex;
	return TC_ACT_REDIRECT;
}

long helper_redirect(__u32 ifindex, __u64 flags)
{
	return flags & ~(__u64)BPF_F_INGRESS ? TC_ACT_SHOT : leave(HOST_REDIRECT, ifindex);
}

long helper_clone_redirect(struct __sk_buff *skb, __u32 ifindex, __u64 flags)
{
	if (flags & ~(__u64)BPF_F_INGRESS)
		return -EINVAL;
	host_effects.clones++;
	host_effects.clone_ifindex = ifindex;
	host_effects.clone_mark = skb->mark;
	return 0;
}

long helper_redirect_peer(__u32 ifindex, __u64 flags)
{
	return flags ? TC_ACT_SHOT : leave(HOST_REDIRECT_PEER, ifindex);
}

long helper_redirect_neigh(__u32 ifindex, struct bpf_redir_neigh *params, int plen, __u64 flags)
{
	return flags || (plen && (!params || plen < (int)sizeof(*params))) ? TC_ACT_SHOT
									     : leave(HOST_REDIRECT_NEIGH, ifindex);
}

long helper_fib_lookup(void *ctx, struct bpf_fib_lookup *params, int plen, __u32 flags)
{
	(void)ctx, (void)flags;
	return plen < (int)sizeof(*params) ? -EINVAL : host_effects.fib;
}

/* ---- a run */

static void begin(const struct host_run *run)
{
	uint8_t *data = area();

	if (run->length > HOST_FRAME_MAX || run->linear > run->length)
		abort();
	memset(&packet.skb, 0, sizeof(packet.skb));
	packet.length = run->length;
	set_linear(run->linear);
	memcpy(data, run->frame, run->linear);
	memcpy(packet.whole + run->linear, run->frame + run->linear, run->length - run->linear);
	host_effects.to = HOST_NOWHERE;
	host_effects.clones = 0;
	if (run->program->kind == HOST_XDP) {
		packet.xdp.data = packet.xdp.data_meta = (__u32)(uintptr_t)data;
		packet.xdp.data_end = packet.xdp.data + run->linear;
		packet.xdp.ingress_ifindex = run->ifindex;
		return;
	}
	packet.skb.data = (__u32)(uintptr_t)data;
	packet.skb.data_end = packet.skb.data + run->linear;
	packet.skb.len = run->length;
	packet.skb.ifindex = run->ifindex;
	packet.skb.ingress_ifindex = run->ingress_ifindex;
	packet.skb.mark = run->mark;
	packet.skb.gso_size = run->gso_size;
	packet.skb.gso_segs = run->gso_segs;
	packet.skb.pkt_type = run->pkt_type;
	packet.skb.vlan_present = run->vlan_present;
	if (run->protocol)
		packet.skb.protocol = run->protocol;
	else
		packet.skb.protocol = run->length >= FRAME_MIN ? (__u32)(run->frame[12] | run->frame[13] << 8) : 0;
}

void host_run(struct host_run *run)
{
	begin(run);
	run->verdict = run->program->run(&packet.skb);
	memcpy(packet.whole, linear(), packet.linear);
	run->out = packet.whole;
	run->nr_out = packet.length;
	run->mark = run->program->kind == HOST_TC ? packet.skb.mark : 0;
	host_grace();
}
