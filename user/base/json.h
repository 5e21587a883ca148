/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* JSON that somebody reads: all of it is printed here. */
#ifndef ENID_JSON_H
#define ENID_JSON_H

#include <jansson.h>
#include <stdio.h>

/* json_dumpf() in which 0.0005 is 0.0005, not 0.00050000000000000001. ret: 0 | -1 */
int json_print(const json_t *value, FILE *out, size_t flags);

#endif
