/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Programs, each verified by itself: what takes the kernel longest at a start. So those that a start needs are loaded
 * by a thread each, while the state is read and compiled; those that few devices need when one of them comes; and those
 * that the same build has pinned not at all.
 *
 * Invariants
 *  P1  Every program is bound to the maps of this datapath: an object of its own is opened for it, which takes them
 * over. P2  `progs/build` says of which build every pinned program is; it is there only while that is so of all of
 * them.
 *  P3  What could not be loaded is no handle: its error and words are told again, without another try where the kernel
 * would only say the same.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "compile/hash.h"
#include "datapath/internal.h"
#include "datapath/takeover.h"
#include "enid.skel.h"

/* libbpf explains itself through one global hook: keep its last words for the message that the user gets. */
static _Thread_local char libbpf_words[2048];

static int listen_to_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	size_t used = strlen(libbpf_words);

	if (level != LIBBPF_WARN || used + 1 >= sizeof(libbpf_words))
		return 0;
	return vsnprintf(libbpf_words + used, sizeof(libbpf_words) - used, format, args);
}

void libbpf_hush(void)
{
	(void)libbpf_set_print(listen_to_libbpf);
}

const char *libbpf_listen(void)
{
	libbpf_hush();
	libbpf_words[0] = '\0';
	return libbpf_words;
}

void programs_leave_out_but(struct enid_bpf *skeleton, const char *name)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, skeleton->obj)(void)
		bpf_program__set_autoload(program, !strcmp(bpf_program__name(program), name));
}

/* ---- loading one */

static int share_maps(struct enid_bpf *skeleton, const struct datapath *datapath)
{
	struct bpf_map *map;
	int r = 0;

	bpf_object__for_each_map(map, skeleton->obj)
	{
		const char *name = map_name(bpf_map__name(map));

		if (name && !r)
			r = bpf_map__reuse_fd(map, handles_find(&datapath->maps, name));
	}
	return r;
}

