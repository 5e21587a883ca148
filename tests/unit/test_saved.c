/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is in force on disk: the documents and the changes after them, whoever is killed when. */
#include <jansson.h>

#include "agent/saved.h"
#include "test_state.h"

#define DOCUMENTS     "{\"NetworkAcls\":[{\"NetworkAclId\":\"a\",\"n\":1},{\"NetworkAclId\":\"b\",\"n\":1}]}"
#define CHANGE(id, n) "{\"NetworkAcls\":[{\"NetworkAclId\":\"" id "\",\"n\":" n "}]}\n"

static void save(const char *text)
{
	json_t *documents = json_loads(text, 0, NULL);

	assert_non_null(documents);
	assert_int_equal(saved_write(".", documents), 0);
	json_decref(documents);
}

static void append(const char *lines)
{
	assert_int_equal(saved_append(".", lines, strlen(lines)), 0);
}

/* What the elements a and b say. */
static void expect(int a, int b)
{
	json_t *documents = NULL, *list;

	assert_int_equal(saved_read(".", &documents), 0);
	list = json_object_get(documents, "NetworkAcls");
	assert_int_equal(json_array_size(list), 2);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 0), "n")), a);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 1), "n")), b);
	json_decref(documents);
}

static void changes_are_read_over_the_documents(void **state)
{
	(void)state;
	save(DOCUMENTS);
	expect(1, 1);
	append(CHANGE("b", "2"));
	expect(1, 2);
	append(CHANGE("a", "3") CHANGE("b", "4"));
	expect(3, 4);
}

static void new_documents_have_no_changes(void **state)
{
	(void)state;
	append(CHANGE("a", "5"));
	save(DOCUMENTS);
	expect(1, 1);
	assert_int_not_equal(access(CHANGES_FILE, F_OK), 0);
}

/* A writer that is killed leaves the beginning of a line. */
static void half_a_line_was_never_in_force(void **state)
{
	const char *line = CHANGE("a", "7");
	char half[128];

	(void)state;
	for (size_t length = 0; length < strlen(line); length++) {
		save(DOCUMENTS);
		append(CHANGE("b", "6"));
		snprintf(half, sizeof(half), "%.*s", (int)length, line);
		append(half);
		expect(1, 6);
	}
}

static void nothing_saved_is_told(void **state)
{
	json_t *documents = NULL;

	(void)state;
	(void)unlink(APPLIED_FILE);
	assert_int_equal(saved_read(".", &documents), -ENOENT);
	write_text(APPLIED_FILE, "{");
	assert_int_equal(saved_read(".", &documents), -EINVAL);
	assert_null(documents);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes_are_read_over_the_documents),
		cmocka_unit_test(new_documents_have_no_changes),
		cmocka_unit_test(half_a_line_was_never_in_force),
		cmocka_unit_test(nothing_saved_is_told),
	};

	return cmocka_run_group_tests_name("saved", tests, enter_folder, leave_folder);
}
