/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* dnsmasq's configuration: a static range a subnet, a reservation an ENI, the options of the VPC's set (DNS-01,
 * DNS-06). Nothing of the state gets into a line unless it is an address, or a name of letters, digits, dots and
 * hyphens. */
#include <arpa/inet.h>
#include <string.h>

#include "services/services.h"
#include "state/cidr.h"
#include "state/extra.h"

#define LEASE_S 3600

static const struct dhcp_configuration *option_of(const struct state *state, const struct vpc *vpc, const char *key)
{
	for (size_t i = 0; i < state->extra->nr_dhcp_options; i++) {
		const struct dhcp_options *set = &state->extra->dhcp_options[i];

		for (size_t j = 0; !strcmp(set->id, vpc->dhcp_options) && j < set->nr_configurations; j++)
			if (!strcmp(set->configurations[j].key, key))
				return &set->configurations[j];
	}
	return NULL;
}

static bool plain_name(const char *text)
{
	return *text &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") == strlen(text);
}

static const char *domain_of(const struct state *state, const struct vpc *vpc)
{
	const struct dhcp_configuration *option = option_of(state, vpc, "domain-name");

	return option && option->nr_values && plain_name(option->values[0]) ? option->values[0] : "";
}

/* `option` with all values of this family; AmazonProvidedDNS stands for the resolver. */
static void print_addresses(FILE *out, const char *option, const struct dhcp_configuration *values, int family,
			    const char *resolver)
{
	bool began = false;

	for (size_t i = 0; i < values->nr_values; i++) {
		const char *value = values->values[i];
		char text[CIDR_TEXT_MAX];
		union addr addr;

		if (resolver && !strcmp(value, "AmazonProvidedDNS"))
			value = resolver;
		if (address_parse(value, &addr) != family)
			continue;
		address_format(family, &addr, text);
		fprintf(out, family == 6 ? "%s[%s]" : "%s%s", began ? "," : option, text);
		began = true;
	}
	if (began)
		fputc('\n', out);
}

static void print_resolvers(FILE *out, const struct state *state, const struct vpc *vpc, unsigned tag)
{
	const struct dhcp_configuration *servers = option_of(state, vpc, "domain-name-servers");
	char resolver[CIDR_TEXT_MAX] = RESOLVER4, option[64];

	if (servers && vpc->primary.family == 4)
		services_address(&vpc->primary, 2, resolver);
	snprintf(option, sizeof(option), "dhcp-option=tag:s%u,option:dns-server,", tag);
	if (servers)
		print_addresses(out, option, servers, 4, resolver);
	else
		fprintf(out, "%s%s\n", option, resolver); /* no set: the link-local one (DNS-02) */
	snprintf(option, sizeof(option), "dhcp-option=tag:s%u,option6:dns-server,", tag);
	if (servers && servers->nr_values)
		print_addresses(out, option, servers, 6, RESOLVER6);
	else
		fprintf(out, "%s[%s]\n", option, RESOLVER6);
}

static void print_option(FILE *out, const struct state *state, const struct vpc *vpc, unsigned tag, const char *key,
			 const char *name)
{
	const struct dhcp_configuration *values = option_of(state, vpc, key);
	char option[64];

	snprintf(option, sizeof(option), "dhcp-option=tag:s%u,%s,", tag, name);
	if (values)
		print_addresses(out, option, values, name[6] == '6' ? 6 : 4, NULL);
}

