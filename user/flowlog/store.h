/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Memory that outlives the process: a file of the log folder, mapped shared, its blocks allocated beforehand.
 *
 * What the collector has taken from the kernel and not yet written stands here, so a killed agent loses no line. Where
 * the folder cannot give the blocks (full, read-only), plain memory takes its place: the log goes on, only without
 * surviving a kill. New bytes are zero.
 */
#ifndef ENID_STORE_H
#define ENID_STORE_H

#include <stddef.h>

struct store {
	void *base;
	size_t size;
	int fd; /* -1 = plain memory */
};

/* Map dir/name, at least `size` bytes of it; what the file holds is kept. ret: 0 | -ENOMEM */
int store_open(const char *dir, const char *name, size_t size, struct store *ret);
/* dir NULL in store_open is plain memory from the start. Growing may move the base. ret: 0 | -ENOMEM */
int store_grow(struct store *store, size_t size);
/* Give the blocks beyond `size` back. */
void store_shrink(struct store *store, size_t size);
void store_close(struct store *store);

#endif
