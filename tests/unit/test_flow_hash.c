/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The fingerprint of a flow's name (C13): who knows the code but not the secrets cannot make flows collide. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "enid/names.h"
#include "lib/world.h"

#define FLOWS   65536
#define BUCKETS 4096

static void draw(struct dice *dice, __u64 *secrets)
{
	for (int i = 0; i < FLOW_SECRETS; i++)
		secrets[i] = (__u64)dice_below(dice, UINT32_MAX) << 32 | dice_below(dice, UINT32_MAX);
}

/* Flow n of a family of flows that an attacker would choose: they differ in few bits of one or two fields. */
static struct tuple flow(uint32_t n, int kind)
{
	struct tuple t = {.proto = 6, .family = kind & 4 ? 6 : 4};

	t.saddr.w[3] = 0x0a01000a;
	t.daddr.w[3] = 0x1402000a;
	t.dport = 80;
	switch (kind & 3) {
	case 0:
		t.sport = (uint16_t)n;
		break;
	case 1:
		t.saddr.w[kind & 4 ? 0 : 3] ^= n << 8;
		break;
	case 2:
		t.sport = (uint16_t)(n & 255);
		t.daddr.w[3] ^= n >> 8;
		break;
	case 3:
		t.saddr.w[3] ^= n & 255; /* a sum that stays the same */
		t.daddr.w[3] ^= n & 255;
		t.sport = (uint16_t)(n >> 8);
		break;
	}
	return t;
}

static uint32_t longest_bucket(const __u64 *prints, uint32_t nr)
{
	static uint32_t count[BUCKETS];
	uint32_t most = 0;

	memset(count, 0, sizeof(count));
	for (uint32_t i = 0; i < nr; i++)
		if (++count[name_home(prints[i], BUCKETS)] > most)
			most = count[name_home(prints[i], BUCKETS)];
	return most;
}

static int compare(const void *a, const void *b)
{
	const __u64 *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void c13_chosen_flows_spread(void **state)
{
	struct dice dice = {test_seed("flow hash")};
	__u64 secrets[FLOW_SECRETS], *prints = calloc(FLOWS, sizeof(*prints));

	(void)state;
	assert_non_null(prints);
	for (int kind = 0; kind < 8; kind++) {
		draw(&dice, secrets);
		for (uint32_t n = 0; n < FLOWS; n++) {
			struct tuple t = flow(n, kind);

			prints[n] = flow_fingerprint(secrets, &t, 1);
		}
		assert_in_range(longest_bucket(prints, FLOWS), 1, 4 * FLOWS / BUCKETS);
		qsort(prints, FLOWS, sizeof(*prints), compare);
		for (uint32_t n = 1; n < FLOWS; n++)
			assert_true(prints[n] != prints[n - 1]);
	}
	free(prints);
}

/* Flows found to share one bucket under some secrets share none under others. */
static void c13_collisions_do_not_carry_over(void **state)
{
	struct dice dice = {test_seed("flow hash")};
	__u64 known[FLOW_SECRETS], ours[FLOW_SECRETS], *prints = calloc(FLOWS, sizeof(*prints));
	uint32_t nr = 0;

	(void)state;
	assert_non_null(prints);
	draw(&dice, known);
	draw(&dice, ours);
	for (int kind = 0; kind < 8; kind++)
		for (uint32_t n = 0; n < FLOWS; n++) {
			struct tuple t = flow(n, kind);

			if (name_home(flow_fingerprint(known, &t, 1), BUCKETS) == 7 && nr < FLOWS)
				prints[nr++] = flow_fingerprint(ours, &t, 1);
		}
	assert_true(nr > 50);
	assert_in_range(longest_bucket(prints, nr), 1, 8);
	free(prints);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(c13_chosen_flows_spread),
		cmocka_unit_test(c13_collisions_do_not_carry_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
