/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "datapath/decisions.h"

#include <errno.h>
#include <string.h>

#include "base/base.h"
#include "datapath/internal.h"

static int block_order(const void *left, const void *right)
{
	const struct decision_block *a = left, *b = right;

	return a->base < b->base ? -1 : a->base > b->base;
}

static void block_done(struct decision_block *block)
{
	free(block->texts);
	free(block->offsets);
	block->texts = NULL;
	block->offsets = NULL;
}

static int block_fill(struct decision_block *block, const struct image_rule *rules)
{
	size_t size = 0, at = 0;

	block->texts = NULL;
	block->offsets = NULL;
	for (uint32_t i = 0; i < block->nr; i++)
		size += strlen(rules[i].id) + strlen(rules[i].text) + 2;
	if (size > UINT32_MAX)
		return -E2BIG;
	block->texts = malloc(size);
	block->offsets = malloc(block->nr * sizeof(*block->offsets));
	if (!block->texts || !block->offsets) {
		block_done(block);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < block->nr; i++) {
		block->offsets[i] = (uint32_t)at;
		at += (size_t)(stpcpy(block->texts + at, rules[i].id) - (block->texts + at)) + 1;
		at += (size_t)(stpcpy(block->texts + at, rules[i].text) - (block->texts + at)) + 1;
	}
	return 0;
}

/* Take over the block that is known already, or make it from the image. */
static int block_bind(struct decisions *old, struct decision_block *block, const struct image_rule *rules)
{
	struct decision_block *known = NULL;

	if (old->nr)
		known = bsearch(block, old->blocks, old->nr, sizeof(*block), block_order);
	if (!known || !known->texts || memcmp(&known->hash, &block->hash, sizeof(block->hash)) != 0)
		return block_fill(block, rules);
	*block = *known;
	known->texts = NULL;
	known->offsets = NULL;
	return 0;
}

int decisions_bind(struct decisions *decisions, const struct placement *placement, const struct image *image)
{
	struct decisions new = {.blocks = calloc(image->nr_objects + image->nr_tables + 1, sizeof(*new.blocks))};
	int r = new.blocks ? 0 : -ENOMEM;

	for (size_t i = 0; i < image->nr_objects && !r; i++) {
		const struct image_object *object = &image->objects[i];
		const struct placed_object *placed = placement_object(placement, &object->hash);

		if (!placed || !object->nr_rules)
			continue;
		new.blocks[new.nr] =
			(struct decision_block){object->hash, placed->rule_base, object->nr_rules, NULL, NULL};
		r = block_bind(decisions, &new.blocks[new.nr++], object->rules);
	}
	for (size_t i = 0; i < image->nr_tables && !r; i++) {
		const struct image_table *table = &image->tables[i];
		const struct placed_table *placed = placement_table(placement, &table->hash);

		if (!placed || !table->nr_rules)
			continue;
		new.blocks[new.nr] =
			(struct decision_block){table->hash, placed->rule_base, table->nr_rules, NULL, NULL};
		r = block_bind(decisions, &new.blocks[new.nr++], table->rules);
	}
	if (new.nr)
		qsort(new.blocks, new.nr, sizeof(*new.blocks), block_order);
	new.room = image->nr_objects + image->nr_tables + 1;
	decisions_done(decisions);
	*decisions = new;
	return r;
}

