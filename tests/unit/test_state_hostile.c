/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Input that wants to do harm (E17, E18, E32): what is refused before it costs memory, what the library refuses, and
 * random damage. Run it with SAN=1, too. ENID_SEED and ENID_ROUNDS set the random part. */
#include <jansson.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "state/cidr.h"
#include "test_state.h"

static void expect_refusal(const char *const *paths, const char *error)
{
	struct loaded loaded = load_paths(paths, 1);

	assert_int_equal(loaded.r, -EINVAL);
	assert_int_equal(loaded.messages.nr_errors, 1);
	assert_string_equal(loaded.messages.errors[0].text, error);
	unload(&loaded);
}

static void expect_bytes_refused(const void *bytes, size_t length, const char *error)
{
	const char *path = "s.json";

	write_bytes(path, bytes, length);
	expect_refusal(&path, error);
}

#define EXPECT_REFUSED(text, error) expect_bytes_refused(text, sizeof(text) - 1, error)

static void broken_text_is_refused_with_its_place(void **context)
{
	(void)context;
	EXPECT_REFUSED("", "s.json: line 1, column 0: '[' or '{' expected near end of file");
	EXPECT_REFUSED("{\n\"Vpcs\": [{]}", "s.json: line 2, column 11: string or '}' expected near ']'");
	EXPECT_REFUSED("{\"Vpcs\":[{\"VpcId\":\"v1\"", "s.json: line 1, column 22: '}' expected near end of file");
	EXPECT_REFUSED("{\"Vpcs\":[]} x", "s.json: line 1, column 13: end of file expected near 'x'");
	EXPECT_REFUSED("{\"Vpcs\":[],}", "s.json: line 1, column 12: string or '}' expected near '}'");
	EXPECT_REFUSED("{\"a\":1,\"a\":2}", "s.json: line 1, column 10: duplicate object key near '\"a\"'");
	EXPECT_REFUSED("{\"Vpcs\":[{\"VpcId\":\"v1\",\"VpcId\":\"v1\"}]}",
		       "s.json: line 1, column 30: duplicate object key near '\"VpcId\"'");
	EXPECT_REFUSED("{\"a\":\"\xff\"}", "s.json: line 1, column 6: unable to decode byte 0xff near '\"'");
	EXPECT_REFUSED("{\"a\":\"\xc0\xaf\"}", "s.json: line 1, column 6: unable to decode byte 0xc0 near '\"'");
	EXPECT_REFUSED("{\"a\":\"\\ud800\"}",
		       "s.json: line 1, column 13: invalid Unicode '\\uD800' near '\"\\ud800\"'");
	EXPECT_REFUSED("{\"a\":\"\\u0000\"}",
		       "s.json: line 1, column 13: \\u0000 is not allowed without JSON_ALLOW_NUL near '\"\\u0000\"'");
	EXPECT_REFUSED("{\"a\":\"x\0y\"}", "s.json: line 1, column 7: control character 0x0 near '\"x'");
	EXPECT_REFUSED("{\"Vpcs\":[{\"VpcId\":\"v1\",\"Vni\":99999999999999999999999}]}",
		       "s.json: line 1, column 52: too big integer");
	EXPECT_REFUSED("{\"Vpcs\":[{\"VpcId\":\"v1\",\"Vni\":1e400}]}",
		       "s.json: line 1, column 34: real number overflow near '1e400'");
	EXPECT_REFUSED("{}\0", "s.json: contains a NUL byte");
	EXPECT_REFUSED("\"text\"", "s.json: line 1, column 6: '[' or '{' expected near '\"text\"'");
}

static char *repeat(const char *text, size_t times, size_t *ret_length)
{
	size_t length = strlen(text);
	char *all = malloc(length * times + 1);

	assert_non_null(all);
	for (size_t i = 0; i < times; i++)
		memcpy(all + i * length, text, length);
	*ret_length = length * times;
	return all;
}

static void expect_repeated_refused(const char *text, size_t times, const char *error)
{
	size_t length;
	char *all = repeat(text, times, &length);

	expect_bytes_refused(all, length, error);
	free(all);
}

static void depth_is_limited(void **context)
{
	char text[128] = "{\"x\":";
	struct loaded loaded;

	(void)context;
	memset(text + 5, '[', 31); /* 32 levels are fine */
	memset(text + 36, ']', 31);
	text[67] = '}';
	loaded = load_text(text);
	assert_int_equal(loaded.r, 0);
	unload(&loaded);
	expect_repeated_refused("[", 33, "s.json: nested deeper than 32 levels");
	expect_repeated_refused("{\"a\":", 10000000, "s.json: nested deeper than 32 levels");
}

