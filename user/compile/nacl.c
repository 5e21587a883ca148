/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Network ACL and one direction -> policy object (NACL-01..NACL-18).
 *
 * Local rules ascend with the rule number, so the lowest index among the answers is the first match. The final `*` deny
 * claims nothing, since no answer is a deny (NACL-03); it is the last rule all the same, to have a number and a name.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "compile/classify.h"

#define NUMBER_TEXT_SIZE 12

static int compare_entries(const void *a, const void *b)
{
	const struct nacl_entry *x = *(const struct nacl_entry *const *)a, *y = *(const struct nacl_entry *const *)b;

	return (x->number > y->number) - (x->number < y->number);
}

static int add_entry(struct claim_sets *claims, const struct nacl_entry *entry, uint32_t rule)
{
	struct service_range services = service_range_of(entry->cidr.family, entry->protocol, entry->from, entry->to);

	return claim_cidr(claims, &entry->cidr, services, (rule + 1) | (entry->allow ? 0 : POLICY_DENY));
}

/* No NACL at all admits everything (VPC-16, VPC-17, JSON-06). */
static int compile_default(struct image_object *ret)
{
	static const struct cidr everywhere[] = {{.family = 4}, {.family = 6}};
	struct claim_sets claims = {};
	struct image_object object = {.nr_rules = 2, .rules = calloc(2, sizeof(*object.rules))};
	int r = object.rules ? 0 : -ENOMEM;

	if (!r) {
		object.rules[0] = (struct image_rule){.id = "default", .text = "default"};
		object.rules[1] = (struct image_rule){.id = "default", .text = "*"};
	}
	for (size_t i = 0; !r && i < 2; i++)
		r = claim_cidr(&claims, everywhere + i, service_range_of(everywhere[i].family, PROTOCOL_ANY, 0, 0), 1);
	if (!r)
		r = classify(POLICY_NACL, 0, &claims, &object);
	claim_sets_done(&claims);
	if (r < 0) {
		free(object.rules);
		return r;
	}
	*ret = object;
	return 0;
}

/* Rules and their texts in one block of memory. */
static struct image_rule *name_rules(const struct nacl *nacl, const struct nacl_entry *const *entries, size_t nr)
{
	struct image_rule *rules = calloc(nr + 1, sizeof(*rules) + NUMBER_TEXT_SIZE);
	char *texts;

	if (!rules)
		return NULL;
	texts = (char *)(rules + nr + 1);
	for (size_t i = 0; i < nr; i++, texts += NUMBER_TEXT_SIZE) {
		snprintf(texts, NUMBER_TEXT_SIZE, "%d", entries[i]->number);
		rules[i] = (struct image_rule){.id = nacl->id, .text = texts};
	}
	rules[nr] = (struct image_rule){.id = nacl->id, .text = "*"};
	return rules;
}

static int compile_entries(const struct nacl *nacl, const struct nacl_entry *const *entries, size_t nr,
			   struct image_object *ret)
{
	struct claim_sets claims = {};
	struct image_object object = {.nr_rules = (uint32_t)nr + 1, .rules = name_rules(nacl, entries, nr)};
	int r = object.rules ? 0 : -ENOMEM;

	for (size_t i = 0; !r && i < nr; i++)
		r = add_entry(&claims, entries[i], (uint32_t)i);
	if (!r)
		r = classify(POLICY_NACL, 0, &claims, &object);
	claim_sets_done(&claims);
	if (r < 0) {
		free(object.rules);
		return r;
	}
	*ret = object;
	return 0;
}

int compile_nacl_object(const struct nacl *nacl, bool egress, struct image_object *ret)
{
	const struct nacl_entry **entries, *all;
	size_t nr;
	int r;

	if (!nacl)
		return compile_default(ret);
	all = egress ? nacl->out : nacl->in;
	nr = egress ? nacl->nr_out : nacl->nr_in;
	if (nr >= RULE_NUMBER_MAX)
		return -E2BIG;
	entries = calloc(nr + 1, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	for (size_t i = 0; i < nr; i++)
		entries[i] = all + i;
	qsort(entries, nr, sizeof(*entries), compare_entries);
	r = compile_entries(nacl, entries, nr, ret);
	free(entries);
	return r;
}
