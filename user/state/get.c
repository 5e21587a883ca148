/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Values of reduced objects, and objects of the state by id. shape.c has checked every type and range before. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "state/cidr.h"
#include "state/load.h"

const char *get_text(struct load *load, const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? state_arena_strdup(load->arena, text) : "";
}

long long get_int(const json_t *object, const char *key, long long absent)
{
	const json_t *value = json_object_get(object, key);

	return value ? json_integer_value(value) : absent;
}

bool get_flag(const json_t *object, const char *key, bool absent)
{
	const json_t *value = json_object_get(object, key);

	return value ? json_is_true(value) : absent;
}

bool get_is(const json_t *object, const char *key, const char *word)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text && !strcmp(text, word);
}

struct cidr text_cidr(const json_t *string)
{
	const char *text = json_string_value(string);
	struct cidr cidr = {};
	bool host_bits;

	if (text)
		(void)cidr_parse(text, &cidr, &host_bits); /* cannot fail: checked by shape.c */
	return cidr;
}

bool get_cidr(const json_t *object, const char *key, struct cidr *ret)
{
	const json_t *value = json_object_get(object, key);

	if (!value)
		return false;
	*ret = text_cidr(value);
	return true;
}

__be32 get_ip4(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	union addr addr = {};

	if (text)
		(void)address_parse(text, &addr);
	return addr.ip4;
}

bool get_associated(const json_t *object, const char *key)
{
	const json_t *state = json_object_get(json_object_get(object, key), "State");

	return !state || !strcmp(json_string_value(state), "associated");
}

static int compare_id(const void *id, const void *object)
{
	return strcmp(id, *(const char *const *)object);
}

void *state_find(const void *array, size_t nr, size_t size, const char *id)
{
	return nr ? bsearch(id, array, nr, size, compare_id) : NULL;
}

struct vpc *find_vpc(struct load *load, const struct item *item, const char *id, const char *effect)
{
	struct vpc *vpc = FIND(load, vpcs, id);

	if (!vpc && *id)
		state_warn(load, item, "", "VpcId %s is not in the state: %s", id, effect);
	return vpc;
}

struct vpc_subnet *find_subnet(struct load *load, const struct item *item, const char *id, const char *effect)
{
	struct vpc_subnet *subnet = FIND(load, subnets, id);

	if (!subnet && *id)
		state_warn(load, item, "", "SubnetId %s is not in the state: %s", id, effect);
	return subnet;
}
