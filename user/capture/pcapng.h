/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A pcapng file (draft-ietf-opsawg-pcapng): one section, an interface for each port, nanoseconds, a comment and the
 * program's return code with each packet. */
#ifndef ENID_CAPTURE_PCAPNG_H
#define ENID_CAPTURE_PCAPNG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum pcapng_verdict { PCAPNG_TC = 1, PCAPNG_XDP = 2 };

struct pcapng {
	FILE *file;
	uint32_t nr_interfaces;
};

struct pcapng_packet {
	uint32_t interface; /* as pcapng_interface() said */
	uint64_t at_ns;     /* since 1970 */
	const uint8_t *bytes;
	uint32_t captured, len; /* bytes there are, bytes there were */
	bool outbound;
	enum pcapng_verdict hook;
	int64_t code;
	const char *comment;
};

/* Each ret: 0 | -errno */
int pcapng_begin(struct pcapng *pcapng, FILE *file);
int pcapng_interface(struct pcapng *pcapng, const char *name, const char *device, bool raw, uint32_t snap,
		     uint32_t *ret);
int pcapng_packet(struct pcapng *pcapng, const struct pcapng_packet *packet);
/* What was seen there in all, and what of it is not in the file for want of room. */
int pcapng_statistics(struct pcapng *pcapng, uint32_t interface, uint64_t at_ns, uint64_t seen, uint64_t lost);

#endif
