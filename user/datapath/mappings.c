/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "datapath/mappings.h"

#include "datapath/beside.h"
#include "datapath/internal.h"

static const struct gate_mapping *mapping_of(const struct datapath *datapath, uint32_t index)
{
	const struct beside beside = datapath_beside(datapath);
	const struct side *side =
		beside_side(&beside, &((const struct flow_record *)datapath->records.at)[index], index);

	return side ? &side->mapping : NULL;
}

static struct nat_stats *stats_of(struct datapath *datapath, uint32_t gateway)
{
	struct nat_stats *stats = datapath->nat_stats.at;

	return gateway < PORTS_MAX ? &stats[gateway] : NULL;
}

bool mapping_release(struct datapath *datapath, uint32_t index, uint64_t now_ns)
{
	struct flow_record *record = &((struct flow_record *)datapath->records.at)[index];
	const struct gate_mapping *mapping = mapping_of(datapath, index);
	struct nat_stats *stats = mapping ? stats_of(datapath, mapping->gateway) : NULL;
	uint64_t *uses = datapath->nat_uses.at;
	uint64_t end = mapping_end(record, mapping);

	if (!mapping ||
	    !(__atomic_fetch_and(&record->half[0].shared, ~RECORD_MAPPED, __ATOMIC_ACQ_REL) & RECORD_MAPPED))
		return false;
	if (stats) {
		__atomic_fetch_sub(&stats->active, 1, __ATOMIC_RELAXED);
		if (now_ns > end && CT_STATE(mapping->ct) != CT_CLOSED)
			__atomic_fetch_add(&stats->idle_timeout, 1, __ATOMIC_RELAXED);
	}
	if (mapping->addr && mapping->use != NAT_USE_NONE)
		__atomic_fetch_sub(&uses[mapping->use % NAT_USES], 1, __ATOMIC_RELAXED);
	return true;
}

bool mapping_is_over(const struct datapath *datapath, uint32_t index, uint64_t now_ns)
{
	const struct flow_record *records = datapath->records.at;
	uint64_t end = records[index].half[0].shared & RECORD_MAPPED
			       ? mapping_end(&records[index], mapping_of(datapath, index))
			       : 0;

	return end && now_ns > end;
}

void mapping_account(struct datapath *datapath, uint32_t index)
{
	const struct flow_record *record = &((struct flow_record *)datapath->records.at)[index];
	const struct gate_mapping *mapping = record->half[0].shared & RECORD_GATED ? mapping_of(datapath, index) : NULL;
	struct nat_stats *stats = mapping ? stats_of(datapath, mapping->gateway) : NULL;

	if (!stats)
		return;
	for (int i = 0; i < 2; i++) {
		__atomic_fetch_add(&stats->ended[i].packets, half_packets(&record->half[i]), __ATOMIC_RELAXED);
		__atomic_fetch_add(&stats->ended[i].bytes, half_bytes(&record->half[i]), __ATOMIC_RELAXED);
	}
}
