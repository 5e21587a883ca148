/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Pins: what stays when the agent goes, and how the next agent takes it over.
 *
 * Invariants
 *  N1  `control` is pinned last: without it the other pins are the rest of a start that failed, and are made anew.
 *  N2  A pinned map of another shape is refused, with the difference named; it is never dropped silently (E5).
 *  N3  The folder belongs to us and nobody else can write to it (E29).
 *  N4  A set of pins has a folder of its own, named for the layout of its maps. Sets of other layouts are takeover.c's.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/base.h"
#include "datapath/former.h"
#include "datapath/internal.h"
#include "datapath/layout.h"
#include "datapath/takeover.h"
#include "enid.skel.h"

int pin_path(char *path, const char *root, const char *folder, const char *name)
{
	int length = snprintf(path, PATH_MAX, "%s/%s%s%s", root, folder, name ? "/" : "", name ? name : "");

	return length < PATH_MAX ? 0 : -ENAMETOOLONG;
}

const char *map_name(const char *object_name)
{
	if (strstr(object_name, ".data.control"))
		return "control";
	return strchr(object_name, '.') ? NULL : object_name;
}

static int make_folder(const char *path, char **ret_why)
{
	struct stat status;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return refuse(ret_why, -errno, "cannot make the pin folder '%s': %s", path, strerror(errno));
	if (lstat(path, &status) < 0)
		return refuse(ret_why, -errno, "cannot look at the pin folder '%s': %s", path, strerror(errno));
	if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid() || (status.st_mode & 022))
		return refuse(ret_why, -EPERM,
			      "pin folder '%s': not a folder that only this user can write to; if it is an agent's of "
			      "another user: chown -R %u it",
			      path, (unsigned int)geteuid());
	return 0;
}

int pinned_root(struct datapath *datapath, const char *pin_dir)
{
	char name[LAYOUT_NAME_MAX];

	layout_name(datapath->skeleton->obj, name);
	return snprintf(datapath->root, sizeof(datapath->root), "%s/%s", pin_dir, name) < (int)sizeof(datapath->root)
		       ? 0
		       : -ENAMETOOLONG;
}

int pinned_prepare(const struct datapath *datapath, const char *pin_dir, char **ret_why)
{
	static const char *const folders[] = {"", "maps", "progs"};
	char path[PATH_MAX];
	struct statfs fs;
	int r = make_folder(pin_dir, ret_why);

	if (r < 0)
		return r;
	if (statfs(pin_dir, &fs) < 0 || fs.f_type != BPF_FS_MAGIC)
		return refuse(ret_why, -EINVAL, "pin folder '%s' is not on a bpf file system", pin_dir);
	for (size_t i = 0; i < ARRAY_SIZE(folders) && !r; i++) {
		r = pin_path(path, datapath->root, folders[i], NULL);
		if (!r)
			r = make_folder(path, ret_why);
	}
	if (!r)
		r = pin_path(path, pin_dir, LINKS_FOLDER, NULL);
	return r < 0 ? r : make_folder(path, ret_why);
}

static void forget_map_pins(const struct datapath *datapath)
{
	struct bpf_map *map;
	char path[PATH_MAX];

	bpf_object__for_each_map(map, datapath->skeleton->obj)
	{
		const char *name = map_name(bpf_map__name(map));

		if (name && !pin_path(path, datapath->root, "maps", name))
			(void)unlink(path);
	}
}

/* N2. A size that the caller left open is taken from the pin. */
static int check_shape(struct bpf_map *map, const char *name, const struct bpf_map_info *info, bool any_size,
		       char **ret_why)
{
	if (info->type != bpf_map__type(map) || info->key_size != bpf_map__key_size(map) ||
	    info->value_size != bpf_map__value_size(map))
		return refuse(
			ret_why, -EPROTO,
			"pinned map '%s' has keys of %u and values of %u bytes, this build needs %u and %u: run 'enid "
			"detach --all' first",
			name, info->key_size, info->value_size, bpf_map__key_size(map), bpf_map__value_size(map));
	if (any_size)
		return 0;
	if (info->max_entries != bpf_map__max_entries(map) && bpf_map__type(map) != BPF_MAP_TYPE_PERF_EVENT_ARRAY)
		return refuse(
			ret_why, -EPROTO,
			"pinned map '%s' has %u entries, %u are asked for: run 'enid detach --all' first, or ask for "
			"the same number",
			name, info->max_entries, bpf_map__max_entries(map));
	return 0;
}

static bool is_flow_map(const char *name)
{
	static const char *const flow_maps[] = {"records", "names", "names_spilled", "limbo", "sides"};

	for (size_t i = 0; i < ARRAY_SIZE(flow_maps); i++)
		if (!strcmp(name, flow_maps[i]))
			return true;
	return false;
}

bool map_size_is_chosen(const char *name)
{
	return is_flow_map(name) || !strcmp(name, "policy");
}

