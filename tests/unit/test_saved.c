/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is in force on disk: the documents and the changes after them, whoever is killed when. */
#include <errno.h>
#include <jansson.h>

#include "agent/saved.h"
#include "test_state.h"

#define DOCUMENTS     "{\"NetworkAcls\":[{\"NetworkAclId\":\"a\",\"n\":1},{\"NetworkAclId\":\"b\",\"n\":1}]}"
#define CHANGE(id, n) "{\"NetworkAcls\":[{\"NetworkAclId\":\"" id "\",\"n\":" n "}]}\n"

static size_t nr_lines;

static void save(const char *text)
{
	nr_lines = 0;
	assert_int_equal(saved_write(".", text, strlen(text)), 0);
}

static void append(const char *lines)
{
	assert_int_equal(saved_append(".", lines, strlen(lines), &nr_lines), 0);
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

/* Items of a list inside an element; a splice that does not fit is no change at all. */
static void splices_are_read_over_the_documents(void **state)
{
#define SPLICE(id, at, less, more) \
	"{\"Splice\":[{\"List\":\"RouteTables\",\"Id\":\"" id "\",\"Key\":\"Routes\",\"At\":" at ",\"Less\":" less \
	",\"More\":[" more "]}]}\n"
	static const struct {
		const char *line, *routes;
	} steps[] = {
		{SPLICE("b", "1", "1", "20,21"), "[1,20,21,3]"}, {SPLICE("b", "0", "1", ""), "[20,21,3]"},
		{SPLICE("b", "3", "0", "4"), "[20,21,3,4]"},     {SPLICE("c", "0", "1", ""), "[20,21,3,4]"},
		{SPLICE("b", "3", "2", "5"), "[20,21,3,4]"},     {SPLICE("b", "5", "0", "5"), "[20,21,3,4]"},
		{SPLICE("b", "-1", "1", "5"), "[20,21,3,4]"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		json_t *documents = NULL, *table;
		char *routes;

		save("{\"RouteTables\":[{\"RouteTableId\":\"a\",\"Routes\":[7]},"
		     "{\"RouteTableId\":\"b\",\"Routes\":[1,2,3]}]}");
		for (size_t k = 0; k <= i; k++)
			append(steps[k].line);
		assert_int_equal(saved_read(".", &documents), 0);
		table = json_array_get(json_object_get(documents, "RouteTables"), 1);
		routes = json_dumps(json_object_get(table, "Routes"), JSON_COMPACT);
		assert_string_equal(routes, steps[i].routes);
		free(routes);
		json_decref(documents);
	}
}

/* An agent that knows less than the one that wrote the line: nothing behind it is read over what lacks it. */
static void reading_ends_at_a_line_that_is_not_understood(void **state)
{
	static const char *const lines[] = {
		"{\"Unknown\":[{\"NetworkAclId\":\"a\",\"n\":8}]}\n",
		"{\"Unknown\":{\"NetworkAclId\":\"a\",\"n\":8}}\n",
		"{\"NetworkAcls\":{\"NetworkAclId\":\"a\",\"n\":8}}\n",
		"{\"Splice\":[8]}\n",
		"{\"Splice\":{\"List\":\"NetworkAcls\",\"Id\":\"a\",\"Key\":\"n\",\"At\":0,\"Less\":0,\"More\":[]}}\n",
		"8\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		save(DOCUMENTS);
		append(CHANGE("b", "2"));
		append(lines[i]);
		append(CHANGE("b", "3"));
		expect(1, 2);
	}
}

/* Whoever reads them goes through all elements for each. */
static void lines_are_limited(void **state)
{
	const char *line = CHANGE("a", "9");
	size_t length = strlen(line), nr = CHANGES_LINES_MAX - 1;
	char *lines = malloc(nr * length + 1);

	(void)state;
	assert_non_null(lines);
	for (size_t i = 0; i < nr; i++)
		memcpy(lines + i * length, line, length + 1);
	save(DOCUMENTS);
	append(lines);
	assert_int_equal(saved_append(".", CHANGE("b", "7") CHANGE("a", "7"), 2 * length, &nr_lines), -EFBIG);
	append(CHANGE("b", "8"));
	assert_int_equal(saved_append(".", CHANGE("b", "7"), length, &nr_lines), -EFBIG);
	expect(9, 8);
	save(DOCUMENTS);
	append(lines);
	expect(9, 1);
	free(lines);
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
		cmocka_unit_test(splices_are_read_over_the_documents),
		cmocka_unit_test(reading_ends_at_a_line_that_is_not_understood),
		cmocka_unit_test(lines_are_limited),
		cmocka_unit_test(new_documents_have_no_changes),
		cmocka_unit_test(half_a_line_was_never_in_force),
		cmocka_unit_test(nothing_saved_is_told),
	};

	return cmocka_run_group_tests_name("saved", tests, enter_folder, leave_folder);
}
