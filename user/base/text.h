/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Text from outside on its way into JSON. */
#ifndef ENID_TEXT_H
#define ENID_TEXT_H

#include <jansson.h>

/* A JSON string of any text. File names and other people's bytes need not be UTF-8; JSON must: then each byte that is
 * not ASCII becomes '?'. ret: NULL = no memory */
json_t *text_json(const char *text);

#endif
