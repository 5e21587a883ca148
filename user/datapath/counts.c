/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "datapath/counts.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

/* ---- of ports and gateways */

static void add_since(__u64 *to, __u64 now, __u64 before)
{
	if (now != before)
		__atomic_fetch_add(to, now - before, __ATOMIC_RELAXED);
}

static void add_since_32(__u32 *to, __u32 now, __u32 before)
{
	if (now != before)
		__atomic_fetch_add(to, now - before, __ATOMIC_RELAXED);
}

static void add_gateway(struct nat_stats *to, const struct nat_stats *now, const struct nat_stats *before)
{
	add_since(&to->attempts, now->attempts, before->attempts);
	add_since(&to->established, now->established, before->established);
	add_since(&to->no_port, now->no_port, before->no_port);
	add_since(&to->idle_timeout, now->idle_timeout, before->idle_timeout);
	add_since(&to->drops, now->drops, before->drops);
	for (int i = 0; i < 2; i++) {
		add_since(&to->ended[i].packets, now->ended[i].packets, before->ended[i].packets);
		add_since(&to->ended[i].bytes, now->ended[i].bytes, before->ended[i].bytes);
	}
}

void counts_since(struct datapath *datapath, const struct counts *now, const struct counts *before)
{
	struct port_stats *ports = datapath->port_stats.at;
	struct nat_stats *nats = datapath->nat_stats.at;
	struct control *control = datapath->control.at;

	for (int i = 0; i < 2; i++)
		add_since_32(&control->tallies_used[i], now->control.tallies_used[i], before->control.tallies_used[i]);
	for (uint32_t port = 0; port < PORTS_MAX; port++) {
		const struct port_stats *old = &before->ports[port], *new = &now->ports[port];

		add_since(&ports[port].skipped_accepts, new->skipped_accepts, old->skipped_accepts);
		add_since(&ports[port].skipped_rejects, new->skipped_rejects, old->skipped_rejects);
		for (int i = 0; i < 2; i++)
			add_since_32(&ports[port].tallies[i], new->tallies[i], old->tallies[i]);
		add_gateway(&nats[port], &now->nats[port], &before->nats[port]);
	}
}

/* ---- maps */

static size_t value_bytes(const struct bpf_map_info *info)
{
	return (size_t)libbpf_num_possible_cpus() * ((info->value_size + 7) & ~(size_t)7);
}

int counts_copy(int from, int to, void **ret_before)
{
	struct bpf_map_info info = {};
	uint32_t length = sizeof(info);
	_cleanup_free_ uint8_t *key = NULL, *value = NULL;
	int r = bpf_obj_get_info_by_fd(from, &info, &length) < 0 ? -errno : 0;

	if (r < 0)
		return r;
	key = calloc(1, info.key_size);
	value = calloc(1, value_bytes(&info));
	free(*ret_before);
	*ret_before = info.type == BPF_MAP_TYPE_PERCPU_ARRAY ? calloc(info.max_entries, value_bytes(&info)) : NULL;
	if (!key || !value || (info.type == BPF_MAP_TYPE_PERCPU_ARRAY && !*ret_before))
		return -ENOMEM;
	for (uint32_t i = 0; i < info.max_entries && !bpf_map_get_next_key(from, i ? key : NULL, key); i++) {
		if (bpf_map_lookup_elem(from, key, value) < 0)
			continue;
		if (*ret_before)
			memcpy((uint8_t *)*ret_before + i * value_bytes(&info), value, value_bytes(&info));
		if (bpf_map_update_elem(to, key, value, BPF_ANY) < 0 && errno != E2BIG)
			return -errno;
	}
	return 0;
}

int counts_add(int from, int to, const uint8_t *before)
{
	struct bpf_map_info info = {};
	uint32_t length = sizeof(info);
	_cleanup_free_ uint64_t *now = NULL, *sum = NULL;
	size_t bytes;

	if (bpf_obj_get_info_by_fd(from, &info, &length) < 0)
		return -errno;
	bytes = value_bytes(&info);
	now = malloc(bytes);
	sum = malloc(bytes);
	if (!now || !sum)
		return -ENOMEM;
	for (uint32_t key = 0; key < info.max_entries; key++) {
		const uint64_t *old = (const uint64_t *)(before + key * bytes);

		if (bpf_map_lookup_elem(from, &key, now) < 0 || !memcmp(now, old, bytes) ||
		    bpf_map_lookup_elem(to, &key, sum) < 0)
			continue;
		for (size_t i = 0; i < bytes / sizeof(*sum); i++)
			sum[i] += now[i] - old[i];
		if (bpf_map_update_elem(to, &key, sum, BPF_ANY) < 0)
			return -errno;
	}
	return 0;
}
