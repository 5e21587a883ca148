/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Books of an older build: converted once, whenever the agent that converts them is killed (E26). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "flowlog/books.h"

#define INSTANCE 77
#define NAME     "books"

static char dir[] = "/tmp/enid-test-books-XXXXXX";

/* As the older build left them. */
static void old_books(void)
{
	struct books books;

	assert_int_equal(books_open(dir, NAME, INSTANCE, &books), 0);
	for (uint32_t port = 0; port < PORTS_MAX; port++)
		books.page->port[port] =
			(struct book){.lost = 5 * port + 7, .declared = 3 * port + 2, .common = 2 * port + 1};
	books.page->settling.sequence = 9;
	books.page->magic = BOOKS_MAGIC_3;
	books_close(&books);
}

static void expect_converted(void)
{
	struct books books;

	assert_int_equal(books_open(dir, NAME, INSTANCE, &books), 0);
	assert_int_equal(books.page->magic, BOOKS_MAGIC);
	for (uint32_t port = 0; port < PORTS_MAX; port++) {
		const struct book *book = &books.page->port[port];

		assert_int_equal(book->lost, 6 * port + 8);
		assert_int_equal(book->declared, 3 * port + 2);
		assert_int_equal(books_pending(&books, port), 5 * port + 7);
	}
	assert_false(books_settle(&books, 9));
	books_close(&books);
}

static void once(void **state)
{
	(void)state;
	old_books();
	expect_converted();
	expect_converted();
}

/* An agent that is killed after so many blocks of instructions. ret: false = it was done before */
static bool killed_after(long steps)
{
	pid_t child = fork();
	int status;

	if (!child) {
		struct books books;

		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(books_open(dir, NAME, INSTANCE, &books) != 0);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	for (long i = 0; i < steps; i++) {
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		if (WIFEXITED(status)) {
			assert_int_equal(WEXITSTATUS(status), 0);
			return false;
		}
	}
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	return true;
}

/* Halfway through either half. */
static void halfway(void **state)
{
	struct books books;

	(void)state;
	old_books();
	assert_int_equal(books_open(dir, NAME, INSTANCE, &books),
			 0); /* the numbers are worked out, and stand in settling */
	for (uint32_t port = PORTS_MAX / 2; port < PORTS_MAX; port++)
		books.page->port[port].lost = 5 * port + 7;
	books.page->magic = BOOKS_MAGIC_3_READ;
	books_close(&books);
	expect_converted();
}

static void killed_at_any_instruction(void **state)
{
	const char *given = getenv("SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 0) : (unsigned)time(NULL);

	(void)state;
	printf("SEED=%u\n", seed);
	for (int i = 0; i < 3; i++) {
		bool killed;

		old_books();
		killed = killed_after(20000 + (i ? (long)(rand_r(&seed) % 300000) : 0));
		expect_converted();
		assert_true(killed || i);
	}
}

static int set_up(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
	char path[sizeof(dir) + sizeof(NAME) + 8];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/%s", dir, NAME);
	unlink(path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(once),
		cmocka_unit_test(halfway),
		cmocka_unit_test(killed_at_any_instruction),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
