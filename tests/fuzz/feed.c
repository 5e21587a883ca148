/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "feed.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "audit.h"

struct feed feed_make(const uint8_t *data, size_t size)
{
	struct feed feed = {.fd = memfd_create("input", MFD_CLOEXEC)};

	MUST(feed.fd >= 0 && write(feed.fd, data, size) == (ssize_t)size, "no memory for an input of %zu bytes", size);
	(void)lseek(feed.fd, 0, SEEK_SET);
	snprintf(feed.path, sizeof(feed.path), "/proc/self/fd/%d", feed.fd);
	return feed;
}

void feed_done(struct feed *feed)
{
	close(feed->fd);
	feed->fd = -1;
}
