/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "datapath/takeover.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "datapath/carry.h"
#include "datapath/counts.h"
#include "datapath/former.h"
#include "datapath/internal.h"
#include "datapath/layout.h"
#include "enid.skel.h"
#include "enid/handover.h"
#include "handover.skel.h"

struct takeover {
	char pin_dir[PATH_MAX], handover[PATH_MAX];
	char old[PATH_MAX]; /* folder of the set in force; "" = ours is, and there is something to clear away */
	uint32_t old_hash, our_hash;
	bool same_meaning; /* of the old set's maps; else nothing is carried over */
	bool completed, flipped, swept, lost_counts;
	struct handover_bpf *skeleton;
	struct carry *carry;   /* of the table of flows that was in use last */
	struct carry *carry_2; /* NULL, or of the other one: a change of size was broken off */
	int copied[4];   /* -1, or the old map of a counter (counters[]) that is too large or too small to share */
	void *before[4]; /* NULL, or the values of such an array when they were copied, all CPUs' */
};

/* Programs that stand at hooks. */
static const struct {
	const char *name;
	bool xdp;
	uint32_t place; /* of the old set's; ours is the next */
} hook_programs[] = {
	{"tc_rx", false, 2 * HANDOVER_RX},
	{"tc_tx", false, 2 * HANDOVER_TX},
	{"tc_rx_raw", false, 2 * HANDOVER_RAW},
	{"xdp_rx", true, 0},
};

/* Maps of counters, which are the same in both sets or, if only their size changed, copied. */
static const char *const counters[] = {"drops", "port_drops", "tallies", "mirror_counts"};

