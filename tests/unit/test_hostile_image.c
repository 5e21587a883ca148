/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The same state in other words (E15, E18): other spellings of addresses, CIDRs, MACs and states, every list in another
 * order, objects twice and in several files. The image is the same, byte for byte. ENID_HOSTILE_ROUNDS times as often.
 */
#include <arpa/inet.h>
#include <jansson.h>

#include "compile/image.h"
#include "lib/image_text.h"
#include "lib/world.h"
#include "test_state.h"

static unsigned int rounds(unsigned int short_form)
{
	const char *text = getenv("ENID_HOSTILE_ROUNDS");
	unsigned long times = text && *text ? strtoul(text, NULL, 10) : 1;

	return short_form * (unsigned int)(times ? times : 40);
}

static json_t *full_document(void)
{
	json_t *document = json_load_file(full_path(), 0, NULL);

	assert_non_null(document);
	return document;
}

/* The images for all hosts, as one text. */
static char *compiled(const char *const *paths, size_t nr)
{
	struct loaded loaded = load_paths(paths, nr);
	char *all = NULL;

	if (loaded.r)
		print_messages(&loaded.messages);
	assert_int_equal(loaded.r, 0);
	for (size_t i = 0; i < loaded.state->nr_hosts; i++) {
		struct image *image = NULL;
		char *why = NULL, *text, *longer;

		assert_int_equal(compile_image(loaded.state, &loaded.state->hosts[i], &image, &why), 0);
		text = image_text(image);
		assert_true(asprintf(&longer, "%s%s\n%s", all ? all : "", loaded.state->hosts[i].id, text) > 0);
		free(text);
		free(all);
		all = longer;
		image_free(&image);
	}
	assert_non_null(all);
	unload(&loaded);
	return all;
}

static char *compiled_document(const json_t *document)
{
	const char *path = "image.json";

	assert_int_equal(json_dump_file(document, path, 0), 0);
	return compiled(&path, 1);
}

/* ---- spellings */

