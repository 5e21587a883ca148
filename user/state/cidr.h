/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Addresses and CIDRs as text and as numbers. Text is read strictly: a CIDR has a prefix length, octets are decimal. */
#ifndef ENID_STATE_CIDR_H
#define ENID_STATE_CIDR_H

#include <stdbool.h>
#include <stddef.h>

#include "state/state.h"

#define CIDR_TEXT_MAX 64

/* ret: 0 | -EINVAL. host bits are cleared; *ret_host_bits says whether there were any. */
int cidr_parse(const char *text, struct cidr *ret, bool *ret_host_bits);
/* text: at least CIDR_TEXT_MAX bytes; returned */
const char *cidr_format(const struct cidr *cidr, char *text);
/* ret: 4, 6 or -EINVAL */
int address_parse(const char *text, union addr *ret);
const char *address_format(int family, const union addr *addr, char *text);
int mac_parse(const char *text, uint8_t *ret_mac);

/* Order: IPv4 before IPv6, then by address, then shorter prefix first. */
int cidr_compare(const void *a, const void *b);
bool cidr_contains(const struct cidr *outer, const struct cidr *inner);
bool cidr_overlaps(const struct cidr *a, const struct cidr *b);
/* Sort and drop duplicates; ret: how many are left. */
size_t cidr_sort_unique(struct cidr *cidrs, size_t nr);

#endif