static int join(char ret[PATH_MAX], const char *folder, const char *name)
{
	return snprintf(ret, PATH_MAX, "%s/%s", folder, name) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static bool is_complete(const char *root)
{
	char path[PATH_MAX];

	return !join(path, root, "maps/control") && !look_for(path);
}

/* ---- what there is */

/* A file's name goes to fn, with its folder; -errno of the first that fails. */
static int each_entry(const char *folder, int (*fn)(const char *folder, const char *name, void *data), void *data)
{
	DIR *list = opendir(folder);
	const struct dirent *entry;
	int r = 0;

	if (!list)
		return errno == ENOENT ? 0 : -errno;
	while (!r && (entry = readdir(list)))
		if (entry->d_name[0] != '.')
			r = fn(folder, entry->d_name, data);
	closedir(list);
	return r;
}

/* Links belong to no layout: builds that had them among the maps left them there. */
static int gather_link(const char *folder, const char *name, void *data)
{
	const struct takeover *takeover = data;
	char from[PATH_MAX], links[PATH_MAX], to[PATH_MAX];

	if (join(from, folder, name) || join(links, takeover->pin_dir, LINKS_FOLDER) || join(to, links, name))
		return -ENAMETOOLONG;
	return rename(from, to) < 0 ? -errno : 0;
}

struct search {
	const struct datapath *datapath;
	struct takeover *takeover;
	unsigned int complete, others; /* sets of other layouts */
	bool only_look;
};

static int look_at(const char *folder, const char *name, void *data)
{
	struct search *search = data;
	char root[PATH_MAX], links[PATH_MAX];
	uint32_t hash;
	int r;

	if (!layout_name_is(name, &hash))
		return 0;
	r = join(root, folder, name);
	if (!r && !strcmp(root, search->datapath->root)) {
		search->takeover->our_hash = hash;
		return 0;
	}
	if (!r && !search->only_look)
		r = join(links, root, LINKS_FOLDER);
	if (!r && !search->only_look)
		r = each_entry(links, gather_link, search->takeover);
	if (r < 0)
		return r;
	search->others++;
	if (!is_complete(root))
		return 0;
	search->complete++;
	memcpy(search->takeover->old, root, sizeof(root));
	search->takeover->old_hash = hash;
	search->takeover->same_meaning = layout_means_the_same(name);
	return 0;
}

/* ret: 0 | -ENOENT: no takeover was under way */
static int read_phase(const struct takeover *takeover, struct handover_phase *ret)
{
	char path[PATH_MAX];
	_cleanup_close_ int fd = -1;
	uint32_t zero = 0;

	if (join(path, takeover->handover, "handover_phase"))
		return -ENAMETOOLONG;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return -errno;
	return bpf_map_lookup_elem(fd, &zero, ret) < 0 ? -errno : 0;
}

/* More than one set beside ours. ret: -EPROTO */
static int refuse_many(const struct takeover *takeover, unsigned int complete, char **ret_why)
{
	struct handover_phase phase;

	if (read_phase(takeover, &phase) < 0)
		return refuse(ret_why, -EPROTO,
			      "pin folder '%s' holds %u sets of other layouts: run 'enid detach --all' first",
			      takeover->pin_dir, complete);
	return refuse(
		ret_why, -EPROTO,
		"pin folder '%s' holds %u sets of other layouts, left by a take-over that was broken off; the one "
		"whose name ends in %08x is in force: start the build that made it once",
		takeover->pin_dir, complete, phase.layout[phase.flipped ? 1 : 0]);
}

/* T1: which of two complete sets judges? ret: 0 | -EPROTO */
static int choose(struct datapath *datapath, struct takeover *takeover, char **ret_why)
{
	struct handover_phase phase;
	uint32_t in_force;
	char path[PATH_MAX];

	if (read_phase(takeover, &phase) < 0)
		return refuse(ret_why, -EPROTO,
			      "'%s' and '%s' hold a whole set each, and nothing says which one is in force: run 'enid "
			      "detach --all' first",
			      takeover->old, datapath->root);
	in_force = phase.layout[phase.flipped ? 1 : 0];
	if (in_force == takeover->our_hash) {
		takeover->old[0] = '\0'; /* only its pins are left */
		takeover->lost_counts =
			phase.flipped != HANDOVER_COUNTED; /* who switched was killed before he had them */
		return 0;
	}
	if (in_force != takeover->old_hash)
		return refuse(ret_why, -EPROTO, "neither '%s' nor '%s' is in force: run 'enid detach --all' first",
			      takeover->old, datapath->root);
	if (join(path, datapath->root, "maps/control") || unlink(path) < 0)
		return refuse(ret_why, -errno, "cannot clear '%s': %s", datapath->root, strerror(errno));
	return 0;
}

static int find_sets(const struct datapath *datapath, const char *pin_dir, bool only_look, struct search *ret)
{
	struct takeover *takeover = calloc(1, sizeof(*takeover));
	int r = takeover ? join(takeover->handover, pin_dir, HANDOVER_FOLDER) : -ENOMEM;

	*ret = (struct search){.datapath = datapath, .takeover = takeover, .only_look = only_look};
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(takeover->copied); i++)
		takeover->copied[i] = -1;
	snprintf(takeover->pin_dir, sizeof(takeover->pin_dir), "%s", pin_dir);
	return each_entry(pin_dir, look_at, ret);
}

int takeover_look(const struct datapath *datapath, const char *pin_dir, char **ret_why)
{
	struct handover_phase phase;
	struct search search;
	const char *name;
	int r = find_sets(datapath, pin_dir, true, &search);
	struct takeover *takeover = search.takeover;

	if (!r && search.complete && is_complete(datapath->root) &&
	    (read_phase(takeover, &phase) < 0 || phase.layout[phase.flipped ? 1 : 0] == takeover->our_hash))
		search.complete = 0; /* another one's pins are left, no more */
	name = !r && search.complete ? strrchr(takeover->old, '/') + 1 : "";
	if (*name)
		r = refuse(ret_why, -ENOENT,
			   "below '%s' another build's set is in force, '%s': this build reads it once its agent has "
			   "taken over",
			   pin_dir, name);
	free(takeover);
	return r;
}

