/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The pinned maps, read only, with names. */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/saved.h"
#include "base/base.h"
#include "show/view.h"

char *view_host(const char *run_dir)
{
	_cleanup_free_ char *path = NULL;
	char *host = NULL;
	json_t *status;
	const char *id;

	if (asprintf(&path, "%s/status.json", run_dir) < 0) {
		path = NULL;
		return NULL;
	}
	status = json_load_file(path, 0, NULL);
	id = json_string_value(json_object_get(status, "host"));
	if (id && *id)
		host = strdup(id);
	json_decref(status);
	return host;
}

static int name_things(struct view *view, const char *host_id, const char *run_dir, char **ret_why)
{
	struct state_messages messages = {};
	const struct host *host;
	json_t *documents = NULL;
	int r = saved_read(run_dir, &documents);

	if (r)
		return refuse(ret_why, r, "cannot read %s/" APPLIED_FILE ": %s", run_dir, strerror(-r));
	r = state_load_document(documents, APPLIED_FILE, &view->state, &messages);
	json_decref(documents);
	if (r && messages.nr_errors)
		r = refuse(ret_why, r, "%s", messages.errors[0].text);
	state_messages_done(&messages);
	if (r)
		return r;
	host = state_host(view->state, host_id);
	if (!host)
		return refuse(ret_why, -ENOENT, "no host of %s/" APPLIED_FILE " is served here", run_dir);
	r = compile_image(view->state, host, &view->image, ret_why);
	return r ? r : datapath_bind(view->datapath, view->image);
}

static void look_for_names(struct view *view, const char *run_dir)
{
	char *why = NULL, *host_id = view_host(run_dir);
	int r = name_things(view, host_id, run_dir, &why);

	if (r) {
		warnx("groups and rules have no names: %s", why ? why : strerror(-r));
		image_free(&view->image);
		state_free(&view->state);
	}
	free(why);
	free(host_id);
}

int view_open(const char *pin_dir, const char *run_dir, struct view *ret, char **ret_why)
{
	struct datapath_options options = {.pin_dir = pin_dir, .read_only = true};
	struct view view = {0};
	int r = datapath_open(&options, &view.datapath, ret_why);

	if (r)
		return r;
	view.slot = datapath_control(view.datapath)->generation & 1;
	view.ports = datapath_ports(view.datapath);
	view.nr_ports = PORTS_MAX;
	while (view.nr_ports > 1 && view_port(&view, view.nr_ports - 1)->kind == PORT_NONE)
		view.nr_ports--;
	look_for_names(&view, run_dir);
	*ret = view;
	return 0;
}

void view_close(struct view *view)
{
	image_free(&view->image);
	state_free(&view->state);
	datapath_close(&view->datapath);
}

json_t *view_port_name(const struct view *view, uint32_t port)
{
	const char *id = port ? datapath_port_id(view->datapath, port) : "";

	if (*id)
		return json_string(id);
	return port ? json_sprintf("port %u", port) : json_null();
}

json_t *view_zone_name(const struct view *view, uint32_t zone)
{
	if (zone == ZONE_INTERNET)
		return json_string("internet");
	for (size_t i = 0; view->state && i < view->state->nr_vpcs; i++)
		if (view->state->vpcs[i].zone == zone)
			return json_string(view->state->vpcs[i].id);
	return json_sprintf("zone %u", zone);
}

const char *view_stage_name(uint32_t decision)
{
	static const char *const names[STAGE_MAX] = {
#define X(symbol, name) name,
		ENID_STAGES(X)
#undef X
	};

	return DECISION_STAGE(decision) < STAGE_MAX ? names[DECISION_STAGE(decision)] : "unknown";
}

json_t *view_decision(const struct view *view, uint32_t decision)
{
	struct decision_text text;

	if (datapath_decision(view->datapath, decision, &text))
		return json_sprintf("%s %s%s%s", text.stage, text.id, *text.rule ? " " : "", text.rule);
	return json_sprintf("%s rule %u", view_stage_name(decision), DECISION_NUMBER(decision));
}

json_t *view_address(int family, const union addr *addr)
{
	char text[INET6_ADDRSTRLEN];

	inet_ntop(family == 4 ? AF_INET : AF_INET6, family == 4 ? (const void *)&addr->ip4 : addr, text, sizeof(text));
	return json_string(text);
}

json_t *view_prefix(int family, const union addr *addr, unsigned int prefixlen)
{
	json_t *address = view_address(family, addr), *prefix = NULL;

	if (address)
		prefix = json_sprintf("%s/%u", json_string_value(address), prefixlen);
	json_decref(address);
	return prefix;
}

const struct image_port *view_image_port(const struct view *view, const char *id)
{
	size_t low = 0, high = view->image ? view->image->nr_ports : 0;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = strcmp(id, view->image->ports[mid].id);

		if (!order)
			return &view->image->ports[mid];
		if (order < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}
