/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which AWS service owns an address (FL-16): the published ip-ranges.json, read once. Of the ranges that hold an
 * address the longest counts, then any service but AMAZON, then the order of names. */
#ifndef ENID_FLOWLOG_RANGES_H
#define ENID_FLOWLOG_RANGES_H

#include "enid/types.h"

struct ranges;

/* ret: 0 | -errno, *ret_why a sentence to free() */
int ranges_open(const char *path, struct ranges **ret, char **ret_why);
void ranges_close(struct ranges **ranges);
/* ranges may be NULL. ret: name, "" = nobody's */
const char *ranges_find(const struct ranges *ranges, int family, const union addr *addr);

#endif