int takeover_prepare(struct datapath *datapath, const char *pin_dir, char **ret_why)
{
	struct takeover *takeover = NULL;
	struct search search;
	int r = find_sets(datapath, pin_dir, false, &search);

	takeover = search.takeover;
	if (r < 0) {
		free(takeover);
		return refuse(ret_why, r, "cannot look for other sets of pins below '%s': %s", pin_dir, strerror(-r));
	}
	if (!search.others && look_for(takeover->handover)) {
		free(takeover);
		return 0;
	}
	datapath->takeover = takeover;
	if (search.complete > 1)
		return refuse_many(takeover, search.complete, ret_why);
	if (search.complete && is_complete(datapath->root))
		return choose(datapath, takeover, ret_why);
	return 0;
}

bool takeover_has_old(const struct datapath *datapath)
{
	return datapath->takeover && datapath->takeover->old[0];
}

/* ---- maps that stay */

static bool same_type(const struct btf *a, uint32_t a_type, const struct btf *b, uint32_t b_type)
{
	return layout_type_hash((struct typed){a, a_type}) == layout_type_hash((struct typed){b, b_type});
}

/* But for its size, is it the same map? ret: 1 | 0 | -errno */
static int is_alike(const struct datapath *datapath, struct bpf_map *map, int fd, bool *ret_same_size)
{
	const struct btf *ours = bpf_object__btf(datapath->skeleton->obj);
	struct bpf_map_info info = {};
	uint32_t length = sizeof(info);
	struct btf *theirs;
	bool same;

	if (bpf_obj_get_info_by_fd(fd, &info, &length) < 0)
		return -errno;
	if (info.type != bpf_map__type(map) || info.key_size != bpf_map__key_size(map) ||
	    info.value_size != bpf_map__value_size(map))
		return 0;
	*ret_same_size = info.max_entries == bpf_map__max_entries(map);
	if (!info.btf_id)
		return !bpf_map__btf_value_type_id(map);
	theirs = btf__load_from_kernel_by_id(info.btf_id);
	if (!theirs)
		return -errno;
	same = same_type(ours, bpf_map__btf_key_type_id(map), theirs, info.btf_key_type_id) &&
	       same_type(ours, bpf_map__btf_value_type_id(map), theirs, info.btf_value_type_id);
	btf__free(theirs);
	return same;
}

static int open_old(const struct takeover *takeover, const char *folder, const char *name)
{
	char path[PATH_MAX], part[PATH_MAX];

	if (join(part, takeover->old, folder) || join(path, part, name))
		return -ENAMETOOLONG;
	return bpf_obj_get(path);
}

int takeover_share_maps(struct datapath *datapath, char **ret_why)
{
	struct bpf_map *maps[] = {datapath->skeleton->maps.drops, datapath->skeleton->maps.port_drops,
				  datapath->skeleton->maps.tallies, datapath->skeleton->maps.mirror_counts};
	struct takeover *takeover = datapath->takeover;
	bool same_size = false;
	int r = 0;

	if (!takeover_has_old(datapath) || !takeover->same_meaning)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(maps) && !r; i++) {
		_cleanup_close_ int fd = open_old(takeover, "maps", counters[i]);
		int alike = fd < 0 ? fd : is_alike(datapath, maps[i], fd, &same_size);

		if (fd == -ENOENT) /* the old build had none */
			continue;
		if (alike < 0)
			r = alike;
		else if (alike && same_size)
			r = bpf_map__reuse_fd(maps[i], fd);
		else if (alike)
			takeover->copied[i] = TAKE_FD(fd);
	}
	return r < 0 ? refuse(ret_why, r, "cannot use a map of '%s': %s", datapath->takeover->old, strerror(-r)) : 0;
}

static uint32_t entries_of(const struct takeover *takeover, const char *map)
{
	_cleanup_close_ int fd = open_old(takeover, "maps", map);
	struct bpf_map_info info = {};
	uint32_t length = sizeof(info);

	return fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &length) ? info.max_entries : 0;
}

