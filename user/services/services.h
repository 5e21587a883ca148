/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the host needs so that its own dnsmasq serves the guests: DHCP and the resolver addresses (DNS-01..DNS-06). The
 * data path hands these packets to the host's stack and answers none of them; here is the other side, as text. */
#ifndef ENID_SERVICES_H
#define ENID_SERVICES_H

#include <stdio.h>

#include "state/state.h"

/* Ports of `host` that are served: router mode, with a device; of one VPC, or of all (vpc NULL).
 * ret: 0 | -EEXIST: two of them have one address, *ret_why says which: choose a VPC | -ENOMEM */
int services_check(const struct host *host, const struct vpc *vpc, char **ret_why);

bool services_port(const struct host_port *port, const struct vpc *vpc);

/* Is port `i` the first that is served of its VPC, or of its subnet? */
bool services_first(const struct host *host, const struct vpc *vpc, size_t i, bool of_vpc);

/* A configuration file of dnsmasq. */
void services_dnsmasq(FILE *out, const struct state *state, const struct host *host, const struct vpc *vpc);

/* A script for sh: addresses, routes, neighbours, and a firewall table that leaves the guests nothing else of the host.
 */
void services_setup(FILE *out, const struct host *host, const struct vpc *vpc);

/* base + n of a CIDR, as text (CIDR_TEXT_MAX bytes); returned */
const char *services_address(const struct cidr *cidr, uint8_t n, char *text);

#define RESOLVER4 "169.254.169.253"
#define RESOLVER6 "fd00:ec2::253"

#endif