/* ret: where a block of this base is, or would be */
static size_t block_place(const struct decisions *decisions, uint32_t base)
{
	size_t low = 0, high = decisions->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (decisions->blocks[middle].base < base)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void block_forget(struct decisions *decisions, uint32_t base, uint32_t nr)
{
	size_t at = block_place(decisions, base);

	if (!nr || at == decisions->nr || decisions->blocks[at].base != base)
		return;
	block_done(&decisions->blocks[at]);
	decisions->nr--;
	memmove(decisions->blocks + at, decisions->blocks + at + 1, (decisions->nr - at) * sizeof(*decisions->blocks));
}

static int block_learn(struct decisions *decisions, struct decision_block block, const struct image_rule *rules)
{
	size_t at = block_place(decisions, block.base);
	int r = 0;

	if (!block.nr)
		return 0;
	if (decisions->nr == decisions->room) {
		size_t room = decisions->room ? 2 * decisions->room : 16;
		struct decision_block *blocks = reallocarray(decisions->blocks, room, sizeof(*blocks));

		if (!blocks)
			return -ENOMEM;
		decisions->blocks = blocks;
		decisions->room = room;
	}
	r = block_fill(&block, rules);
	memmove(decisions->blocks + at + 1, decisions->blocks + at, (decisions->nr - at) * sizeof(*decisions->blocks));
	decisions->blocks[at] = block;
	decisions->nr++;
	return r;
}

int decisions_change(struct decisions *decisions, const struct plan *plan, const struct image *image)
{
	int r = 0;

	for (size_t i = 0; i < plan->nr_old_objects; i++)
		block_forget(decisions, plan->old_objects[i]->rule_base, plan->old_objects[i]->nr_rules);
	for (size_t i = 0; i < plan->nr_old_tables; i++)
		block_forget(decisions, plan->old_tables[i]->rule_base, plan->old_tables[i]->nr_rules);
	for (size_t i = 0; i < plan->nr_objects && !r; i++) {
		const struct image_object *object = &image->objects[plan->objects[i].image];
		uint32_t base = plan->objects[i].rule_base;

		r = block_learn(decisions, (struct decision_block){object->hash, base, object->nr_rules, NULL, NULL},
				object->rules);
	}
	for (size_t i = 0; i < plan->nr_tables && !r; i++) {
		const struct image_table *table = &image->tables[plan->tables[i].image];
		uint32_t base = plan->tables[i].rule_base;

		r = block_learn(decisions, (struct decision_block){table->hash, base, table->nr_rules, NULL, NULL},
				table->rules);
	}
	return r;
}

static bool decisions_find(const struct decisions *decisions, uint32_t number, const char **ret_id,
			   const char **ret_text)
{
	size_t low = 0, high = decisions->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct decision_block *block = &decisions->blocks[middle];

		if (number < block->base) {
			high = middle;
		} else if (number - block->base >= block->nr) {
			low = middle + 1;
		} else if (!block->texts) {
			return false;
		} else {
			*ret_id = block->texts + block->offsets[number - block->base];
			*ret_text = *ret_id + strlen(*ret_id) + 1;
			return true;
		}
	}
	return false;
}

void decisions_done(struct decisions *decisions)
{
	for (size_t i = 0; i < decisions->nr; i++)
		block_done(&decisions->blocks[i]);
	free(decisions->blocks);
	*decisions = (struct decisions){};
}

static const char *const stage_names[STAGE_MAX] = {
#define X(symbol, name) [STAGE_##symbol] = (name),
	ENID_STAGES(X)
#undef X
};

bool datapath_decision(const struct datapath *datapath, uint32_t decision, struct decision_text *ret)
{
	uint32_t stage = DECISION_STAGE(decision), number = DECISION_NUMBER(decision);
	const char *id = "", *rule = "";

	if (stage == STAGE_NONE || stage >= STAGE_MAX)
		return false;
	switch (stage) {
	case STAGE_NAT:
	case STAGE_IGW:
	case STAGE_PEERING:
	case STAGE_ENDPOINT:
	case STAGE_CONNTRACK:
		id = datapath_port_id(datapath, number);
		break;
	default:
		if (!decisions_find(&datapath->decisions, number, &id, &rule))
			return false;
	}
	*ret = (struct decision_text){stage_names[stage], id, rule};
	return true;
}

int datapath_bind(struct datapath *datapath, const struct image *image)
{
	return decisions_bind(&datapath->decisions, &datapath->placement, image);
}