void takeover_sizes(const struct datapath *datapath, struct datapath_options *options)
{
	uint32_t sides;

	if (!takeover_has_old(datapath))
		return;
	if (!options->flows_max)
		options->flows_max = entries_of(datapath->takeover, "records");
	if (!options->policy_lines)
		options->policy_lines = entries_of(datapath->takeover, "policy");
	sides = entries_of(datapath->takeover, "sides");
	if (sides && sides >= entries_of(datapath->takeover, "records"))
		options->gated = true;
}

static int copy_counters(const struct datapath *datapath)
{
	struct takeover *takeover = datapath->takeover;
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(counters) && !r; i++)
		if (takeover->copied[i] >= 0)
			r = counts_copy(takeover->copied[i], datapath_map_fd(datapath, counters[i]),
					&takeover->before[i]);
	return r;
}

/* After the switch, from which there is no way back: what cannot be had is said (datapath_lost_counts()). */
static int add_counters(const struct datapath *datapath)
{
	const struct takeover *takeover = datapath->takeover;
	int r = takeover->carry ? carry_counted_since(takeover->carry) : 0;

	for (size_t i = 0; i < ARRAY_SIZE(counters) && !r; i++)
		if (takeover->before[i])
			r = counts_add(takeover->copied[i], datapath_map_fd(datapath, counters[i]),
				       takeover->before[i]);
	return r;
}

/* ---- the programs in between */

static int pin_or_use(const struct takeover *takeover, struct bpf_map *map)
{
	char path[PATH_MAX];
	int fd = -1, r;

	r = join(path, takeover->handover, bpf_map__name(map));
	fd = r ? -1 : bpf_obj_get(path);
	if (fd < 0) /* one that is there and not used would not be pinned: emptied by our death */
		return r ? r : errno == ENOENT ? 0 : -errno;
	r = bpf_map__reuse_fd(map, fd);
	close(fd);
	return r;
}

static int pin_new(const struct takeover *takeover, const struct bpf_map *map)
{
	char path[PATH_MAX];
	int r = join(path, takeover->handover, bpf_map__name(map));

	if (!r && look_for(path) && bpf_obj_pin(bpf_map__fd(map), path) < 0)
		r = -errno;
	return r;
}

static int load_handover(struct takeover *takeover)
{
	struct bpf_map *map;
	int r = 0;

	if (mkdir(takeover->handover, 0700) < 0 && errno != EEXIST)
		return -errno;
	takeover->skeleton = handover_bpf__open();
	if (!takeover->skeleton)
		return -errno;
	bpf_object__for_each_map(map, takeover->skeleton->obj)
	{
		if (!r)
			r = pin_or_use(takeover, map);
	}
	if (!r)
		r = handover_bpf__load(takeover->skeleton);
	bpf_object__for_each_map(map, takeover->skeleton->obj)
	{
		if (!r)
			r = pin_new(takeover, map);
	}
	return r;
}

static int lead_to(const struct takeover *takeover, size_t hook, uint32_t ours, int prog_fd)
{
	const struct bpf_map *map =
		hook_programs[hook].xdp ? takeover->skeleton->maps.handover_xdp : takeover->skeleton->maps.handover_tc;
	uint32_t place = hook_programs[hook].place + ours;

	return bpf_map_update_elem(bpf_map__fd(map), &place, &prog_fd, BPF_ANY) < 0 ? -errno : 0;
}

static int lead_to_old(const struct takeover *takeover)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(hook_programs) && !r; i++) {
		_cleanup_close_ int fd = open_old(takeover, "progs", hook_programs[i].name);

		if (fd >= 0)
			r = lead_to(takeover, i, 0, fd);
		else if (errno != ENOENT)
			r = -errno;
	}
	return r;
}

static int set_phase(const struct takeover *takeover, enum handover_flip flipped)
{
	struct handover_phase phase = {.flipped = flipped, .layout = {takeover->old_hash, takeover->our_hash}};
	uint32_t zero = 0;

	return bpf_map_update_elem(bpf_map__fd(takeover->skeleton->maps.handover_phase), &zero, &phase, BPF_ANY) < 0
		       ? -errno
		       : 0;
}

