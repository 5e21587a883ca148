/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Groups of uplinks: of equal cost (TGW-09), or the first whose device works (VGW-03, VGW-08). A group is a station of
 * the walk, named by its members. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compile/hash.h"
#include "compile/work.h"

void uplinks_add(struct uplinks *uplinks, const char *id)
{
	if (!*id || uplinks->nr == GATEWAY_MEMBERS_MAX)
		return;
	for (size_t i = 0; i < uplinks->nr; i++)
		if (!strcmp(uplinks->ids[i], id))
			return;
	uplinks->ids[uplinks->nr++] = id;
}

static void name_group(const struct uplinks *uplinks, char id[ID_MAX])
{
	struct hasher hasher = HASHER_INIT;
	struct content_hash hash;

	for (size_t i = 0; i < uplinks->nr; i++)
		hasher_add_text(&hasher, uplinks->ids[i]);
	hash = hasher_result(&hasher);
	(void)snprintf(id, ID_MAX, "%s-%08x%08x%08x%08x", uplinks->ordered ? "first" : "ecmp", hash.w[0], hash.w[1],
		       hash.w[2], hash.w[3]);
}

/* One more group, unless it is known or has one member. */
int group_add(struct image_work *work, const struct uplinks *uplinks, uint32_t realm)
{
	char id[ID_MAX];
	struct group *group;

	if (uplinks->nr < 2)
		return 0;
	name_group(uplinks, id);
	for (group = work->groups; group; group = group->next)
		if (!strcmp(group->id, id))
			return 0;
	group = calloc(1, sizeof(*group));
	if (!group)
		return -ENOMEM;
	memcpy(group->id, id, sizeof(id));
	group->uplinks = *uplinks;
	group->realm = realm;
	group->next = work->groups;
	work->groups = group;
	return hop_add(work, id, GATEWAY_GROUP, group);
}

void groups_free(struct image_work *work)
{
	while (work->groups) {
		struct group *group = work->groups;

		work->groups = group->next;
		free(group);
	}
}

uint32_t route_by_uplinks(const struct image_work *work, const struct uplinks *uplinks, uint32_t *ret_port)
{
	const struct hop *hop;
	char id[ID_MAX];

	*ret_port = IMAGE_NONE;
	if (uplinks->nr > 1) {
		name_group(uplinks, id);
		hop = hop_of(work, GATEWAY_GROUP, id);
		if (hop)
			*ret_port = hop->port;
		return hop ? ROUTE_ATTACHMENT : ROUTE_NOT_SERVED;
	}
	if (uplinks->nr)
		*ret_port = uplink_port_of(work, uplinks->ids[0]);
	return *ret_port == IMAGE_NONE ? ROUTE_NOT_SERVED : ROUTE_UPLINK;
}

void fill_group(const struct image_work *work, const struct group *group, struct image_gateway *gateway)
{
	gateway->realm = group->realm;
	gateway->flags = group->uplinks.ordered ? GATEWAY_ORDERED : 0;
	gateway->nr = (uint32_t)group->uplinks.nr;
	for (uint32_t i = 0; i < gateway->nr; i++)
		gateway->members[i] = uplink_port_of(work, group->uplinks.ids[i]);
}
