/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* enid show groups, nacls: which policy object stands for what, as it lies in the kernel. */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "enid/policy.h"
#include "show/show.h"

static bool read_header(const struct view *view, uint32_t line, struct policy_line *ret)
{
	return line && !bpf_map_lookup_elem(datapath_map_fd(view->datapath, "policy"), &line, ret);
}

/* The rules that somebody wrote: without the implied one of a network ACL. */
static json_t *nr_rules(const struct view *view, uint32_t line, uint32_t implied)
{
	struct policy_line header;

	return read_header(view, line, &header) ? json_integer(header.w[POLICY_W_RULES] - implied) : json_null();
}

static bool carries(const struct eni *eni, const struct security_group *group)
{
	for (size_t i = 0; i < eni->nr_groups; i++)
		if (eni->groups[i] == group)
			return true;
	return false;
}

static json_t *members(const struct view *view, const struct security_group *group)
{
	json_t *enis = json_array();

	for (size_t i = 0; i < view->image->nr_ports; i++) {
		const struct image_port *port = &view->image->ports[i];

		if (port->eni && carries(port->eni, group) && datapath_port_number(view->datapath, port->id))
			json_array_append_new(enis, json_string(port->id));
	}
	return enis;
}

/* How many of the members' ports hold a compiled object: the state says "group", the kernel says "object". */
static json_t *group_row(const struct view *view, const struct security_group *group)
{
	return json_pack("{s:s, s:s, s:s, s:I, s:I, s:o}", "group", group->id, "name", group->name ? group->name : "",
			 "vpc", group->vpc ? group->vpc->id : "", "in", (json_int_t)group->nr_in, "out",
			 (json_int_t)group->nr_out, "enis", members(view, group));
}

static json_t *object_row(const struct view *view, uint32_t port)
{
	const struct port_policy *policy = view_port(view, port);

	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:[o]}", "group", "unknown", "name", "", "vpc",
			 view_zone_name(view, policy->zone), "in", nr_rules(view, policy->sg_in, 0), "out",
			 nr_rules(view, policy->sg_out, 0), "enis", view_port_name(view, port));
}

int show_groups(const struct view *view, struct output *output, bool json)
{
	static const char *const columns[] = {"group", "name", "vpc", "in", "out", "enis", NULL};

	output_begin(output, json, columns);
	for (size_t i = 0; view->image && i < view->state->nr_groups; i++)
		output_row(output, group_row(view, &view->state->groups[i]), NULL);
	for (uint32_t port = 1; !view->image && port < view->nr_ports; port++)
		if (view_port(view, port)->kind == PORT_ENI && !(view_port(view, port)->flags & PORT_NO_SG))
			output_row(output, object_row(view, port), NULL);
	return output_end(output);
}

static const struct vpc_subnet *find_subnet(const struct view *view, const char *id)
{
	for (size_t i = 0; view->state && i < view->state->nr_subnets; i++)
		if (!strcmp(view->state->subnets[i].id, id))
			return &view->state->subnets[i];
	return NULL;
}

static json_t *nacl_row(const struct view *view, const char *id, const struct subnet_policy *policy)
{
	const struct vpc_subnet *subnet = find_subnet(view, id);
	json_t *nacl = !subnet ? json_null() : json_string(subnet->nacl ? subnet->nacl->id : "none");

	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:I, s:I}", "subnet", id, "vpc", view_zone_name(view, policy->zone),
			 "nacl", nacl, "in", nr_rules(view, policy->nacl_in, 1), "out",
			 nr_rules(view, policy->nacl_out, 1), "table", (json_int_t)policy->table, "line_in",
			 (json_int_t)policy->nacl_in);
}

int show_nacls(const struct view *view, struct output *output, bool json)
{
	static const char *const columns[] = {"subnet", "vpc", "nacl", "in", "out", NULL};
	int names = datapath_map_fd(view->datapath, "subnet_names"),
	    values = datapath_map_fd(view->datapath, "subnets");
	struct port_name name;
	struct subnet subnet;

	output_begin(output, json, columns);
	for (uint32_t i = 1; i < SUBNETS_MAX; i++) {
		if (bpf_map_lookup_elem(names, &i, &name) || !*name.id || bpf_map_lookup_elem(values, &i, &subnet))
			continue;
		name.id[ID_MAX - 1] = 0;
		if (subnet.slot[view->slot].zone)
			output_row(output, nacl_row(view, name.id, &subnet.slot[view->slot]), NULL);
	}
	return output_end(output);
}
