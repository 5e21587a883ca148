/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "lib/fill.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>

#include "enid/names.h"
#include "enid/report.h"

#define NOBODY      0xfffffffeu /* a half of no record */
#define NOBODY_WORD (0xffffffffull << 32 | NOBODY)

static uint32_t buckets_of(struct datapath *datapath)
{
	return datapath_control(datapath)->nr_buckets;
}

static int spilled_of(struct datapath *datapath)
{
	return datapath_map_fd(datapath, "names_spilled");
}

uint32_t names_count(struct datapath *datapath)
{
	const struct name_bucket *buckets = datapath_names(datapath);
	uint64_t print, *at = NULL;
	uint32_t nr = 0;

	for (uint32_t i = 0; i < buckets_of(datapath); i++)
		for (int j = 0; j < BUCKET_NAMES; j++)
			nr += !!__atomic_load_n(&buckets[i].word[j], __ATOMIC_RELAXED);
	for (; !bpf_map_get_next_key(spilled_of(datapath), at, &print); at = &print)
		nr++;
	return nr;
}

void names_make_room(struct datapath *datapath)
{
	uint64_t print, *at = NULL;
	uint32_t ref;

	for (; !bpf_map_get_next_key(spilled_of(datapath), at, &print); at = &print)
		if (!bpf_map_lookup_elem(spilled_of(datapath), &print, &ref) && ref == NOBODY) {
			if (bpf_map_delete_elem(spilled_of(datapath), &print))
				abort();
			return;
		}
	abort();
}

void names_fill(struct datapath *datapath, uint32_t room)
{
	struct name_bucket *buckets = datapath_names(datapath);
	uint32_t nobody = NOBODY;

	for (uint32_t i = 0; i < buckets_of(datapath); i++)
		for (int j = 0; j < BUCKET_NAMES; j++)
			if (!buckets[i].word[j])
				buckets[i].word[j] = NOBODY_WORD;
	for (uint64_t print = 0; !bpf_map_update_elem(spilled_of(datapath), &print, &nobody, BPF_NOEXIST); print++)
		;
	if (errno != E2BIG)
		abort();
	while (room--)
		names_make_room(datapath);
}

void names_unfill(struct datapath *datapath)
{
	struct name_bucket *buckets = datapath_names(datapath);
	uint64_t print, next, *at = NULL;
	uint32_t ref;

	for (uint32_t i = 0; i < buckets_of(datapath); i++)
		for (int j = 0; j < BUCKET_NAMES; j++)
			if (buckets[i].word[j] == NOBODY_WORD)
				buckets[i].word[j] = 0;
	while (!bpf_map_get_next_key(spilled_of(datapath), at, &next)) {
		print = next;
		at = &print;
		if (bpf_map_lookup_elem(spilled_of(datapath), &print, &ref) || ref != NOBODY)
			continue;
		if (bpf_map_delete_elem(spilled_of(datapath), &print))
			abort();
		at = NULL; /* what a deleted key is followed by, nobody knows */
	}
}
