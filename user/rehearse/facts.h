/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a list of an object says, one fact for each thing that comes or goes by itself, in AWS's words: {"what":
 * "value"}. Facts of a security group's permissions are single rules, whichever way they were grouped; a route is known
 * by its destination, an entry of a network ACL by its number. */
#ifndef ENID_FACTS_H
#define ENID_FACTS_H

#include <jansson.h>

/* A value as short text, the same for equal values in whatever order. To free(); NULL = no memory */
char *fact_text(const json_t *value);

/* `key`: the name of the list. ret: a new object, value "" where the fact is all said by its name | NULL: no memory */
json_t *facts_of_list(const char *key, const json_t *list);

#endif
