/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "datapath/layout.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datapath/internal.h"

#define DEPTH_MAX 16

/* ---- hash (FNV-1a) */

static uint64_t mix(uint64_t hash, const void *bytes, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		hash = (hash ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3ull;
	return hash;
}

static uint64_t mix_word(uint64_t hash, uint64_t word)
{
	return mix(hash, &word, sizeof(word));
}

static const struct btf_type *resolve(struct typed *typed)
{
	int id = typed->btf && typed->type ? btf__resolve_type(typed->btf, typed->type) : -1;

	if (id <= 0)
		return NULL;
	typed->type = (uint32_t)id;
	return btf__type_by_id(typed->btf, typed->type);
}

static const char *name_at(const struct btf *btf, uint32_t offset)
{
	const char *name = btf__name_by_offset(btf, offset);

	return name ? name : "";
}

static uint64_t hash_type(uint64_t hash, struct typed typed, uint32_t bit, int depth)
{
	const struct btf_type *type = resolve(&typed);

	if (!type || depth == DEPTH_MAX)
		return mix_word(hash, bit);
	if (btf_is_array(type)) {
		const struct btf_array *array = btf_array(type);

		hash = mix_word(hash, array->nelems);
		return hash_type(hash, (struct typed){typed.btf, array->type}, bit, depth + 1);
	}
	hash = mix_word(hash, type->size);
	if (btf_is_datasec(type)) {
		for (int i = 0; i < btf_vlen(type); i++)
			hash = hash_type(hash, (struct typed){typed.btf, btf_var_secinfos(type)[i].type}, bit,
					 depth + 1);
		return hash;
	}
	if (!btf_is_composite(type))
		return mix_word(hash, bit);
	for (int i = 0; i < btf_vlen(type); i++) {
		const struct btf_member *member = &btf_members(type)[i];
		const char *name = name_at(typed.btf, member->name_off);

		hash = mix(hash, name, strlen(name));
		hash = hash_type(hash, (struct typed){typed.btf, member->type}, bit + btf_member_bit_offset(type, i),
				 depth + 1);
	}
	return hash;
}

uint64_t layout_type_hash(struct typed typed)
{
	return hash_type(0xcbf29ce484222325ull, typed, 0, 0);
}

static uint64_t hash_map(const struct bpf_map *map, const struct btf *btf, const char *name)
{
	uint64_t hash = mix(0xcbf29ce484222325ull, name, strlen(name));

	hash = mix_word(hash, bpf_map__type(map));
	hash = mix_word(hash, (uint64_t)bpf_map__key_size(map) << 32 | bpf_map__value_size(map));
	if (!map_size_is_chosen(name) && bpf_map__type(map) != BPF_MAP_TYPE_PERF_EVENT_ARRAY)
		hash = mix_word(hash, bpf_map__max_entries(map));
	hash = mix_word(hash, layout_type_hash((struct typed){btf, bpf_map__btf_key_type_id(map)}));
	return mix_word(hash, layout_type_hash((struct typed){btf, bpf_map__btf_value_type_id(map)}));
}

void layout_name(const struct bpf_object *object, char ret[LAYOUT_NAME_MAX])
{
	const struct btf *btf = bpf_object__btf(object);
	const struct bpf_map *map;
	uint64_t sum = 0;

	bpf_object__for_each_map(map, object)
	{
		const char *name = map_name(bpf_map__name(map));

		if (name)
			sum += hash_map(map, btf, name); /* in whatever order */
	}
	snprintf(ret, LAYOUT_NAME_MAX, DATAPATH_LAYOUT "-%08" PRIx32, (uint32_t)(sum >> 32 ^ sum) | 1);
}

int layout_name_is(const char *name, uint32_t *ret_hash)
{
	size_t digits = name[0] == 'v' ? strspn(name + 1, "0123456789") : 0;
	const char *rest = name + 1 + digits;

	*ret_hash = 0;
	if (!digits)
		return false;
	if (!*rest)
		return true;
	if (*rest != '-' || strlen(rest) != 9 || strspn(rest + 1, "0123456789abcdef") != 8)
		return false;
	*ret_hash = (uint32_t)strtoul(rest + 1, NULL, 16);
	return true;
}

bool layout_means_the_same(const char *name)
{
	return !strncmp(name, DATAPATH_LAYOUT "-", strlen(DATAPATH_LAYOUT "-"));
}

/* ---- from one to another */

struct found { /* candidates for one field: where each source has it */
	struct typed typed[MOVE_SOURCES];
	uint32_t at[MOVE_SOURCES]; /* bytes */
};

static int move_add(struct moves *moves, uint32_t to, uint32_t from, uint32_t size, uint32_t source)
{
	struct move *last = moves->nr ? &moves->list[moves->nr - 1] : NULL;

	if (last && last->source == source && last->to + last->size == to && last->from + last->size == from) {
		last->size += size;
		return 0;
	}
	if (moves->nr == moves->room) {
		size_t room = moves->room ? 2 * moves->room : 32;
		struct move *list = realloc(moves->list, room * sizeof(*list));

		if (!list)
			return -ENOMEM;
		moves->list = list;
		moves->room = room;
	}
	moves->list[moves->nr++] = (struct move){to, from, size, source};
	return 0;
}

static const struct btf_member *member_named(const struct btf *btf, const struct btf_type *type, const char *name)
{
	for (int i = 0; i < btf_vlen(type); i++)
		if (!strcmp(name_at(btf, btf_members(type)[i].name_off), name))
			return &btf_members(type)[i];
	return NULL;
}

static int match(struct moves *moves, struct typed to, uint32_t at, struct found from, int depth);

static int match_member(struct moves *moves, struct typed to, const char *name, uint32_t at, const struct found *from,
			int depth)
{
	struct found inner = {};

	for (int i = 0; i < MOVE_SOURCES; i++) {
		struct typed typed = from->typed[i];
		const struct btf_type *type = resolve(&typed);
		const struct btf_member *member =
			type && btf_is_struct(type) ? member_named(typed.btf, type, name) : NULL;

		if (!member)
			continue;
		inner.typed[i] = (struct typed){typed.btf, member->type};
		inner.at[i] = from->at[i] + member->offset / 8;
	}
	return match(moves, to, at, inner, depth);
}

static int match_array(struct moves *moves, struct typed to, uint32_t nr, uint32_t at, const struct found *from,
		       int depth)
{
	int64_t size = btf__resolve_size(to.btf, to.type);
	int r = 0;

	for (uint32_t i = 0; i < nr && size > 0 && !r; i++) {
		struct found inner = {};

		for (int s = 0; s < MOVE_SOURCES; s++) {
			struct typed typed = from->typed[s];
			const struct btf_type *type = resolve(&typed);
			const struct btf_array *array = type && btf_is_array(type) ? btf_array(type) : NULL;

			if (!array || i >= array->nelems)
				continue;
			inner.typed[s] = (struct typed){typed.btf, array->type};
			inner.at[s] = from->at[s] + i * (uint32_t)btf__resolve_size(typed.btf, array->type);
		}
		r = match(moves, to, at + i * (uint32_t)size, inner, depth);
	}
	return r;
}

/* A number, or a union, which is taken as it is. */
static int match_plain(struct moves *moves, uint32_t size, bool is_union, uint32_t at, const struct found *from)
{
	for (uint32_t i = 0; i < MOVE_SOURCES; i++) {
		struct typed typed = from->typed[i];
		const struct btf_type *type = resolve(&typed);

		if (!type || btf_is_struct(type) || btf_is_array(type) || btf_is_union(type) != is_union)
			continue;
		return move_add(moves, at, from->at[i], type->size < size ? type->size : size, i);
	}
	return 0;
}

static int match(struct moves *moves, struct typed to, uint32_t at, struct found from, int depth)
{
	const struct btf_type *type = resolve(&to);
	int r = 0;

	if (!type || depth == DEPTH_MAX)
		return 0;
	if (btf_is_array(type))
		return match_array(moves, (struct typed){to.btf, btf_array(type)->type}, btf_array(type)->nelems, at,
				   &from, depth + 1);
	if (!btf_is_struct(type))
		return match_plain(moves, type->size, btf_is_union(type), at, &from);
	for (int i = 0; i < btf_vlen(type) && !r; i++) {
		const struct btf_member *member = &btf_members(type)[i];

		r = match_member(moves, (struct typed){to.btf, member->type}, name_at(to.btf, member->name_off),
				 at + btf_member_bit_offset(type, i) / 8, &from, depth + 1);
	}
	return r;
}

int moves_make(struct typed to, const struct typed *from, size_t nr_from, struct moves *ret)
{
	struct found found = {};
	struct moves moves = {};
	int r;

	for (size_t i = 0; i < nr_from && i < MOVE_SOURCES; i++)
		found.typed[i] = from[i];
	r = match(&moves, to, 0, found, 0);
	if (r < 0)
		moves_done(&moves);
	*ret = moves;
	return r;
}

void moves_do(const struct moves *moves, void *to, const void *const *from)
{
	for (size_t i = 0; i < moves->nr; i++) {
		const struct move *move = &moves->list[i];
		const uint8_t *source = from[move->source];

		if (source)
			memcpy((uint8_t *)to + move->to, source + move->from, move->size);
	}
}

void moves_done(struct moves *moves)
{
	free(moves->list);
	*moves = (struct moves){};
}
