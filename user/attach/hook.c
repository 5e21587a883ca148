/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Attaching, looking after and detaching. Debian 12's libbpf and headers know no TCX: its numbers and the longer form
 * of BPF_PROG_QUERY stand here, as in Linux 6.6 include/uapi/linux/bpf.h. */
#include "attach/hook.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attach/clsact.h"

#define ATTACH_TCX_INGRESS ((enum bpf_attach_type)46)
#define ATTACH_TCX_EGRESS  ((enum bpf_attach_type)47)
#define LINK_TYPE_TCX      11u
#define ATTACH_BEFORE      (1u << 3)
#define LOOPBACK_IFINDEX   1
#define CHAIN_MAX          64 /* as BPF_MPROG_MAX */
#define LINKS_FOLDER       "%s/" DATAPATH_LAYOUT "/links"

static const struct {
	const char *program;
	enum bpf_attach_type tcx;
	bool egress;
} points[HOOK_POINT_MAX] = {
	[HOOK_RX_TC] = {"tc_rx", ATTACH_TCX_INGRESS, false},
	[HOOK_TX_TC] = {"tc_tx", ATTACH_TCX_EGRESS, true},
	[HOOK_RX_XDP] = {"xdp_rx", BPF_XDP, false},
	[HOOK_RX_RAW] = {"tc_rx_raw", ATTACH_TCX_INGRESS, false},
};

/* What runs at a TCX hook, in its order. */
struct chain {
	uint32_t nr;
	uint32_t prog_ids[CHAIN_MAX];
	uint32_t link_ids[CHAIN_MAX];
};

const char *hook_program(enum hook_point point)
{
	return points[point].program;
}

static int query_chain(uint32_t ifindex, enum bpf_attach_type type, struct chain *ret)
{
	struct {
		uint32_t target_ifindex, attach_type, query_flags, attach_flags;
		uint64_t prog_ids;
		uint32_t count, zero;
		uint64_t prog_attach_flags, link_ids, link_attach_flags, revision;
	} attr = {.target_ifindex = ifindex, .attach_type = type, .count = CHAIN_MAX};

	memset(ret, 0, sizeof(*ret));
	attr.prog_ids = (uintptr_t)ret->prog_ids;
	attr.link_ids = (uintptr_t)ret->link_ids;
	if (syscall(SYS_bpf, BPF_PROG_QUERY, &attr, sizeof(attr)) < 0)
		return errno == ENOENT ? 0 : -errno;
	ret->nr = attr.count;
	return 0;
}

static bool kernel_has_tcx(void)
{
	struct chain chain;

	return !query_chain(LOOPBACK_IFINDEX, ATTACH_TCX_INGRESS, &chain);
}

static int program_id(int fd, uint32_t *ret)
{
	struct bpf_prog_info info = {};
	uint32_t bytes = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &bytes))
		return -errno;
	*ret = info.id;
	return 0;
}

int attacher_open(struct attacher *attacher, const struct datapath *datapath, const char *pin_dir, bool no_tcx)
{
	struct attacher a = {.tcx = !no_tcx && kernel_has_tcx()};
	int n = snprintf(a.folder, sizeof(a.folder), LINKS_FOLDER, pin_dir);

	if (n < 0 || (size_t)n >= sizeof(a.folder))
		return -ENAMETOOLONG;
	for (int i = 0; i < HOOK_POINT_MAX; i++) {
		a.prog_fd[i] = datapath_prog_fd(datapath, points[i].program);
		if (a.prog_fd[i] < 0)
			return a.prog_fd[i];
		int r = program_id(a.prog_fd[i], &a.prog_id[i]);

		if (r)
			return r;
	}
	if (mkdir(a.folder, 0700) && errno != EEXIST)
		return -errno;
	*attacher = a;
	return 0;
}

static void pin_path(const struct attacher *attacher, enum hook_point point, uint32_t ifindex, char path[320])
{
	snprintf(path, 320, "%s/%u_%s", attacher->folder, ifindex, points[point].program);
}

static int link_info(int fd, struct bpf_link_info *ret)
{
	uint32_t bytes = sizeof(*ret);

	memset(ret, 0, sizeof(*ret));
	return bpf_obj_get_info_by_fd(fd, ret, &bytes) ? -errno : 0;
}

/* xdp.ifindex and tcx.ifindex stand at the same place of the structure. */
static bool link_is(const struct bpf_link_info *info, enum hook_point point, uint32_t ifindex)
{
	uint32_t type = point == HOOK_RX_XDP ? BPF_LINK_TYPE_XDP : LINK_TYPE_TCX;

	return info->type == type && info->xdp.ifindex == ifindex;
}

