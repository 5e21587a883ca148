/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of datapath/ share. Nobody else includes this. */
#ifndef ENID_DATAPATH_INTERNAL_H
#define ENID_DATAPATH_INTERNAL_H

#include "datapath/datapath.h"
#include "datapath/decisions.h"
#include "plan/plan.h"

#define HANDLES_MAX 48

struct enid_bpf;

/* A map or program by its name. */
struct handle {
	char name[32];
	int fd;
	bool owned; /* closed by us, not by the skeleton */
};

struct handles {
	struct handle list[HANDLES_MAX];
	size_t nr;
};

struct mapping {
	void *at; /* NULL = not mapped */
	size_t size;
};

struct datapath {
	struct enid_bpf *skeleton;
	struct handles maps, programs;
	struct mapping control, ports, subnets, gateways, policy, records, ledger, limbo, port_stats, nat_uses,
		nat_stats;
	struct mapping report;
	struct placement placement;
	struct decisions decisions;
	uint32_t flows_max, policy_lines;
	bool replay, read_only, pinned;
	int settled_fd; /* -1: an apply ends with its grace period. Else it ends before, and this tells when that is
			   over */
	struct unsettled *unsettled; /* apply.c; NULL = nothing */
	bool stale;                  /* the placement may differ from the maps: read them again before the next apply */
};

int handles_add(struct handles *handles, const char *name, int fd, bool owned);
int handles_find(const struct handles *handles, const char *name);
void handles_done(struct handles *handles);

/* pins.c. A map is adopted if it is pinned and of the wanted shape, else created; programs are pinned after loading. */
int pinned_prepare(const char *pin_dir, char **ret_why);
int pinned_adopt_maps(struct datapath *datapath, const struct datapath_options *options, bool *ret_adopted,
		      char **ret_why);
int pinned_save(struct datapath *datapath, const char *pin_dir, bool adopted, char **ret_why);
int pinned_open_read_only(struct datapath *datapath, const char *pin_dir, char **ret_why);

/* The name a map of the object has for us; NULL = an internal one that nobody shares (.rodata). */
const char *map_name(const char *object_name);

/* handles.c */
int mappings_open(struct datapath *datapath, char **ret_why);
void mappings_done(struct datapath *datapath);

/* adopt.c: rebuild the placement from the maps. With `repair`, finish or undo what a killed apply left half done. */
int adopt_placement(struct datapath *datapath, bool repair, char **ret_why);

/* batch.c: many keys of one map, with a retry of what the kernel refuses in a batch (E4). */
struct batch {
	int fd;
	uint32_t key_size, value_size;
	uint32_t nr;
	uint8_t *keys, *values;
};

int batch_init(struct batch *batch, int fd, uint32_t key_size, uint32_t value_size);
int batch_add(struct batch *batch, const void *key, const void *value);
int batch_flush(struct batch *batch);
void batch_done(struct batch *batch);

/* apply.c */
struct route_key {
	uint8_t bytes[sizeof(struct route6_key)];
};
int route_map(const struct datapath *datapath, const struct cidr *cidr, uint32_t table, struct route_key *ret_key);
void flow_limits(volatile struct control *control, uint32_t flows_max, uint32_t nr_ports);

#endif