static bool size_is_open(const char *name, const struct datapath_options *options)
{
	if (!strcmp(name, "policy"))
		return !options->policy_lines;
	/* there may be sides for more flows through gateways than are asked for (former.h) */
	return is_flow_map(name) && (!options->flows_max || !strcmp(name, "sides"));
}

static int adopt_map(const struct datapath *datapath, struct bpf_map *map, const char *name,
		     const struct datapath_options *options, char **ret_why)
{
	struct bpf_map_info info = {};
	uint32_t length = sizeof(info);
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX];
	int r = pin_path(path, datapath->root, "maps", name);

	if (r < 0)
		return r;
	fd = bpf_obj_get(path);
	if (fd < 0 && errno == ENOENT)
		return refuse(ret_why, -EPROTO, "pinned map '%s' is missing: run 'enid detach --all' first", path);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &length) < 0)
		return refuse(ret_why, -errno, "cannot open the pinned map '%s': %s", path, strerror(errno));
	r = check_shape(map, name, &info, size_is_open(name, options), ret_why);
	if (!r)
		r = bpf_map__reuse_fd(map, fd);
	return r;
}

int pinned_adopt_maps(struct datapath *datapath, const struct datapath_options *options, bool resize, bool *ret_adopted,
		      char **ret_why)
{
	struct bpf_map *map;
	char path[PATH_MAX];
	int r = pin_path(path, datapath->root, "maps", "control");

	if (r < 0)
		return r;
	if (look_for(path) < 0) { /* N1 */
		forget_map_pins(datapath);
		*ret_adopted = false;
		return 0;
	}
	bpf_object__for_each_map(map, datapath->skeleton->obj)
	{
		const char *name = map_name(bpf_map__name(map));

		r = name && !(resize && former_holds(name)) ? adopt_map(datapath, map, name, options, ret_why) : 0;
		if (r < 0)
			return r;
	}
	*ret_adopted = true;
	return 0;
}

static int pin_map(const struct datapath *datapath, const char *name, char **ret_why)
{
	char path[PATH_MAX];
	int r = pin_path(path, datapath->root, "maps", name);

	if (!r && bpf_obj_pin(handles_find(&datapath->maps, name), path) < 0)
		r = refuse(ret_why, -errno, "cannot pin map '%s': %s", path, strerror(errno));
	return r;
}

static int map_id(const struct datapath *datapath, const char *name)
{
	struct bpf_map_info info = {};
	uint32_t length = sizeof(info);

	return bpf_obj_get_info_by_fd(handles_find(&datapath->maps, name), &info, &length) < 0 ? -errno : (int)info.id;
}

/* E6 */
int datapath_is_of(const struct datapath *datapath, int program)
{
	uint32_t ids[HANDLES_MAX] = {}, length = sizeof(struct bpf_prog_info);
	struct bpf_prog_info info = {.map_ids = (uintptr_t)ids, .nr_map_ids = HANDLES_MAX};
	int control = map_id(datapath, "control");

	if (control < 0)
		return control;
	if (bpf_obj_get_info_by_fd(program, &info, &length) < 0)
		return -errno;
	for (uint32_t i = 0; i < info.nr_map_ids && i < HANDLES_MAX; i++)
		if ((int)ids[i] == control)
			return 1;
	return 0;
}

/* The pinned program does the same, instruction by instruction, on our maps. */
static bool same_program(const struct datapath *datapath, int pinned, int loaded)
{
	struct bpf_prog_info a = {}, b = {};
	uint32_t length = sizeof(a);

	if (datapath_is_of(datapath, pinned) <= 0 || bpf_obj_get_info_by_fd(pinned, &a, &length) < 0)
		return false;
	length = sizeof(b);
	if (bpf_obj_get_info_by_fd(loaded, &b, &length) < 0)
		return false;
	return a.type == b.type && !memcmp(a.tag, b.tag, sizeof(a.tag)) && a.nr_map_ids == b.nr_map_ids;
}

/* Keep the pinned program if it is the same, so that links stay as they are; else replace the pin in one step. */
static int pin_program(struct datapath *datapath, struct handle *program, char **ret_why)
{
	char path[PATH_MAX], aside[PATH_MAX + 4];
	int r = pin_path(path, datapath->root, "progs", program->name), fd;

	if (r < 0)
		return r;
	fd = bpf_obj_get(path);
	if (fd >= 0 && same_program(datapath, fd, program->fd)) {
		if (program->owned)
			close(program->fd);
		program->fd = fd;
		program->owned = true;
		return 0;
	}
	if (fd >= 0)
		close(fd);
	snprintf(aside, sizeof(aside), "%s_new", path);
	(void)unlink(aside);
	if (bpf_obj_pin(program->fd, aside) < 0 || rename(aside, path) < 0)
		return refuse(ret_why, -errno, "cannot pin program '%s': %s", path, strerror(errno));
	return 0;
}

int pinned_complete(const struct datapath *datapath, char **ret_why)
{
	return pin_map(datapath, "control", ret_why);
}

/* ---- whose programs they are: a link that leads nowhere, named by the build */

#define BUILD_LINK "build"