static void brackets_in_strings_are_no_levels(void **context)
{
	struct loaded loaded = load_text("{'x':'[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\\'}");

	(void)context;
	assert_int_equal(loaded.r, 0);
	unload(&loaded);
	loaded = load_text("{'x':'\\'[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[['}");
	assert_int_equal(loaded.r, 0);
	unload(&loaded);
}

static long peak_kb(void)
{
	struct rusage usage;

	assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
	return usage.ru_maxrss;
}

/* 100 MB cost neither a second nor 100 MB; the sparse file reads as NUL bytes. */
static void a_huge_file_is_refused_at_once(void **context)
{
	const char *path = "huge.json";
	long before = peak_kb();
	struct timespec start, end;
	FILE *file = fopen(path, "w");

	(void)context;
	assert_non_null(file);
	assert_int_equal(ftruncate(fileno(file), 100l << 20), 0);
	fclose(file);
	clock_gettime(CLOCK_MONOTONIC, &start);
	expect_refusal(&path, "huge.json: is larger than 64 MiB");
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_true(end.tv_sec - start.tv_sec <= 1);
	assert_true(peak_kb() - before < 10000);
	assert_int_equal(unlink(path), 0);
}

/* Small text that would become large in memory */
static void many_values_are_refused_before_they_are_built(void **context)
{
	(void)context;
	expect_repeated_refused("{},", 5000000,
				"s.json: has too many values: it would take more than 1024 MiB of memory");
	expect_repeated_refused("0,", 12000000,
				"s.json: has too many values: it would take more than 1024 MiB of memory");
}

static void a_long_string_is_refused(void **context)
{
	size_t length;
	char *all = repeat("a", (1 << 20) + 100, &length);

	(void)context;
	all[0] = '"';
	expect_bytes_refused(all, length, "s.json: contains a string longer than 1 MiB");
	free(all);
}

static void unreadable_paths_are_errors(void **context)
{
	const char *const missing[] = {"none.json"}, *const empty[] = {"empty"}, *const dangling[] = {"links"};

	(void)context;
	expect_refusal(missing, "none.json: cannot read: No such file or directory");
	assert_int_equal(mkdir("empty", 0700), 0);
	expect_refusal(empty, "empty: has no *.json file"); /* a deleted state is no empty state */
	assert_int_equal(mkdir("links", 0700), 0);
	assert_int_equal(symlink("nowhere", "links/a.json"), 0);
	write_text("links/b.json", "{}");
	expect_refusal(dangling, "links/a.json: cannot read: No such file or directory");
	assert_int_equal(unlink("links/a.json"), 0);
	assert_int_equal(symlink(".", "links/loop"), 0);
	assert_int_equal(mkfifo("links/pipe.json", 0600), 0); /* never opened: it would block */
	struct loaded loaded = load_paths(dangling, 1);
	assert_int_equal(loaded.r, 0);
	unload(&loaded);
}

/* One bad file does not hide the faults of another. */
static void all_files_are_checked(void **context)
{
	struct loaded loaded;

	(void)context;
	write_text("a.json", "{");
	write_text("b.json", "{'Vpcs':[{}]}");
	loaded = load_paths((const char *const[]){"a.json", "b.json"}, 2);
	assert_int_equal(loaded.messages.nr_errors, 2);
	assert_string_equal(loaded.messages.errors[1].text, "b.json: Vpcs[0]: VpcId is missing");
	unload(&loaded);
}

/* E32: whatever stands in a state, a message is one printable line. */
static void messages_are_one_printable_line(void **context)
{
	struct loaded loaded =
		load_text("{'Vpcs':[{'VpcId':'a\\n\\u001b[31m\\u009b%s%n\\u007f','CidrBlock':'\\r\\n'}]}");

	(void)context;
	assert_int_equal(loaded.messages.nr_errors, 2);
	for (size_t i = 0; i < loaded.messages.nr_errors; i++)
		for (const char *c = loaded.messages.errors[i].text; *c; c++)
			assert_true((unsigned char)*c >= 0x20 && *c != 0x7f);
	assert_string_equal(loaded.messages.errors[0].text,
			    "s.json: Vpcs[0]: VpcId 'a??[31m??%s%n?' is not an id of 1 to 63 printable characters");
	unload(&loaded);
}

