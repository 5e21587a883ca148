/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The pinned maps, read only, with names. What the maps cannot say (groups, rule texts) comes from the desired state
 * that the agent left in the runtime folder; without it numbers stand in for names. No agent is needed. */
#ifndef ENID_SHOW_VIEW_H
#define ENID_SHOW_VIEW_H

#include <jansson.h>

#include "compile/image.h"
#include "datapath/datapath.h"
#include "show/filter.h"
#include "state/state.h"

struct view {
	struct datapath *datapath;
	struct state *state; /* NULL = unknown */
	struct image *image; /* NULL = unknown */
	uint32_t slot;       /* which of the two is in force */
	struct port *ports;
	uint32_t nr_ports; /* one more than the highest number in use */
	const char *run_dir;
	bool unused_only;     /* of rules: those that no packet has met */
	struct filter filter; /* of flows */
};

/* ret: 0 | -errno, *ret_why a sentence to free(). Missing names are told on stderr. */
int view_open(const char *pin_dir, const char *run_dir, struct view *ret, char **ret_why);
void view_close(struct view *view);

/* The host that the agent acts for, as it left it in status.json; NULL = not said. To free(). */
char *view_host(const char *run_dir);

static inline const struct port_policy *view_port(const struct view *view, uint32_t port)
{
	return &view->ports[port].slot[view->slot];
}

/* Names as new JSON strings. */
json_t *view_port_name(const struct view *view, uint32_t port);    /* "eni-web"; null for 0 */
json_t *view_zone_name(const struct view *view, uint32_t zone);    /* "vpc-01", or "zone 1" */
json_t *view_decision(const struct view *view, uint32_t decision); /* "sg-egress sg-web sgr-01" */
const char *view_stage_name(uint32_t decision);
json_t *view_address(int family, const union addr *addr);
json_t *view_prefix(int family, const union addr *addr, unsigned int prefixlen);

/* The image's port of that id; NULL = unknown. */
const struct image_port *view_image_port(const struct view *view, const char *id);

#endif
