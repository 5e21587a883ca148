/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Memory that outlives the process. A file is only ever mapped over allocated blocks: touching a hole of a full file
 * system would kill the agent by SIGBUS. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "flowlog/store.h"

static int map_plain(size_t size, struct store *ret)
{
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (base == MAP_FAILED)
		return -ENOMEM;
	*ret = (struct store){.base = base, .size = size, .fd = -1};
	return 0;
}

static int map_file(int fd, size_t size, struct store *ret)
{
	struct stat st;
	void *base;

	if (fstat(fd, &st))
		return -errno;
	if ((size_t)st.st_size > size)
		size = (size_t)st.st_size;
	if (fallocate(fd, 0, 0, (off_t)size))
		return -errno;
	base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	*ret = (struct store){.base = base, .size = size, .fd = fd};
	return 0;
}

int store_open(const char *dir, const char *name, size_t size, struct store *ret)
{
	int dir_fd = -1, fd = -1;

	if (!dir)
		return map_plain(size, ret);
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return map_plain(size, ret);
	fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	close(dir_fd);
	if (fd < 0)
		return map_plain(size, ret);
	if (map_file(fd, size, ret)) {
		close(fd);
		return map_plain(size, ret);
	}
	return 0;
}

/* The folder has no block left: go on in plain memory. The file is emptied, so that nobody takes it for the truth. */
static int leave_file(struct store *store, size_t size)
{
	struct store plain;

	if (map_plain(size, &plain))
		return -ENOMEM;
	memcpy(plain.base, store->base, store->size);
	munmap(store->base, store->size);
	if (ftruncate(store->fd, 0))
		(void)0; /* a stale header is refused by its sequence number */
	close(store->fd);
	*store = plain;
	return 0;
}

int store_grow(struct store *store, size_t size)
{
	void *base;

	if (size <= store->size)
		return 0;
	if (store->fd >= 0 && fallocate(store->fd, 0, 0, (off_t)size))
		return leave_file(store, size);
	base = mremap(store->base, store->size, size, MREMAP_MAYMOVE);
	if (base == MAP_FAILED)
		return -ENOMEM;
	store->base = base;
	store->size = size;
	return 0;
}

void store_shrink(struct store *store, size_t size)
{
	void *base;

	if (size >= store->size)
		return;
	base = mremap(store->base, store->size, size, MREMAP_MAYMOVE);
	if (base == MAP_FAILED)
		return;
	store->base = base;
	store->size = size;
	if (store->fd >= 0)
		(void)!ftruncate(store->fd, (off_t)size);
}

void store_close(struct store *store)
{
	if (store->base)
		munmap(store->base, store->size);
	if (store->base && store->fd >= 0)
		close(store->fd);
	*store = (struct store){.fd = -1};
}
