/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The host's side of the ports: each gets the addresses of its router and services, a route and a neighbour entry for
 * its guest (ARP and ND of the host do not reach guests), and a firewall table that opens DHCP and DNS and no more. */
#include <string.h>

#include "services/services.h"
#include "state/cidr.h"

#define TABLE "enid_services"

static const char *link_local(const uint8_t *mac, char *text)
{
	union addr addr = {.bytes = {0xfe, 0x80, [8] = mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]}};

	return address_format(6, &addr, text);
}

static void print_neighbour(FILE *out, const struct eni *eni, const char *address, const char *device)
{
	const uint8_t *mac = eni->mac;

	fprintf(out, "ip neigh replace %s lladdr %02x:%02x:%02x:%02x:%02x:%02x dev '%s' nud permanent\n", address,
		mac[0], mac[1], mac[2], mac[3], mac[4], mac[5], device);
}

static void print_port(FILE *out, const struct host *host, const struct host_port *port)
{
	const struct eni *eni = port->eni;
	const struct vpc_subnet *subnet = eni->subnet;
	char router[CIDR_TEXT_MAX], text[CIDR_TEXT_MAX];

	fprintf(out, "\n# %s\n", eni->id);
	if (subnet->cidr4.family)
		fprintf(out, "ip addr replace %s/32 dev '%s'\n", services_address(&subnet->cidr4, 1, router),
			port->device);
	for (size_t i = 0; i < subnet->nr_cidrs6; i++)
		fprintf(out, "ip addr replace %s/64 dev '%s' nodad noprefixroute\n",
			/* dnsmasq looks for a prefix */ services_address(&subnet->cidrs6[i], 1, router), port->device);
	if (subnet->nr_cidrs6) {
		fprintf(out, "ip addr replace %s/64 dev '%s' nodad\n", link_local(host->router_mac, router),
			port->device);
		print_neighbour(out, eni, link_local(eni->mac, text), port->device);
	}
	for (size_t i = 0; i < eni->nr_addresses; i++) {
		const struct eni_address *a = &eni->addresses[i];

		address_format(a->family, &a->addr, text);
		fprintf(out, "ip route replace %s/%u dev '%s'\n", text, a->prefixlen, port->device);
		if (a->prefixlen == 32 || a->prefixlen == 128)
			print_neighbour(out, eni, text, port->device);
	}
}

static void print_devices(FILE *out, const struct host *host, const struct vpc *vpc, bool dns_only)
{
	const char *separator = "";

	for (size_t i = 0; i < host->nr_ports; i++) {
		const struct host_port *port = &host->ports[i];

		if (!services_port(port, vpc) || (dns_only && !port->eni->vpc->dns_support))
			continue;
		fprintf(out, "%s\"%s\"", separator, port->device);
		separator = ", ";
	}
}

static void print_firewall(FILE *out, const struct host *host, const struct vpc *vpc)
{
	bool any = false, dns = false;

	for (size_t i = 0; i < host->nr_ports; i++) {
		bool served = services_port(&host->ports[i], vpc);

		any = any || served;
		dns = dns || (served && host->ports[i].eni->vpc->dns_support);
	}
	fprintf(out, "\nnft -f - <<'END'\ntable inet " TABLE "\ndelete table inet " TABLE "\n");
	if (any) {
		fprintf(out, "table inet " TABLE
			     " {\n\tchain input {\n\t\ttype filter hook input priority -10\n\t\tiifname { ");
		print_devices(out, host, vpc, false);
		fprintf(out, " } jump guests\n\t}\n\tchain guests {\n\t\tudp dport { 67, 547 } accept\n");
		if (dns) {
			fprintf(out, "\t\tiifname { ");
			print_devices(out, host, vpc, true);
			fprintf(out, " } meta l4proto { tcp, udp } th dport 53 accept\n");
		}
		fprintf(out, "\t\tdrop\n\t}\n}\n");
	}
	fprintf(out, "END\n");
}

void services_setup(FILE *out, const struct host *host, const struct vpc *vpc)
{
	char text[CIDR_TEXT_MAX];

	fprintf(out,
		"#!/bin/sh\n# Made by `enid services`: what %s needs to serve its guests. Run it again after a "
		"change.\nset -e\n"
		"ip addr replace " RESOLVER4 "/32 dev lo\nip addr replace " RESOLVER6 "/128 dev lo nodad\n",
		host->id);
	print_firewall(out, host, vpc); /* first: nothing of the host is open meanwhile */
	for (size_t i = 0; i < host->nr_ports; i++) {
		if (!services_port(&host->ports[i], vpc))
			continue;
		if (host->ports[i].eni->vpc->primary.family == 4 && services_first(host, vpc, i, true))
			fprintf(out, "ip addr replace %s/32 dev lo\n",
				services_address(&host->ports[i].eni->vpc->primary, 2, text));
		print_port(out, host, &host->ports[i]);
	}
}
