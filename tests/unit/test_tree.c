/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What an agent keeps as applied.json is what it loaded: every form that a file may have, read by both. */
#include <jansson.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/tree.h"
#include "state/sources.h"
#include "state/state.h"

static char folder[] = "/tmp/enid-tree.XXXXXX";

static const struct file {
	const char *name, *text;
} files[] = {
	{"a.json",
	 "{\"data\": {\"Vpcs\": [{\"VpcId\": \"vpc-1\", \"CidrBlock\": \"10.0.0.0/16\"}]}, \"one\": 1, \"two\": 2}"},
	{"b.json", "{\"VpcId\": \"vpc-1\", \"EnableDnsSupport\": {\"Value\": false}}"},
	{"c.json", "{\"PrefixLists\": [{\"PrefixListId\": \"pl-1\", \"MaxEntries\": 5}]}"},
	{"d.json", "{\"VpcId\": \"vpc-2\", \"note\": \"of nobody\"}"},
	{"prefix-list-entries/pl-1.json", "{\"Entries\": [{\"Cidr\": \"192.0.2.0/24\"}]}"},
	{".hidden.json", "{"},
	{"half-written.json.tmp", "{"},
};

static void write_file(const char *name, const char *text)
{
	char path[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int make_folder(void **context)
{
	char path[PATH_MAX];

	(void)context;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/prefix-list-entries", folder);
	assert_int_equal(mkdir(path, 0755), 0);
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		write_file(files[i].name, files[i].text);
	return 0;
}

static int remove_folder(void **context)
{
	static const char *const more[] = {"merged.json", "prefix-list-entries", ""};
	char path[PATH_MAX];

	(void)context;
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, files[i].name);
		(void)remove(path);
	}
	for (size_t i = 0; i < sizeof(more) / sizeof(*more); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, more[i]);
		(void)remove(path);
	}
	return 0;
}

static void expect_all(const char *path)
{
	struct state_messages messages;
	struct state *state = NULL;

	assert_int_equal(state_load(&path, 1, &state, &messages), 0);
	assert_int_equal(state->nr_vpcs, 1);
	assert_int_equal(state->nr_prefix_lists, 1);
	assert_int_equal(state->prefix_lists[0].nr_entries, 1);
	assert_false(state->vpcs[0].dns_support);
	assert_int_equal(messages.nr_warnings, 0);
	state_free(&state);
	state_messages_done(&messages);
}

static char *saved_text(const char *path)
{
	struct state_messages messages;
	struct sources *sources = NULL;
	struct state *state = NULL;
	size_t length;
	char *text;

	assert_int_equal(state_load_sources(&path, 1, &state, &messages, &sources), 0);
	assert_int_equal(sources_document(sources, &text, &length), 0);
	text = realloc(text, length + 1);
	assert_non_null(text);
	text[length] = '\0';
	sources_free(&sources);
	state_free(&state);
	state_messages_done(&messages);
	return text;
}

static void what_is_saved_is_what_was_loaded(void **context)
{
	char path[PATH_MAX], *text;

	(void)context;
	expect_all(folder);
	text = saved_text(folder);
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		if (files[i].name[0] != '.' && files[i].name[1] == '.')
			write_file(files[i].name, "{}");
	write_file("prefix-list-entries/pl-1.json", "{}");
	write_file("merged.json", text);
	free(text);
	snprintf(path, sizeof(path), "%s/merged.json", folder);
	expect_all(path);
}

/* As text, but for blanks outside of strings; list by list. */
static void elements_are_saved_as_they_stand(void **context)
{
	char path[PATH_MAX], *text;

	(void)context;
	write_file("merged.json", "{ \"Vpcs\" : [ {\"VpcId\" :\t\"vpc-1\" , \"CidrBlock\":\"10.0.0.0/16\",\r\n "
				  "\"Tags\":[{\"Key\":\"a \\\" b\","
				  "\"Value\":\" \\\\\"}]} , {\"VpcId\":\"vpc-2\",\"CidrBlock\":\"10.1.0.0/16\"}\n], "
				  "\"NextToken\": null,\n"
				  "\"PrefixLists\":[{\"PrefixListId\":\"pl-1\"}], \"Subnets\": [ ] }\n");
	snprintf(path, sizeof(path), "%s/merged.json", folder);
	text = saved_text(path);
	assert_non_null(
		strstr(text, "\"Vpcs\":[{\"VpcId\":\"vpc-1\",\"CidrBlock\":\"10.0.0.0/16\",\"Tags\":[{\"Key\":\"a \\\" "
			     "b\",\"Value\":\" \\\\\"}]},{\"VpcId\":\"vpc-2\",\"CidrBlock\":\"10.1.0.0/16\"}]"));
	assert_non_null(strstr(text, "[{\"PrefixListId\":\"pl-1\"}]"));
	assert_null(strstr(text, "NextToken"));
	free(text);
	write_file("merged.json", "{ }");
	text = saved_text(path);
	assert_string_equal(text, "{}\n");
	free(text);
}

static void dot_files_and_other_names_change_nothing(void **context)
{
	const char *const paths[] = {folder};
	const struct tree tree = {paths, 1};
	uint64_t before = tree_fingerprint(&tree);

	(void)context;
	write_file(".hidden.json", "{ }");
	write_file("half-written.json.tmp", "{ }");
	assert_true(tree_fingerprint(&tree) == before);
	write_file("c.json", "{}");
	assert_true(tree_fingerprint(&tree) != before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_saved_is_what_was_loaded),
		cmocka_unit_test(elements_are_saved_as_they_stand),
		cmocka_unit_test(dot_files_and_other_names_change_nothing),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
