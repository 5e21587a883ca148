/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Pins: what stays when the agent goes, and how the next agent takes it over.
 *
 * Invariants
 *  N1  `control` is pinned last: without it the other pins are the rest of a start that failed, and are made anew.
 *  N2  A pinned map of another shape is refused, with the difference named; it is never dropped silently (E5).
 *  N3  The folder belongs to us and nobody else can write to it (E29).
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/base.h"
#include "datapath/internal.h"
#include "enid.skel.h"

static int pin_path(char path[PATH_MAX], const char *pin_dir, const char *folder, const char *name)
{
	int length = snprintf(path, PATH_MAX, "%s/" DATAPATH_LAYOUT "/%s%s%s", pin_dir, folder, name ? "/" : "",
			      name ? name : "");

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
		return refuse(ret_why, -EPERM, "pin folder '%s': not a folder that only this user can write to", path);
	return 0;
}

/* Pins of a layout that this build does not know. */
static int check_layouts(const char *pin_dir, char **ret_why)
{
	DIR *folder = opendir(pin_dir);
	const struct dirent *entry;
	int r = 0;

	if (!folder)
		return refuse(ret_why, -errno, "cannot read the pin folder '%s': %s", pin_dir, strerror(errno));
	while (!r && (entry = readdir(folder)))
		if (entry->d_name[0] == 'v' && strspn(entry->d_name + 1, "0123456789") == strlen(entry->d_name) - 1 &&
		    strcmp(entry->d_name, DATAPATH_LAYOUT) != 0)
			r = refuse(ret_why, -EPROTO,
				   "'%s/%s' holds pins of another layout than " DATAPATH_LAYOUT
				   ": run that build's 'enid detach --all' first",
				   pin_dir, entry->d_name);
	closedir(folder);
	return r;
}

int pinned_prepare(const char *pin_dir, char **ret_why)
{
	static const char *const folders[] = {"", "maps", "progs"};
	char path[PATH_MAX];
	struct statfs fs;
	int r = make_folder(pin_dir, ret_why);

	if (r < 0)
		return r;
	if (statfs(pin_dir, &fs) < 0 || fs.f_type != BPF_FS_MAGIC)
		return refuse(ret_why, -EINVAL, "pin folder '%s' is not on a bpf file system", pin_dir);
	r = check_layouts(pin_dir, ret_why);
	for (size_t i = 0; i < ARRAY_SIZE(folders) && !r; i++) {
		r = pin_path(path, pin_dir, folders[i], NULL);
		if (!r)
			r = make_folder(path, ret_why);
	}
	return r;
}

