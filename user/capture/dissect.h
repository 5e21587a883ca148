/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What people want to read of a captured packet. The bytes are whatever somebody sent: nothing in them is believed. */
#ifndef ENID_CAPTURE_DISSECT_H
#define ENID_CAPTURE_DISSECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "show/filter.h"

struct dissected {
	struct filter_ends ends; /* family 0 = neither IPv4 nor IPv6, or too short */
	uint16_t ethertype;      /* host order; of what has no Ethernet header what stands in its place */
	uint8_t tcp_flags;
	bool later; /* a later fragment: no ports */
};

/* raw: the bytes begin with the IP header. */
void dissect(const uint8_t *bytes, size_t len, bool raw, struct dissected *ret);

#endif
