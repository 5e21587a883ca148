/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "metrics/meters.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "flowlog/store.h"

#define METERS_MAGIC 0x316d726574656d65ull
#define GROW_BY      64u

struct header {
	uint64_t magic, instance;
};

struct meters {
	struct store store;
};

static size_t size_of(size_t nr)
{
	return sizeof(struct header) + nr * sizeof(struct meter);
}

static struct meter *meter_at(const struct meters *meters, uint32_t port)
{
	return (struct meter *)((char *)meters->store.base + sizeof(struct header)) + port;
}

int meters_open(const char *dir, uint64_t instance, struct meters **ret)
{
	struct meters *meters = calloc(1, sizeof(*meters));
	struct header *header;

	if (!meters)
		return -ENOMEM;
	if (store_open(dir, METERS_FILE, size_of(GROW_BY), &meters->store)) {
		free(meters);
		return -ENOMEM;
	}
	header = meters->store.base;
	if (header->magic != METERS_MAGIC || header->instance != instance) {
		memset(meters->store.base, 0, meters->store.size);
		header->instance = instance;
		header->magic = METERS_MAGIC;
	}
	*ret = meters;
	return 0;
}

void meters_close(struct meters **meters)
{
	if (*meters)
		store_close(&(*meters)->store);
	free(*meters);
	*meters = NULL;
}

void meters_count(struct meters *meters, uint32_t port, const char *id, bool egress, bool reject,
		  const struct counter *more)
{
	struct meter *meter;
	struct counter *seen;

	if (!meters || port >= PORTS_MAX || !*id)
		return;
	if (store_grow(&meters->store, size_of((port / GROW_BY + 1) * GROW_BY)))
		return;
	meter = meter_at(meters, port);
	if (strncmp(meter->id, id, sizeof(meter->id) - 1) != 0) {
		memset(meter, 0, sizeof(*meter));
		snprintf(meter->id, sizeof(meter->id), "%s", id);
	}
	seen = &meter->seen[egress][reject];
	__atomic_store_n(&seen->packets, seen->packets + more->packets, __ATOMIC_RELAXED);
	__atomic_store_n(&seen->bytes, seen->bytes + more->bytes, __ATOMIC_RELAXED);
}

static int read_whole(int fd, void *to, size_t size)
{
	for (size_t at = 0; at < size;) {
		ssize_t n = pread(fd, (char *)to + at, size - at, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -ENOENT; /* it was emptied */
		at += (size_t)n;
	}
	return 0;
}

int meters_read(const char *dir, struct meter **ret, size_t *ret_nr)
{
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX];
	struct header *header;
	struct stat st;
	size_t nr;
	int r;

	if (snprintf(path, sizeof(path), "%s/" METERS_FILE, dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st))
		return -errno;
	if ((size_t)st.st_size < size_of(0))
		return -ENOENT;
	nr = ((size_t)st.st_size - size_of(0)) / sizeof(struct meter);
	header = malloc(size_of(nr));
	if (!header)
		return -ENOMEM;
	r = read_whole(fd, header, size_of(nr));
	if (!r && header->magic != METERS_MAGIC)
		r = -ENOENT;
	if (!r) {
		memmove(header, header + 1, nr * sizeof(struct meter));
		*ret = (struct meter *)header;
		*ret_nr = nr < PORTS_MAX ? nr : PORTS_MAX;
		for (size_t i = 0; i < *ret_nr; i++)
			(*ret)[i].id[METER_ID_MAX - 1] = 0;
		return 0;
	}
	free(header);
	return r;
}
