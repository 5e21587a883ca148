/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A captured packet in words. */
#ifndef ENID_CAPTURE_DESCRIBE_H
#define ENID_CAPTURE_DESCRIBE_H

#include <jansson.h>

#include "capture/dissect.h"
#include "enid/capture.h"
#include "show/view.h"

struct captured_packet {
	const struct captured *event;
	const struct dissected *dissected;
	uint64_t at_ns; /* since 1970 */
};

const char *captured_verdict(const struct captured *event); /* "drop", "deliver", ... */
const char *captured_reason(const struct captured *event);  /* "accepted", "sg-ingress", ... */
/* As flow logs have it: it was refused, whether or not its sender is told. */
bool captured_is_rejected(const struct captured *event);

/* "verdict=drop reason=nacl-ingress stage=nacl-ingress rule="acl-a 100" ...": the comment in a pcapng file. To free();
 * NULL = no memory. */
char *captured_comment(const struct view *view, const struct captured *event);
/* One line for people, without its newline. To free(). */
char *captured_line(const struct view *view, const struct captured_packet *packet);
json_t *captured_json(const struct view *view, const struct captured_packet *packet);

#endif
