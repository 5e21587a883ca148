/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of datapath/ share. Nobody else includes this. */
#ifndef ENID_DATAPATH_INTERNAL_H
#define ENID_DATAPATH_INTERNAL_H

#include <limits.h>
#include <pthread.h>

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

/* A program on its way into the kernel: programs.c. */
struct loading {
	const struct datapath *datapath;
	const char *name;
	pthread_t thread;
	bool threaded; /* else it is loaded when it is waited for */
	bool needed;   /* nothing goes on without it */
	int fd;        /* or -errno and why */
	char *why;
};

#define LOADING_MAX 4

/* A program that could not be loaded: programs.c. */
struct unloaded {
	char name[32];
	int error;
	char *why;
	bool needed;
	uint64_t at_ns; /* CLOCK_MONOTONIC of the last try */
};

#define UNLOADED_MAX 8

struct mapping {
	void *at; /* NULL = not mapped */
	size_t size;
};

struct takeover;

struct datapath {
	struct enid_bpf *skeleton;
	struct handles maps, programs;
	struct loading loading[LOADING_MAX];
	size_t nr_loading;
	struct unloaded unloaded[UNLOADED_MAX];
	size_t nr_unloaded;
	const char *without; /* as the option says */
	bool adopted;
	bool same_build; /* pinned programs are of this build, on these maps */
	bool unpinned;   /* what was loaded is not pinned yet */
	struct mapping control, ports, subnets, gateways, policy, names, records, shelves, limbo, sides, traces,
		port_stats, nat_uses, nat_stats;
	struct mapping report;
	struct mapping mirror_told;
	struct placement placement;
	struct decisions decisions;
	uint64_t decisions_of; /* version of the image that they are of; 0 = unknown */
	uint32_t flows_max, policy_lines;
	bool replay, read_only, pinned;
	char root[PATH_MAX];       /* folder of the pins */
	struct takeover *takeover; /* NULL = no other set of pins is there */
	int settled_fd; /* -1: an apply ends with its grace period. Else it ends before, and this tells when that is
			   over */
	struct former *former;       /* former.c; NULL = there is none */
	struct unsettled *unsettled; /* apply.c; NULL = nothing */
	bool mirrors_known; /* what is counted of traffic mirror sessions is of such as live, or lived lately */
	bool stale;         /* the placement may differ from the maps: read them again before the next apply */
};

int handles_add(struct handles *handles, const char *name, int fd, bool owned);
int handles_find(const struct handles *handles, const char *name);
void handles_done(struct handles *handles);

/* pins.c. A map is adopted if it is pinned and of the wanted shape, else created; programs are pinned after loading. */
int pin_path(char *path, const char *root, const char *folder, const char *name); /* path: of PATH_MAX */
int pinned_root(struct datapath *datapath, const char *pin_dir);
int pinned_prepare(const struct datapath *datapath, const char *pin_dir, char **ret_why);
int pinned_adopt_maps(struct datapath *datapath, const struct datapath_options *options, bool resize, bool *ret_adopted,
		      char **ret_why);
/* Pin maps, unless adopted, and programs. build: what they are of, if that is news; then other programs' pins go.
 * `control` is the last, or, where another set is in force, left to pinned_complete(): from then on the set is one to
 * adopt. */
int pinned_save(struct datapath *datapath, const char *build, char **ret_why);
int pinned_complete(const struct datapath *datapath, char **ret_why);
int pinned_save_program(struct datapath *datapath, const char *name, char **ret_why);
bool pinned_build_is(const struct datapath *datapath, const char *build);
/* ret: a descriptor of a pinned program that uses our maps | -errno */
int pinned_program(const struct datapath *datapath, const char *name);
int pinned_open_read_only(struct datapath *datapath, const char *pin_dir, char **ret_why);
/* Is its number of entries no part of the layout? */
bool map_size_is_chosen(const char *name);

/* The name a map of the object has for us; NULL = an internal one that nobody shares (.rodata). */
const char *map_name(const char *object_name);

/* programs.c */
const char *libbpf_listen(void); /* ret: its last words, of what this thread asks for from now on */
void programs_leave_out_but(struct enid_bpf *skeleton, const char *name);
void programs_start(struct datapath *datapath, bool adopted);
/* Wait for those that were started, and pin them. */
void programs_stop(struct datapath *datapath); /* ... and leave it at that */
int programs_ready(struct datapath *datapath, char **ret_why);
/* One of ours, whatever stands at hooks meanwhile. ret: its descriptor | -errno */
int programs_need(struct datapath *datapath, const char *name, char **ret_why);

/* handles.c */
int mappings_open(struct datapath *datapath, char **ret_why);
void mappings_done(struct datapath *datapath);

/* open.c: what waits for the end of a take-over */
void freeze_maps(const struct datapath *datapath);
int start_sweeper(const struct datapath *datapath, char **ret_why);

/* adopt.c: rebuild the placement from the maps. With `repair`, finish or undo what a killed apply left half done. */
int adopt_placement(struct datapath *datapath, bool repair, char **ret_why);

/* mirrors.c: after the grace period */
void mirrors_forget(struct datapath *datapath);

/* batch.c: many keys of one map, with a retry of what the kernel refuses in a batch (E4). */
struct batch {
	int fd;
	uint32_t key_size, value_size;
	uint32_t nr;
	uint8_t *keys, *values;
};

int batch_init(struct batch *batch, int fd, uint32_t key_size, uint32_t value_size);
int batch_add(struct batch *batch, const void *key, const void *value); /* value NULL: to be deleted */
int batch_flush(struct batch *batch);
int batch_delete(struct batch *batch); /* those that were added without a value */
void batch_done(struct batch *batch);

/* apply.c */
struct route_key {
	uint8_t bytes[sizeof(struct route6_key)];
};
int route_map(const struct datapath *datapath, const struct cidr *cidr, uint32_t table, struct route_key *ret_key);
void route_key(const struct cidr *cidr, uint32_t table, struct route_key *ret);
struct policy_line object_head(const struct image_object *object, uint32_t rule_base); /* its first line */
void flow_limits(volatile struct control *control, uint32_t flows_max, uint32_t nr_ports);

#endif
