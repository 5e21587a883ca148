/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Load or adopt the programs and maps; what is set once for their life. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "datapath/former.h"
#include "datapath/internal.h"
#include "datapath/records.h"
#include "datapath/takeover.h"
#include "enid.skel.h"
#include "enid/names.h"

static uint32_t cpus(void)
{
	int nr = libbpf_num_possible_cpus();

	return nr > 0 && nr <= SHELVES_MAX ? (uint32_t)nr : 1;
}

static int set_sizes(struct enid_bpf *skeleton, const struct datapath_options *options)
{
	uint32_t flows = options->flows_max, lines = options->policy_lines, named, sides;
	int r;

	if (!flows)
		flows = options->replay ? FLOWS_REPLAY_DEFAULT : FLOWS_RUN_DEFAULT;
	named = options->names_for ? options->names_for : flows;
	/* a copy has as many as its original */
	sides = options->sides ? options->sides : sides_max(flows, options->replay || options->gated);
	r = bpf_map__set_max_entries(skeleton->maps.records, flows);
	if (!r)
		r = bpf_map__set_max_entries(skeleton->maps.names, names_buckets(named));
	if (!r)
		r = bpf_map__set_max_entries(skeleton->maps.names_spilled, names_spilled_max(named));
	if (!r)
		r = bpf_map__set_max_entries(skeleton->maps.limbo, flows);
	if (!r)
		r = bpf_map__set_max_entries(skeleton->maps.sides, sides);
	if (!r)
		r = bpf_map__set_max_entries(skeleton->maps.shelves, cpus());
	if (!r)
		r = bpf_map__set_max_entries(skeleton->maps.policy, lines ? lines : POLICY_LINES_DEFAULT);
	return r;
}

static int collect_handles(struct datapath *datapath)
{
	struct bpf_map *map;
	int r = 0;

	bpf_object__for_each_map(map, datapath->skeleton->obj)
	{
		const char *name = map_name(bpf_map__name(map));

		if (name && !r)
			r = handles_add(&datapath->maps, name, bpf_map__fd(map), false);
	}
	if (!r)
		r = handles_add(&datapath->programs, "start_sweeper",
				bpf_program__fd(datapath->skeleton->progs.start_sweeper), false);
	return r;
}

/* What is pinned already: maps to adopt, a table of flows of another size, or a set of another layout. */
static int look_at_pins(struct datapath *datapath, const struct datapath_options *options, bool *ret_adopted,
			bool *ret_resize, char **ret_why)
{
	struct datapath_options ours = *options;
	int r = pinned_prepare(datapath, options->pin_dir, ret_why);

	ours.pin_dir = datapath->root;
	if (!r)
		r = takeover_prepare(datapath, options->pin_dir, ret_why);
	if (!r)
		r = former_recover(ours.pin_dir, ret_why);
	if (r < 0)
		return r;
	*ret_resize = former_wanted(&ours);
	if (*ret_resize)
		r = former_check(&ours, ret_why);
	if (!r && *ret_resize)
		r = set_sizes(datapath->skeleton, &ours);
	if (!r)
		r = pinned_adopt_maps(datapath, options, *ret_resize, ret_adopted, ret_why);
	if (r < 0 || *ret_adopted)
		return r;
	takeover_sizes(datapath, &ours);
	r = set_sizes(datapath->skeleton, &ours);
	if (r < 0)
		return refuse(ret_why, r, "cannot size the maps as the other build's: %s", strerror(-r));
	return takeover_share_maps(datapath, ret_why);
}

/* The maps, and the program that only the agent runs; the others come by themselves: programs.c. */
static int load(struct datapath *datapath, const struct datapath_options *options, bool *ret_adopted, bool *ret_resize,
		char **ret_why)
{
	const char *words = libbpf_listen();
	int r = set_sizes(datapath->skeleton, options);

	if (r < 0)
		return refuse(ret_why, r, "cannot size the maps for %u flows: %s", options->flows_max, strerror(-r));
	programs_leave_out_but(datapath->skeleton, "start_sweeper");
	datapath->skeleton->rodata->replay = options->replay;
	if (options->pin_dir) {
		r = look_at_pins(datapath, options, ret_adopted, ret_resize, ret_why);
		if (r < 0)
			return r;
	}
	r = enid_bpf__load(datapath->skeleton);
	if (r < 0)
		return refuse(ret_why, r, "cannot load the maps: %s: %s", strerror(-r), words);
	r = collect_handles(datapath);
	datapath->adopted = *ret_adopted;
	if (!r && !options->maps_only)
		programs_start(datapath, *ret_adopted);
	return r;
}

