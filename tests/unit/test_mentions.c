/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which states make room for flows through gateways, before they are parsed (state/mentions.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "state/mentions.h"

/* Does a file of `before` spaces and this text mention a gateway? */
static bool mentions(size_t before, const char *text)
{
	char path[] = "/tmp/enid-mentions-XXXXXX.json";
	const char *const paths[] = {path};
	int fd = mkstemps(path, 5);
	FILE *file;
	bool found;

	assert_true(fd >= 0);
	file = fdopen(fd, "w");
	assert_non_null(file);
	for (size_t i = 0; i < before; i++)
		fputc(' ', file);
	fputs(text, file);
	fclose(file);
	found = state_mentions_gates(paths, 1);
	unlink(path);
	return found;
}

static void words_are_found(void **state)
{
	(void)state;
	assert_true(mentions(0, "{\"Routes\":[{\"NatGatewayId\":\"nat-1\"}]}"));
	assert_true(mentions(0, "{\"EgressOnlyInternetGatewayId\" : \"eigw-1\"}"));
	assert_true(mentions(0, "{\"ServiceType\":\"GatewayLoadBalancer\"}"));
	assert_true(mentions((1u << 20) - 7, "\"NatGatewayId\"")); /* across what is read at once */
	assert_false(mentions(0, "{\"NatGateways\":[],\"InternetGatewayId\":\"igw-1\"}"));
	assert_false(mentions(0, ""));
}

/* A key is the same key with a letter of it escaped. */
static void escaped_letters_count(void **state)
{
	(void)state;
	assert_true(mentions(0, "{\"\\u004eatGatewayId\":\"nat-1\"}"));
	assert_true(mentions(0, "{\"NatGateway\\u0049d\":\"nat-1\"}"));
	assert_true(mentions(0, "{\"GatewayLoadBalance\\u0072\":1}"));
	assert_true(mentions((1u << 20) - 3, "\"\\u004eatGatewayId\""));
}

/* What programs write, who escape more than they need to, makes no table four times as large. */
static void other_escapes_do_not(void **state)
{
	(void)state;
	assert_false(
		mentions(0, "{\"Value\":\"Stra\\u00dfe \\u0026 \\u003cb\\u003e \\u2028 \\ud83d\\ude00 \\u0027\"}"));
	assert_false(mentions(0, "{\"Value\":\"C:\\\\\\\\user\"}"));
	assert_false(mentions(0, "{\"Value\":\"\\u00"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_found),
		cmocka_unit_test(escaped_letters_count),
		cmocka_unit_test(other_escapes_do_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
