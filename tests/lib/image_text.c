/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "lib/image_text.h"

#include <stdio.h>
#include <stdlib.h>

static void print_bytes(FILE *out, const void *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		fprintf(out, "%02x", ((const uint8_t *)bytes)[i]);
	fputc(' ', out);
}

static void print_rules(FILE *out, const struct image_rule *rules, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++)
		fprintf(out, "  %s %s\n", rules[i].id, rules[i].text);
}

static void print_port(FILE *out, const struct image_port *port)
{
	fprintf(out, "%s %s %d %u %u %x %u %u %u %u %x %u %u %u %u %x %s ", port->id, port->device, port->hook,
		port->kind, port->mode, port->flags, port->zone, port->subnet, port->sg_in, port->sg_out,
		port->identity, port->tcp_established_s, port->udp_s, port->udp_stream_s, port->gateway, port->primary4,
		port->eni ? port->eni->id : "-");
	fprintf(out, "%u ", port->hop);
	print_bytes(out, port->mac, 6);
}

char *image_text(const struct image *image)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	for (size_t i = 0; i < image->nr_objects; i++) {
		print_bytes(out, &image->objects[i].hash, sizeof(image->objects[i].hash));
		print_bytes(out, image->objects[i].lines, image->objects[i].nr_lines * sizeof(struct policy_line));
		print_rules(out, image->objects[i].rules, image->objects[i].nr_rules);
	}
	for (size_t i = 0; i < image->nr_tables; i++) {
		print_bytes(out, &image->tables[i].hash, sizeof(image->tables[i].hash));
		for (size_t k = 0; k < image->tables[i].nr_routes; k++) {
			const struct image_route *route = image->tables[i].routes + k;

			print_bytes(out, &route->cidr.addr, sizeof(route->cidr.addr));
			fprintf(out, "%u/%u %u %u %u\n", route->cidr.family, route->cidr.prefixlen, route->kind,
				route->target, route->rule);
		}
		print_rules(out, image->tables[i].rules, image->tables[i].nr_rules);
	}
	for (size_t i = 0; i < image->nr_subnets; i++) {
		const struct image_subnet *subnet = image->subnets + i;

		fprintf(out, "%s %u %u %u %u %x %x %x %x ", subnet->id, subnet->nacl_in, subnet->nacl_out,
			subnet->table, subnet->zone, subnet->net4, subnet->mask4, subnet->router4, subnet->resolver4);
		print_bytes(out, subnet->cidrs6, subnet->nr_cidrs6 * sizeof(*subnet->cidrs6));
	}
	for (size_t i = 0; i < image->nr_ports; i++)
		print_port(out, image->ports + i);
	for (size_t i = 0; i < image->nr_gateways; i++)
		print_bytes(out, image->gateways + i, sizeof(*image->gateways));
	for (size_t i = 0; i < image->nr_addresses; i++) {
		print_bytes(out, &image->addresses[i].key, sizeof(image->addresses[i].key));
		fprintf(out, "%u\n", image->addresses[i].port);
	}
	print_bytes(out, image->associations, image->nr_associations * sizeof(*image->associations));
	for (size_t i = 0; i < image->nr_macs; i++) {
		fprintf(out, "%u %u ", image->macs[i].subnet, image->macs[i].port);
		print_bytes(out, image->macs[i].mac, 6);
	}
	fclose(out);
	return text;
}