static void forget_map_pins(const struct datapath *datapath, const char *pin_dir)
{
	struct bpf_map *map;
	char path[PATH_MAX];

	bpf_object__for_each_map(map, datapath->skeleton->obj)
	{
		const char *name = map_name(bpf_map__name(map));

		if (name && !pin_path(path, pin_dir, "maps", name))
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

static bool size_is_open(const char *name, const struct datapath_options *options)
{
	static const char *const flow_maps[] = {"records", "names", "ledger", "limbo", "free_records"};

	if (!strcmp(name, "policy"))
		return !options->policy_lines;
	for (size_t i = 0; i < ARRAY_SIZE(flow_maps); i++)
		if (!strcmp(name, flow_maps[i]))
			return !options->flows_max;
	return false;
}

static int adopt_map(struct bpf_map *map, const char *name, const struct datapath_options *options, char **ret_why)
{
	struct bpf_map_info info = {};
	uint32_t length = sizeof(info);
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX];
	int r = pin_path(path, options->pin_dir, "maps", name);

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

int pinned_adopt_maps(struct datapath *datapath, const struct datapath_options *options, bool *ret_adopted,
		      char **ret_why)
{
	struct bpf_map *map;
	char path[PATH_MAX];
	int r = pin_path(path, options->pin_dir, "maps", "control");

	if (r < 0)
		return r;
	if (access(path, F_OK) < 0) { /* N1 */
		forget_map_pins(datapath, options->pin_dir);
		*ret_adopted = false;
		return 0;
	}
	bpf_object__for_each_map(map, datapath->skeleton->obj)
	{
		const char *name = map_name(bpf_map__name(map));

		r = name ? adopt_map(map, name, options, ret_why) : 0;
		if (r < 0)
			return r;
	}
	*ret_adopted = true;
	return 0;
}

static int pin_map(const struct datapath *datapath, const char *pin_dir, const char *name, char **ret_why)
{
	char path[PATH_MAX];
	int r = pin_path(path, pin_dir, "maps", name);

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

/* The pinned program does the same, instruction by instruction, on our maps (E6). */
static bool same_program(const struct datapath *datapath, int pinned, int loaded)
{
	uint32_t ids[HANDLES_MAX] = {}, length = sizeof(struct bpf_prog_info);
	struct bpf_prog_info a = {.map_ids = (uintptr_t)ids, .nr_map_ids = HANDLES_MAX}, b = {};
	int control = map_id(datapath, "control");

	if (bpf_obj_get_info_by_fd(pinned, &a, &length) < 0)
		return false;
	length = sizeof(b);
	if (bpf_obj_get_info_by_fd(loaded, &b, &length) < 0)
		return false;
	if (a.type != b.type || memcmp(a.tag, b.tag, sizeof(a.tag)) != 0 || a.nr_map_ids != b.nr_map_ids)
		return false;
	for (uint32_t i = 0; i < a.nr_map_ids && i < HANDLES_MAX; i++)
		if ((int)ids[i] == control)
			return true;
	return false;
}

/* Keep the pinned program if it is the same, so that links stay as they are; else replace the pin in one step. */
static int pin_program(struct datapath *datapath, const char *pin_dir, struct handle *program, char **ret_why)
{
	char path[PATH_MAX], aside[PATH_MAX + 4];
	int r = pin_path(path, pin_dir, "progs", program->name), fd;

	if (r < 0)
		return r;
	fd = bpf_obj_get(path);
	if (fd >= 0 && same_program(datapath, fd, program->fd)) {
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

int pinned_save(struct datapath *datapath, const char *pin_dir, bool adopted, char **ret_why)
{
	int r = 0;

	for (size_t i = 0; i < datapath->maps.nr && !adopted && !r; i++)
		if (strcmp(datapath->maps.list[i].name, "control") != 0)
			r = pin_map(datapath, pin_dir, datapath->maps.list[i].name, ret_why);
	for (size_t i = 0; i < datapath->programs.nr && !r; i++)
		r = pin_program(datapath, pin_dir, &datapath->programs.list[i], ret_why);
	if (!r && !adopted)
		r = pin_map(datapath, pin_dir, "control", ret_why);
	return r;
}

static int open_pin(struct handles *handles, const char *pin_dir, const char *folder, const char *name, uint32_t flags,
		    char **ret_why)
{
	const struct bpf_obj_get_opts options = {.sz = sizeof(options), .file_flags = flags};
	char path[PATH_MAX];
	int r = pin_path(path, pin_dir, folder, name), fd;

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
	int r = pin_path(path, pin_dir, "maps", "control");

	if (r < 0)
		return r;
	if (access(path, F_OK) && errno == ENOENT)
		return refuse(ret_why, -ENOENT, "nothing is pinned below '%s': no agent has run with these pins",
			      pin_dir);
	bpf_object__for_each_map(map, datapath->skeleton->obj)
	{
		const char *name = map_name(bpf_map__name(map));
		/* shared memory, even if only read, wants a descriptor that could write */
		uint32_t flags = bpf_map__map_flags(map) & BPF_F_MMAPABLE ? 0 : BPF_F_RDONLY;

		if (name && !r)
			r = open_pin(&datapath->maps, pin_dir, "maps", name, flags, ret_why);
	}
	bpf_object__for_each_program(program, datapath->skeleton->obj)
	{
		if (!r)
			r = open_pin(&datapath->programs, pin_dir, "progs", bpf_program__name(program), 0, ret_why);
	}
	return r;
}
