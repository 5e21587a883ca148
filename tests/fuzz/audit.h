/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What must hold after every packet, whatever it was. A breach prints what and aborts. */
#ifndef ENID_FUZZ_AUDIT_H
#define ENID_FUZZ_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

struct scene;

void audit_breach(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#define MUST(holds, ...) \
	do { \
		if (!(holds)) \
			audit_breach(__VA_ARGS__); \
	} while (0)

void audit_begin(void); /* after a datapath was opened */
/* Remember what is, before a packet. */
void audit_before(const struct scene *stage);
/* untouched: no record, name or fragment may have changed. dropped: under this reason; 0 = not dropped */
void audit_after(const struct scene *stage, bool untouched, uint32_t reason);
/* On a wire: a packet that is dropped is counted, one that goes on is not; a reply may be the answer to a drop. */
void audit_wire(const struct scene *stage, bool dropped, bool replied);
/* The frame went on from port `in` to port `out` (numbers). */
void audit_delivery(const struct scene *stage, uint32_t in, uint32_t out, const uint8_t *frame);
/* The records' own books: names, states, shares. */
void audit_records(const struct scene *stage);
/* Nothing may live any more. */
void audit_empty(const struct scene *stage);

#endif
