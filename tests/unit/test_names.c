/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How names fill their buckets: nobody is refused while records are left, and next to nobody stands away from home. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "enid/names.h"
#include "lib/world.h"

#define RECORDS 262144
#define KINDS   4 /* of flows: from many clients, a scan, IPv6, all ports of a pair of hosts */
#define SECRETS 16

struct table {
	uint8_t used[RECORDS]; /* by bucket; there are fewer buckets than records */
	uint32_t buckets, near, spilled;
};

static void put(struct table *table, uint64_t print)
{
	uint32_t home = name_home(print, table->buckets);

	assert_in_range(home, 0, table->buckets - 1);
	if (table->used[home] < BUCKET_NAMES) {
		table->used[home]++;
	} else if (table->used[home ^ 1] < BUCKET_NAMES) {
		table->used[home ^ 1]++;
		table->near++;
	} else {
		table->spilled++;
	}
}

static struct tuple flow(uint32_t n, int kind)
{
	struct tuple t = {.proto = 6, .family = kind == 2 ? 6 : 4, .sport = (uint16_t)n, .dport = 80};

	t.saddr.w[kind == 2 ? 0 : 3] = 0x0a01000a + ((n >> 16) << 24);
	t.daddr.w[3] = 0x1402000a;
	if (kind == 1) {
		t.daddr.w[3] += n << 8;
		t.sport = 1024;
	} else if (kind == 3) {
		t.sport = __builtin_bswap16((uint16_t)(1024 + (n & 0x7fff)));
		t.dport = __builtin_bswap16((uint16_t)(1024 + (n >> 15)));
	}
	return t;
}

static void fill(struct table *table, const __u64 *secrets, int kind, uint32_t flows)
{
	memset(table, 0, sizeof(*table));
	table->buckets = names_buckets(RECORDS);
	for (uint32_t n = 0; n < flows; n++) {
		struct tuple there = flow(n, kind), back = there;

		back.saddr = there.daddr;
		back.daddr = there.saddr;
		back.sport = there.dport;
		back.dport = there.sport;
		put(table, flow_fingerprint(secrets, &there, 1));
		put(table, flow_fingerprint(secrets, &back, 2));
	}
}

static void names_find_room_while_there_are_records(void **state)
{
	static const uint32_t percent[] = {50, 80, 95, 100};
	struct dice dice = {test_seed("names")};
	struct table *table = calloc(1, sizeof(*table));
	__u64 secrets[FLOW_SECRETS];

	(void)state;
	assert_non_null(table);
	assert_in_range(names_buckets(RECORDS), 2, RECORDS);
	for (size_t i = 0; i < sizeof(percent) / sizeof(*percent); i++) {
		uint32_t flows = RECORDS / 100 * percent[i], near = 0, spilled = 0;

		for (int round = 0; round < SECRETS; round++) {
			for (int k = 0; k < FLOW_SECRETS; k++)
				secrets[k] = (__u64)dice_below(&dice, UINT32_MAX) << 32 | dice_below(&dice, UINT32_MAX);
			fill(table, secrets, round % KINDS, flows);
			near = table->near > near ? table->near : near;
			spilled = table->spilled > spilled ? table->spilled : spilled;
		}
		print_message("%u %% of the records: at the most %.3f %% of the names in the neighbour, %.4f %% in the "
			      "hash\n",
			      percent[i], 50.0 * near / flows, 50.0 * spilled / flows);
		assert_true(near < flows / 10); /* of twice as many names */
		assert_true(spilled < names_spilled_max(RECORDS) / 4 * 3);
	}
	free(table);
}

/* Small tables have room for all names, wherever they fall. */
static void small_tables_hold_their_names(void **state)
{
	(void)state;
	for (uint32_t records = 1; records < 4096; records++) {
		uint32_t buckets = names_buckets(records);

		assert_int_equal(buckets % 2, 0);
		assert_true(buckets * 5 >= 2 * records);
		assert_true(2 * BUCKET_NAMES + names_spilled_max(records) >= (records < 32 ? 2 * records : 0));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_find_room_while_there_are_records),
		cmocka_unit_test(small_tables_hold_their_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
