/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* PrefixLists of two calls and ManagedPrefixListEntries, joined by id (JSON-04, JSON-05, SG-13). */
#include <string.h>

#include "state/cidr.h"
#include "state/load.h"

static void take_entries(struct load *load, struct prefix_list *list, const struct item *item,
			 const struct item *entries)
{
	const json_t *inline_cidrs = item ? json_object_get(item->json, "Cidrs") : NULL;
	const json_t *managed = entries ? json_object_get(entries->json, "Entries") : NULL;
	const json_t *element;
	size_t index, nr = 0;

	list->entries =
		ARENA_ARRAY(load->arena, json_array_size(inline_cidrs) + json_array_size(managed) + 1, struct cidr);
	json_array_foreach (inline_cidrs, index, element)
		if (json_is_string(element))
			list->entries[nr++] = text_cidr(element);
	json_array_foreach (managed, index, element)
		if (json_is_object(element))
			nr += get_cidr(element, "Cidr", &list->entries[nr]);
	list->nr_entries = cidr_sort_unique(list->entries, nr);
}

/* What the metadata says of the entries. */
static void check_list(struct load *load, struct prefix_list *list, const struct item *item)
{
	long long max = get_int(item->json, "MaxEntries", -1);
	int family = get_is(item->json, "AddressFamily", "ipv4")   ? 4
		     : get_is(item->json, "AddressFamily", "ipv6") ? 6
								   : 0;
	const char *state = get_text(load, item->json, "State");
	char text[CIDR_TEXT_MAX];

	for (size_t i = 0; i < list->nr_entries; i++)
		if (family && list->entries[i].family != family)
			state_error(load, item, "", "entry %s is not of the list's address family",
				    cidr_format(&list->entries[i], text));
	if (max >= 0 && list->nr_entries > (size_t)max)
		state_warn(load, item, "", "has %zu entries, more than MaxEntries %lld", list->nr_entries, max);
	if (!strncmp(state, "delete", 6)) {
		state_warn(load, item, "", "State %s: its entries match nothing", state);
		list->nr_entries = 0;
	} else if (!list->nr_entries) {
		state_warn(load, item, "", "its entries are not in the state: it matches nothing");
	}
}

/* Both lists are sorted by id: walk them together. */
void load_prefix_lists(struct load *load)
{
	struct items *lists = &load->lists[LIST_PREFIX_LISTS], *entries = &load->lists[LIST_PREFIX_LIST_ENTRIES];
	struct state *state = load->state;
	size_t i = 0, j = 0;

	state->prefix_lists = ARENA_ARRAY(load->arena, lists->nr + entries->nr + 1, struct prefix_list);
	while (i < lists->nr || j < entries->nr) {
		struct prefix_list *list = &state->prefix_lists[state->nr_prefix_lists++];
		struct item *item = i < lists->nr ? &lists->item[i] : NULL;
		struct item *entry = j < entries->nr ? &entries->item[j] : NULL;
		int order = !item ? 1 : !entry ? -1 : strcmp(item->id, entry->id);

		item = order <= 0 ? item : NULL;
		entry = order >= 0 ? entry : NULL;
		i += order <= 0;
		j += order >= 0;
		list->id = item ? item->id : entry->id;
		list->name = item ? get_text(load, item->json, "PrefixListName") : "";
		take_entries(load, list, item, entry);
		if (item)
			check_list(load, list, item);
	}
}
