/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "attach/strays.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attach/clsact.h"
#include "attach/hook.h"
#include "attach/ours.h"
#include "base/base.h"
#include "enid/port.h"

#define MAPS_MAX 256
#define STALE_NS 10000000000ull /* as the kernel's sweeper has it */

/* Has this map's agent given a sign of life? Of another build's map nobody knows where it would stand. */
static bool agent_lives(uint32_t map_id, uint64_t now_ns)
{
	_cleanup_close_ int fd = bpf_map_get_fd_by_id(map_id);
	_cleanup_free_ struct control *control = NULL;
	struct bpf_map_info info = {};
	uint32_t bytes = sizeof(info), zero = 0;

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &bytes) || !strstr(info.name, "control"))
		return false;
	control = info.value_size == sizeof(*control) ? malloc(sizeof(*control)) : NULL;
	return control && !bpf_map_lookup_elem(fd, &zero, control) && now_ns < control->agent_alive_ns + STALE_NS;
}

/* ret: 1 = one of enid's, whose agent is gone | 0 | -errno: it cannot be told */
static int is_forsaken(uint32_t prog_id, uint64_t now_ns)
{
	uint32_t maps[MAPS_MAX];
	struct bpf_prog_info info = {.map_ids = (uintptr_t)maps, .nr_map_ids = MAPS_MAX};
	_cleanup_close_ int fd = bpf_prog_get_fd_by_id(prog_id);
	uint32_t bytes = sizeof(info);
	bool named = false;

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &bytes))
		return -errno;
	for (int point = 0; point < HOOK_POINT_MAX; point++)
		named |= !strcmp(info.name, hook_program((enum hook_point)point));
	for (uint32_t i = 0; named && i < info.nr_map_ids && i < MAPS_MAX; i++)
		named = !agent_lives(maps[i], now_ns);
	return named;
}

static bool is_stray(const char *pin_dir, uint64_t now_ns, uint32_t ifindex, bool egress, uint32_t *ret_prog_id)
{
	int ours;

	if (clsact_program(ifindex, egress, ret_prog_id) || !*ret_prog_id || is_forsaken(*ret_prog_id, now_ns) <= 0)
		return false;
	ours = program_is_ours(pin_dir, *ret_prog_id);
	return !ours || ours == -ENOENT; /* there is no such folder */
}

size_t strays_find(const char *pin_dir, uint64_t now_ns, struct stray *ret, size_t max)
{
	struct if_nameindex *devices = if_nameindex();
	size_t nr = 0;

	for (const struct if_nameindex *d = devices; d && d->if_index; d++)
		for (int egress = 0; egress < 2; egress++) {
			struct stray stray = {.direction = egress ? "egress" : "ingress"};

			if (!is_stray(pin_dir, now_ns, d->if_index, egress, &stray.prog_id))
				continue;
			snprintf(stray.device, sizeof(stray.device), "%s", d->if_name);
			if (nr < max)
				ret[nr] = stray;
			nr++;
		}
	if (devices)
		if_freenameindex(devices);
	return nr;
}
