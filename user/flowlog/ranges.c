/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* AWS's ip-ranges.json, sorted by length and address: a look-up is a binary search for each length that occurs. */
#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flowlog/ranges.h"

#define SERVICE_MAX 40

struct range {
	uint8_t family, len;
	union addr net;
	char service[SERVICE_MAX];
};

struct block { /* of one family and length */
	uint8_t family, len;
	size_t first, nr;
};

struct ranges {
	struct range *range;
	size_t nr;
	struct block block[33 + 129]; /* long prefixes first */
	size_t nr_blocks;
};

static void mask(union addr *addr, int family, int len)
{
	uint8_t *bytes = family == 4 ? (uint8_t *)&addr->ip4 : addr->bytes;

	for (int i = 0; i < (family == 4 ? 4 : 16); i++) {
		int keep = len - 8 * i;

		if (keep <= 0)
			bytes[i] = 0;
		else if (keep < 8)
			bytes[i] &= (uint8_t)(0xff << (8 - keep));
	}
}

static bool is_name(const char *service)
{
	return *service && strlen(service) < SERVICE_MAX &&
	       strspn(service, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == strlen(service);
}

static int add_range(struct ranges *ranges, int family, const char *text, const char *service)
{
	struct range *range = &ranges->range[ranges->nr];
	char net[INET6_ADDRSTRLEN];
	size_t len = text ? strcspn(text, "/") : 0;
	long bits = text && text[len] ? strtol(text + len + 1, NULL, 10) : -1;

	if (!text || !service || !is_name(service) || len >= sizeof(net) || bits < 0 || bits > (family == 4 ? 32 : 128))
		return -EINVAL;
	memcpy(net, text, len);
	net[len] = 0;
	memset(range, 0, sizeof(*range));
	if (inet_pton(family == 4 ? AF_INET : AF_INET6, net,
		      family == 4 ? (void *)&range->net.ip4 : (void *)range->net.bytes) != 1)
		return -EINVAL;
	range->family = (uint8_t)family;
	range->len = (uint8_t)bits;
	mask(&range->net, family, (int)bits);
	strcpy(range->service, service);
	ranges->nr++;
	return 0;
}

static int compare_places(const struct range *x, const struct range *y)
{
	if (x->family != y->family)
		return x->family < y->family ? -1 : 1;
	if (x->len != y->len)
		return x->len > y->len ? -1 : 1;
	return memcmp(&x->net, &y->net, sizeof(x->net));
}

static int compare_ranges(const void *a, const void *b)
{
	const struct range *x = a, *y = b;
	int order = compare_places(x, y), amazon_x = !strcmp(x->service, "AMAZON"),
	    amazon_y = !strcmp(y->service, "AMAZON");

	if (order || amazon_x != amazon_y)
		return order ? order : amazon_x - amazon_y;
	return strcmp(x->service, y->service);
}

/* One range for each place: the best; and where each length begins. */
static void settle(struct ranges *ranges)
{
	size_t nr = 0;

	qsort(ranges->range, ranges->nr, sizeof(*ranges->range), compare_ranges);
	for (size_t i = 0; i < ranges->nr; i++) {
		const struct range *range = &ranges->range[i];
		struct block *block = &ranges->block[ranges->nr_blocks ? ranges->nr_blocks - 1 : 0];

		if (nr && !compare_places(&ranges->range[nr - 1], range))
			continue;
		if (!ranges->nr_blocks || block->family != range->family || block->len != range->len) {
			block = &ranges->block[ranges->nr_blocks++];
			*block = (struct block){range->family, range->len, nr, 0};
		}
		block->nr++;
		ranges->range[nr++] = *range;
	}
	ranges->nr = nr;
}

static int read_list(struct ranges *ranges, const json_t *list, int family, const char *key)
{
	const json_t *item;
	size_t index;
	int r = 0;

	json_array_foreach (list, index, item) {
		r = add_range(ranges, family, json_string_value(json_object_get(item, key)),
			      json_string_value(json_object_get(item, "service")));
		if (r)
			return r;
	}
	return 0;
}

static int read_all(const json_t *root, struct ranges **ret)
{
	const json_t *four = json_object_get(root, "prefixes"), *six = json_object_get(root, "ipv6_prefixes");
	struct ranges *ranges = calloc(1, sizeof(*ranges));
	int r = 0;

	if (!json_is_array(four) || !json_is_array(six))
		r = -EINVAL;
	if (!r && ranges)
		ranges->range = calloc(json_array_size(four) + json_array_size(six) + 1, sizeof(*ranges->range));
	if (!r && (!ranges || !ranges->range))
		r = -ENOMEM;
	if (!r)
		r = read_list(ranges, four, 4, "ip_prefix");
	if (!r)
		r = read_list(ranges, six, 6, "ipv6_prefix");
	if (r) {
		ranges_close(&ranges);
		return r;
	}
	settle(ranges);
	*ret = ranges;
	return 0;
}

int ranges_open(const char *path, struct ranges **ret, char **ret_why)
{
	json_error_t error;
	json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
	int r = root ? read_all(root, ret) : -EINVAL;

	json_decref(root);
	if (r && asprintf(ret_why, "%s: %s", path, root ? "not in the form of ip-ranges.json" : error.text) < 0)
		*ret_why = NULL;
	return r;
}

void ranges_close(struct ranges **ranges)
{
	if (*ranges)
		free((*ranges)->range);
	free(*ranges);
	*ranges = NULL;
}

const char *ranges_find(const struct ranges *ranges, int family, const union addr *addr)
{
	for (size_t i = 0; ranges && i < ranges->nr_blocks; i++) {
		const struct block *block = &ranges->block[i];
		union addr net = *addr;
		size_t low = block->first, high = block->first + block->nr;

		if (block->family != family)
			continue;
		mask(&net, family, block->len);
		while (low < high) {
			size_t middle = low + (high - low) / 2;
			int order = memcmp(&net, &ranges->range[middle].net, sizeof(net));

			if (!order)
				return ranges->range[middle].service;
			if (order < 0)
				high = middle;
			else
				low = middle + 1;
		}
	}
	return "";
}