static int load_program(struct enid_bpf *skeleton, const struct datapath *datapath, const char *name)
{
	const struct bpf_program *program = bpf_object__find_program_by_name(skeleton->obj, name);
	int r = program ? share_maps(skeleton, datapath) : -ENOENT, fd;

	if (r < 0)
		return r;
	programs_leave_out_but(skeleton, name);
	skeleton->rodata->replay = datapath->replay;
	r = enid_bpf__load(skeleton);
	if (r < 0)
		return r;
	fd = fcntl(bpf_program__fd(program), F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? -errno : fd;
}

static void *load_it(void *data)
{
	struct loading *loading = data;
	const char *words = libbpf_listen();
	struct enid_bpf *skeleton = enid_bpf__open();

	loading->fd = skeleton ? load_program(skeleton, loading->datapath, loading->name) : -errno;
	if (loading->fd < 0)
		(void)refuse(&loading->why, loading->fd, "cannot load the program %s: %s: %s", loading->name,
			     strerror(-loading->fd), words);
	enid_bpf__destroy(skeleton);
	return NULL;
}

static void start_loading(struct datapath *datapath, const char *name, bool needed)
{
	struct loading *loading = &datapath->loading[datapath->nr_loading++];

	*loading = (struct loading){.datapath = datapath, .name = name, .needed = needed, .fd = -1};
	loading->threaded = !pthread_create(&loading->thread, NULL, load_it, loading);
}

static void end_loading(struct loading *loading)
{
	if (loading->threaded)
		(void)pthread_join(loading->thread, NULL);
	else
		(void)load_it(loading);
}

/* ---- the build that is pinned (P2) */

static struct content_hash build_hash(const struct enid_bpf *skeleton)
{
	struct hasher hasher = HASHER_INIT;

	hasher_add(&hasher, skeleton->skeleton->data, skeleton->skeleton->data_sz);
	return hasher_result(&hasher);
}

static void build_text(const struct datapath *datapath, char text[40])
{
	struct content_hash hash = build_hash(datapath->skeleton);

	for (size_t i = 0; i < ARRAY_SIZE(hash.w); i++)
		snprintf(text + 8 * i, 9, "%08x", hash.w[i]);
}

/* ---- those of a datapath */

static int adopt_program(struct datapath *datapath, const char *name)
{
	int fd = pinned_program(datapath, name), r;

	if (fd < 0)
		return fd;
	r = handles_add(&datapath->programs, name, fd, true);
	if (r < 0)
		close(fd);
	return r;
}

static bool is_left_out(const struct datapath *datapath, const char *name)
{
	return datapath->without && !strcmp(datapath->without, name);
}

void programs_start(struct datapath *datapath, bool adopted)
{
	const char *const wanted[] = {is_left_out(datapath, "tc_rx") ? "xdp_rx" : "tc_rx", "tc_tx"};
	size_t nr_wanted = datapath->replay ? 1 : ARRAY_SIZE(wanted); /* no device sends by a replay's tc_tx */
	char build[40];

	if (datapath->pinned) {
		build_text(datapath, build);
		datapath->same_build = adopted && pinned_build_is(datapath, build);
	}
	for (size_t i = 0; i < nr_wanted; i++)
		if (!is_left_out(datapath, wanted[i]) &&
		    (!datapath->same_build || adopt_program(datapath, wanted[i]) < 0))
			start_loading(datapath, wanted[i], true);
	datapath->unpinned = datapath->pinned;
}

/* ---- what could not be loaded (P3) */

#define RETRY_NS 5000000000u

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static struct unloaded *find_unloaded(struct datapath *datapath, const char *name)
{
	for (size_t i = 0; i < datapath->nr_unloaded; i++)
		if (!strcmp(datapath->unloaded[i].name, name))
			return &datapath->unloaded[i];
	return NULL;
}

static void forget_unloaded(struct datapath *datapath, struct unloaded *unloaded)
{
	if (!unloaded)
		return;
	free(unloaded->why);
	*unloaded = datapath->unloaded[--datapath->nr_unloaded];
}

/* Takes the words of `loading`. */
static void note_unloaded(struct datapath *datapath, struct loading *loading)
{
	struct unloaded *unloaded;

	forget_unloaded(datapath, find_unloaded(datapath, loading->name));
	if (datapath->nr_unloaded == UNLOADED_MAX)
		return;
	unloaded = &datapath->unloaded[datapath->nr_unloaded++];
	*unloaded = (struct unloaded){.error = loading->fd, .needed = loading->needed, .at_ns = now_ns()};
	snprintf(unloaded->name, sizeof(unloaded->name), "%s", loading->name);
	unloaded->why = TAKE_PTR(loading->why);
}

/* The verifier says the same tomorrow; memory may be there in a moment. */
static bool may_load(const struct unloaded *unloaded)
{
	switch (-unloaded->error) {
	case EACCES:
	case EINVAL:
	case E2BIG:
	case ENOENT:
		return false;
	default:
		return now_ns() - unloaded->at_ns >= RETRY_NS;
	}
}

static int take_program(struct datapath *datapath, struct loading *loading, char **ret_why)
{
	int fd = loading->fd, added = fd < 0 ? fd : handles_add(&datapath->programs, loading->name, fd, true);

	if (added < 0 && fd >= 0)
		close(fd);
	if (fd >= 0)
		forget_unloaded(datapath, find_unloaded(datapath, loading->name));
	else {
		if (ret_why && !*ret_why && loading->why)
			*ret_why = strdup(loading->why);
		note_unloaded(datapath, loading);
	}
	free(loading->why);
	return added;
}

static int take_all(struct datapath *datapath, char **ret_why)
{
	int r = 0;

	for (size_t i = 0; i < datapath->nr_loading; i++) {
		struct loading *loading = &datapath->loading[i];
		int taken;

		end_loading(loading);
		taken = take_program(datapath, loading, ret_why);
		r = r < 0 ? r : taken;
	}
	datapath->nr_loading = 0;
	return r;
}

void programs_stop(struct datapath *datapath)
{
	(void)take_all(datapath, NULL);
	while (datapath->nr_unloaded)
		forget_unloaded(datapath, &datapath->unloaded[0]);
}

/* Load it now, unless that failed for good, or a moment ago. */
static int load_now(struct datapath *datapath, const char *name, bool needed, char **ret_why)
{
	const struct unloaded *unloaded = find_unloaded(datapath, name);

	if (unloaded && !may_load(unloaded))
		return refuse(ret_why, unloaded->error, "%s", unloaded->why ? unloaded->why : "no memory");
	start_loading(datapath, name, needed);
	return take_all(datapath, ret_why);
}

static int load_needed(struct datapath *datapath, char **ret_why)
{
	char name[sizeof(datapath->unloaded[0].name)];
	int r = 0;

	for (size_t i = 0; i < datapath->nr_unloaded && !r;) {
		if (!datapath->unloaded[i].needed) {
			i++;
			continue;
		}
		memcpy(name, datapath->unloaded[i].name, sizeof(name));
		r = load_now(datapath, name, true, ret_why); /* another takes its place */
	}
	return r;
}

int programs_ready(struct datapath *datapath, char **ret_why)
{
	char build[40];
	int r = take_all(datapath, ret_why);

	if (!r)
		r = load_needed(datapath, ret_why);
	if (r < 0 || !datapath->unpinned)
		return r;
	build_text(datapath, build);
	r = pinned_save(datapath, datapath->same_build ? NULL : build, ret_why);
	if (r >= 0)
		datapath->unpinned = false;
	return r;
}

int programs_need(struct datapath *datapath, const char *name, char **ret_why)
{
	int r = programs_ready(datapath, ret_why), fd = handles_find(&datapath->programs, name);

	if (r < 0 || fd != -ENOENT)
		return r < 0 ? r : fd;
	if (datapath->same_build && !adopt_program(datapath, name))
		return handles_find(&datapath->programs, name);
	r = load_now(datapath, name, false, ret_why);
	if (r >= 0 && datapath->pinned)
		r = pinned_save_program(datapath, name, ret_why);
	return r < 0 ? r : handles_find(&datapath->programs, name);
}

int datapath_program(struct datapath *datapath, const char *name, char **ret_why)
{
	int fd = takeover_prog_fd(datapath, name);

	return fd >= 0 ? fd : programs_need(datapath, name, ret_why);
}
