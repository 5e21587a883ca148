/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Lines of a policy object, and the trees in them (layout: enid/policy.h).
 *
 * A tree answers "which interval holds this key". Building takes the intervals as first keys, ascending, the first one
 * 0, with a value each; it appends lines and says on which line the tree starts.
 */
#ifndef ENID_COMPILE_TREE_H
#define ENID_COMPILE_TREE_H

#include <stdint.h>

#include "enid/policy.h"
#include "enid/types.h"

/* Both an IPv6 address in host order and, for one code path, an IPv4 address or identity. */
__extension__ typedef unsigned __int128 key128;

/* An object, or all of an image, beyond this (512 MB) is refused: a state that needs it is a mistake or an attack. */
#define OBJECT_LINES_MAX (1u << 23)

struct lines {
	struct policy_line *line;
	uint32_t nr, room;
};

/* Append zeroed lines. ret: 0, *ret_first = number of the first | -ENOMEM | -E2BIG */
int lines_add(struct lines *lines, uint32_t nr, uint32_t *ret_first);
void lines_done(struct lines *lines);

/* ret: 0, *ret_line | -ENOMEM | -E2BIG (deeper than the layout allows) | -EINVAL (no interval, or the first is not 0)
 */
int tree32_build(struct lines *lines, const uint32_t *keys, const uint32_t *values, uint32_t n, uint32_t *ret_line);
int tree128_build(struct lines *lines, const key128 *keys, const uint32_t *values, uint32_t n, uint32_t *ret_line);

/* Value for a key, read as the data path reads it. `object`: first line; `line`: where the tree starts. */
uint32_t tree32_find(const struct policy_line *object, uint32_t line, uint32_t key);
uint32_t tree128_find(const struct policy_line *object, uint32_t line, key128 key);

key128 key128_of(const union addr *addr);

#endif
