/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* InternetGateways, EgressOnlyInternetGateways and VpnGateways, in one array (IGW-08, EIGW-01, VGW-01). */
#include <stdlib.h>
#include <string.h>

#include "state/load.h"

static const struct source {
	enum list_kind list;
	enum target_kind kind;
	const char *attachments;
} sources[] = {
	{LIST_INTERNET_GATEWAYS, TARGET_IGW, "Attachments"},
	{LIST_EGRESS_ONLY_GATEWAYS, TARGET_EIGW, "Attachments"},
	{LIST_VPN_GATEWAYS, TARGET_VGW, "VpcAttachments"},
};

static int compare_gateways(const void *a, const void *b)
{
	return strcmp(((const struct gateway *)a)->id, ((const struct gateway *)b)->id);
}

/* The State of an attachment reads attached in the model and available in real output (JSON-09a). */
static struct vpc *attached_vpc(struct load *load, struct item *item, const char *key)
{
	const json_t *attachment;
	struct vpc *vpc = NULL;
	size_t index;

	json_array_foreach (json_object_get(item->json, key), index, attachment) {
		const char *state = get_text(load, attachment, "State");
		struct vpc *found;

		if (*state && strcmp(state, "attached") != 0 && strcmp(state, "available") != 0)
			continue;
		found = find_vpc(load, item, get_text(load, attachment, "VpcId"), "the gateway is attached to none");
		if (found && vpc && found != vpc)
			state_error(load, item, key, "is attached to %s and to %s", vpc->id, found->id);
		vpc = vpc ? vpc : found;
	}
	return vpc;
}

/* Ids are unique over the three lists, because routes and uplinks name a gateway by id only. */
static void check_unique(struct load *load)
{
	const struct state *state = load->state;

	for (size_t i = 1; i < state->nr_gateways; i++) {
		const struct gateway *gateway = &state->gateways[i];

		if (strcmp(gateway->id, gateway[-1].id) != 0)
			continue;
		for (size_t j = 0; j < sizeof(sources) / sizeof(*sources); j++)
			LIST_FOREACH (load, sources[j].list, item)
				if (!strcmp(item->id, gateway->id))
					state_error(load, item, "", "is the id of another gateway, too");
	}
}

void load_gateways(struct load *load)
{
	struct state *state = load->state;
	size_t nr = 0;

	for (size_t i = 0; i < sizeof(sources) / sizeof(*sources); i++)
		nr += load->lists[sources[i].list].nr;
	state->gateways = ARENA_ARRAY(load->arena, nr + 1, struct gateway);
	for (size_t i = 0; i < sizeof(sources) / sizeof(*sources); i++)
		LIST_FOREACH (load, sources[i].list, item) {
			struct gateway *gateway = &state->gateways[state->nr_gateways++];

			gateway->id = item->id;
			gateway->kind = sources[i].kind;
			gateway->vpc = attached_vpc(load, item, sources[i].attachments);
		}
	qsort(state->gateways, nr, sizeof(*state->gateways), compare_gateways);
	check_unique(load);
}
