/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Frames of a pcap or pcapng file. (Of its own, because libpcap's headers and linux/bpf.h exclude each other.) */
#ifndef ENID_REPLAY_CAPTURE_H
#define ENID_REPLAY_CAPTURE_H

#include <stddef.h>
#include <stdint.h>

/* at_ns: since the first frame, never falling. ret: 0 | -errno, which ends the reading */
typedef int (*capture_frame)(void *context, uint64_t at_ns, const uint8_t *frame, size_t length, size_t wire_length);

/* ret: 0 | what `each` returned | -errno (*ret_why: a sentence to free) */
int capture_read(const char *path, capture_frame each, void *context, char **ret_why);

#endif
