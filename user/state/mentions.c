/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "state/mentions.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "state/files.h"

/* What each of theirs has, and each route to one; an empty list, as `aws ec2 describe-*` prints it, does not. */
static const char *const words[] = {"\"NatGatewayId\"", "\"EgressOnlyInternetGatewayId\"", "\"GatewayLoadBalancer"};

/* A letter may stand as \u00XX in any text of JSON, so in those words, too; who writes states does not do so. */
static bool hides_a_letter(const char *text, size_t length)
{
	static const char escape[] = "\\u00";
	const char *end = text + length, *at = text;

	while ((at = memmem(at, (size_t)(end - at), escape, strlen(escape)))) {
		at += strlen(escape);
		if (at < end && *at >= '4' && *at <= '7')
			return true;
	}
	return false;
}

static bool text_mentions(const char *text, size_t length)
{
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (memmem(text, length, words[i], strlen(words[i])))
			return true;
	return hides_a_letter(text, length);
}

#define KEPT 64 /* of what was read last, since a word may stand across: more than the longest has */

/* Read, not mapped: somebody may shorten the file. */
static bool file_mentions(int fd, char *text, size_t size)
{
	size_t kept = 0;
	ssize_t nr;

	while ((nr = read(fd, text + kept, size - kept)) > 0) {
		size_t length = kept + (size_t)nr;

		if (text_mentions(text, length))
			return true;
		kept = length < KEPT ? length : KEPT;
		memmove(text, text + length - kept, kept);
	}
	return false;
}

#define TEXT_SIZE (1u << 20)

static void look_into(const char *path, const struct stat *st, int error, void *data)
{
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *text = NULL;
	bool *found = data;

	if (*found || error || !S_ISREG(st->st_mode))
		return;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	text = malloc(TEXT_SIZE);
	*found = fd >= 0 && text && file_mentions(fd, text, TEXT_SIZE);
}

bool state_mentions_gates(const char *const *paths, size_t nr_paths)
{
	bool found = false;

	for (size_t i = 0; i < nr_paths && !found; i++)
		state_files_walk(paths[i], look_into, &found);
	return found;
}
