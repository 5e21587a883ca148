/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Input lines of replay: what is understood, what is refused and in which words; hex both ways. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/world.h"
#include "replay/line.h"

#define ARRAY_LENGTH(array) (sizeof(array) / sizeof(*(array)))

struct row {
	const char *text;
	const char *port, *packet, *state; /* NULL = absent */
	uint64_t at_ns;
	bool has_at, tx, fast; /* fast: the scanner alone must do it */
};

static const struct row good[] = {
	{"{\"port\":\"eni-web\",\"packet\":\"00ff\",\"at\":12.5}", "eni-web", "00ff", NULL, 12500000000, true, false,
	 true},
	{" { \"at\" : 0 , \"packet\" : \"\" , \"port\" : \"a\" } \r", "a", "", NULL, 0, true, false, true},
	{"{\"port\":\"a\",\"packet\":\"00\",\"dir\":\"tx\"}", "a", "00", NULL, 0, false, true, true},
	{"{\"port\":\"a\",\"packet\":\"00\",\"dir\":\"rx\"}", "a", "00", NULL, 0, false, false, true},
	{"{\"port\":\"a\",\"packet\":\"00\",\"note\":\"x\"}", "a", "00", NULL, 0, false, false, true},
	{"{\"port\":\"tunnel\",\"from\":\"host-b\",\"vni\":1,\"packet\":\"00\"}", "tunnel", "00", NULL, 0, false, false,
	 true},
	{"{\"state\":\"s/1.json\",\"at\":0.000000001}", NULL, NULL, "s/1.json", 1, true, false, true},
	{"{\"port\":\"a\",\"packet\":\"00\",\"at\":0.1234567891}", "a", "00", NULL, 123456789, true, false, true},
	{"{\"port\":\"a\",\"packet\":\"11\",\"packet\":\"00\"}", "a", "00", NULL, 0, false, false,
	 true}, /* the last one counts */
	{"{\"port\":\"\\u0061\",\"packet\":\"00\",\"at\":1.5e1}", "a", "00", NULL, 15000000000, true, false, false},
	{"{\"port\":\"a\",\"packet\":\"00\",\"at\":null,\"x\":{\"y\":[1,true]}}", "a", "00", NULL, 0, false, false,
	 false},
	{"{\"state\":[\"one\",\"two\"]}", NULL, NULL, "one", 0, false, false, false},
};

static void check_span(const struct span *span, const char *wanted)
{
	if (!wanted) {
		assert_null(span->data);
		return;
	}
	assert_int_equal(span->length, strlen(wanted));
	assert_memory_equal(span->data, wanted, span->length);
}

static void good_lines_are_understood(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(good); i++) {
		struct replay_line line, scanned = {};

		print_message("%s\n", good[i].text);
		assert_int_equal(line_parse(good[i].text, strlen(good[i].text), &line), 0);
		check_span(&line.port, good[i].port);
		check_span(&line.packet, good[i].packet);
		check_span(&line.states[0], good[i].state);
		assert_int_equal(line.at_ns, good[i].at_ns);
		assert_int_equal(line.has_at, good[i].has_at);
		assert_int_equal(line.tx, good[i].tx);
		assert_int_equal(line_scan(good[i].text, strlen(good[i].text), &scanned), good[i].fast);
		line_done(&line);
	}
}

