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
#include "attach/ours.h"
#include "base/base.h"

#define ATTACH_TCX_INGRESS ((enum bpf_attach_type)46)
#define ATTACH_TCX_EGRESS  ((enum bpf_attach_type)47)
#define LINK_TYPE_TCX      11u
#define ATTACH_BEFORE      (1u << 3)
#define LOOPBACK_IFINDEX   1
#define CHAIN_MAX          64 /* as BPF_MPROG_MAX */

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

/* To take a failure for an old kernel would put filters behind the links that an earlier agent left.
 * ret: 1 | 0 | -errno: it cannot be told */
static int kernel_has_tcx(void)
{
	struct chain chain;
	int r = query_chain(LOOPBACK_IFINDEX, ATTACH_TCX_INGRESS, &chain);

	return !r ? 1 : r == -EINVAL ? 0 : r;
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

int attacher_open(struct attacher *attacher, struct datapath *datapath, const char *pin_dir, bool no_tcx)
{
	int has_tcx = kernel_has_tcx();
	struct attacher a = {.datapath = datapath, .kernel_tcx = has_tcx > 0, .tcx = !no_tcx && has_tcx > 0};
	int n = snprintf(a.folder, sizeof(a.folder), "%s/" LINKS_FOLDER, pin_dir);

	if (has_tcx < 0)
		return has_tcx;
	if (n < 0 || (size_t)n >= sizeof(a.folder) || strlen(pin_dir) >= sizeof(a.pin_dir))
		return -ENAMETOOLONG;
	memcpy(a.pin_dir, pin_dir, strlen(pin_dir) + 1);
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

/* A link of an earlier run: put today's program into it. A dead or foreign pin is cleared away; one of which the kernel
 * does not tell now, or that takes no program now, goes on judging as it did.
 * ret: 0 | -ENOENT, -ESTALE: there is none | another -errno: there may be one, to be tried again */
static int adopt(const struct attacher *attacher, enum hook_point point, uint32_t ifindex, bool generic,
		 struct hook *ret)
{
	struct bpf_link_info info;
	char path[320];
	int fd = -1, r;

	pin_path(attacher, point, ifindex, path);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return -errno;
	r = link_info(fd, &info);
	if (!r && !link_is(&info, point, ifindex))
		r = -ESTALE;
	if (!r && info.prog_id != attacher->prog_id[point] && bpf_link_update(fd, attacher->prog_fd[point], NULL) < 0)
		r = errno == ENOLINK ? -ESTALE : -errno;
	if (!r) {
		*ret = (struct hook){
			.point = point, .ifindex = ifindex, .link_fd = fd, .link_id = info.id, .generic = generic};
		return 0;
	}
	close(fd);
	if (r == -ESTALE)
		(void)unlink(path);
	return r;
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

int attacher_need(struct attacher *attacher, enum hook_point point)
{
	int fd = attacher->prog_fd[point], r;
	char *why = NULL;

	*attacher->why = 0;
	if (fd > 0)
		return 0;
	fd = datapath_program(attacher->datapath, points[point].program, &why);
	if (fd < 0 && why)
		snprintf(attacher->why, sizeof(attacher->why), "%.*s", (int)strcspn(why, "\n"), why);
	free(why);
	if (fd < 0)
		return fd;
	r = program_id(fd, &attacher->prog_id[point]);
	if (!r)
		attacher->prog_fd[point] = fd;
	return r;
}

int attacher_programs(struct attacher *attacher)
{
	int r = 0;

	for (int point = 0; point < HOOK_POINT_MAX && !r; point++) {
		int before = attacher->prog_fd[point];

		attacher->prog_fd[point] = 0;
		if (before > 0)
			r = attacher_need(attacher, point);
		if (r)
			attacher->prog_fd[point] = before; /* needed still, when this is tried again */
	}
	return r;
}

/* A link that an agent with TCX left would go on judging in front of the filter. */
static int attach_filter(const struct attacher *attacher, enum hook_point point, uint32_t ifindex,
			 struct hook *ret_hook)
{
	int r = clsact_attach(ifindex, points[point].egress, attacher->prog_fd[point]);

	if (!r)
		r = hook_detach_left(attacher, point, ifindex);
	if (r < 0)
		return r;
	*ret_hook = (struct hook){.point = point, .ifindex = ifindex, .link_fd = -1};
	return 0;
}

int hook_attach(struct attacher *attacher, enum hook_point point, uint32_t ifindex, bool generic, struct hook *ret_hook)
{
	int r = attacher_need(attacher, point);

	if (r)
		return r;
	if (point != HOOK_RX_XDP && !attacher->tcx)
		return attach_filter(attacher, point, ifindex, ret_hook);
	r = adopt(attacher, point, ifindex, generic, ret_hook);
	if (r == -ENOENT || r == -ESTALE)
		r = attach_new(attacher, point, ifindex, generic, ret_hook);
	if (!r && point != HOOK_RX_XDP)
		drop_strays(ret_hook);
	return r;
}

int hook_renew(const struct attacher *attacher, const struct hook *hook)
{
	int fd = attacher->prog_fd[hook->point], r;

	if (!hook->ifindex)
		return 0;
	if (hook->link_fd < 0)
		r = clsact_attach(hook->ifindex, points[hook->point].egress, fd);
	else
		r = bpf_link_update(hook->link_fd, fd, NULL) < 0 ? -errno : 0;
	/* the device is gone, or somebody detached it: devices_news() and devices_verify() will see */
	return r == -ENOLINK || r == -ENODEV ? 0 : r;
}

/* Does a program of others run before our filter? */
static bool is_behind_tcx(const struct attacher *attacher, const struct hook *hook)
{
	struct chain chain;

	return attacher->kernel_tcx && !query_chain(hook->ifindex, points[hook->point].tcx, &chain) && chain.nr;
}

static int check_filter(const struct attacher *attacher, const struct hook *hook)
{
	uint32_t id;
	int r = clsact_program(hook->ifindex, points[hook->point].egress, &id);

	if (r || !id)
		return r ? r : -ENOENT;
	if (id != attacher->prog_id[hook->point])
		return -ESTALE;
	return is_behind_tcx(attacher, hook) ? -EEXIST : 0;
}

int hook_check(const struct attacher *attacher, const struct hook *hook)
{
	struct bpf_link_info info;
	struct chain chain;
	int r;

	if (hook->link_fd < 0)
		return check_filter(attacher, hook);
	if (hook->point == HOOK_RX_XDP) {
		r = link_info(hook->link_fd, &info);
		if (r)
			return r;
		if (info.xdp.ifindex != hook->ifindex)
			return -ENOENT;
		return info.prog_id == attacher->prog_id[hook->point] ? 0 : -ESTALE;
	}
	r = query_chain(hook->ifindex, points[hook->point].tcx, &chain);
	if (r)
		return r;
	for (uint32_t i = 0; i < chain.nr && i < CHAIN_MAX; i++) {
		if (chain.link_ids[i] != hook->link_id)
			continue;
		if (chain.prog_ids[i] != attacher->prog_id[hook->point])
			return -ESTALE;
		return i ? -EEXIST : 0;
	}
	return -ENOENT;
}

bool hook_pinned(const struct attacher *attacher, const struct hook *hook)
{
	char path[320];

	if (hook->link_fd < 0)
		return true;
	pin_path(attacher, hook->point, hook->ifindex, path);
	return look_for(path) == 0;
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

/* A filter has no pin: it is known by its place, its program's name, and that this leads to maps below our pins.
 * ret: 1 | 0 = none of ours | -errno */
static int filter_found(const char *pin_dir, enum hook_point point, uint32_t ifindex, uint32_t *ret_prog_id)
{
	struct bpf_prog_info info = {};
	uint32_t bytes = sizeof(info);
	int r = clsact_program(ifindex, points[point].egress, ret_prog_id), fd = -1;

	if (r || !*ret_prog_id)
		return r;
	fd = bpf_prog_get_fd_by_id(*ret_prog_id);
	if (fd < 0)
		return -errno;
	r = bpf_obj_get_info_by_fd(fd, &info, &bytes) ? -errno : !strcmp(info.name, hook_program(point));
	close(fd);
	return r > 0 ? program_is_ours(pin_dir, *ret_prog_id) : r;
}

static int holds(const struct hook *hook, uint32_t *ret_prog_id)
{
	struct bpf_link_info info;
	int r;

	if (hook->link_fd < 0)
		return clsact_program(hook->ifindex, points[hook->point].egress, ret_prog_id);
	r = link_info(hook->link_fd, &info);
	*ret_prog_id = info.prog_id;
	return r;
}

int hook_holds_ours(const struct attacher *attacher, const struct hook *hook)
{
	uint32_t prog_id = 0;
	int r = holds(hook, &prog_id);

	return r || !prog_id ? r : program_is_ours(attacher->pin_dir, prog_id);
}

/* ret: the pinned link's descriptor | -ENOENT: there is none on this device | -errno: it cannot be told */
static int open_link(const struct attacher *attacher, enum hook_point point, uint32_t ifindex,
		     struct bpf_link_info *ret_info)
{
	char path[320];
	int fd = -1, r;

	pin_path(attacher, point, ifindex, path);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return -errno;
	r = link_info(fd, ret_info);
	if (!r && link_is(ret_info, point, ifindex))
		return fd;
	close(fd);
	return r ? r : -ENOENT;
}

int hook_look(const char *pin_dir, enum hook_point point, uint32_t ifindex, struct hook_seen *ret)
{
	struct attacher attacher = {};
	struct bpf_link_info info;
	int fd = -1, r;

	*ret = (struct hook_seen){};
	snprintf(attacher.folder, sizeof(attacher.folder), "%s/" LINKS_FOLDER, pin_dir);
	fd = open_link(&attacher, point, ifindex, &info);
	if (fd >= 0) {
		close(fd);
		*ret = (struct hook_seen){point == HOOK_RX_XDP ? "xdp" : "tcx", info.prog_id};
		return 0;
	}
	if (fd != -ENOENT || point == HOOK_RX_XDP)
		return fd == -ENOENT ? 0 : fd;
	r = filter_found(pin_dir, point, ifindex, &ret->prog_id);
	if (r > 0)
		ret->kind = "tc";
	return r < 0 ? r : 0;
}

int hook_detach_left(const struct attacher *attacher, enum hook_point point, uint32_t ifindex)
{
	struct bpf_link_info info;
	struct hook left = {.point = point, .ifindex = ifindex, .link_fd = open_link(attacher, point, ifindex, &info)};

	if (left.link_fd < 0)
		return left.link_fd == -ENOENT ? 0 : left.link_fd;
	hook_detach(attacher, &left);
	return 1;
}

int hook_detach_filter(const struct attacher *attacher, enum hook_point point, uint32_t ifindex)
{
	struct bpf_link_info info;
	uint32_t prog_id;
	int fd = -1, r;

	if (point == HOOK_RX_XDP || !attacher->tcx)
		return 0;
	fd = open_link(attacher, point, ifindex, &info);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	close(fd);
	r = filter_found(attacher->pin_dir, point, ifindex, &prog_id);
	if (r > 0)
		clsact_detach(ifindex, points[point].egress);
	return r;
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
