/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A map of another set of programs, with its own types (carry.c). Inside datapath/ only. */
#ifndef ENID_OLD_MAP_H
#define ENID_OLD_MAP_H

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <stdbool.h>
#include <stdint.h>

#include "datapath/internal.h"
#include "datapath/layout.h"

/* An array, as shared memory. */
struct old_map {
	struct btf *btf;
	const uint8_t *at; /* NULL = there is no such map */
	size_t size, stride;
	uint32_t nr, type;
};

/* Below `root`; of a table that is being emptied into a new one (`former`) if there is such a one. ret: 0 | -errno */
int old_map_find(const char *root, bool former, const char *name, int *ret_fd, struct bpf_map_info *ret_info);

/* ret: 0 | -ENOENT | -EPROTO: nothing is known of its types | another -errno */
int old_map_open(const char *root, bool former, const char *name, struct old_map *ret);
void old_map_close(struct old_map *map);

/* What the map of that name has in our set; .type 0: nothing is known of it. */
struct typed old_map_ours(const struct datapath *datapath, const char *name);

#endif