void flow_limits(volatile struct control *control, uint32_t flows_max, uint32_t nr_ports)
{
	bool small = flows_max < 4096;

	control->flows_max = flows_max;
	control->flows_guarantee = small ? 0 : flows_max / 4 / (nr_ports ? nr_ports : 1);
	control->flows_shared = small ? flows_max : flows_max - flows_max / 4;
	control->half_open_max = small ? flows_max : flows_max / 8;
}

/* What lies on the shelves counts as used where ports share the table: it has to be little of it. Replay numbers its
 * records the same on any machine. */
static uint32_t flows_batch(const struct datapath *datapath)
{
	uint32_t batch = datapath->replay ? 1 : datapath->flows_max / 2048 / cpus();

	return batch < 1 ? 1 : batch > SHELF_RECORDS / 2 ? SHELF_RECORDS / 2 : batch;
}

/* Values that live as long as the maps. Replay's secrets are fixed: the same input gives the same output. */
static int init_control(struct datapath *datapath)
{
	volatile struct control *control = datapath_control(datapath);
	uint64_t secrets[FLOW_SECRETS] = {0x243f6a8885a308d3ull, 0x13198a2e03707344ull, 0xa4093822299f31d0ull,
					  0x082efa98ec4e6c89ull, 0x452821e638d01377ull, 0xbe5466cf34e90c6cull,
					  0xc0ac29b7c97c50ddull};

	if (!datapath->replay && getrandom(secrets, sizeof(secrets), 0) != sizeof(secrets))
		return -EIO;
	for (size_t i = 0; i < FLOW_SECRETS; i++)
		control->secrets[i] = secrets[i];
	control->nr_buckets = names_buckets(datapath->flows_max);
	control->nr_sides = (uint32_t)(datapath->sides.size / sizeof(struct side));
	control->flows_batch = flows_batch(datapath);
	flow_limits(control, datapath->flows_max, 0);
	return 0;
}

/* The kernel takes a timer's memory without waiting for it: right after maps of a gigabyte there may be none for a
 * moment. */
#define SWEEPER_TRIES 100

int start_sweeper(const struct datapath *datapath, char **ret_why)
{
	uint8_t frame[64] = {};
	struct bpf_test_run_opts run = {.sz = sizeof(run), .data_in = frame, .data_size_in = sizeof(frame)};
	int r = bpf_prog_test_run_opts(datapath_prog_fd(datapath, "start_sweeper"), &run);

	for (int i = 0; !r && run.retval && i < SWEEPER_TRIES; i++) {
		(void)usleep(10000);
		r = bpf_prog_test_run_opts(datapath_prog_fd(datapath, "start_sweeper"), &run);
	}
	if (r < 0)
		return refuse(ret_why, r, "cannot start the sweeper: %s", strerror(-r));
	if (run.retval)
		return refuse(ret_why, -EIO, "cannot start the sweeper: it answered %d", (int)run.retval);
	return 0;
}

/* What the programs alone write can be changed by nobody else from here on, not even by root; we only read it. Done by
 * an agent before us it is refused, which is as good. */
void freeze_maps(const struct datapath *datapath)
{
	static const char *const names[] = {"drops", "port_drops", "fragments", "fragments_due", "mirror_counts"};

	for (size_t i = 0; i < ARRAY_SIZE(names) && !datapath->replay; i++)
		(void)bpf_map_freeze(datapath_map_fd(datapath, names[i]));
}

static int open_for_writing(struct datapath *datapath, const struct datapath_options *options, char **ret_why)
{
	bool adopted = false, resize = false;
	int r = load(datapath, options, &adopted, &resize, ret_why);

	if (!r && !takeover_has_old(datapath))
		freeze_maps(datapath);
	if (!r)
		r = mappings_open(datapath, ret_why);
	if (!r && (!adopted || resize))
		r = init_control(datapath);
	if (!r && resize)
		r = former_replace(datapath, datapath->root, ret_why);
	if (!r && takeover_has_old(datapath))
		r = takeover_begin(datapath, ret_why);
	adopted = adopted || takeover_has_old(datapath);
	if (!r)
		r = adopted ? adopt_placement(datapath, true, ret_why)
			    : placement_init(&datapath->placement, datapath->policy_lines);
	if (!r && adopted)
		r = records_repair(datapath, datapath_now_ns(datapath)) < 0 ? -ENOMEM : 0;
	if (!r && adopted)
		r = former_open(datapath, datapath->root, ret_why);
	if (!r && !datapath->replay && datapath_in_force(datapath))
		r = start_sweeper(datapath, ret_why);
	if (!r && !options->later)
		r = programs_ready(datapath, ret_why);
	return r;
}

