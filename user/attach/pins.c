/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Removal works from what is in the kernel, not from what a state says: it must work with no agent, no state, and pins
 * of another version. Filters leave no pin; they are known by their place and by the maps that their program uses. */
#include "attach/pins.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/bpf.h>
#include <linux/magic.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent/owner.h"
#include "attach/clsact.h"
#include "datapath/datapath.h"

#define MAPS_MAX   256
#define PATH_BYTES 512
#define WALK_DEPTH 16

static int refuse(int error, char **ret_why, const char *pin_dir, const char *what)
{
	if (asprintf(ret_why, "pin folder %s %s", pin_dir, what) < 0)
		*ret_why = NULL;
	return error;
}

static bool on_bpffs(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && (uint32_t)fs.f_type == BPF_FS_MAGIC;
}

static int make_folder(const char *pin_dir, char **ret_why)
{
	char parent[PATH_BYTES];
	char *slash;

	if (snprintf(parent, sizeof(parent), "%s", pin_dir) >= (int)sizeof(parent))
		return refuse(-ENAMETOOLONG, ret_why, pin_dir, "has too long a name");
	slash = strrchr(parent, '/');
	if (!slash || slash == parent)
		return refuse(-EINVAL, ret_why, pin_dir, "is no absolute path below a BPF file system");
	*slash = 0;
	if (!on_bpffs(parent))
		return refuse(-ENOENT, ret_why, pin_dir,
			      "does not exist, and the folder above it is not on a BPF file system "
			      "(mount -t bpf bpf /sys/fs/bpf; beware that `ip netns exec` hides that mount)");
	if (mkdir(pin_dir, 0700) && errno != EEXIST)
		return refuse(-errno, ret_why, pin_dir, strerror(errno));
	return 0;
}

int pin_folder_prepare(const char *pin_dir, const struct owner *owner, char **ret_why)
{
	struct stat st;
	int r;

	if (lstat(pin_dir, &st)) {
		if (errno != ENOENT)
			return refuse(-errno, ret_why, pin_dir, strerror(errno));
		r = make_folder(pin_dir, ret_why);
		if (r)
			return r;
		if (lstat(pin_dir, &st))
			return refuse(-errno, ret_why, pin_dir, strerror(errno));
	}
	if (S_ISLNK(st.st_mode))
		return refuse(-EPERM, ret_why, pin_dir, "is a symbolic link");
	if (!S_ISDIR(st.st_mode))
		return refuse(-ENOTDIR, ret_why, pin_dir, "is not a folder");
	if (!on_bpffs(pin_dir))
		return refuse(-EPERM, ret_why, pin_dir, "is not on a BPF file system");
	if (!owner_may_be(owner, st.st_uid))
		return refuse(-EPERM, ret_why, pin_dir,
			      "belongs to another user; if an agent's (run with another --user), chown -R it to root");
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return refuse(-EPERM, ret_why, pin_dir, "can be written by others");
	return 0;
}

/* ---- what is pinned */

struct found {
	uint32_t maps[MAPS_MAX];
	uint32_t nr_maps;
	int r;
};

static struct found *walk_found; /* nftw has no room for an argument */

static bool object_is(int fd, const char *what)
{
	char link[64], target[64] = {};

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return readlink(link, target, sizeof(target) - 1) > 0 && strstr(target, what);
}

static int note_map(const char *path, const struct stat *st, int flag, struct FTW *at)
{
	struct bpf_map_info info = {};
	uint32_t bytes = sizeof(info);
	int fd = -1;

	(void)st;
	(void)at;
	if (flag != FTW_F)
		return 0;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return 0;
	if (object_is(fd, "bpf-map") && walk_found->nr_maps < MAPS_MAX && !bpf_obj_get_info_by_fd(fd, &info, &bytes))
		walk_found->maps[walk_found->nr_maps++] = info.id;
	close(fd);
	return 0;
}

