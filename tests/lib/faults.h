/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Memory that runs out at a chosen allocation. The test is linked with FAULTS_LDFLAGS (tests/unit/rules.mk), which lead
 * the calls of our own objects here; jansson is led here by faults_begin(). What libc takes for itself is not counted.
 * For one test program each: the functions are in this header. */
#ifndef ENID_TESTS_FAULTS_H
#define ENID_TESTS_FAULTS_H

#include <errno.h>
#include <jansson.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct {
	bool on;
	bool lasting;                 /* all later ones fail, too */
	unsigned long count, fail_at; /* allocations so far; the one that fails, from 1 */
} faults;

static bool fault_now(void)
{
	if (!faults.on)
		return false;
	faults.count++;
	return faults.lasting ? faults.count >= faults.fail_at : faults.count == faults.fail_at;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t nr, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_reallocarray(void *memory, size_t nr, size_t size);
char *__real_strdup(const char *text);
int __real_vasprintf(char **ret, const char *format, va_list args);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t nr, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_reallocarray(void *memory, size_t nr, size_t size);
char *__wrap_strdup(const char *text);
int __wrap_vasprintf(char **ret, const char *format, va_list args);
int __wrap_asprintf(char **ret, const char *format, ...);

#define FAIL_OR(real) \
	do { \
		if (!fault_now()) \
			return real; \
		errno = ENOMEM; \
		return NULL; \
	} while (0)

void *__wrap_malloc(size_t size)
{
	FAIL_OR(__real_malloc(size));
}

void *__wrap_calloc(size_t nr, size_t size)
{
	FAIL_OR(__real_calloc(nr, size));
}

void *__wrap_realloc(void *memory, size_t size)
{
	FAIL_OR(__real_realloc(memory, size));
}

void *__wrap_reallocarray(void *memory, size_t nr, size_t size)
{
	FAIL_OR(__real_reallocarray(memory, nr, size));
}

char *__wrap_strdup(const char *text)
{
	FAIL_OR(__real_strdup(text));
}

int __wrap_vasprintf(char **ret, const char *format, va_list args)
{
	if (!fault_now())
		return __real_vasprintf(ret, format, args);
	errno = ENOMEM;
	return -1;
}

int __wrap_asprintf(char **ret, const char *format, ...)
{
	va_list args;
	int r;

	va_start(args, format);
	r = __wrap_vasprintf(ret, format, args);
	va_end(args);
	return r;
}

static void *fault_json_malloc(size_t size)
{
	return __wrap_malloc(size);
}

static void faults_begin(unsigned long fail_at, bool lasting)
{
	json_set_alloc_funcs(fault_json_malloc, free);
	faults.count = 0;
	faults.fail_at = fail_at;
	faults.lasting = lasting;
	faults.on = true;
}

/* ret: whether the fault was reached */
static bool faults_end(void)
{
	faults.on = false;
	return faults.count >= faults.fail_at;
}

/* Start again without malloc's cache, which counts what was freed as in use. Call it first in main(). */
static void faults_without_cache(char **argv)
{
	if (getenv("GLIBC_TUNABLES"))
		return;
	setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0", 1);
	execv("/proc/self/exe", argv);
	abort();
}

/* Bytes in use, to see leaks; 0 with a sanitizer, which sees them itself. */
static size_t faults_in_use(void)
{
	return mallinfo2().uordblks + mallinfo2().hblkhd;
}

#endif
