/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "datapath/internal.h"

#define BATCH_KEYS 4096
#define TRIES      5

int batch_init(struct batch *batch, int fd, uint32_t key_size, uint32_t value_size)
{
	*batch = (struct batch){.fd = fd, .key_size = key_size, .value_size = value_size};
	if (fd < 0)
		return fd;
	batch->keys = malloc((size_t)BATCH_KEYS * key_size);
	batch->values = malloc((size_t)BATCH_KEYS * value_size);
	if (!batch->keys || !batch->values) {
		batch_done(batch);
		return -ENOMEM;
	}
	return 0;
}

void batch_done(struct batch *batch)
{
	free(batch->keys);
	free(batch->values);
	batch->keys = NULL;
	batch->values = NULL;
}

/* The allocator behind maps that are not preallocated refuses for a moment now and then, also with E2BIG. */
static bool may_pass(int error)
{
	return error == ENOMEM || error == EBUSY || error == EAGAIN || error == EINTR || error == E2BIG;
}

static int write_one(const struct batch *batch, uint32_t index)
{
	for (int try = 0;; try++) {
		if (!bpf_map_update_elem(batch->fd, batch->keys + (size_t)index * batch->key_size,
					 batch->values + (size_t)index * batch->value_size, BPF_ANY))
			return 0;
		if (try == TRIES || !may_pass(errno))
			return -errno;
		(void)usleep(1000u << try);
	}
}

int batch_flush(struct batch *batch)
{
	uint32_t nr = batch->nr, done = nr;

	batch->nr = 0;
	if (!nr || !bpf_map_update_batch(batch->fd, batch->keys, batch->values, &done, NULL))
		return 0;
	for (uint32_t i = done < nr ? done : 0; i < nr; i++) { /* writing one twice does no harm */
		int r = write_one(batch, i);

		if (r < 0)
			return r;
	}
	return 0;
}

/* Those that are not there any more are none the worse. */
int batch_delete(struct batch *batch)
{
	uint32_t nr = batch->nr, done = nr;
	int r = 0;

	batch->nr = 0;
	if (!nr || !bpf_map_delete_batch(batch->fd, batch->keys, &done, NULL))
		return 0;
	for (uint32_t i = done < nr ? done : 0; i < nr; i++)
		if (bpf_map_delete_elem(batch->fd, batch->keys + (size_t)i * batch->key_size) < 0 && errno != ENOENT)
			r = -errno;
	return r;
}

int batch_add(struct batch *batch, const void *key, const void *value)
{
	memcpy(batch->keys + (size_t)batch->nr * batch->key_size, key, batch->key_size);
	if (!value)
		return ++batch->nr == BATCH_KEYS ? batch_delete(batch) : 0;
	memcpy(batch->values + (size_t)batch->nr * batch->value_size, value, batch->value_size);
	return ++batch->nr == BATCH_KEYS ? batch_flush(batch) : 0;
}
