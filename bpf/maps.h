/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Every map of the data path. Keys and values are the structs of include/enid, so that `bpftool map dump` reads like a
 * table. Sizes that depend on the command line (records, names, limbo, sides, policy) are set before loading.
 * BPF_F_MMAPABLE arrays are shared with the agent without system calls. */
#ifndef ENID_MAPS_H
#define ENID_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "enid/limits.h"
#include "enid/names.h"
#include "enid/policy.h"
#include "enid/port.h"
#include "enid/report.h"

/* ---- who is where (written by the agent only) */

struct { /* interface index -> port number, for the first DEVICES_NEAR indexes; 0 = not ours */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, DEVICES_NEAR);
	__type(key, __u32);
	__type(value, __u32);
} devices SEC(".maps");

struct { /* ... and for the others */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PORTS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u32);
} devices_far SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, PORTS_MAX);
	__type(key, __u32);
	__type(value, struct port);
} ports SEC(".maps");

struct { /* port number -> id; read by people and by a restarted agent */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PORTS_MAX);
	__type(key, __u32);
	__type(value, struct port_name);
} port_names SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SUBNETS_MAX);
	__type(key, __u32);
	__type(value, struct subnet);
} subnets SEC(".maps");

struct { /* port_policy.hop -> what a gateway is */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, GATEWAYS_MAX);
	__type(key, __u32);
	__type(value, struct gateway_slots);
} gateways SEC(".maps");

struct { /* subnet number -> id */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SUBNETS_MAX);
	__type(key, __u32);
	__type(value, struct port_name);
} subnet_names SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ADDRESSES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct address_key);
	__type(value, struct address);
} addresses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ASSOCIATIONS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct association_key);
	__type(value, struct association);
} associations SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PORTS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct mac_key);
	__type(value, struct mac_owner);
} macs SEC(".maps");

/* ---- what holds (written by the agent only) */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, POLICY_LINES_DEFAULT); /* set before loading */
	__type(key, __u32);
	__type(value, struct policy_line);
} policy SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, ROUTES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct route4_key);
	__type(value, struct route);
} routes4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, ROUTES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct route6_key);
	__type(value, struct route);
} routes6 SEC(".maps");

struct { /* number of a route table version -> what it holds; written after its routes, read by a restarted agent */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TABLES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct table_version);
} tables SEC(".maps");

/* ---- flows (written by the data path; freed by its sweeper or by the agent) */

struct { /* shared memory for the agent's sake, and because a bucket is one cache line only from a page's start */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2); /* set before loading */
	__type(key, __u32);
	__type(value, struct name_bucket);
} names SEC(".maps");

struct { /* print -> record << 1 | half: names that find both their buckets full */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* set before loading */
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u32);
} names_spilled SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, FLOWS_RUN_DEFAULT);
	__type(key, __u32);
	__type(value, struct flow_record);
} records SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, FLOWS_RUN_DEFAULT);
	__type(key, __u32);
	__type(value, struct limbo);
} limbo SEC(".maps");

struct { /* shared memory as the others; sized before loading */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct side);
} sides SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, TRACES);
	__type(key, __u32);
	__type(value, struct trace);
} traces SEC(".maps");

/* Mappings per {gateway, its address, destination, port, protocol}, at the hash of these with a secret (NAT_USE_COUNT,
 * use_look): nothing is allocated, so nothing can fail. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, NAT_USES);
	__type(key, __u32);
	__type(value, __u64); /* an array's elements lie 8 bytes apart */
} nat_uses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, PORTS_MAX);
	__type(key, __u32);
	__type(value, struct nat_stats);
} nat_stats SEC(".maps");

struct { /* CPU -> FREE records at hand (free.h) */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* set before loading */
	__type(key, __u32);
	__type(value, struct shelf);
} shelves SEC(".maps");

/* Which port the last packets to such an address left by, by its last bits: what to fetch early (foresee.h). */
#define EXITS_A_LINE 32

struct exit_line {
	__u16 port[EXITS_A_LINE];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, EXITS_FORESEEN / EXITS_A_LINE);
	__type(key, __u32);
	__type(value, struct exit_line);
} exits SEC(".maps");

struct fragment_key {
	union addr saddr;
	union addr daddr;
	__u32 in;
	__u32 id;
	__u8 proto;
	__u8 family;
	__u8 zero[6]; /* to a multiple of 8, said aloud: a key has no unknown bytes */
};
_Static_assert(sizeof(struct fragment_key) == 48, "no padding in a key");
_Static_assert(sizeof(struct address_key) == 24 && sizeof(struct tally_key) == 48 && sizeof(struct mac_key) == 12 &&
		       sizeof(struct association_key) == 8 && sizeof(struct drop_key) == 8,
	       "no padding in a key");

struct fragment { /* what a first fragment said that was let through: the others are judged by it */
	__u64 until_ns;
	__u32 payer; /* number of the port that may hold so many, and FRAGMENT_FROM_OUTSIDE */
	__u16 service;
	__u16 kind; /* enum packet_kind */
	__be16 sport;
	__be16 dport;
	__u32 zero;
	struct tuple inner; /* KIND_ERROR: what it quotes */
};

#define FRAGMENT_FROM_OUTSIDE 0x80000000u

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FRAGMENTS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct fragment_key);
	__type(value, struct fragment);
} fragments SEC(".maps");

struct fragment_due {
	struct fragment_key key;
	__u64 at_ns; /* no sooner is the entry worth a look */
};

struct { /* every entry of `fragments` stands here once, about in the order in which they expire */
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, FRAGMENTS_MAX);
	__uint(key_size, 0);
	__uint(value_size, sizeof(struct fragment_due));
} fragments_due SEC(".maps");

/* ---- reports */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, PORTS_MAX);
	__type(key, __u32);
	__type(value, struct port_stats);
} port_stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TALLIES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tally_key);
	__type(value, struct tally);
} tallies SEC(".maps");

#ifdef ENID_TEST_LAYOUT
#define DROPS_MAX (REASON_MAX + 4) /* a build with more reasons */
#else
#define DROPS_MAX REASON_MAX
#endif

struct { /* by reason, all ports */
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DROPS_MAX);
	__type(key, __u32);
	__type(value, struct counter);
} drops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TALLIES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct drop_key);
	__type(value, struct counter);
} port_drops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} events SEC(".maps");

struct { /* replay and explain: the whole verdict on the last packet */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct report);
} report SEC(".maps");

/* Set by the agent before loading. */
const volatile __u32 replay = 0;

/* In a section, and so in a map, of its own: pinned as "control" and mapped by the agent. */
struct control control SEC(".data.control") = {};

#endif
