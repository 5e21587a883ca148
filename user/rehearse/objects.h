/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The difference between two states, object by object: generic over the schema, so that no kind is forgotten. */
#ifndef ENID_OBJECTS_DIFFER_H
#define ENID_OBJECTS_DIFFER_H

#include <jansson.h>

/* Of what state_load_objects() told. ret: a list, sorted as the schema and by id, of
 *   {"list", "kind", "id", "change": "added"|"removed"|"changed", "details": [
 *     {"key": "IpPermissions", "change": .., "what": "tcp 443 from 10.0.0.0/8", "from": .., "to": ..}]}
 * NULL = no memory */
json_t *objects_differ(const json_t *before, const json_t *after);

#endif