static void print_subnet(FILE *out, const struct state *state, const struct vpc_subnet *subnet, unsigned tag)
{
	const struct dhcp_configuration *node = option_of(state, subnet->vpc, "netbios-node-type");
	const char *domain = domain_of(state, subnet->vpc);
	char net[CIDR_TEXT_MAX], router[CIDR_TEXT_MAX];
	struct in_addr mask = {htonl(~0u << (32 - subnet->cidr4.prefixlen))};

	fprintf(out, "\n# %s of %s\n", subnet->id, subnet->vpc->id);
	if (subnet->cidr4.family) {
		fprintf(out, "dhcp-range=set:s%u,%s,static,%s,%d\n", tag, services_address(&subnet->cidr4, 0, net),
			inet_ntoa(mask), LEASE_S);
		fprintf(out, "dhcp-option=tag:s%u,option:router,%s\n", tag,
			services_address(&subnet->cidr4, 1, router));
	}
	for (size_t i = 0; i < subnet->nr_cidrs6; i++)
		fprintf(out, "dhcp-range=set:s%u,%s,static,%u,%d\n", tag, services_address(&subnet->cidrs6[i], 0, net),
			subnet->cidrs6[i].prefixlen < 64 ? 64u : subnet->cidrs6[i].prefixlen, LEASE_S);
	if (*domain)
		fprintf(out, "dhcp-option=tag:s%u,option:domain-name,%s\n", tag, domain);
	print_resolvers(out, state, subnet->vpc, tag);
	print_option(out, state, subnet->vpc, tag, "ntp-servers", "option:ntp-server");
	print_option(out, state, subnet->vpc, tag, "ntp-servers", "option6:ntp-server");
	print_option(out, state, subnet->vpc, tag, "netbios-name-servers", "option:netbios-ns");
	if (node && node->nr_values && plain_name(node->values[0]))
		fprintf(out, "dhcp-option=tag:s%u,option:netbios-nodetype,%s\n", tag, node->values[0]);
}

static void print_eni(FILE *out, const struct state *state, const struct host_port *port, unsigned number)
{
	const struct eni *eni = port->eni;
	const char *domain = domain_of(state, eni->vpc);
	char text[CIDR_TEXT_MAX], name[CIDR_TEXT_MAX + 4] = "";

	fprintf(out, "\n# %s\ninterface=%s\ndhcp-host=%02x:%02x:%02x:%02x:%02x:%02x,set:e%u", eni->id, port->device,
		eni->mac[0], eni->mac[1], eni->mac[2], eni->mac[3], eni->mac[4], eni->mac[5], number);
	for (size_t i = 0; i < eni->nr_addresses; i++) {
		const struct eni_address *a = &eni->addresses[i];

		if (a->family == 4 && !a->primary)
			continue; /* the guest's own business */
		address_format(a->family, &a->addr, text);
		if (a->prefixlen == 32) {
			snprintf(name, sizeof(name), "ip-%s", text);
			for (char *at = name; (at = strchr(at, '.'));)
				*at = '-';
			fprintf(out, ",%s", text);
		} else if (a->prefixlen == 128) {
			fprintf(out, ",[%s]", text);
		}
	}
	fprintf(out, "%s%s\n", *name ? "," : "", name);
	if (port->mtu != ENI_MTU)
		fprintf(out, "dhcp-option=tag:e%u,option:mtu,%u\n", number, port->mtu);
	if (*name)
		fprintf(out, "host-record=%s%s%s,%s\n", name, *domain ? "." : "", domain,
			address_format(4, &eni->addresses[0].addr, text));
}

void services_dnsmasq(FILE *out, const struct state *state, const struct host *host, const struct vpc *vpc)
{
	char text[CIDR_TEXT_MAX];

	fprintf(out,
		"# Made by `enid services`: DHCP and DNS for the guests of %s. Names of the world: add server= lines.\n"
		"bind-dynamic\nno-hosts\nno-ping\ndhcp-authoritative\n"
		"listen-address=" RESOLVER4 "\nlisten-address=" RESOLVER6 "\n",
		host->id);
	for (size_t i = 0; i < host->nr_ports; i++) {
		const struct eni *eni = host->ports[i].eni;

		if (!services_port(&host->ports[i], vpc))
			continue;
		if (eni->vpc->primary.family == 4 && services_first(host, vpc, i, true))
			fprintf(out, "listen-address=%s\n", services_address(&eni->vpc->primary, 2, text));
		if (services_first(host, vpc, i, false))
			print_subnet(out, state, eni->subnet, (unsigned)i);
		print_eni(out, state, &host->ports[i], (unsigned)i);
	}
}