static void wrong_lines_are_refused_with_a_reason(void **state)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
		{"", "not JSON"},
		{"{\"port\":\"a\",\"packet\":\"00\"", "not JSON"},
		{"{\"port\":\"a\",\"packet\":\"00\"} x", "not JSON"},
		{"{\"port\":\"a\",\"packet\":\"00\",}", "not JSON"},
		{"{\"port\":\"a\",\"packet\":\"00\",\"at\":01}", "not JSON"},
		{"{\"port\":\"a\",\"packet\":\"00\",\"at\":1.}", "not JSON"},
		{"{\"port\":\"a\",\"packet\":\"00\",\"at\":}", "not JSON"},
		{"{\"port\":\"\xff\",\"packet\":\"00\"}", "not JSON"},
		{"[]", "not a JSON object"},
		{"{}", "neither 'port' nor 'state'"},
		{"{\"port\":\"a\"}", "'packet' is missing"},
		{"{\"packet\":\"00\"}", "neither 'port' nor 'state'"},
		{"{\"port\":1,\"packet\":\"00\"}", "'port' is not a string"},
		{"{\"port\":\"a\",\"packet\":7}", "'packet' is not a string"},
		{"{\"port\":\"a\",\"packet\":\"00\",\"at\":-1}", "'at' is not a number"},
		{"{\"port\":\"a\",\"packet\":\"00\",\"at\":1e99}", "'at' is not a number"},
		{"{\"port\":\"a\",\"packet\":\"00\",\"at\":99999999999}", "'at' is not a number"},
		{"{\"port\":\"a\",\"packet\":\"00\",\"at\":\"1\"}", "'at' is not a number"},
		{"{\"port\":\"a\",\"packet\":\"00\",\"dir\":\"up\"}", "'dir' is neither"},
		{"{\"state\":\"s\",\"port\":\"a\"}", "both a 'state' and a packet"},
		{"{\"state\":[]}", "'state' has 0 paths"},
		{"{\"state\":[1]}", "neither a path nor a list"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct replay_line line;

		print_message("%s\n", rows[i].text);
		assert_int_equal(line_parse(rows[i].text, strlen(rows[i].text), &line), -EINVAL);
		if (!strstr(line.error, rows[i].error))
			fail_msg("error is: %s", line.error);
		line_done(&line);
	}
}

/* What the scanner takes, jansson takes with the same meaning: a random line, spoilt in a random place. */
static void scanner_and_jansson_agree(void **state)
{
	static const char alphabet[] = "{}[]\":,.\\ 0123456789eE-+atpornx\t\x01\xc3";
	struct dice dice = {test_seed("replay line")};

	(void)state;
	for (int i = 0; i < 200000; i++) {
		char text[128];
		struct replay_line scanned = {}, parsed;
		json_t *json;
		size_t length;

		strcpy(text, good[dice_below(&dice, ARRAY_LENGTH(good))].text);
		length = strlen(text);
		for (uint32_t spoil = dice_below(&dice, 3); spoil; spoil--)
			text[dice_below(&dice, (uint32_t)length)] = alphabet[dice_below(&dice, sizeof(alphabet) - 1)];
		if (!line_scan(text, length, &scanned))
			continue;
		json = json_loadb(text, length, 0, NULL);
		if (!json)
			fail_msg("the scanner takes what is not JSON: %s", text);
		if (line_parse(text, length, &parsed) == 0 && scanned.has_at) {
			double at = json_number_value(json_object_get(json, "at"));

			assert_true(at * 1e9 - (double)scanned.at_ns < 1e3 && (double)scanned.at_ns - at * 1e9 < 1e3);
		}
		if (scanned.port.data)
			assert_memory_equal(json_string_value(json_object_get(json, "port")), scanned.port.data,
					    scanned.port.length);
		line_done(&parsed);
		json_decref(json);
	}
}

static void hex_goes_both_ways(void **state)
{
	uint8_t bytes[256], back[256];
	char hex[512];

	(void)state;
	for (int i = 0; i < 256; i++)
		bytes[i] = (uint8_t)i;
	hex_encode(bytes, sizeof(bytes), hex);
	assert_memory_equal(hex + 2 * 0xa5, "a5", 2);
	assert_int_equal(hex_decode(hex, sizeof(hex), back), 256);
	assert_memory_equal(bytes, back, sizeof(bytes));
	assert_int_equal(hex_decode("aFBc", 4, back), 2);
	assert_int_equal(back[1], 0xbc);
	assert_int_equal(hex_decode("abc", 3, back), -EINVAL);
	for (int c = 0; c < 256; c++) {
		char pair[2] = {'0', (char)c};
		bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');

		assert_int_equal(hex_decode(pair, 2, back), digit ? 1 : -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_lines_are_understood),
		cmocka_unit_test(wrong_lines_are_refused_with_a_reason),
		cmocka_unit_test(scanner_and_jansson_agree),
		cmocka_unit_test(hex_goes_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