/* ---- no memory: the whole state or none, never a part */

#define ENTRIES 100000

static void write_prefix_list(const char *path)
{
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	fprintf(out, "{\"PrefixLists\":[{\"PrefixListId\":\"pl-1\",\"Cidrs\":[\"1.0.0.0/32\"");
	for (int i = 1; i < ENTRIES; i++)
		fprintf(out, ",\"1.%d.%d.%d/32\"", i >> 16, i >> 8 & 255, i & 255);
	fprintf(out, "]}]}");
	assert_int_equal(fclose(out), 0);
}

/* In a process of its own: load with `bytes` more than it has now. ret: 0 loaded, 1 no memory, 2 something else */
static int load_with_little_memory(const char *path, size_t bytes)
{
	pid_t pid = fork();
	int status = 0;

	if (!pid) {
		unsigned long pages = 0;
		FILE *statm = fopen("/proc/self/statm", "r");
		int found = statm ? fscanf(statm, "%lu", &pages) : 0;
		rlim_t limit = pages * (rlim_t)sysconf(_SC_PAGESIZE) + bytes;
		struct loaded loaded = {};

		if (found != 1 || setrlimit(RLIMIT_AS, &(struct rlimit){limit, limit}))
			_exit(2);
		fclose(statm);
		loaded.r = state_load(&path, 1, &loaded.state, &loaded.messages);
		if (!loaded.r)
			_exit(loaded.state->prefix_lists[0].nr_entries == ENTRIES ? 0 : 2);
		_exit(loaded.r == -ENOMEM && !loaded.state && !loaded.messages.nr_errors ? 1 : 2);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}

static void without_memory_there_is_no_state(void **context)
{
	unsigned int seen[3] = {};

	(void)context;
#ifdef __SANITIZE_ADDRESS__
	print_message("SKIPPED: the sanitizer needs the address space\n");
	skip();
#endif
	write_prefix_list("pl.json");
	for (size_t kb = 64; kb <= 64 << 10; kb += 1500) {
		int result = load_with_little_memory("pl.json", kb << 10);

		assert_in_range(result, 0, 1);
		seen[result]++;
	}
	print_message("%u loaded, %u had too little memory\n", seen[0], seen[1]);
	assert_true(seen[0] > 0 && seen[1] > 5);
}

/* ---- random damage */

static uint64_t random_state;

static uint32_t next_random(uint32_t below)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(random_state >> 33) % below;
}

static char *read_full(size_t *ret_length)
{
	char path[sizeof(source_folder) + 64];
	char *text = malloc(1 << 20);
	FILE *file;

	snprintf(path, sizeof(path), "%s/tests/unit/data/full.json", source_folder);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_non_null(text);
	*ret_length = fread(text, 1, 1 << 19, file);
	fclose(file);
	return text;
}

static void damage(char *text, size_t *length)
{
	size_t at = next_random((uint32_t)*length - 40), n = 1 + next_random(20);
	static const char spice[] = "{}[]\",:0-\\n9e.";

	switch (next_random(4)) {
	case 0:
		text[at] = (char)next_random(256);
		break;
	case 1:
		text[at] = spice[next_random(sizeof(spice) - 1)];
		break;
	case 2: /* drop some bytes */
		memmove(text + at, text + at + n, *length - at - n);
		*length -= n;
		break;
	default: /* double them */
		memmove(text + at + n, text + at, *length - at);
		*length += n;
	}
}

static void load_damaged(const char *text, size_t length, size_t *nr_valid)
{
	const char *path = "m.json";
	struct loaded loaded;

	write_bytes(path, text, length);
	loaded = load_paths(&path, 1);
	assert_true(loaded.r == 0 || loaded.r == -EINVAL);
	assert_true(!loaded.r == !loaded.messages.nr_errors);
	*nr_valid += !loaded.r;
	for (size_t i = 0; loaded.state && i < loaded.state->nr_enis; i++)
		assert_true(strlen(loaded.state->enis[i].id) < ID_MAX);
	unload(&loaded);
}

