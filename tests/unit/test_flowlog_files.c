/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The log file: whole lines on a full disk, rotation, reading across rotations, lines as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "flowlog/flush.h"
#include "flowlog/line.h"
#include "flowlog/logfile.h"
#include "flowlog/reader.h"

#define DAY 86400

struct folder {
	char dir[64];
	struct logfile file;
	char text[4096];
	int stop_after;
};

static int set_up(void **state)
{
	struct folder *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	strcpy(f->dir, "/tmp/flowlog-test-XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	logfile_init(&f->file, f->dir);
	*state = f;
	return logfile_ready(&f->file);
}

static int tear_down(void **state)
{
	struct folder *f = *state;
	DIR *dir = opendir(f->dir);
	struct dirent *entry;

	logfile_done(&f->file);
	while (dir && (entry = readdir(dir)))
		unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(f->dir);
	free(f);
	return 0;
}

static int collect(void *arg, const char *line, size_t len)
{
	struct folder *f = arg;

	size_t at = strlen(f->text);

	snprintf(f->text + at, sizeof(f->text) - at, "%.*s|", (int)len, line);
	return f->stop_after && --f->stop_after == 0 ? 1 : 0;
}

static const char *all_lines(struct folder *f)
{
	f->text[0] = 0;
	assert_int_equal(log_read(f->dir, false, collect, NULL, f), 0);
	return f->text;
}

static void append(struct folder *f, const char *lines)
{
	size_t kept;

	assert_int_equal(logfile_append(&f->file, lines, strlen(lines), &kept), 0);
	assert_int_equal(kept, strlen(lines));
}

static bool exists(struct folder *f, const char *name)
{
	return !faccessat(f->file.dir_fd, name, F_OK, 0);
}

/* E23: the disk takes half a line. */
static void full_disk_leaves_whole_lines(void **state)
{
	struct folder *f = *state;
	struct rlimit before, small = {.rlim_cur = 13};
	size_t kept;
	int r;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	small.rlim_max = before.rlim_max;
	append(f, "one\n");
	setrlimit(RLIMIT_FSIZE, &small);
	r = logfile_append(&f->file, "three\nseven\nnine\n", 17, &kept);
	setrlimit(RLIMIT_FSIZE, &before);
	assert_int_equal(r, -EFBIG);
	assert_int_equal(kept, 6);
	append(f, "last\n");
	assert_string_equal(all_lines(f), "one|three|last|");
}

static void rotated_files_are_read_oldest_first(void **state)
{
	struct folder *f = *state;

	f->file.max_bytes = 1;
	append(f, "1\n2\n");
	assert_int_equal(logfile_rotate(&f->file, time(NULL)), 0);
	append(f, "3\n");
	assert_int_equal(logfile_rotate(&f->file, time(NULL)), 0);
	append(f, "4\n");
	assert_true(exists(f, "flow.log.1.gz") && exists(f, "flow.log.2.gz") && !exists(f, "flow.log.1"));
	assert_string_equal(all_lines(f), "1|2|3|4|");
}

static void file_of_yesterday_is_rotated(void **state)
{
	struct folder *f = *state;

	append(f, "1\n");
	assert_int_equal(logfile_rotate(&f->file, time(NULL)), 0);
	assert_false(exists(f, "flow.log.1.gz"));
	assert_int_equal(logfile_rotate(&f->file, time(NULL) + DAY), 0);
	assert_true(exists(f, "flow.log.1.gz"));
}

static void only_so_many_files_are_kept(void **state)
{
	struct folder *f = *state;
	char name[64];

	f->file.max_bytes = 1;
	for (int i = 0; i < LOG_KEEP + 3; i++) {
		append(f, "x\n");
		assert_int_equal(logfile_rotate(&f->file, time(NULL)), 0);
	}
	snprintf(name, sizeof(name), "flow.log.%d.gz", LOG_KEEP);
	assert_true(exists(f, name));
	snprintf(name, sizeof(name), "flow.log.%d.gz", LOG_KEEP + 1);
	assert_false(exists(f, name));
}

/* Killed after the renames: the next rotation finishes it; a reader meanwhile misses nothing. */
static void rotation_that_was_killed_is_finished(void **state)
{
	struct folder *f = *state;

	append(f, "1\n");
	assert_int_equal(renameat(f->file.dir_fd, "flow.log", f->file.dir_fd, "flow.log.1"), 0);
	assert_int_equal(logfile_ready(&f->file), 0);
	append(f, "2\n");
	assert_string_equal(all_lines(f), "1|2|");
	assert_int_equal(logfile_rotate(&f->file, time(NULL)), 0);
	assert_true(exists(f, "flow.log.1.gz") && !exists(f, "flow.log.1"));
	assert_string_equal(all_lines(f), "1|2|");
}

static void no_file_is_renamed_while_a_reader_opens_them(void **state)
{
	struct folder *f = *state;
	int dir = open(f->dir, O_RDONLY | O_DIRECTORY);

	f->file.max_bytes = 1;
	append(f, "1\n");
	flock(dir, LOCK_SH);
	assert_int_equal(logfile_rotate(&f->file, time(NULL)), 0);
	assert_false(exists(f, "flow.log.1") || exists(f, "flow.log.1.gz"));
	flock(dir, LOCK_UN);
	assert_int_equal(logfile_rotate(&f->file, time(NULL)), 0);
	assert_true(exists(f, "flow.log.1.gz"));
	close(dir);
}

static void file_that_somebody_removed_is_made_again(void **state)
{
	struct folder *f = *state;

	append(f, "1\n");
	unlinkat(f->file.dir_fd, "flow.log", 0);
	assert_int_equal(logfile_ready(&f->file), 0);
	append(f, "2\n");
	assert_string_equal(all_lines(f), "2|");
}

static int rotate_and_write(void *arg)
{
	struct folder *f = arg;

	if (strstr(f->text, "4|"))
		return 0;
	append(f, "2\n");
	f->file.max_bytes = 1;
	assert_int_equal(logfile_rotate(&f->file, time(NULL)), 0);
	append(f, "3\n4\n");
	return 0;
}

static void follower_crosses_a_rotation(void **state)
{
	struct folder *f = *state;

	append(f, "1\n");
	f->stop_after = 4;
	assert_int_equal(log_read(f->dir, true, collect, rotate_and_write, f), 1);
	assert_string_equal(f->text, "1|2|3|4|");
}

/* ---- flushes */

static struct log_enis *one_eni(struct log_eni *eni)
{
	static struct log_eni *by_port[2];
	static struct log_enis enis;

	*eni = (struct log_eni){.id = "eni-0aa11bb22cc33dd44",
				.account = "111122223333",
				.what = LOG_ACCEPT | LOG_REJECT,
				.interval_s = 60};
	by_port[1] = eni;
	enis = (struct log_enis){.users = 1, .nr = 2, .by_port = by_port};
	return &enis;
}

static struct window_key key_of(const char *src, const char *dst, uint16_t sport, uint16_t dport, uint32_t start_s)
{
	struct window_key key = {
		.proto = 6, .family = 4, .port = 1, .sport = htons(sport), .dport = htons(dport), .start_s = start_s};

	inet_pton(AF_INET, src, &key.src.ip4);
	inet_pton(AF_INET, dst, &key.dst.ip4);
	return key;
}

/* A flush that was killed after half its lines: done again, each line stands once. */
static void killed_flush_is_cut_back_and_done_again(void **state)
{
	struct folder *f = *state;
	struct window_key key = key_of("10.0.1.25", "10.0.2.40", 1, 2, 1760000040);
	struct window_count count = {.packets = 1, .bytes = 40, .first_s = 1760000040, .last_s = 1760000041};
	struct window window, next;
	struct books books;
	static struct log_eni eni;

	assert_int_equal(books_open(NULL, "", 1, &books), 0);
	assert_int_equal(window_open(NULL, "", 1, 100, &window), 0);
	assert_int_equal(window_open(NULL, "", 1, 100, &next), 0);
	assert_int_equal(window_add(&window, &key, 60, &count), 0);
	assert_int_equal(window_hand_over(&window, &next, 1760000040, 1760000100, false), 0);
	append(f, "before\n");
	window_header(&window)->log_inode = f->file.inode;
	window_header(&window)->log_size = f->file.size;
	append(f, "half\n");
	assert_int_equal(flush_window(&f->file, &window, one_eni(&eni), &books), 0);
	assert_string_equal(all_lines(f), "before|2 111122223333 eni-0aa11bb22cc33dd44 10.0.1.25 10.0.2.40 1 2 6 1 40 "
					  "1760000040 1760000041 ACCEPT OK|");
	assert_int_equal(window_header(&window)->state, WINDOW_EMPTY);
	assert_int_equal(books.page->lines, 1);
	window_close(&window);
	window_close(&next);
	books_close(&books);
}

/* E26: an agent that is killed while it settles a window, at whichever port, has not told anything twice, nor
 * forgotten. */
static void settling_that_was_killed_is_finished(void **state)
{
	struct folder *f = *state;
	struct window_key key = key_of("10.0.1.25", "10.0.2.40", 1, 2, 1760000040);
	struct window_count count = {.packets = 1, .bytes = 40, .first_s = 1760000040, .last_s = 1760000041};
	struct book before, after;
	struct window_header header;
	struct window window, next;
	struct books books;
	static struct log_eni eni;

	assert_int_equal(books_open(NULL, "", 1, &books), 0);
	assert_int_equal(window_open(NULL, "", 1, 100, &window), 0);
	assert_int_equal(window_open(NULL, "", 1, 100, &next), 0);
	assert_int_equal(window_add(&window, &key, 60, &count), 0);
	books_skip(&books, 1, 7);
	before = books.page->port[1];
	assert_int_equal(window_hand_over(&window, &next, 1760000040, 1760000100, false), 0);
	header = *window_header(&window);
	assert_int_equal(flush_window(&f->file, &window, one_eni(&eni), &books), 0);
	after = books.page->port[1];
	assert_int_equal(after.declared, 7);
	assert_int_equal(books_pending(&books, 1), 0);
	for (int at = 0; at < 2; at++) { /* before this port's turn, after it */
		*window_header(&window) = header;
		books.page->settling.sequence = header.sequence;
		books.page->port[1] = at ? after : before;
		books.page->lines = 0;
		assert_int_equal(flush_window(&f->file, &window, one_eni(&eni), &books), 0);
		assert_memory_equal(&books.page->port[1], &after, sizeof(after));
		assert_int_equal(books.page->lines, 2);
		assert_int_equal(window_header(&window)->state, WINDOW_EMPTY);
		assert_int_equal(books.page->settling.sequence, 0);
		assert_string_equal(
			all_lines(f),
			"2 111122223333 eni-0aa11bb22cc33dd44 10.0.1.25 10.0.2.40 1 2 6 1 40 1760000040 1760000041 "
			"ACCEPT OK|2 111122223333 eni-0aa11bb22cc33dd44 - - - - - - - 1760000040 1760000099 - "
			"SKIPDATA|");
	}
	window_close(&window);
	window_close(&next);
	books_close(&books);
}

/* The writer was slow: two windows are due at once, and only the first was idle. */
static void windows_that_are_due_together_are_told_apart(void **state)
{
	struct folder *f = *state;
	struct window_key key = key_of("10.0.1.25", "10.0.2.40", 1, 2, 1760000160);
	struct window_count count = {.packets = 1, .bytes = 40, .first_s = 1760000161, .last_s = 1760000161};
	struct window window, next;
	struct books books;
	static struct log_eni eni;

	assert_int_equal(books_open(NULL, "", 1, &books), 0);
	assert_int_equal(window_open(NULL, "", 1, 100, &window), 0);
	assert_int_equal(window_open(NULL, "", 1, 100, &next), 0);
	assert_int_equal(window_add(&window, &key, 60, &count), 0);
	key.start_s = 1760000100;
	assert_int_equal(window_add(&window, &key, 60, &count), 0);
	assert_int_equal(window_hand_over(&window, &next, 1760000040, 1760000220, false), 0);
	assert_int_equal(flush_window(&f->file, &window, one_eni(&eni), &books), 0);
	assert_non_null(strstr(all_lines(f), "- - - - - - - 1760000040 1760000099 - NODATA|"));
	assert_null(strstr(f->text, "1760000159 - NODATA"));
	assert_null(strstr(f->text, "1760000219 - NODATA"));
	window_close(&window);
	window_close(&next);
	books_close(&books);
}

/* What reaches the disk and what is declared later make up all, whatever the size at which the disk fills. */
static void books_balance_when_the_disk_fills(void **state)
{
	struct folder *f = *state;
	struct rlimit before, small;
	struct window window, next;
	struct books books;
	static struct log_eni eni;
	const uint32_t nr = 20000;
	uint64_t written = 0;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	small = (struct rlimit){.rlim_cur = 1234567, .rlim_max = before.rlim_max};
	assert_int_equal(books_open(NULL, "", 1, &books), 0);
	assert_int_equal(window_open(NULL, "", 1, nr, &window), 0);
	assert_int_equal(window_open(NULL, "", 1, nr, &next), 0);
	for (uint32_t i = 0; i < nr; i++) {
		struct window_key key = key_of("10.0.1.25", "10.0.2.40", (uint16_t)i, (uint16_t)(i >> 8), 1760000040);
		struct window_count count = {.packets = 3, .bytes = 120, .first_s = 1760000040, .last_s = 1760000041};

		key.dst.w[3] += htonl(i);
		assert_int_equal(window_add(&window, &key, 60, &count), 0);
	}
	assert_int_equal(window_hand_over(&window, &next, 1760000040, 1760000100, false), 0);
	setrlimit(RLIMIT_FSIZE, &small);
	assert_int_equal(flush_window(&f->file, &window, one_eni(&eni), &books), -EFBIG);
	setrlimit(RLIMIT_FSIZE, &before);
	written = books.page->lines * 3;
	assert_true(written > 0 && written < nr * 3ull);
	assert_int_equal(written + books_pending(&books, 1), nr * 3ull);
	window_close(&window);
	window_close(&next);
	books_close(&books);
}

/* FL-12: a full table is declared, not silent; what was in it is still right. */
static void full_window_refuses_and_keeps_what_it_has(void **state)
{
	struct window window;
	struct window_count count = {.packets = 1, .bytes = 40, .first_s = 0, .last_s = 0};

	(void)state;
	assert_int_equal(window_open(NULL, "", 1, 3000, &window), 0);
	for (uint32_t i = 0; i < 3100; i++) {
		struct window_key key = {.port = i};

		assert_int_equal(window_add(&window, &key, 60, &count), i < 3000 ? 0 : -ENOSPC);
		assert_int_equal(window_add(&window, &key, 60, &count), i < 3000 ? 0 : -ENOSPC);
	}
	assert_int_equal(window_header(&window)->used, 3000);
	for (uint32_t i = 0; i < 3000; i++)
		assert_int_equal(window_entries(&window)[i].count.packets, 2);
	window_close(&window);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(full_disk_leaves_whole_lines),
		TEST(rotated_files_are_read_oldest_first),
		TEST(file_of_yesterday_is_rotated),
		TEST(only_so_many_files_are_kept),
		TEST(rotation_that_was_killed_is_finished),
		TEST(no_file_is_renamed_while_a_reader_opens_them),
		TEST(file_that_somebody_removed_is_made_again),
		TEST(follower_crosses_a_rotation),
		TEST(killed_flush_is_cut_back_and_done_again),
		TEST(settling_that_was_killed_is_finished),
		TEST(windows_that_are_due_together_are_told_apart),
		TEST(books_balance_when_the_disk_fills),
		TEST(full_window_refuses_and_keeps_what_it_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
