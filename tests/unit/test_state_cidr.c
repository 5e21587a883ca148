/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* CIDRs: strict text, host bits, order, containment; the pairs against a bit-by-bit reference. */
#include "test_state.h"

static struct cidr cidr_of(const char *text)
{
	struct cidr cidr;
	bool host_bits;

	if (cidr_parse(text, &cidr, &host_bits))
		fail_msg("%s", text);
	return cidr;
}

static void text_is_read_strictly(void **context)
{
	static const char *const bad[] = {"",
					  "/",
					  "10.0.0.0",
					  "10.0.0.0/",
					  "10.0.0.0/33",
					  "10.0.0/8",
					  "10.0.0.0/8 ",
					  " 1.0.0.0/8",
					  "1.0.0.0/08",
					  "1.0.0.0/+8",
					  "1.0.0.0/-1",
					  "01.0.0.0/8",
					  "256.0.0.0/8",
					  "::/129",
					  "::",
					  "fe80::1%eth0/64",
					  "1.0.0.0/8/8",
					  ":::/0",
					  "1.0.0.0/4294967304",
					  "0x1.0.0.0/8"};
	struct cidr cidr;
	bool host_bits;

	(void)context;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (!cidr_parse(bad[i], &cidr, &host_bits))
			fail_msg("'%s' was read", bad[i]);
}

static void host_bits_are_cleared_and_told(void **context)
{
	static const struct {
		const char *text, *canonical;
		bool host_bits;
	} cases[] = {
		{"0.0.0.0/0", "0.0.0.0/0", false},
		{"1.2.3.4/0", "0.0.0.0/0", true},
		{"1.2.3.4/5", "0.0.0.0/5", true},
		{"192.168.0.1/31", "192.168.0.0/31", true},
		{"192.168.0.1/32", "192.168.0.1/32", false},
		{"2001:DB8:0:0::/32", "2001:db8::/32", false},
		{"2001:db8::1/127", "2001:db8::/127", true},
		{"2001:db8::1/128", "2001:db8::1/128", false},
		{"::ffff:1.2.3.4/96", "::ffff:0.0.0.0/96", true},
	};
	char text[CIDR_TEXT_MAX];

	(void)context;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct cidr cidr;
		bool host_bits;

		assert_int_equal(cidr_parse(cases[i].text, &cidr, &host_bits), 0);
		assert_string_equal(cidr_format(&cidr, text), cases[i].canonical);
		assert_int_equal(host_bits, cases[i].host_bits);
	}
}

static void order_is_family_address_length(void **context)
{
	static const char *const sorted[] = {"0.0.0.0/0",   "1.0.0.0/8", "10.0.0.0/8",    "10.0.0.0/16",
					     "10.0.1.0/24", "::/0",      "2001:db8::/32", "2001:db8::/48"};
	struct cidr cidrs[16];
	size_t nr = sizeof(sorted) / sizeof(*sorted);
	char text[CIDR_TEXT_MAX];

	(void)context;
	for (size_t i = 0; i < 2 * nr; i++)
		cidrs[i] = cidr_of(sorted[(i * 5 + 3) % nr]);
	assert_int_equal(cidr_sort_unique(cidrs, 2 * nr), nr);
	for (size_t i = 0; i < nr; i++)
		assert_string_equal(cidr_format(&cidrs[i], text), sorted[i]);
}

static bool bit(const struct cidr *cidr, unsigned int i)
{
	const uint8_t *bytes = cidr->addr.bytes + (cidr->family == 4 ? 12 : 0);

	return bytes[i / 8] >> (7 - i % 8) & 1;
}

static bool contains_by_bits(const struct cidr *outer, const struct cidr *inner)
{
	if (outer->family != inner->family || outer->prefixlen > inner->prefixlen)
		return false;
	for (unsigned int i = 0; i < outer->prefixlen; i++)
		if (bit(outer, i) != bit(inner, i))
			return false;
	return true;
}

static void containment_agrees_with_the_bits(void **context)
{
	size_t nr_inside = 0;

	(void)context;
	srand(3);
	for (int i = 0; i < 200000; i++) {
		struct cidr pair[2];

		for (int j = 0; j < 2; j++) {
			char text[CIDR_TEXT_MAX];

			if (rand() % 2)
				snprintf(text, sizeof(text), "10.%d.%d.%d/%d", rand() % 2, rand() % 2 * 128,
					 rand() % 256, rand() % 33);
			else
				snprintf(text, sizeof(text), "%x::%x/%d", rand() % 2 * 0x8000, rand() % 2,
					 rand() % 129);
			pair[j] = cidr_of(text);
		}
		nr_inside += contains_by_bits(&pair[0], &pair[1]);
		assert_int_equal(cidr_contains(&pair[0], &pair[1]), contains_by_bits(&pair[0], &pair[1]));
		assert_int_equal(cidr_overlaps(&pair[0], &pair[1]),
				 contains_by_bits(&pair[0], &pair[1]) || contains_by_bits(&pair[1], &pair[0]));
	}
	assert_in_range(nr_inside, 1000, 150000);
}

static void macs_have_six_pairs(void **context)
{
	static const char *const bad[] = {"",
					  "02:00:00:00:00",
					  "02:00:00:00:00:01:02",
					  "02-00-00-00-00-01",
					  "2:0:0:0:0:1",
					  "02:00:00:00:00:0g",
					  " 2:00:00:00:00:01",
					  "02:00:00:00:00::1"};
	uint8_t mac[6];

	(void)context;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (!mac_parse(bad[i], mac))
			fail_msg("'%s' was read", bad[i]);
	assert_int_equal(mac_parse("02:aB:00:ff:10:01", mac), 0);
	assert_memory_equal(mac, "\x02\xab\x00\xff\x10\x01", 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_read_strictly),
		cmocka_unit_test(host_bits_are_cleared_and_told),
		cmocka_unit_test(order_is_family_address_length),
		cmocka_unit_test(containment_agrees_with_the_bits),
		cmocka_unit_test(macs_have_six_pairs),
	};

	return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
