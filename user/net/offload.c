/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* By the ioctl of ethtool, which takes names; notes hold indexes. */
#include "net/offload.h"

#include <dirent.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 512

static void note_path(const char *pin_dir, uint32_t ifindex, char path[PATH_BYTES])
{
	if (ifindex)
		snprintf(path, PATH_BYTES, "%s/gro/%u", pin_dir, ifindex);
	else
		snprintf(path, PATH_BYTES, "%s/gro", pin_dir);
}

static int ask_device(const char *device, uint32_t command, uint32_t *value)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;
	struct ethtool_value asked = {.cmd = command, .data = *value};
	struct ifreq request = {.ifr_data = (char *)&asked};

	if (fd < 0)
		return -errno;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", device);
	r = ioctl(fd, SIOCETHTOOL, &request) ? -errno : 0;
	*value = asked.data;
	close(fd);
	return r;
}

/* The note stands before the setting does: an agent that dies in between leaves nothing that detaching does not undo.
 */
int offload_set(const char *pin_dir, uint32_t ifindex, const char *device)
{
	char path[PATH_BYTES];
	uint32_t on = 0;
	int r = ask_device(device, ETHTOOL_GGRO, &on);

	if (r || on)
		return r;
	note_path(pin_dir, 0, path);
	if (mkdir(path, 0700) && errno != EEXIST)
		return -errno;
	note_path(pin_dir, ifindex, path);
	if (mkdir(path, 0700))
		return errno == EEXIST ? 0 : -errno;
	on = 1;
	r = ask_device(device, ETHTOOL_SGRO, &on);
	if (r)
		(void)rmdir(path);
	return r ? r : 1;
}

void offload_undo(const char *pin_dir, uint32_t ifindex)
{
	char path[PATH_BYTES], device[IFNAMSIZ];
	uint32_t off = 0;

	note_path(pin_dir, ifindex, path);
	if (!ifindex || rmdir(path))
		return;
	if (if_indextoname(ifindex, device))
		(void)ask_device(device, ETHTOOL_SGRO, &off);
}

static void each_note(const char *pin_dir, bool all)
{
	char path[PATH_BYTES], device[IFNAMSIZ];
	const struct dirent *entry;
	DIR *folder;

	note_path(pin_dir, 0, path);
	folder = opendir(path);
	while (folder && (entry = readdir(folder))) {
		uint32_t ifindex = strtoul(entry->d_name, NULL, 10);

		if (ifindex && (all || !if_indextoname(ifindex, device)))
			offload_undo(pin_dir, ifindex);
	}
	if (folder)
		closedir(folder);
}

void offload_undo_all(const char *pin_dir)
{
	each_note(pin_dir, true);
}

void offload_sweep(const char *pin_dir)
{
	each_note(pin_dir, false);
}