/* Links are taken off before the pins of their maps go. */
static int drop_pin(const char *path, const struct stat *st, int flag, struct FTW *at)
{
	int fd = -1;

	(void)st;
	(void)at;
	if (flag == FTW_F) {
		fd = bpf_obj_get(path);
		if (fd >= 0 && object_is(fd, "bpf_link"))
			(void)bpf_link_detach(fd);
		if (fd >= 0)
			close(fd);
	}
	if ((flag == FTW_DP ? rmdir(path) : unlink(path)) && errno != ENOENT && !walk_found->r)
		walk_found->r = -errno;
	return 0;
}

/* ---- filters */

static bool uses_a_map(uint32_t prog_id, const struct found *found)
{
	uint32_t used[MAPS_MAX] = {}, bytes;
	struct bpf_prog_info info = {.map_ids = (uintptr_t)used, .nr_map_ids = MAPS_MAX};
	int fd = bpf_prog_get_fd_by_id(prog_id);
	bool ours = false;

	if (fd < 0)
		return false;
	bytes = sizeof(info);
	if (!bpf_obj_get_info_by_fd(fd, &info, &bytes))
		for (uint32_t i = 0; i < info.nr_map_ids && i < MAPS_MAX && !ours; i++)
			for (uint32_t j = 0; j < found->nr_maps && !ours; j++)
				ours = used[i] == found->maps[j];
	close(fd);
	return ours;
}

static bool drop_filters(uint32_t ifindex, struct found *found)
{
	bool any = false;

	for (int egress = 0; egress < 2; egress++) {
		uint32_t prog_id;
		int r = clsact_program(ifindex, egress, &prog_id);

		if (r && !found->r)
			found->r = r;
		if (prog_id && uses_a_map(prog_id, found)) {
			clsact_detach(ifindex, egress);
			any = true;
		}
	}
	return any;
}

static void drop_all_filters(struct found *found)
{
	struct if_nameindex *devices = if_nameindex();

	for (struct if_nameindex *d = devices; d && d->if_index; d++)
		(void)drop_filters(d->if_index, found);
	if (devices)
		if_freenameindex(devices);
}

static void find_maps(const char *pin_dir, struct found *ret)
{
	walk_found = ret;
	(void)nftw(pin_dir, note_map, WALK_DEPTH, FTW_PHYS | FTW_MOUNT);
	walk_found = NULL;
}

int pin_folder_remove(const char *pin_dir)
{
	struct found found = {};

	find_maps(pin_dir, &found);
	drop_all_filters(&found);
	walk_found = &found;
	if (nftw(pin_dir, drop_pin, WALK_DEPTH, FTW_PHYS | FTW_MOUNT | FTW_DEPTH) && errno != ENOENT && !found.r)
		found.r = -errno;
	walk_found = NULL;
	return found.r;
}

int pin_folder_remove_device(const char *pin_dir, unsigned ifindex)
{
	static const char *const programs[] = {"tc_rx", "tc_tx", "xdp_rx", "tc_rx_raw"};
	struct found found = {};
	char path[PATH_BYTES];
	bool any;
	int fd = -1;

	find_maps(pin_dir, &found);
	any = drop_filters(ifindex, &found);
	for (size_t i = 0; i < sizeof(programs) / sizeof(*programs); i++) {
		snprintf(path, sizeof(path), "%s/" LINKS_FOLDER "/%u_%s", pin_dir, ifindex, programs[i]);
		fd = bpf_obj_get(path);
		if (fd < 0)
			continue;
		/* Only a link that is on this device now: indexes are used again (E7). */
		struct bpf_link_info info = {};
		uint32_t bytes = sizeof(info);

		if (!bpf_obj_get_info_by_fd(fd, &info, &bytes) && info.xdp.ifindex == ifindex) {
			any = true;
			(void)unlink(path);
			(void)bpf_link_detach(fd);
		}
		close(fd);
	}
	return any ? 0 : -ENOENT;
}