static int open_for_reading(struct datapath *datapath, const struct datapath_options *options, char **ret_why)
{
	int r = pinned_open_read_only(datapath, options->pin_dir, ret_why);

	if (!r)
		r = mappings_open(datapath, ret_why);
	if (!r)
		r = adopt_placement(datapath, false, ret_why);
	return r;
}

int datapath_open(const struct datapath_options *options, struct datapath **ret, char **ret_why)
{
	struct datapath *datapath;
	int r;

	if (options->read_only && !options->pin_dir)
		return refuse(ret_why, -EINVAL, "a private datapath cannot be opened from outside");
	if (options->flows_max > INT32_MAX / 2)
		return refuse(ret_why, -EINVAL, "%u flows: at most %d", options->flows_max, INT32_MAX / 2);
	datapath = calloc(1, sizeof(*datapath));
	if (!datapath)
		return -ENOMEM;
	datapath->settled_fd = -1;
	datapath->replay = options->replay;
	datapath->read_only = options->read_only;
	datapath->pinned = options->pin_dir != NULL;
	datapath->without = options->without;
	(void)libbpf_listen();
	datapath->skeleton = enid_bpf__open();
	if (!datapath->skeleton)
		r = refuse(ret_why, -errno, "cannot read the embedded programs: %s", strerror(errno));
	else if (options->pin_dir && pinned_root(datapath, options->pin_dir) < 0)
		r = refuse(ret_why, -ENAMETOOLONG, "pin folder '%s' has too long a name", options->pin_dir);
	else if (options->read_only)
		r = open_for_reading(datapath, options, ret_why);
	else
		r = open_for_writing(datapath, options, ret_why);
	if (r < 0) {
		datapath_close(&datapath);
		return r;
	}
	*ret = datapath;
	return 0;
}

void datapath_close(struct datapath **datapath)
{
	struct datapath *old = *datapath;

	if (!old)
		return;
	datapath_settle(old);
	programs_stop(old);
	former_close(&old->former);
	if (old->settled_fd >= 0)
		close(old->settled_fd);
	takeover_close(&old->takeover);
	mappings_done(old);
	handles_done(&old->maps);
	handles_done(&old->programs);
	placement_done(&old->placement);
	decisions_done(&old->decisions);
	enid_bpf__destroy(old->skeleton);
	free(old);
	*datapath = NULL;
}

int datapath_map_fd(const struct datapath *datapath, const char *name)
{
	return handles_find(&datapath->maps, name);
}

int datapath_prog_fd(const struct datapath *datapath, const char *name)
{
	int fd = takeover_prog_fd(datapath, name);

	return fd >= 0 ? fd : handles_find(&datapath->programs, name);
}

volatile struct control *datapath_control(struct datapath *datapath)
{
	return datapath->control.at;
}

struct name_bucket *datapath_names(struct datapath *datapath)
{
	return datapath->names.at;
}

struct flow_record *datapath_records(struct datapath *datapath)
{
	return datapath->records.at;
}

struct limbo *datapath_limbo(struct datapath *datapath)
{
	return datapath->limbo.at;
}

struct port *datapath_ports(struct datapath *datapath)
{
	return datapath->ports.at;
}

struct port_stats *datapath_port_stats(struct datapath *datapath)
{
	return datapath->port_stats.at;
}

struct nat_stats *datapath_nat_stats(struct datapath *datapath)
{
	return datapath->nat_stats.at;
}

const struct report *datapath_report(const struct datapath *datapath)
{
	return datapath->report.at;
}

const struct mirror_copy *datapath_copies(const struct datapath *datapath)
{
	return datapath->mirror_told.at;
}

uint32_t datapath_flows_max(const struct datapath *datapath)
{
	return datapath->flows_max;
}

uint64_t datapath_now_ns(const struct datapath *datapath)
{
	struct timespec now;

	if (datapath->replay)
		return ((const volatile struct control *)datapath->control.at)->now_ns;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* MEMBARRIER_CMD_GLOBAL is the kernel's synchronize_rcu(). Where it is refused (nohz_full), programs, which run with
 * preemption or at least softirqs off, have ended long before a tenth of a second is over. */
void datapath_grace(void)
{
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0)
		(void)usleep(100000);
}