bool pinned_build_is(const struct datapath *datapath, const char *build)
{
	char path[PATH_MAX], is[64];
	ssize_t length;

	if (pin_path(path, datapath->root, "progs", BUILD_LINK))
		return false;
	length = readlink(path, is, sizeof(is));
	return length == (ssize_t)strlen(build) && !memcmp(is, build, (size_t)length);
}

static void forget_build(const struct datapath *datapath)
{
	char path[PATH_MAX];

	if (!pin_path(path, datapath->root, "progs", BUILD_LINK))
		(void)unlink(path);
}

/* Another build's, which this one has not needed yet. Devices keep theirs until they are given another. */
static void forget_other_programs(const struct datapath *datapath)
{
	struct bpf_program *program;
	char path[PATH_MAX];

	bpf_object__for_each_program(program, datapath->skeleton->obj)
	{
		const char *name = bpf_program__name(program);

		if (handles_find(&datapath->programs, name) < 0 && !pin_path(path, datapath->root, "progs", name))
			(void)unlink(path);
	}
}

int pinned_program(const struct datapath *datapath, const char *name)
{
	char path[PATH_MAX];
	int r = pin_path(path, datapath->root, "progs", name), fd;

	if (r < 0)
		return r;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return -errno;
	r = datapath_is_of(datapath, fd);
	if (r > 0)
		return fd;
	close(fd);
	return r < 0 ? r : -ESTALE;
}

int pinned_save_program(struct datapath *datapath, const char *name, char **ret_why)
{
	for (size_t i = 0; i < datapath->programs.nr; i++)
		if (!strcmp(datapath->programs.list[i].name, name))
			return pin_program(datapath, &datapath->programs.list[i], ret_why);
	return -ENOENT;
}

static int save_programs(struct datapath *datapath, const char *build, char **ret_why)
{
	char path[PATH_MAX];
	int r = 0;

	if (build) {
		forget_build(datapath);
		forget_other_programs(datapath);
	}
	for (size_t i = 0; i < datapath->programs.nr && !r; i++)
		r = pin_program(datapath, &datapath->programs.list[i], ret_why);
	if (!r && build)
		r = pin_path(path, datapath->root, "progs", BUILD_LINK);
	if (!r && build && symlink(build, path) < 0)
		r = refuse(ret_why, -errno, "cannot make '%s': %s", path, strerror(errno));
	return r;
}

int pinned_save(struct datapath *datapath, const char *build, char **ret_why)
{
	bool adopted = datapath->adopted;
	int r = 0;

	for (size_t i = 0; i < datapath->maps.nr && !adopted && !r; i++)
		if (strcmp(datapath->maps.list[i].name, "control") != 0)
			r = pin_map(datapath, datapath->maps.list[i].name, ret_why);
	if (!r)
		r = save_programs(datapath, build, ret_why);
	if (!r && !adopted && !takeover_has_old(datapath))
		r = pinned_complete(datapath, ret_why);
	if (!r)
		datapath->adopted = true;
	return r;
}

static int open_pin(struct handles *handles, const char *root, const char *folder, const char *name, uint32_t flags,
		    char **ret_why)
{
	const struct bpf_obj_get_opts options = {.sz = sizeof(options), .file_flags = flags};
	char path[PATH_MAX];
	int r = pin_path(path, root, folder, name), fd;

	if (r < 0)
		return r;
	fd = bpf_obj_get_opts(path, &options);
	if (fd < 0)
		return refuse(ret_why, -errno, "cannot open '%s': %s", path, strerror(errno));
	r = handles_add(handles, name, fd, true);
	if (r < 0)
		close(fd);
	return r;
}

int pinned_open_read_only(struct datapath *datapath, const char *pin_dir, char **ret_why)
{
	struct bpf_program *program;
	struct bpf_map *map;
	char path[PATH_MAX];
	int r = pin_path(path, datapath->root, "maps", "control");

	if (r < 0)
		return r;
	r = takeover_look(datapath, pin_dir, ret_why);
	if (r == -EACCES)
		return refuse(ret_why, r, "cannot look below '%s': %s", pin_dir, strerror(-r));
	if (r < 0)
		return r;
	if (look_for(path) && errno == ENOENT)
		return refuse(ret_why, -ENOENT, "nothing is pinned below '%s': no agent has run with these pins",
			      pin_dir);
	bpf_object__for_each_map(map, datapath->skeleton->obj)
	{
		const char *name = map_name(bpf_map__name(map));
		/* shared memory, even if only read, wants a descriptor that could write */
		uint32_t flags = bpf_map__map_flags(map) & BPF_F_MMAPABLE ? 0 : BPF_F_RDONLY;

		if (name && !r)
			r = open_pin(&datapath->maps, datapath->root, "maps", name, flags, ret_why);
	}
	bpf_object__for_each_program(program, datapath->skeleton->obj)
	{
		r = r ? r : open_pin(&datapath->programs, datapath->root, "progs", bpf_program__name(program), 0, NULL);
		r = r == -ENOENT ? 0 : r; /* not every program is needed everywhere */
	}
	return r;
}
