/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the tests of user/state share: states written as text with ' for ", loaded from files in a folder of their own,
 * so that a message reads "s.json: ...". */
#ifndef ENID_TEST_STATE_H
#define ENID_TEST_STATE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "state/cidr.h"
#include "state/extra.h"
#include "state/state.h"

static char test_folder[] = "/tmp/enid-state-XXXXXX";
static char source_folder[4096]; /* where the tests were started: the root of the repo */

static inline int enter_folder(void **context)
{
	(void)context;
	return !getcwd(source_folder, sizeof(source_folder)) || !mkdtemp(test_folder) || chdir(test_folder);
}

static inline int leave_folder(void **context)
{
	char command[128];

	(void)context;
	snprintf(command, sizeof(command), "rm -rf %s", test_folder);
	return chdir("/") || system(command);
}

static inline void write_bytes(const char *file, const void *bytes, size_t length)
{
	FILE *out = fopen(file, "w");

	assert_non_null(out);
	assert_int_equal(fwrite(bytes, 1, length, out), length);
	assert_int_equal(fclose(out), 0);
}

/* ' becomes " */
static inline void write_text(const char *file, const char *text)
{
	char *copy = strdup(text);

	assert_non_null(copy);
	for (char *c = copy; *c; c++)
		if (*c == '\'')
			*c = '"';
	write_bytes(file, copy, strlen(copy));
	free(copy);
}

struct loaded {
	struct state *state;
	struct state_messages messages;
	int r;
};

static inline struct loaded load_paths(const char *const *paths, size_t nr)
{
	struct loaded loaded = {};

	loaded.r = state_load(paths, nr, &loaded.state, &loaded.messages);
	assert_true(!loaded.r == (loaded.state != NULL));
	return loaded;
}

static inline struct loaded load_text(const char *text)
{
	const char *path = "s.json";

	write_text(path, text);
	return load_paths(&path, 1);
}

static inline void unload(struct loaded *loaded)
{
	state_free(&loaded->state);
	state_messages_done(&loaded->messages);
	state_messages_done(&loaded->messages); /* twice does no harm */
}

static inline void print_messages(const struct state_messages *messages)
{
	for (size_t i = 0; i < messages->nr_errors; i++)
		print_error("  error: %s\n", messages->errors[i].text);
	for (size_t i = 0; i < messages->nr_warnings; i++)
		print_error("  warning: %s\n", messages->warnings[i].text);
}

/* A state that must load, without a warning. */
static inline struct loaded load_clean(const char *text)
{
	struct loaded loaded = load_text(text);

	if (loaded.r || loaded.messages.nr_warnings)
		print_messages(&loaded.messages);
	assert_int_equal(loaded.r, 0);
	assert_int_equal(loaded.messages.nr_warnings, 0);
	return loaded;
}

/* ... with warnings */
static inline struct loaded load_valid(const char *text)
{
	struct loaded loaded = load_text(text);

	if (loaded.r)
		print_messages(&loaded.messages);
	assert_int_equal(loaded.r, 0);
	return loaded;
}

static inline bool has_warning(const struct loaded *loaded, const char *text)
{
	for (size_t i = 0; i < loaded->messages.nr_warnings; i++)
		if (!strcmp(loaded->messages.warnings[i].text, text))
			return true;
	return false;
}

/* The file with every list */
static inline const char *full_path(void)
{
	static char path[sizeof(source_folder) + 64];

	snprintf(path, sizeof(path), "%s/tests/unit/data/full.json", source_folder);
	return path;
}

static inline struct loaded load_full(void)
{
	const char *path = full_path();
	struct loaded loaded = load_paths(&path, 1);

	if (loaded.r || loaded.messages.nr_warnings)
		print_messages(&loaded.messages);
	assert_int_equal(loaded.r, 0);
	assert_int_equal(loaded.messages.nr_warnings, 0);
	return loaded;
}

static inline bool is_cidr(const struct cidr *cidr, const char *text)
{
	char own[CIDR_TEXT_MAX];

	return cidr->family && !strcmp(cidr_format(cidr, own), text);
}

#define VPC    "'Vpcs':[{'VpcId':'v1','CidrBlock':'10.0.0.0/16'}]"
#define SUBNET "'Subnets':[{'SubnetId':'s1','VpcId':'v1','CidrBlock':'10.0.1.0/24'}]"
#define GROUP  "'SecurityGroups':[{'GroupId':'sg-1','VpcId':'v1'}]"
#define ENI_OF(id, ip, mac) \
	"{'NetworkInterfaceId':'" id "','VpcId':'v1','SubnetId':'s1','MacAddress':'" mac \
	"','Groups':[{'GroupId':'sg-1'}],'PrivateIpAddress':'" ip "'}"
#define ENI  "'NetworkInterfaces':[" ENI_OF("eni-1", "10.0.1.10", "02:00:00:00:00:01") "]"
#define BASE VPC "," SUBNET "," GROUP "," ENI

#endif
