/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What cannot be told counts as not ours: the other maps are kept, and it is asked again. */
#include "attach/audit.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach/clsact.h"
#include "attach/ours.h"
#include "base/base.h"

struct audit {
	struct attacher *attacher;
	char *why; /* of 160 */
	int r;
};

static void note(struct audit *audit, const char *what, uint32_t ifindex, int error)
{
	char name[IF_NAMESIZE] = "";

	if (error >= 0 || audit->r)
		return;
	audit->r = error;
	snprintf(audit->why, 160, "%s of %s (index %u): %s", what,
		 if_indextoname(ifindex, name) ? name : "another namespace's device", ifindex, strerror(-error));
}

/* ret: the point whose program has this name | HOOK_POINT_MAX */
static enum hook_point point_named(const char *program)
{
	int point = 0;

	while (point < HOOK_POINT_MAX && strcmp(hook_program((enum hook_point)point), program) != 0)
		point++;
	return (enum hook_point)point;
}

/* ret: 1 = the program uses the datapath's maps | 0 | -errno. *ret_point: HOOK_POINT_MAX = it is not ours at all */
static int program_is_home(const struct audit *audit, uint32_t prog_id, enum hook_point *ret_point)
{
	_cleanup_close_ int fd = bpf_prog_get_fd_by_id(prog_id);
	struct bpf_prog_info info = {};
	uint32_t bytes = sizeof(info);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &bytes))
		return -errno;
	*ret_point = point_named(info.name);
	return datapath_is_of(audit->attacher->datapath, fd);
}

static int audit_link(const struct audit *audit, const char *path, uint32_t ifindex)
{
	_cleanup_close_ int fd = bpf_obj_get(path);
	struct bpf_link_info info = {};
	uint32_t bytes = sizeof(info);
	enum hook_point point;
	int r;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (bpf_obj_get_info_by_fd(fd, &info, &bytes))
		return -errno;
	if (info.xdp.ifindex != ifindex)
		return 0; /* its device is gone */
	r = program_is_home(audit, info.prog_id, &point);
	if (r || point == HOOK_POINT_MAX)
		return r < 0 ? r : 0;
	r = attacher_need(audit->attacher, point);
	if (!r && bpf_link_update(fd, audit->attacher->prog_fd[point], NULL) < 0)
		r = errno == ENOLINK ? 0 : -errno;
	return r;
}

static void audit_links(struct audit *audit)
{
	DIR *folder = opendir(audit->attacher->folder);
	const struct dirent *entry;
	char path[600];

	if (!folder)
		note(audit, "links", 0, -errno);
	while (folder && (entry = readdir(folder))) {
		uint32_t ifindex = strtoul(entry->d_name, NULL, 10);

		snprintf(path, sizeof(path), "%s/%s", audit->attacher->folder, entry->d_name);
		if (ifindex)
			note(audit, "a link", ifindex, audit_link(audit, path, ifindex));
	}
	if (folder)
		closedir(folder);
}

static int audit_filter(const struct audit *audit, uint32_t ifindex, bool egress)
{
	enum hook_point point;
	uint32_t prog_id;
	int r = clsact_program(ifindex, egress, &prog_id);

	if (r || !prog_id)
		return r;
	r = program_is_home(audit, prog_id, &point);
	if (r || point == HOOK_POINT_MAX)
		return r < 0 ? r : 0;
	r = program_is_ours(audit->attacher->pin_dir, prog_id);
	if (r <= 0)
		return r; /* another agent's */
	r = attacher_need(audit->attacher, point);
	if (!r)
		r = clsact_attach(ifindex, egress, audit->attacher->prog_fd[point]);
	return r == -ENODEV ? 0 : r;
}

static void audit_filters(struct audit *audit)
{
	struct if_nameindex *devices = if_nameindex();

	if (!devices)
		note(audit, "devices", 0, -errno);
	for (const struct if_nameindex *d = devices; d && d->if_index; d++) {
		note(audit, "the ingress filter", d->if_index, audit_filter(audit, d->if_index, false));
		note(audit, "the egress filter", d->if_index, audit_filter(audit, d->if_index, true));
	}
	if (devices)
		if_freenameindex(devices);
}

int audit_hooks(struct attacher *attacher, char ret_why[160])
{
	struct audit audit = {.attacher = attacher, .why = ret_why};

	*ret_why = 0;
	audit_links(&audit);
	audit_filters(&audit);
	return audit.r;
}