/* Whatever a takeover that was broken off has left in these maps, at every step they lead to the old set. */
static int prepare_handover(struct datapath *datapath)
{
	struct takeover *takeover = datapath->takeover;
	int r = load_handover(takeover);

	if (!r)
		r = lead_to_old(takeover);
	if (!r)
		r = set_phase(takeover, HANDOVER_OLD);
	for (size_t i = 0; i < ARRAY_SIZE(hook_programs) && !r; i++)
		r = lead_to(takeover, i, 1, handles_find(&datapath->programs, hook_programs[i].name));
	return r;
}

/* Those, too, that are else loaded when a device needs them: one may stand where the old set has it. */
static int load_all(struct datapath *datapath, char **ret_why)
{
	int r = programs_need(datapath, "carry_record", ret_why);

	for (size_t i = 0; i < ARRAY_SIZE(hook_programs) && r >= 0; i++)
		r = programs_need(datapath, hook_programs[i].name, ret_why);
	return r < 0 ? r : 0;
}

/* Where a change of the table's size was broken off, flows may be in either table: first in the one that was in use. */
static int open_carries(struct datapath *datapath, char **ret_why)
{
	struct takeover *takeover = datapath->takeover;
	struct carry *newest = NULL;
	bool moving, former = former_left(takeover->old, &moving);
	int r = carry_open(datapath, takeover->old, former, &takeover->carry, ret_why);

	if (r < 0 || !former || moving)
		return r;
	r = carry_open(datapath, takeover->old, false, &takeover->carry_2, ret_why);
	if (!r && carry_last_ns(takeover->carry_2) > carry_last_ns(takeover->carry)) {
		newest = takeover->carry_2;
		takeover->carry_2 = takeover->carry;
		takeover->carry = newest;
	}
	if (!r)
		carry_is_spare(takeover->carry_2);
	return r;
}

static int carry_all(const struct takeover *takeover, bool in_use)
{
	int r = takeover->carry ? carry_flows(takeover->carry, in_use) : 0;

	if (!r && takeover->carry_2)
		(void)carry_flows(takeover->carry_2, in_use); /* copies for the most part */
	return r;
}

static const char *why_not_carried(int error)
{
	switch (error) {
	case -ENOSPC:
		return "its table of flows is as good as full: --max-flows";
	case -ENOBUFS:
		return "its places for flows through gateways that remember them are as good as full: --max-flows";
	default:
		return strerror(-error);
	}
}

int takeover_begin(struct datapath *datapath, char **ret_why)
{
	struct takeover *takeover = datapath->takeover;
	int r = load_all(datapath, ret_why);

	if (!r && takeover->same_meaning)
		r = open_carries(datapath, ret_why);
	if (!r && takeover->same_meaning)
		r = carry_books(takeover->carry, ret_why);
	if (r < 0)
		return r;
	r = carry_all(takeover, false);
	if (!r)
		r = prepare_handover(datapath);
	return r < 0 ? refuse(ret_why, r, "cannot take over from '%s': %s", takeover->old, why_not_carried(r)) : 0;
}

int takeover_prog_fd(const struct datapath *datapath, const char *name)
{
	const struct bpf_program *program;

	if (!datapath->takeover || datapath->takeover->flipped || !datapath->takeover->skeleton)
		return -ENOENT;
	program = bpf_object__find_program_by_name(datapath->takeover->skeleton->obj, name);
	return program ? bpf_program__fd(program) : -ENOENT;
}

/* ---- the switch */

bool datapath_takes_over(const struct datapath *datapath)
{
	return datapath->takeover != NULL;
}

bool datapath_in_force(const struct datapath *datapath)
{
	return !takeover_has_old(datapath) || datapath->takeover->flipped;
}

bool datapath_left_flows(const struct datapath *datapath)
{
	return takeover_has_old(datapath) && !datapath->takeover->same_meaning;
}

bool datapath_lost_counts(const struct datapath *datapath)
{
	return datapath->takeover && datapath->takeover->lost_counts;
}