/* A link of an earlier run: put today's program into it. A dead or foreign pin is cleared away. */
static int adopt(const struct attacher *attacher, enum hook_point point, uint32_t ifindex, bool generic,
		 struct hook *ret)
{
	struct bpf_link_info info;
	char path[320];
	int fd = -1;

	pin_path(attacher, point, ifindex, path);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return -errno;
	if (!link_info(fd, &info) && link_is(&info, point, ifindex) &&
	    (info.prog_id == attacher->prog_id[point] || !bpf_link_update(fd, attacher->prog_fd[point], NULL))) {
		*ret = (struct hook){
			.point = point, .ifindex = ifindex, .link_fd = fd, .link_id = info.id, .generic = generic};
		return 0;
	}
	close(fd);
	(void)unlink(path);
	return -ESTALE;
}

/* Hooks of ours whose pin was lost (bpffs mounted anew) and that something else keeps alive: one program per hook. */
static void drop_strays(const struct hook *keep)
{
	struct bpf_link_info info;
	struct bpf_prog_info prog;
	uint32_t bytes;
	struct chain chain;

	if (query_chain(keep->ifindex, points[keep->point].tcx, &chain))
		return;
	for (uint32_t i = 0; i < chain.nr && i < CHAIN_MAX; i++) {
		if (!chain.link_ids[i] || chain.link_ids[i] == keep->link_id)
			continue;
		int prog_fd = bpf_prog_get_fd_by_id(chain.prog_ids[i]);
		int link_fd = bpf_link_get_fd_by_id(chain.link_ids[i]);

		memset(&prog, 0, sizeof(prog));
		bytes = sizeof(prog);
		if (prog_fd >= 0 && link_fd >= 0 && !bpf_obj_get_info_by_fd(prog_fd, &prog, &bytes) &&
		    !strcmp(prog.name, hook_program(keep->point)) && !link_info(link_fd, &info) &&
		    link_is(&info, keep->point, keep->ifindex))
			(void)bpf_link_detach(link_fd);
		if (prog_fd >= 0)
			close(prog_fd);
		if (link_fd >= 0)
			close(link_fd);
	}
}

static int create_link(const struct attacher *attacher, enum hook_point point, uint32_t ifindex, uint32_t flags)
{
	struct bpf_link_create_opts options = {.sz = sizeof(options), .flags = flags};
	int fd = bpf_link_create(attacher->prog_fd[point], ifindex, points[point].tcx, &options);

	return fd < 0 ? -errno : fd;
}

static int create(const struct attacher *attacher, enum hook_point point, uint32_t ifindex, bool *generic)
{
	if (point != HOOK_RX_XDP)
		return create_link(attacher, point, ifindex, ATTACH_BEFORE);
	if (!*generic) {
		int fd = create_link(attacher, point, ifindex, XDP_FLAGS_DRV_MODE);

		if (fd != -EOPNOTSUPP && fd != -EINVAL)
			return fd;
	}
	*generic = true;
	return create_link(attacher, point, ifindex, XDP_FLAGS_SKB_MODE);
}

static int attach_new(const struct attacher *attacher, enum hook_point point, uint32_t ifindex, bool generic,
		      struct hook *ret)
{
	struct hook hook = {.point = point, .ifindex = ifindex, .link_fd = -1, .generic = generic};
	struct bpf_link_info info;
	int r;

	r = hook.link_fd = create(attacher, point, ifindex, &hook.generic);
	if (r < 0)
		return r;
	r = link_info(hook.link_fd, &info);
	if (!r) {
		hook.link_id = info.id;
		r = hook_pin(attacher, &hook);
	}
	if (r) {
		close(hook.link_fd);
		return r;
	}
	*ret = hook;
	return 0;
}

int hook_attach(const struct attacher *attacher, enum hook_point point, uint32_t ifindex, bool generic,
		struct hook *ret_hook)
{
	int r;

	if (point != HOOK_RX_XDP && !attacher->tcx) {
		r = clsact_attach(ifindex, points[point].egress, attacher->prog_fd[point]);
		if (!r)
			*ret_hook = (struct hook){.point = point, .ifindex = ifindex, .link_fd = -1};
		return r;
	}
	r = adopt(attacher, point, ifindex, generic, ret_hook);
	if (r)
		r = attach_new(attacher, point, ifindex, generic, ret_hook);
	if (!r && point != HOOK_RX_XDP)
		drop_strays(ret_hook);
	return r;
}