static json_t *random_value(void)
{
	static const char *const strings[] = {
		"",           "x",      "-1",       "10.0.0.0/8", "0.0.0.0/0", "2001:db8::/32",
		"eni-web",    "sg-web", "tcp",      "vpc-a",      "local",     "::/0",
		"10.40.1.10", "igw-1",  "rtb-main", "pl-s3",      "subnet-b",  "blackhole"};
	static const long long numbers[] = {0, -1, 1, 80, 255, 256, 65535, 65536, 32767, -9223372036854775807ll};

	switch (next_random(6)) {
	case 0:
		return json_integer(numbers[next_random(sizeof(numbers) / sizeof(*numbers))]);
	case 1:
		return next_random(2) ? json_true() : json_null();
	case 2:
		return next_random(2) ? json_array() : json_object();
	case 3:
		return json_pack("[{s:s}, n, i, s]", "VpcId", "vpc-a", 5, "x");
	default:
		return json_string(strings[next_random(sizeof(strings) / sizeof(*strings))]);
	}
}

/* Put a random value somewhere into the tree: well-formed, but wrong. */
static void distort(json_t *value)
{
	size_t nr = json_is_object(value) ? json_object_size(value) : json_array_size(value), at;
	const char *key = NULL;
	json_t *member = NULL;

	if (!nr)
		return;
	at = next_random((uint32_t)nr);
	if (json_is_object(value)) {
		void *iter = json_object_iter(value);

		while (at--)
			iter = json_object_iter_next(value, iter);
		key = json_object_iter_key(iter);
		member = json_object_iter_value(iter);
	} else {
		member = json_array_get(value, at);
	}
	if ((json_is_object(member) || json_is_array(member)) && next_random(12))
		distort(member);
	else if (json_is_object(value) && next_random(6) == 0)
		json_object_del(value, key);
	else if (json_is_object(value))
		json_object_set_new(value, key, random_value());
	else if (next_random(2))
		json_array_append(value, member);
	else
		json_array_set_new(value, at, random_value());
}

static unsigned int number_of(const char *name, unsigned int absent)
{
	const char *text = getenv(name);

	return text ? (unsigned int)strtoul(text, NULL, 10) : absent;
}

static void random_damage_is_refused_or_harmless(void **context)
{
	unsigned int seed = number_of("ENID_SEED", (unsigned int)time(NULL)), rounds = number_of("ENID_ROUNDS", 1500);
	size_t length, nr_valid = 0;
	char *text = read_full(&length);
	json_t *document = json_loadb(text, length, 0, NULL);

	(void)context;
	print_message("ENID_SEED=%u ENID_ROUNDS=%u\n", seed, rounds);
	random_state = seed;
	assert_non_null(document);
	for (unsigned int i = 0; i < rounds; i++) {
		char *copy = malloc(length + 1000);
		size_t own = length;

		memcpy(copy, text, length);
		for (uint32_t n = 1 + next_random(3); n; n--)
			damage(copy, &own);
		load_damaged(copy, own, &nr_valid);
		free(copy);
	}
	for (unsigned int i = 0; i < rounds; i++) {
		json_t *copy = json_deep_copy(document);
		char *dump;

		for (uint32_t n = 1 + next_random(4); n; n--)
			distort(copy);
		dump = json_dumps(copy, JSON_COMPACT);
		load_damaged(dump, strlen(dump), &nr_valid);
		free(dump);
		json_decref(copy);
	}
	print_message("%zu of %u damaged states were still valid\n", nr_valid, 2 * rounds);
	assert_true(rounds < 100 || (nr_valid > 0 && nr_valid < 2 * rounds)); /* both ways are exercised */
	json_decref(document);
	free(text);
}

static void every_prefix_of_a_state_is_refused(void **context)
{
	size_t length, nr_valid = 0;
	char *text = read_full(&length);

	(void)context;
	while (length && text[length - 1] != '}')
		length--;
	for (size_t cut = 0; cut < length; cut += 37)
		load_damaged(text, cut, &nr_valid);
	assert_int_equal(nr_valid, 0);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_memory_there_is_no_state), /* first: no freed memory to live on */
		cmocka_unit_test(broken_text_is_refused_with_its_place),
		cmocka_unit_test(depth_is_limited),
		cmocka_unit_test(brackets_in_strings_are_no_levels),
		cmocka_unit_test(a_huge_file_is_refused_at_once),
		cmocka_unit_test(many_values_are_refused_before_they_are_built),
		cmocka_unit_test(a_long_string_is_refused),
		cmocka_unit_test(unreadable_paths_are_errors),
		cmocka_unit_test(all_files_are_checked),
		cmocka_unit_test(messages_are_one_printable_line),
		cmocka_unit_test(random_damage_is_refused_or_harmless),
		cmocka_unit_test(every_prefix_of_a_state_is_refused),
	};

	return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
