/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* File descriptors by name, and the maps that are shared memory. */
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "datapath/internal.h"
#include "enid/names.h"

int handles_add(struct handles *handles, const char *name, int fd, bool owned)
{
	struct handle *handle = &handles->list[handles->nr];

	if (handles->nr == HANDLES_MAX || strlen(name) >= sizeof(handle->name))
		return -E2BIG;
	memcpy(handle->name, name, strlen(name) + 1);
	handle->fd = fd;
	handle->owned = owned;
	handles->nr++;
	return 0;
}

int handles_find(const struct handles *handles, const char *name)
{
	for (size_t i = 0; i < handles->nr; i++)
		if (!strcmp(handles->list[i].name, name))
			return handles->list[i].fd;
	return -ENOENT;
}

void handles_done(struct handles *handles)
{
	for (size_t i = 0; i < handles->nr; i++)
		if (handles->list[i].owned)
			close(handles->list[i].fd);
	handles->nr = 0;
}

static int map_memory(const struct datapath *datapath, const char *name, size_t value_size, struct mapping *ret,
		      char **ret_why)
{
	int fd = handles_find(&datapath->maps, name), prot = PROT_READ | (datapath->read_only ? 0 : PROT_WRITE);
	struct bpf_map_info info = {};
	uint32_t length = sizeof(info);
	size_t size;
	void *at;

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &length) < 0)
		return refuse(ret_why, -ENOENT, "map '%s' is missing", name);
	if (info.value_size != value_size)
		return refuse(ret_why, -EINVAL, "map '%s' has values of %u bytes, not %zu", name, info.value_size,
			      value_size);
	size = (size_t)info.max_entries * ((value_size + 7) & ~(size_t)7);
	at = mmap(NULL, size, prot, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return refuse(ret_why, -errno, "cannot map '%s': %s", name, strerror(errno));
	*ret = (struct mapping){at, size};
	return 0;
}

int mappings_open(struct datapath *datapath, char **ret_why)
{
	const struct {
		const char *name;
		size_t value_size;
		struct mapping *ret;
	} wanted[] = {
		{"control", sizeof(struct control), &datapath->control},
		{"ports", sizeof(struct port), &datapath->ports},
		{"subnets", sizeof(struct subnet), &datapath->subnets},
		{"gateways", sizeof(struct gateway_slots), &datapath->gateways},
		{"policy", sizeof(struct policy_line), &datapath->policy},
		{"names", sizeof(struct name_bucket), &datapath->names},
		{"records", sizeof(struct flow_record), &datapath->records},
		{"shelves", sizeof(struct shelf), &datapath->shelves},
		{"limbo", sizeof(struct limbo), &datapath->limbo},
		{"sides", sizeof(struct side), &datapath->sides},
		{"traces", sizeof(struct trace), &datapath->traces},
		{"port_stats", sizeof(struct port_stats), &datapath->port_stats},
		{"nat_uses", sizeof(uint64_t), &datapath->nat_uses},
		{"nat_stats", sizeof(struct nat_stats), &datapath->nat_stats},
		{"report", sizeof(struct report), &datapath->report},
		{"mirror_told", sizeof(struct mirror_copy), &datapath->mirror_told},
	};

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		int r = map_memory(datapath, wanted[i].name, wanted[i].value_size, wanted[i].ret, ret_why);

		if (r < 0)
			return r;
	}
	datapath->flows_max = (uint32_t)(datapath->records.size / sizeof(struct flow_record));
	datapath->policy_lines = (uint32_t)(datapath->policy.size / sizeof(struct policy_line));
	return 0;
}

static void unmap(struct mapping *mapping)
{
	if (mapping->at)
		munmap(mapping->at, mapping->size);
	*mapping = (struct mapping){};
}

void mappings_done(struct datapath *datapath)
{
	unmap(&datapath->control);
	unmap(&datapath->ports);
	unmap(&datapath->subnets);
	unmap(&datapath->gateways);
	unmap(&datapath->policy);
	unmap(&datapath->names);
	unmap(&datapath->records);
	unmap(&datapath->shelves);
	unmap(&datapath->limbo);
	unmap(&datapath->sides);
	unmap(&datapath->traces);
	unmap(&datapath->port_stats);
	unmap(&datapath->nat_uses);
	unmap(&datapath->nat_stats);
	unmap(&datapath->report);
	unmap(&datapath->mirror_told);
}
