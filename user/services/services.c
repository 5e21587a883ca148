/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "services/services.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "state/cidr.h"

bool services_port(const struct host_port *port, const struct vpc *vpc)
{
	const struct eni *eni = port->eni;

	return *port->device && !port->guard && !eni->routing && eni->vpc && eni->subnet && (!vpc || eni->vpc == vpc);
}

const char *services_address(const struct cidr *cidr, uint8_t n, char *text)
{
	union addr addr = cidr->addr;

	addr.bytes[15] |= n; /* subnets and VPCs begin at multiples of 16 */
	return address_format(cidr->family, &addr, text);
}

bool services_first(const struct host *host, const struct vpc *vpc, size_t i, bool of_vpc)
{
	const struct eni *eni = host->ports[i].eni;

	for (size_t j = 0; j < i; j++) {
		const struct eni *other = host->ports[j].eni;

		if (services_port(&host->ports[j], vpc) &&
		    (of_vpc ? other->vpc == eni->vpc : other->subnet == eni->subnet))
			return false;
	}
	return true;
}

struct owned {
	const struct eni_address *address;
	const struct eni *eni;
};

static int by_address(const void *a, const void *b)
{
	const struct eni_address *x = ((const struct owned *)a)->address, *y = ((const struct owned *)b)->address;

	return x->family != y->family ? x->family - y->family : memcmp(&x->addr, &y->addr, sizeof(x->addr));
}

int services_check(const struct host *host, const struct vpc *vpc, char **ret_why)
{
	size_t nr = 0, room = 1;
	struct owned *owned;
	int r = 0;

	for (size_t i = 0; i < host->nr_ports; i++)
		room += host->ports[i].eni->nr_addresses;
	owned = calloc(room, sizeof(*owned));
	if (!owned)
		return -ENOMEM;
	for (size_t i = 0; i < host->nr_ports; i++) {
		const struct eni *eni = host->ports[i].eni;

		for (size_t j = 0; services_port(&host->ports[i], vpc) && j < eni->nr_addresses; j++)
			owned[nr++] = (struct owned){&eni->addresses[j], eni};
	}
	qsort(owned, nr, sizeof(*owned), by_address);
	for (size_t i = 1; i < nr && !r; i++) {
		char text[CIDR_TEXT_MAX];

		if (by_address(&owned[i - 1], &owned[i]))
			continue;
		r = -EEXIST;
		if (asprintf(ret_why, "%s is the address of %s and of %s: one stack serves one of them (--vpc)",
			     address_format(owned[i].address->family, &owned[i].address->addr, text),
			     owned[i - 1].eni->id, owned[i].eni->id) < 0)
			*ret_why = NULL;
	}
	free(owned);
	return r;
}
