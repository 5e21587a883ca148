/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the maps of a build look like, by their types (BTF): a hash of it, and the way from one build's values to
 * another's.
 *
 * Fields are known by their names, their place does not matter: what both have is carried over, what only the old one
 * has is dropped, what only the new one has is zero. A field that moved to a parallel array (records, limbo,
 * sides) is found there under the same path. */
#ifndef ENID_LAYOUT_H
#define ENID_LAYOUT_H

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

/* Folder of the pins: the layout's version, and a hash of all maps and of their types. */
#define LAYOUT_NAME_MAX 24
void layout_name(const struct bpf_object *object, char ret[LAYOUT_NAME_MAX]);
/* ret: whether it is the name of a layout's folder; *ret_hash 0 = from before layouts had one */
int layout_name_is(const char *name, uint32_t *ret_hash);
/* Has a field of the same name the same meaning there? */
bool layout_means_the_same(const char *name);

/* A type in some BTF. */
struct typed {
	const struct btf *btf;
	uint32_t type; /* 0 = unknown */
};

/* Names, places and sizes of all fields. */
uint64_t layout_type_hash(struct typed typed);

#define MOVE_SOURCES 3

struct moves {
	struct move {
		uint32_t to, from, size;
		uint32_t source; /* index of the array that it is found in */
	} * list;
	size_t nr, room;
};

/* How to make a value of type `to` from values of the types `from`. ret: 0 | -ENOMEM */
int moves_make(struct typed to, const struct typed *from, size_t nr_from, struct moves *ret);
/* `to` is zero where nothing is found. from: one value of each source; NULL = there is none */
void moves_do(const struct moves *moves, void *to, const void *const *from);
void moves_done(struct moves *moves);

#endif
