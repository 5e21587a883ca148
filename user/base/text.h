/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Text from outside on its way into JSON. */
#ifndef ENID_TEXT_H
#define ENID_TEXT_H

#include <jansson.h>

/* A JSON string of any text. File names and other people's bytes need not be UTF-8; JSON must: then each byte that is
 * not ASCII becomes '?'. ret: NULL = no memory */
json_t *text_json(const char *text);

/* E32: whether `text` begins with what could leave its line or redraw it: controls, C1 ones included, line and
 * paragraph separators, marks that turn the direction of writing. ret: its bytes, 0 = no */
size_t text_unprintable(const char *text);

#endif
