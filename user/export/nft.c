/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The ruleset: one chain at the forward hook, which leads through the same stages as the data path. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "export/export.h"
#include "state/cidr.h"

struct nft {
	FILE *out;
	const struct state *state;
	const struct host *host;
	enum export_form form;
};

static bool taken(const struct host_port *port)
{
	return port->device[0] && !port->guard && port->eni->live && port->eni->vpc && port->eni->subnet;
}

static bool same_groups(const struct eni *a, const struct eni *b)
{
	return a->vpc == b->vpc && a->routing == b->routing && a->nr_groups == b->nr_groups &&
	       (!a->nr_groups || !memcmp(a->groups, b->groups, a->nr_groups * sizeof(struct security_group *)));
}

/* Ports with the same groups share chains, those of a subnet its network ACL's: by the number of the first of them. */
static size_t groups_chain(const struct nft *nft, size_t port)
{
	for (size_t i = 0; i < port; i++)
		if (taken(&nft->host->ports[i]) && same_groups(nft->host->ports[i].eni, nft->host->ports[port].eni))
			return i;
	return port;
}

static size_t subnet_chain(const struct nft *nft, size_t port)
{
	for (size_t i = 0; i < port; i++)
		if (taken(&nft->host->ports[i]) &&
		    nft->host->ports[i].eni->subnet == nft->host->ports[port].eni->subnet)
			return i;
	return port;
}

static void print_source_check(const struct nft *nft, size_t port)
{
	const struct eni *eni = nft->host->ports[port].eni;

	fprintf(nft->out, "\tchain from_%zu { # %s\n", port, eni->id);
	for (int family = 4; family <= 6 && eni->check; family += 2) {
		const char *between = "";
		char text[CIDR_TEXT_MAX];

		for (size_t i = 0; i < eni->nr_addresses; i++) {
			struct cidr cidr = {.family = eni->addresses[i].family,
					    .prefixlen = eni->addresses[i].prefixlen,
					    .addr = eni->addresses[i].addr};

			if (cidr.family != family)
				continue;
			if (!*between)
				fprintf(nft->out, "\t\t%s saddr {", family == 6 ? "ip6" : "ip");
			fprintf(nft->out, "%s %s", between, cidr_format(&cidr, text));
			between = ",";
		}
		if (*between)
			fputs(" } return\n", nft->out);
	}
	fprintf(nft->out, "\t\t%s\n\t}\n", eni->check ? "drop" : "return");
}

static void print_entries(const struct nft *nft, const struct nacl_entry *entries, size_t nr, const char *side)
{
	char text[CIDR_TEXT_MAX];

	for (size_t i = 0; i < nr; i++) {
		const struct nacl_entry *entry = &entries[i];

		if (entry->cidr.prefixlen)
			fprintf(nft->out, "\t\t%s %s %s", entry->cidr.family == 6 ? "ip6" : "ip", side,
				cidr_format(&entry->cidr, text));
		else
			fprintf(nft->out, "\t\tmeta nfproto %s", entry->cidr.family == 6 ? "ipv6" : "ipv4");
		export_protocol(nft->out, entry->cidr.family, entry->protocol, entry->from, entry->to);
		fprintf(nft->out, " %s\n", entry->allow ? "return" : "drop");
	}
}

/* Within a subnet no network ACL is asked (NACL-01). */
static void print_nacl(const struct nft *nft, size_t port, bool egress)
{
	const struct vpc_subnet *subnet = nft->host->ports[port].eni->subnet;
	const struct nacl *nacl = subnet->nacl;

	fprintf(nft->out, "\tchain nacl_%s_%zu { # %s of %s\n\t\t%s {", egress ? "out" : "in", port,
		nacl ? nacl->id : "none", subnet->id, egress ? "oifname" : "iifname");
	for (size_t i = port; i < nft->host->nr_ports; i++)
		if (taken(&nft->host->ports[i]) && nft->host->ports[i].eni->subnet == subnet)
			fprintf(nft->out, "%s \"%s\"", i > port ? "," : "", nft->host->ports[i].device);
	fputs(" } return\n", nft->out);
	if (nacl)
		print_entries(nft, egress ? nacl->out : nacl->in, egress ? nacl->nr_out : nacl->nr_in,
			      egress ? "daddr" : "saddr");
	fprintf(nft->out, "\t\t%s\n\t}\n", nacl ? "drop" : "return");
}

