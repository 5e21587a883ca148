/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "rehearse/objects.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "rehearse/facts.h"
#include "state/schema.h"

#define PATH_ROOM 256

struct difference {
	json_t *details;
	int r;
};

/* AWS says "security group" of SecurityGroups: the list's name in words, without its plural. */
static void kind_words(const char *list, char words[64])
{
	static const char *const odd[][2] = {
		{"Vpcs", "VPC"},
		{"NetworkAcls", "network ACL"},
		{"NetworkInterfaces", "ENI"},
		{"NatGateways", "NAT gateway"},
		{"Addresses", "Elastic IP address"},
		{"DhcpOptions", "DHCP options"},
		{"VpcBlockPublicAccessOptions", "VPC block public access options"},
		{"ManagedPrefixListEntries", "prefix list entries"},
	};
	size_t at = 0;

	for (size_t i = 0; i < ARRAY_SIZE(odd); i++)
		if (!strcmp(odd[i][0], list)) {
			strcpy(words, odd[i][1]);
			return;
		}
	for (const char *c = list; *c && at < 60; c++) {
		if (isupper((unsigned char)*c) && c > list)
			words[at++] = ' ';
		words[at++] = (char)tolower((unsigned char)*c);
	}
	if (words[at - 1] == 's')
		at--;
	words[at] = '\0';
	for (const char *const *name = (const char *const[]){"vpc", "vpn", NULL}; *name; name++)
		if (!strncmp(words, *name, 3))
			for (int i = 0; i < 3; i++)
				words[i] = (char)toupper((unsigned char)words[i]);
}

/* `what`: NULL where the key is all there is to say. Takes from and to; NULL = there is none */
static void tell(struct difference *d, const char *key, const char *what, char *from, char *to)
{
	json_t *detail = json_pack("{s:s, s:s}", "key", key, "change", !from ? "added" : !to ? "removed" : "changed");
	int r = detail ? 0 : -1;

	if (!r && what)
		r = json_object_set_new(detail, "what", json_string(what));
	if (!r && from && *from)
		r = json_object_set_new(detail, "from", json_string(from));
	if (!r && to && *to)
		r = json_object_set_new(detail, "to", json_string(to));
	free(from);
	free(to);
	if (r)
		json_decref(detail);
	else
		r = json_array_append_new(d->details, detail);
	d->r |= r;
}

static void tell_one(struct difference *d, const char *key, const char *what, const json_t *from, const json_t *to)
{
	char *was = from ? fact_text(from) : NULL, *is = to ? fact_text(to) : NULL;

	d->r |= (from && !was) || (to && !is);
	tell(d, key, what, was, is);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of both objects, sorted, each once. To free(); borrowed from the objects */
static const char **all_names(const json_t *a, const json_t *b, size_t *ret_nr)
{
	const char **names = calloc(json_object_size(a) + json_object_size(b) + 1, sizeof(*names)), *name;
	json_t *value;
	size_t nr = 0;

	*ret_nr = 0;
	if (!names)
		return NULL;
	json_object_foreach ((json_t *)a, name, value)
		names[nr++] = name;
	json_object_foreach ((json_t *)b, name, value)
		if (!json_object_get(a, name))
			names[nr++] = name;
	if (nr)
		qsort(names, nr, sizeof(*names), compare_names);
	*ret_nr = nr;
	return names;
}

static void differ_lists(struct difference *d, const char *path, const char *key, const json_t *from, const json_t *to)
{
	json_t *was = facts_of_list(key, from), *is = facts_of_list(key, to);
	size_t nr = 0;
	_cleanup_free_ const char **names = was && is ? all_names(was, is, &nr) : NULL;

	d->r |= !names;
	for (size_t i = 0; i < nr; i++) {
		const json_t *a = json_object_get(was, names[i]), *b = json_object_get(is, names[i]);

		if (!a || !b || !json_equal(a, b))
			tell_one(d, path, names[i], a, b);
	}
	json_decref(was);
	json_decref(is);
}

static void differ_objects(struct difference *d, const char *path, const json_t *from, const json_t *to)
{
	size_t nr;
	_cleanup_free_ const char **names = all_names(from, to, &nr);

	d->r |= !names;
	for (size_t i = 0; i < nr; i++) {
		const json_t *a = json_object_get(from, names[i]), *b = json_object_get(to, names[i]);
		char longer[PATH_ROOM];

		snprintf(longer, sizeof(longer), "%s%s%s", path, *path ? "." : "", names[i]);
		if (json_is_array(a) || json_is_array(b))
			differ_lists(d, longer, names[i], a, b);
		else if (json_is_object(a) || json_is_object(b))
			differ_objects(d, longer, a, b);
		else if (!a || !b || !json_equal(a, b))
			tell_one(d, longer, NULL, a, b);
	}
}

static int differ_one(json_t *changes, const struct list_schema *schema, const char *id, const json_t *from,
		      const json_t *to)
{
	const char *change = !from ? "added" : !to ? "removed" : "changed";
	struct difference d = {.details = json_array()};
	char kind[64];
	int r;

	if (!d.details)
		return -1;
	if (from && to)
		differ_objects(&d, "", from, to);
	if (d.r || (from && to && !json_array_size(d.details))) {
		json_decref(d.details);
		return d.r;
	}
	kind_words(schema->name, kind);
	r = json_array_append_new(changes, json_pack("{s:s, s:s, s:s, s:s, s:o}", "list", schema->name, "kind", kind,
						     "id", id, "change", change, "details", d.details));
	return r;
}

static int differ_list(json_t *changes, const struct list_schema *schema, const json_t *before, const json_t *after)
{
	size_t nr;
	_cleanup_free_ const char **ids = all_names(before, after, &nr);
	int r = ids ? 0 : -1;

	for (size_t i = 0; i < nr && !r; i++)
		r = differ_one(changes, schema, ids[i], json_object_get(before, ids[i]),
			       json_object_get(after, ids[i]));
	return r;
}

json_t *objects_differ(const json_t *before, const json_t *after)
{
	json_t *changes = json_array();

	for (enum list_kind kind = 0; changes && kind < LIST_MAX; kind++) {
		const char *name = state_lists[kind].name;

		if (differ_list(changes, &state_lists[kind], json_object_get(before, name),
				json_object_get(after, name))) {
			json_decref(changes);
			changes = NULL;
		}
	}
	return changes;
}
