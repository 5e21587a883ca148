/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Network ACL objects against a linear reading of NACL-02..NACL-08: random lists, questions at every border. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "compile/image.h"
#include "lib/naive.h"
#include "lib/world.h"

#define QUESTIONS        1200000
#define QUESTIONS_A_LIST 2000

static struct question random_question(struct dice *dice, const struct nacl_entry *entries, size_t nr)
{
	static const int protocols[] = {6, 17, 1, 58, 50, 132, 0, 255, 47};
	const struct nacl_entry *entry = nr ? entries + dice_below(dice, (uint32_t)nr) : NULL;
	struct cidr near = random_cidr(dice, dice_hit(dice, 50) ? 6 : 4);
	struct question question = {.protocol = protocols[dice_below(dice, 9)]};

	if (entry && dice_hit(dice, 80)) {
		question.protocol = entry->protocol == PROTOCOL_ANY ? question.protocol : entry->protocol;
		question.port = (dice_hit(dice, 50) ? entry->from : entry->to) + (int)dice_below(dice, 3) - 1;
	}
	if (entry && dice_hit(dice, 80))
		near = entry->cidr;
	question.family = near.family;
	question.peer = border_address(dice, &near);
	if (question.protocol == (question.family == 6 ? 58 : 1))
		question.port = dice_hit(dice, 30) ? (int)dice_below(dice, 65536)
						   : (int)(dice_below(dice, 4) * 85 << 8 | dice_below(dice, 4) * 85);
	else if (question.protocol != 6 && question.protocol != 17)
		question.port = 0;
	question.port &= 0xffff;
	return question;
}

static uint32_t ask(const struct image_object *object, const struct question *question)
{
	uint32_t service =
		(question->family == 6 ? 1u << 24 : 0) | (uint32_t)question->protocol << 16 | (uint32_t)question->port;
	uint32_t all = object->lines[0].w[question->family == 6 ? POLICY_W_ALL6 : POLICY_W_ALL4], value;
	bool any;

	value = policy_ask(object->lines, question->family, &question->peer, 0, service, &any);
	if (all)
		assert_int_equal(value, all);
	return value;
}

static void check_list(struct dice *dice, const struct nacl *nacl, bool egress, unsigned *tally)
{
	const struct nacl_entry *entries = egress ? nacl->out : nacl->in;
	size_t nr = egress ? nacl->nr_out : nacl->nr_in;
	struct image_object object;

	assert_int_equal(compile_nacl_object(nacl, egress, &object), 0);
	assert_int_equal(object.nr_rules, nr + 1); /* and the implied one, which decides where no other does */
	assert_string_equal(object.rules[nr].id, nacl->id);
	assert_string_equal(object.rules[nr].text, "*");
	for (int i = 0; i < QUESTIONS_A_LIST; i++) {
		struct question question = random_question(dice, entries, nr);
		const struct nacl_entry *wanted = naive_nacl(entries, nr, &question);
		uint32_t value = ask(&object, &question);

		assert_int_equal(value != 0, wanted != NULL);
		tally[wanted ? wanted->allow : 2]++;
		if (!wanted)
			continue;
		assert_int_equal((value & POLICY_DENY) == 0, wanted->allow);
		assert_int_equal(atoi(object.rules[(value & ~POLICY_DENY) - 1].text), wanted->number);
		assert_string_equal(object.rules[(value & ~POLICY_DENY) - 1].id, nacl->id);
	}
	image_object_done(&object);
}

static void e16_lists_answer_as_their_entries_read(void **state)
{
	struct dice dice = {test_seed("network ACLs")};
	unsigned tally[3] = {};

	(void)state;
	for (int i = 0; i < QUESTIONS / QUESTIONS_A_LIST / 2; i++) {
		struct world *world = world_empty(dice.at + (uint64_t)i);
		struct nacl nacl;

		random_nacl(world, &nacl, "acl-1");
		check_list(&dice, &nacl, false, tally);
		check_list(&dice, &nacl, true, tally);
		world_free(world);
	}
	for (int i = 0; i < 3; i++)
		assert_in_range(tally[i], QUESTIONS / 20, QUESTIONS);
}

static void e16_lower_rule_number_wins(void **state)
{
	struct nacl_entry entries[] = {
		{100, true, PROTOCOL_ANY, world_cidr("0.0.0.0/0"), 0, 65535},
		{90, false, 6, world_cidr("198.51.100.7/32"), 22, 22},
		{80, true, 6, world_cidr("198.51.100.0/24"), 22, 23},
	};
	struct nacl nacl = {.id = "acl-1", .in = entries, .nr_in = 2};
	struct question ssh = {4, 6, 22, world_cidr("198.51.100.7/32").addr, NULL};
	struct image_object object;

	(void)state;
	assert_int_equal(compile_nacl_object(&nacl, false, &object), 0);
	assert_int_equal(ask(&object, &ssh), 1 | POLICY_DENY);
	image_object_done(&object);
	nacl.nr_in = 3;
	assert_int_equal(compile_nacl_object(&nacl, false, &object), 0);
	assert_int_equal(ask(&object, &ssh), 1);
	assert_string_equal(object.rules[0].text, "80");
	image_object_done(&object);
}

