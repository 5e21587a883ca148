/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* All policy that the maps hold, as sorted lines of text, read from the maps alone.
 *
 * Numbers that depend on what was there before (of ports, subnets, gateways, route table versions, rules; lines of the
 * policy map) are replaced by what they stand for: an id, or a hash of the content. Epochs are left out: they count
 * changes. Everything else is byte for byte. Both slots must hold the same, but for maps_text_in_force(). */
#ifndef ENID_TESTS_MAPS_TEXT_H
#define ENID_TESTS_MAPS_TEXT_H

#include "datapath/datapath.h"

char *maps_text(struct datapath *datapath); /* to free() */
/* The slots in force and what they refer to, whatever is being prepared beside them. */
char *maps_text_in_force(struct datapath *datapath); /* to free() */

#endif