int hook_check(const struct attacher *attacher, const struct hook *hook)
{
	struct bpf_link_info info;
	struct chain chain;
	int r;

	if (hook->link_fd < 0) {
		uint32_t id = clsact_program(hook->ifindex, points[hook->point].egress);

		return id == attacher->prog_id[hook->point] ? 0 : -ENOENT;
	}
	if (hook->point == HOOK_RX_XDP) {
		r = link_info(hook->link_fd, &info);
		return r ? r : info.xdp.ifindex == hook->ifindex ? 0 : -ENOENT;
	}
	r = query_chain(hook->ifindex, points[hook->point].tcx, &chain);
	if (r)
		return r;
	for (uint32_t i = 0; i < chain.nr && i < CHAIN_MAX; i++)
		if (chain.link_ids[i] == hook->link_id)
			return i ? -EEXIST : 0;
	return -ENOENT;
}

bool hook_pinned(const struct attacher *attacher, const struct hook *hook)
{
	char path[320];

	if (hook->link_fd < 0)
		return true;
	pin_path(attacher, hook->point, hook->ifindex, path);
	return access(path, F_OK) == 0;
}

int hook_pin(const struct attacher *attacher, const struct hook *hook)
{
	char path[320];

	pin_path(attacher, hook->point, hook->ifindex, path);
	if (!bpf_obj_pin(hook->link_fd, path))
		return 0;
	if (errno != EEXIST)
		return -errno;
	/* A dead link of a device that had this index before. */
	(void)unlink(path);
	return bpf_obj_pin(hook->link_fd, path) ? -errno : 0;
}

/* A filter has no pin: it is known by its place and the name of its program. */
static bool filter_found(enum hook_point point, uint32_t ifindex)
{
	uint32_t id = clsact_program(ifindex, points[point].egress), bytes;
	struct bpf_prog_info info = {};
	bool ours;
	int fd = -1;

	fd = id ? bpf_prog_get_fd_by_id(id) : -1;
	if (fd < 0)
		return false;
	bytes = sizeof(info);
	ours = !bpf_obj_get_info_by_fd(fd, &info, &bytes) && !strcmp(info.name, hook_program(point));
	close(fd);
	return ours;
}

const char *hook_found(const char *pin_dir, enum hook_point point, uint32_t ifindex)
{
	struct bpf_link_info info;
	struct attacher attacher = {};
	bool linked = false;
	char path[320];
	int fd = -1;

	snprintf(attacher.folder, sizeof(attacher.folder), LINKS_FOLDER, pin_dir);
	pin_path(&attacher, point, ifindex, path);
	fd = bpf_obj_get(path);
	if (fd >= 0) {
		linked = !link_info(fd, &info) && link_is(&info, point, ifindex);
		close(fd);
	}
	if (linked)
		return point == HOOK_RX_XDP ? "xdp" : "tcx";
	return point != HOOK_RX_XDP && filter_found(point, ifindex) ? "tc" : NULL;
}

void hook_sweep(const struct attacher *attacher, hook_dead_fn fn, void *data)
{
	DIR *folder = opendir(attacher->folder);
	const struct dirent *entry;
	struct bpf_link_info info;
	char path[600];

	while (folder && (entry = readdir(folder))) {
		uint32_t ifindex = strtoul(entry->d_name, NULL, 10);
		int fd = -1;

		snprintf(path, sizeof(path), "%s/%s", attacher->folder, entry->d_name);
		if (ifindex)
			fd = bpf_obj_get(path);
		if (fd >= 0 && !link_info(fd, &info) && info.xdp.ifindex != ifindex) {
			(void)unlink(path);
			fn(ifindex, data);
		}
		if (fd >= 0)
			close(fd);
	}
	if (folder)
		closedir(folder);
}

void hook_detach(const struct attacher *attacher, struct hook *hook)
{
	char path[320];

	if (!hook->ifindex)
		return;
	if (hook->link_fd < 0) {
		clsact_detach(hook->ifindex, points[hook->point].egress);
	} else {
		pin_path(attacher, hook->point, hook->ifindex, path);
		(void)unlink(path);
		(void)bpf_link_detach(hook->link_fd);
	}
	hook_close(hook);
}

void hook_close(struct hook *hook)
{
	if (hook->link_fd >= 0)
		close(hook->link_fd);
	*hook = HOOK_NONE;
}