static int print_groups(const struct nft *nft, size_t port, bool egress)
{
	const struct eni *eni = nft->host->ports[port].eni;
	const char *verdict = egress ? "return" : "accept";
	struct export_matches matches = {};
	int r = 0;

	fprintf(nft->out, "\tchain sg_%s_%zu { #", egress ? "out" : "in", port);
	for (size_t i = 0; !r && !eni->routing && i < eni->nr_groups; i++) {
		const struct security_group *group = eni->groups[i];

		fprintf(nft->out, " %s", group->id);
		r = export_resolve(nft->state, eni->vpc, egress ? group->out : group->in,
				   egress ? group->nr_out : group->nr_in, &matches);
	}
	fputs("\n", nft->out);
	export_settle(&matches);
	export_rules(nft->out, &matches, egress ? "daddr" : "saddr", verdict, nft->form);
	fprintf(nft->out, "\t\t%s\n\t}\n", eni->routing ? verdict : "drop");
	free(matches.match);
	return r;
}

static void print_map(const struct nft *nft, const char *key, const char *verb, const char *chain,
		      size_t (*number)(const struct nft *nft, size_t port))
{
	const char *between = "";

	fprintf(nft->out, "\t\t%s vmap {", key);
	for (size_t i = 0; i < nft->host->nr_ports; i++) {
		if (!taken(&nft->host->ports[i]))
			continue;
		fprintf(nft->out, "%s \"%s\" : %s %s_%zu", between, nft->host->ports[i].device, verb, chain,
			number ? number(nft, i) : i);
		between = ",";
	}
	fputs(" }\n", nft->out);
}

static int print_chains(const struct nft *nft)
{
	int r = 0;

	for (size_t i = 0; !r && i < nft->host->nr_ports; i++) {
		if (!taken(&nft->host->ports[i]))
			continue;
		print_source_check(nft, i);
		for (int egress = 0; egress < 2; egress++) {
			if (subnet_chain(nft, i) == i)
				print_nacl(nft, i, egress);
			if (!r && groups_chain(nft, i) == i)
				r = print_groups(nft, i, egress);
		}
	}
	return r;
}

static bool any_port(const struct host *host)
{
	for (size_t i = 0; i < host->nr_ports; i++)
		if (taken(&host->ports[i]))
			return true;
	return false;
}

int export_nft(FILE *out, const struct state *state, const struct host *host, enum export_form form)
{
	struct nft nft = {.out = out, .state = state, .host = host, .form = form};
	int r;

	fprintf(out,
		"# What the state says of packets between the router-mode ports of %s.\n"
		"# Not in here: gateways and their translation, uplinks, guard mode, MACs, ARP, services, sizes.\n"
		"table inet enid_export\ndelete table inet enid_export\ntable inet enid_export {\n",
		host->id);
	r = print_chains(&nft);
	fputs("\tchain forward {\n\t\ttype filter hook forward priority filter; policy drop;\n", out);
	if (any_port(host)) {
		print_map(&nft, "iifname", "jump", "from", NULL);
		print_map(&nft, "iifname", "jump", "nacl_out", subnet_chain);
		print_map(&nft, "oifname", "jump", "nacl_in", subnet_chain);
		fputs("\t\tct state established,related accept\n", out);
		print_map(&nft, "iifname", "jump", "sg_out", groups_chain);
		print_map(&nft, "oifname", "goto", "sg_in", groups_chain);
	}
	fputs("\t}\n}\n", out);
	return r;
}