static void e14_nacl_without_entries_denies(void **state)
{
	struct nacl nacl = {.id = "acl-1"};
	struct question question = {6, 17, 53, {}, NULL};
	struct image_object object;

	(void)state;
	assert_int_equal(compile_nacl_object(&nacl, true, &object), 0);
	assert_int_equal(object.nr_lines, 1);
	assert_int_equal(ask(&object, &question), 0);
	image_object_done(&object);
}

static void missing_nacl_allows_all(void **state)
{
	struct dice dice = {test_seed("missing NACL")};
	struct image_object object;

	(void)state;
	assert_int_equal(compile_nacl_object(NULL, true, &object), 0);
	assert_int_equal(object.lines[0].w[POLICY_W_KIND], POLICY_NACL);
	assert_string_equal(object.rules[0].text, "default");
	for (int i = 0; i < 10000; i++) {
		struct question question = random_question(&dice, NULL, 0);

		assert_int_equal(ask(&object, &question), 1);
	}
	image_object_done(&object);
}

/* The first rule holds for all: nobody has to look further. A later one may, and so may one of the other family. */
static void a_first_rule_for_all_is_the_answer(void **state)
{
	struct nacl_entry entries[] = {
		{100, false, PROTOCOL_ANY, world_cidr("0.0.0.0/0"), 0, 65535},
		{90, false, 6, world_cidr("198.51.100.7/32"), 22, 22},
	};
	struct nacl nacl = {.id = "acl-1", .in = entries, .nr_in = 1};
	struct image_object object;

	(void)state;
	assert_int_equal(compile_nacl_object(&nacl, false, &object), 0);
	assert_int_equal(object.lines[0].w[POLICY_W_ALL4], 1 | POLICY_DENY);
	assert_int_equal(object.lines[0].w[POLICY_W_ALL6], 0);
	image_object_done(&object);
	nacl.nr_in = 2;
	assert_int_equal(compile_nacl_object(&nacl, false, &object), 0);
	assert_int_equal(object.lines[0].w[POLICY_W_ALL4], 0);
	image_object_done(&object);
	entries[1].number = 110;
	assert_int_equal(compile_nacl_object(&nacl, false, &object), 0);
	assert_int_equal(object.lines[0].w[POLICY_W_ALL4], 1 | POLICY_DENY);
	image_object_done(&object);
	entries[0].protocol = 6;
	assert_int_equal(compile_nacl_object(&nacl, false, &object), 0);
	assert_int_equal(object.lines[0].w[POLICY_W_ALL4], 0);
	image_object_done(&object);
}

static void equal_lists_of_two_nacls_differ_in_name_only(void **state)
{
	struct world *world = world_empty(3);
	struct nacl one, two;
	struct image_object a, b, c;

	(void)state;
	random_nacl(world, &one, "acl-1");
	two = one;
	two.id = "acl-2";
	assert_int_equal(compile_nacl_object(&one, true, &a), 0);
	assert_int_equal(compile_nacl_object(&two, true, &b), 0);
	assert_int_equal(compile_nacl_object(&one, true, &c), 0);
	assert_int_equal(a.nr_lines, b.nr_lines);
	assert_memory_equal(a.lines, b.lines, a.nr_lines * sizeof(*a.lines));
	assert_memory_not_equal(&a.hash, &b.hash, sizeof(a.hash));
	assert_memory_equal(&a.hash, &c.hash, sizeof(a.hash));
	image_object_done(&a);
	image_object_done(&b);
	image_object_done(&c);
	world_free(world);
}

/* The same verdicts under other numbers: what `decided_by` says differs, so it is another object. */
static void renumbered_list_is_another_object(void **state)
{
	struct nacl_entry entry = {100, true, 6, world_cidr("192.0.2.0/24"), 22, 22};
	struct nacl nacl = {.id = "acl-1", .in = &entry, .nr_in = 1};
	struct image_object a, b;

	(void)state;
	assert_int_equal(compile_nacl_object(&nacl, false, &a), 0);
	entry.number = 200;
	assert_int_equal(compile_nacl_object(&nacl, false, &b), 0);
	assert_memory_equal(a.lines, b.lines, a.nr_lines * sizeof(*a.lines));
	assert_memory_not_equal(&a.hash, &b.hash, sizeof(a.hash));
	image_object_done(&a);
	image_object_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(e16_lists_answer_as_their_entries_read),
		cmocka_unit_test(e16_lower_rule_number_wins),
		cmocka_unit_test(e14_nacl_without_entries_denies),
		cmocka_unit_test(missing_nacl_allows_all),
		cmocka_unit_test(a_first_rule_for_all_is_the_answer),
		cmocka_unit_test(renumbered_list_is_another_object),
		cmocka_unit_test(equal_lists_of_two_nacls_differ_in_name_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