static int flip(struct datapath *datapath, char **ret_why)
{
	struct takeover *takeover = datapath->takeover;
	int r;

	datapath_settle(datapath);
	datapath_control(datapath)->agent_alive_ns = datapath_now_ns(datapath);
	r = carry_all(takeover, false);
	if (r < 0)
		return refuse(ret_why, r, "cannot carry over the flows of '%s': %s", takeover->old, why_not_carried(r));
	r = takeover->completed ? 0 : pinned_complete(datapath, ret_why);
	if (r < 0)
		return r;
	takeover->completed = true;
	r = copy_counters(datapath);
	if (!r)
		r = set_phase(takeover, HANDOVER_NEW);
	if (r < 0)
		return refuse(ret_why, r, "cannot switch to the new programs: %s", strerror(-r));
	takeover->flipped = true;
	datapath_grace();
	(void)carry_all(takeover, true); /* what does not fit any more is opened anew by its next packet */
	takeover->lost_counts = add_counters(datapath) < 0;
	for (size_t i = 0; i < ARRAY_SIZE(counters); i++) /* of a hash nobody knows what came since it was copied */
		takeover->lost_counts |= takeover->copied[i] >= 0 && !takeover->before[i];
	if (!takeover->lost_counts)
		(void)set_phase(takeover, HANDOVER_COUNTED);
	freeze_maps(datapath);
	return 0;
}

/* The sweeper waits for the switch: a flow that goes on in the old set would die in ours of the time that passes. */
int datapath_take_over(struct datapath *datapath, char **ret_why)
{
	struct takeover *takeover = datapath->takeover;
	int r = 0;

	if (!takeover_has_old(datapath))
		return 0;
	if (!takeover->flipped)
		r = flip(datapath, ret_why);
	if (!r && !takeover->swept)
		r = start_sweeper(datapath, ret_why);
	takeover->swept = !r;
	return r;
}

/* ---- the end of the old set */

static int remove_entry(const char *folder, const char *name, void *data)
{
	char path[PATH_MAX];

	(void)data;
	if (!join(path, folder, name) && unlink(path) < 0 && errno == EISDIR)
		(void)each_entry(path, remove_entry, NULL);
	(void)rmdir(path);
	return 0;
}

static int remove_other(const char *folder, const char *name, void *data)
{
	const struct datapath *datapath = data;
	char root[PATH_MAX], path[PATH_MAX];
	uint32_t hash;

	if (!layout_name_is(name, &hash) || join(root, folder, name) || !strcmp(root, datapath->root) ||
	    join(path, root, "maps/control"))
		return 0;
	(void)unlink(path); /* first: T1 */
	return remove_entry(folder, name, NULL);
}

/* Nobody knows how much is missing: the logs of all who have flows say that something is (E26). */
static void declare_lost(struct datapath *datapath)
{
	struct port_stats *stats = datapath->port_stats.at;

	for (uint32_t port = 1; port < PORTS_MAX; port++)
		if (stats[port].flows)
			__atomic_fetch_add(&stats[port].skipped_accepts, 1, __ATOMIC_RELAXED);
}

void datapath_leave_old(struct datapath *datapath)
{
	struct takeover *takeover = datapath->takeover;

	if (takeover->lost_counts)
		declare_lost(datapath);
	(void)each_entry(takeover->pin_dir, remove_other, datapath);
	(void)remove_entry(takeover->pin_dir, HANDOVER_FOLDER, NULL);
	takeover_close(&datapath->takeover);
}

void takeover_close(struct takeover **takeover)
{
	struct takeover *old = TAKE_PTR(*takeover);

	if (!old)
		return;
	carry_close(&old->carry);
	carry_close(&old->carry_2);
	for (size_t i = 0; i < ARRAY_SIZE(old->copied); i++)
		if (old->copied[i] >= 0)
			close(old->copied[i]);
	for (size_t i = 0; i < ARRAY_SIZE(old->before); i++)
		free(old->before[i]);
	handover_bpf__destroy(old->skeleton);
	free(old);
}