/* 2001:DB8:0:0:0:0:0:1, with any bits after the prefix */
static void respell_cidr(struct dice *dice, const char *text, char *ret, size_t size)
{
	struct cidr cidr;
	bool host_bits;
	char address[CIDR_TEXT_MAX];

	assert_int_equal(cidr_parse(text, &cidr, &host_bits), 0);
	for (unsigned int bit = cidr.prefixlen; bit < (cidr.family == 4 ? 32u : 128u); bit++)
		if (dice_hit(dice, 50))
			cidr.addr.bytes[(cidr.family == 4 ? 12 : 0) + bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
	if (cidr.family == 4) {
		snprintf(ret, size, "%s/%u", address_format(4, &cidr.addr, address), cidr.prefixlen);
		return;
	}
	for (int i = 0; i < 8; i++)
		snprintf(ret + strlen(ret), size - strlen(ret), dice_hit(dice, 50) ? "%04X:" : "%x:",
			 cidr.addr.bytes[2 * i] << 8 | cidr.addr.bytes[2 * i + 1]);
	snprintf(ret + strlen(ret) - 1, size - strlen(ret) + 1, "/%u", cidr.prefixlen);
}

static json_t *respelled(struct dice *dice, const char *key, const char *text)
{
	char other[256] = "";
	struct cidr cidr;
	bool host_bits, word = !strcmp(key, "State") || !strcmp(key, "Status") || !strcmp(key, "IpProtocol");

	if (strchr(text, '/') && !cidr_parse(text, &cidr, &host_bits))
		respell_cidr(dice, text, other, sizeof(other));
	else
		snprintf(other, sizeof(other), "%s", text);
	if (word || !strcmp(key, "MacAddress") || !strcmp(key, "Ipv6Address"))
		for (char *c = other; *c; c++)
			if (*c >= 'a' && *c <= 'z' && dice_hit(dice, 50))
				*c = (char)(*c - 32);
	return json_string(other);
}

static void reword(struct dice *dice, const char *key, json_t *value)
{
	const char *name;
	json_t *member;
	size_t i;

	json_object_foreach (value, name, member) {
		if (json_is_string(member))
			json_object_set_new(value, name, respelled(dice, name, json_string_value(member)));
		else
			reword(dice, name, member);
	}
	json_array_foreach (value, i, member) {
		if (json_is_string(member))
			json_array_set_new(value, i, respelled(dice, key, json_string_value(member)));
		else
			reword(dice, key, member);
	}
}

/* ---- order */

/* Permissions are called by their place, so theirs stays. */
static void shuffle(struct dice *dice, const char *key, json_t *value)
{
	bool fixed = !strncmp(key, "IpPermissions", strlen("IpPermissions"));
	size_t nr = json_array_size(value), i;
	const char *name;
	json_t *member;

	json_object_foreach (value, name, member)
		shuffle(dice, name, member);
	json_array_foreach (value, i, member)
		shuffle(dice, "", member);
	for (i = nr; !fixed && i > 1; i--) {
		size_t other = dice_below(dice, (uint32_t)i);
		json_t *a = json_incref(json_array_get(value, i - 1)), *b = json_incref(json_array_get(value, other));

		json_array_set_new(value, i - 1, b);
		json_array_set_new(value, other, a);
	}
}

static void expect_same(const char *wanted, const json_t *document)
{
	char *text = compiled_document(document);

	assert_string_equal(text, wanted);
	free(text);
}

static void other_words(const char *name, bool spelling, bool order)
{
	struct dice dice = {test_seed(name)};
	json_t *document = full_document();
	char *wanted = compiled_document(document);

	for (unsigned int i = 0; i < rounds(40); i++) {
		json_t *other = json_deep_copy(document);

		if (spelling)
			reword(&dice, "", other);
		if (order)
			shuffle(&dice, "", other);
		expect_same(wanted, other);
		json_decref(other);
	}
	free(wanted);
	json_decref(document);
}

static void e15_spellings_give_one_image(void **context)
{
	(void)context;
	other_words("spellings", true, false);
}

static void e18_orders_give_one_image(void **context)
{
	(void)context;
	other_words("orders", false, true);
}

static void e15_e18_both_give_one_image(void **context)
{
	(void)context;
	other_words("spellings and orders", true, true);
}

/* Each list in a file of its own, some of them in both of two. */
static void e18_files_give_one_image(void **context)
{
	static const char *const paths[] = {"part-a.json", "part-b.json", "part-c.json"};
	struct dice dice = {test_seed("files")};
	json_t *document = full_document(), *list;
	char *wanted = compiled_document(document), *text;
	const char *name;

	(void)context;
	for (unsigned int i = 0; i < rounds(20); i++) {
		json_t *parts[3] = {json_object(), json_object(), json_object()};

		json_object_foreach (document, name, list) {
			json_object_set(parts[dice_below(&dice, 3)], name, list);
			if (strcmp(name, "VpcBlockPublicAccessOptions") != 0)
				json_object_set(parts[dice_below(&dice, 3)], name, list);
		}
		for (int k = 0; k < 3; k++) {
			assert_int_equal(json_dump_file(parts[k], paths[k], 0), 0);
			json_decref(parts[k]);
		}
		text = compiled(paths, 3);
		assert_string_equal(text, wanted);
		free(text);
	}
	free(wanted);
	json_decref(document);
}

/* So that the tests above can fail: one bit of one CIDR, and the image is another. */
static void another_state_is_another_image(void **context)
{
	json_t *document = full_document(), *group, *range;
	char *before = compiled_document(document), *after;

	(void)context;
	group = json_array_get(json_object_get(document, "SecurityGroups"), 0);
	range = json_array_get(json_object_get(json_array_get(json_object_get(group, "IpPermissions"), 1), "IpRanges"),
			       0);
	assert_int_equal(json_object_set_new(range, "CidrIp", json_string("10.0.0.0/9")), 0);
	after = compiled_document(document);
	assert_string_not_equal(before, after);
	free(before);
	free(after);
	json_decref(document);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(e15_spellings_give_one_image),   cmocka_unit_test(e18_orders_give_one_image),
		cmocka_unit_test(e15_e18_both_give_one_image),    cmocka_unit_test(e18_files_give_one_image),
		cmocka_unit_test(another_state_is_another_image),
	};

	return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
