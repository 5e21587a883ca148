/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The data path as a host program: bpf/ compiled by the host's compiler, over maps and helpers that behave as the
 * kernel's do.
 *
 *   program.c  bpf/enid.bpf.c itself, and the table of its maps and programs
 *   map.c      the map types: array, hash, LPM trie, queue, stack
 *   helpers.c  the kernel's helpers, for one packet on one CPU
 *   kernel.c   libbpf's system calls: whoever is linked with it (user/datapath, user/replay, enid itself) fills these
 *              maps and runs these programs, unchanged
 *
 * What differs from a kernel: one CPU, no concurrency, a clock that stands, no allocation failures unless asked for.
 */
#ifndef ENID_FUZZ_HOST_H
#define ENID_FUZZ_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- maps */

struct host_entry { /* of a hash or trie; its value follows its key, both at multiples of 8 */
	struct host_entry *next;
	uint64_t hash;
	uint8_t key[];
};

struct host_map {
	char name[32];
	uint32_t type, key_size, value_size, max_entries;
	uint32_t nr;       /* entries of a hash or trie, elements of a queue or stack */
	uint8_t *values;   /* array: all values; queue, stack: a ring */
	bool borrowed;     /* `values` is a variable of the programs */
	uint32_t head;     /* of the ring */
	uint32_t nr_chains; /* hash: a power of two */
	struct host_entry **chains;
	uint32_t nr_of_length[161]; /* trie: entries by prefix length */
};

void host_map_init(struct host_map *map, void *borrowed);
void host_map_done(struct host_map *map);
uint32_t host_map_stride(const struct host_map *map);

void *host_map_lookup(struct host_map *map, const void *key);
int host_map_update(struct host_map *map, const void *key, const void *value, uint64_t flags);
int host_map_delete(struct host_map *map, const void *key);
int host_map_push(struct host_map *map, const void *value, uint64_t flags);
int host_map_pop(struct host_map *map, void *ret_value, bool keep);
/* The next entry of a hash or trie: 0 | -ENOENT at the end. key NULL = from the beginning */
int host_map_next(struct host_map *map, const void *key, void *ret_key);
/* Entries that were deleted live until no program can hold them: free them (RCU). */
void host_grace(void);

/* Updates of hashes that the next programs may still make before the kernel "has no memory"; look-ups until one finds
 * nothing, whatever there is (0 = none fails). */
extern uint64_t host_updates_left, host_lookups_left;

/* ---- programs and data of bpf/enid.bpf.c, found by name */

enum host_kind { HOST_TC, HOST_XDP };

struct host_program {
	const char *name;
	enum host_kind kind;
	int (*run)(void *ctx);
};

struct host_symbol {
	const char *name;
	void *at;
	size_t size;
};

extern const struct host_program host_programs[]; /* ended by a NULL name, as the others */
extern const struct host_symbol host_map_symbols[];  /* the map variables; a loaded one points to its host_map */
extern const struct host_symbol host_data_symbols[]; /* shared and constant variables */

/* bpf/classify.h, asked directly. */
uint64_t host_policy_ask(uint32_t object, const void *peer, uint32_t identity, uint32_t service);

/* ---- one packet */

struct __sk_buff;

/* What the helpers did with the packet, besides changing it. */
struct host_effects {
	enum { HOST_NOWHERE, HOST_REDIRECT, HOST_REDIRECT_PEER, HOST_REDIRECT_NEIGH } to;
	uint32_t ifindex;
	uint32_t clones, clone_ifindex, clone_mark; /* pieces that left already; of the last: its device and mark */
	uint64_t events; /* in the perf ring, ever */
	int fib;         /* what bpf_fib_lookup answers */
	bool ring_full;
};
extern struct host_effects host_effects;
extern uint64_t host_clock_ns;

#define HOST_FRAME_MAX 65536

struct host_run {
	const struct host_program *program;
	const uint8_t *frame;
	uint32_t length, linear; /* linear < length: the rest stands in the skb's frags */
	uint32_t ifindex, ingress_ifindex, mark, gso_size, gso_segs, pkt_type;
	uint32_t protocol; /* network order; 0 = as the frame says */
	bool vlan_present;
	/* after */
	uint8_t *out;
	uint32_t nr_out;
	int verdict;
};

void host_run(struct host_run *run);
/* Let a tick of the sweeper's timer pass. ret: false = it is not armed */
bool host_tick(void);

/* ---- kernel.c */

struct host_map *host_map_find(const char *name);
const struct host_program *host_program_find(const char *name);
/* No map is larger than this, whatever it was declared with (0 = as declared): a fresh datapath then costs little. */
extern uint32_t host_entries_max;

#endif
