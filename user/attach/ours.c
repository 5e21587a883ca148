/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "attach/ours.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"

#define MAPS_MAX 256

/* Every program of a set uses `control`, every one of a take-over `handover_phase`; while a table of flows is exchanged
 * there are two of the first. ret: its number | 0 = there is none | -errno */
static int64_t pinned_map(const char *pin_dir, const char *folder, const char *name)
{
	struct bpf_map_info info = {};
	uint32_t bytes = sizeof(info);
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/%s/%s", pin_dir, folder, name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	return bpf_obj_get_info_by_fd(fd, &info, &bytes) ? -errno : (int64_t)info.id;
}

struct used {
	uint32_t ids[MAPS_MAX], nr;
};

static int maps_of(uint32_t prog_id, struct used *ret)
{
	struct bpf_prog_info info = {.map_ids = (uintptr_t)ret->ids, .nr_map_ids = MAPS_MAX};
	_cleanup_close_ int fd = bpf_prog_get_fd_by_id(prog_id);
	uint32_t bytes = sizeof(info);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &bytes))
		return -errno;
	ret->nr = info.nr_map_ids < MAPS_MAX ? info.nr_map_ids : MAPS_MAX;
	return 0;
}

/* ret: 1 | 0 | -errno */
static int uses(const struct used *used, int64_t map)
{
	if (map < 0)
		return (int)map;
	for (uint32_t i = 0; i < used->nr; i++)
		if (map && used->ids[i] == (uint32_t)map)
			return 1;
	return 0;
}

int program_is_ours(const char *pin_dir, uint32_t prog_id)
{
	static const char *const names[] = {"maps/control", "maps/control_former", "maps/control_next",
					    "handover_phase"};
	const struct dirent *entry;
	struct used used = {};
	DIR *list = opendir(pin_dir);
	int r = list ? maps_of(prog_id, &used) : -errno;

	while (!r && (entry = readdir(list)))
		for (size_t i = 0; i < ARRAY_SIZE(names) && !r && entry->d_name[0] != '.'; i++)
			r = uses(&used, pinned_map(pin_dir, entry->d_name, names[i]));
	if (list)
		closedir(list);
	return r;
}
