/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Fragments of a packet that is larger than its path. On a wire bpf/cut.h makes them; a replayed program cannot, since
 * it returns one frame and sees the beginning of a long one only. */
#ifndef ENID_REPLAY_CUT_H
#define ENID_REPLAY_CUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PIECE_HEADER_MAX (14 + 60)

struct piece {
	uint8_t header[PIECE_HEADER_MAX]; /* Ethernet and IPv4 */
	size_t nr_header;
	size_t at, length; /* its payload, in the frame that is cut */
};

/* Piece `nr` of the frame that begins with `head`, headers at least. ret: false = there are no more */
bool cut_frame(const uint8_t *head, uint32_t mtu, uint32_t nr, struct piece *ret);

#endif
