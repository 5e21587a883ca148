/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "datapath/old_map.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "enid.skel.h"

int old_map_find(const char *root, bool former, const char *name, int *ret_fd, struct bpf_map_info *ret_info)
{
	uint32_t length = sizeof(*ret_info);
	char path[PATH_MAX];
	int fd = -1;

	if (former) {
		snprintf(path, sizeof(path), "%s/maps/%s_former", root, name);
		fd = bpf_obj_get(path);
	}
	snprintf(path, sizeof(path), "%s/maps/%s", root, name);
	if (fd < 0)
		fd = bpf_obj_get(path);
	if (fd < 0)
		return -errno;
	memset(ret_info, 0, sizeof(*ret_info));
	if (bpf_obj_get_info_by_fd(fd, ret_info, &length) < 0) {
		int error = -errno;

		close(fd);
		return error;
	}
	*ret_fd = fd;
	return 0;
}

/* The only variable of a section is what a map of our programs' data is about. */
static uint32_t value_type(const struct btf *btf, uint32_t id)
{
	const struct btf_type *type = btf__type_by_id(btf, id);

	if (type && btf_is_datasec(type) && btf_vlen(type) == 1)
		id = btf_var_secinfos(type)->type;
	return id;
}

int old_map_open(const char *root, bool former, const char *name, struct old_map *ret)
{
	struct bpf_map_info info;
	_cleanup_close_ int fd = -1;
	int r = old_map_find(root, former, name, &fd, &info);
	void *at;

	if (r < 0)
		return r;
	if (!info.btf_id || !info.btf_value_type_id || !(info.map_flags & BPF_F_MMAPABLE))
		return -EPROTO;
	ret->btf = btf__load_from_kernel_by_id(info.btf_id);
	if (!ret->btf)
		return -errno; /* it has types, and they cannot be had now */
	ret->type = value_type(ret->btf, info.btf_value_type_id);
	ret->stride = (info.value_size + 7) & ~(size_t)7;
	ret->nr = info.max_entries;
	ret->size = ret->stride * ret->nr;
	at = mmap(NULL, ret->size, PROT_READ, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	ret->at = at;
	return 0;
}

void old_map_close(struct old_map *map)
{
	if (map->at)
		munmap((void *)map->at, map->size);
	btf__free(map->btf);
}

struct typed old_map_ours(const struct datapath *datapath, const char *name)
{
	const struct bpf_object *object = datapath->skeleton->obj;
	const struct bpf_map *map = NULL, *each;

	bpf_object__for_each_map(each, object)
	{
		const char *short_name = map_name(bpf_map__name(each));

		if (short_name && !strcmp(short_name, name))
			map = each;
	}
	if (!map)
		return (struct typed){};
	return (struct typed){bpf_object__btf(object),
			      value_type(bpf_object__btf(object), bpf_map__btf_value_type_id(map))};
}
