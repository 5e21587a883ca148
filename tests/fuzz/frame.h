/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Well-formed frames, with right checksums. */
#ifndef ENID_FUZZ_FRAME_H
#define ENID_FUZZ_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_ROOM 2048

struct frame_spec {
	uint8_t family, proto; /* 4 or 6 */
	uint8_t dmac[6], smac[6];
	uint8_t saddr[16], daddr[16]; /* IPv4: the first four */
	uint16_t sport, dport;        /* ICMP: type << 8 | code, identifier */
	uint32_t seq, ack;
	uint8_t flags;
	bool dont_fragment;
	uint16_t payload;
	uint8_t options;     /* IPv4: words of NOPs. IPv6: that many empty destination headers */
	const uint8_t *body; /* instead of a payload of zeros: what an ICMP error quotes */
};

/* ret: length of the frame */
size_t frame_make(const struct frame_spec *spec, uint8_t *frame);

/* One piece of an IPv4 or plain IPv6 frame: `nr` bytes of its payload from `offset` (a multiple of 8) on.
 * ret: length, 0 = there is no such piece */
size_t frame_piece(const uint8_t *whole, size_t length, uint16_t offset, uint16_t nr, uint32_t id, uint8_t *frame);

/* Source and destination of the IP packet in a frame change places, as do the ports of TCP and UDP; an echo request
 * becomes a reply. The checksums stand: sums do not know order. */
void frame_reverse(uint8_t *frame, size_t length);

/* Offset of the L4 header of a frame as frame_make makes them, 0 = none. */
size_t frame_l4(const uint8_t *frame, size_t length, uint8_t *ret_proto);

#endif
