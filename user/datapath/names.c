/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "datapath/names.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "datapath/internal.h"
#include "enid/names.h"

static uint64_t print_of(const struct datapath *datapath, const struct tuple *tuple, uint32_t in)
{
	const struct control *control = datapath->control.at;
	__u64 secrets[FLOW_SECRETS];

	memcpy(secrets, control->secrets, sizeof(secrets));
	return flow_fingerprint(secrets, tuple, in);
}

/* N2: the slot holds the number of a half that is ours. */
static bool bucket_take(struct name_bucket *bucket, uint64_t word)
{
	for (int i = 0; i < BUCKET_NAMES; i++) {
		__u64 seen = word;

		if (__atomic_compare_exchange_n(&bucket->word[i], &seen, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			return true;
	}
	return false;
}

static bool spilled_take(struct datapath *datapath, uint64_t print, uint32_t ref)
{
	int fd = datapath_map_fd(datapath, "names_spilled"), r;
	uint32_t leads_to;

	if (bpf_map_lookup_elem(fd, &print, &leads_to) || leads_to != ref)
		return false;
	do /* a bucket may be busy (Linux 6.1); a name that stays would keep its flow from ever having a record again */
		r = bpf_map_delete_elem(fd, &print);
	while (r < 0 && errno == EBUSY);
	return !r;
}

void name_drop(struct datapath *datapath, uint32_t index, uint32_t which, uint32_t in)
{
	const struct flow_half *half = &((struct flow_record *)datapath->records.at)[index].half[which];
	const struct control *control = datapath->control.at;
	struct name_bucket *buckets = datapath->names.at;
	uint64_t print = print_of(datapath, &half->tuple, in);
	uint32_t home = name_home(print, control->nr_buckets), ref = index << 1 | which;
	uint64_t word = name_word(print, ref);

	if (!in || home >= datapath->names.size / sizeof(*buckets) || bucket_take(&buckets[home], word))
		return;
	if (bucket_take(&buckets[home ^ 1], word))
		__atomic_fetch_sub(&buckets[home].over, 1, __ATOMIC_ACQ_REL);
	else if (spilled_take(datapath, print, ref))
		__atomic_fetch_sub(&buckets[home].over, OVER_SPILLED, __ATOMIC_ACQ_REL);
}

static bool leads_to(const struct datapath *datapath, uint32_t ref, const struct tuple *tuple, uint32_t in)
{
	const struct flow_record *records = datapath->records.at;
	const struct flow_half *half = ref >> 1 < datapath->flows_max ? &records[ref >> 1].half[ref & 1] : NULL;

	return half && half->in == in && !memcmp(&half->tuple, tuple, sizeof(*tuple)) &&
	       GS_STATE(__atomic_load_n(&half->gs, __ATOMIC_ACQUIRE)) == RECORD_LIVE;
}

uint32_t name_find(struct datapath *datapath, const struct tuple *tuple, uint32_t in)
{
	const struct control *control = datapath->control.at;
	const struct name_bucket *buckets = datapath->names.at;
	uint64_t print = print_of(datapath, tuple, in);
	uint32_t home = name_home(print, control->nr_buckets), ref;

	for (uint32_t away = 0; away < 2; away++)
		for (int i = 0; i < BUCKET_NAMES; i++) {
			__u64 word = __atomic_load_n(&buckets[home ^ away].word[i], __ATOMIC_ACQUIRE);

			ref = (uint32_t)word;
			if (word == name_word(print, ref) && leads_to(datapath, ref, tuple, in))
				return ref;
		}
	if (bpf_map_lookup_elem(datapath_map_fd(datapath, "names_spilled"), &print, &ref) ||
	    !leads_to(datapath, ref, tuple, in))
		return NAME_NONE;
	return ref;
}
