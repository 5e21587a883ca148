/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An input as a file in memory, for readers that want a path. */
#ifndef ENID_FUZZ_FEED_H
#define ENID_FUZZ_FEED_H

#include <stddef.h>
#include <stdint.h>

struct feed {
	int fd;
	char path[64];
};

struct feed feed_make(const uint8_t *data, size_t size);
void feed_done(struct feed *feed);

#endif
