/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* For LD_PRELOAD: the wall clock, moved by as many seconds as the file $CLOCK_FILE says. The steady clocks go on. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static long moved_by(void)
{
	const char *path = getenv("CLOCK_FILE");
	FILE *file = path ? fopen(path, "re") : NULL;
	long seconds = 0;

	if (file && fscanf(file, "%ld", &seconds) != 1)
		seconds = 0;
	if (file)
		(void)fclose(file);
	return seconds;
}

/* The names that others call; the headers' own declarations name the parameters otherwise. */
int moved_clock_gettime(clockid_t clock, struct timespec *ret) __asm__("clock_gettime");
time_t moved_time(time_t *ret) __asm__("time");

int moved_clock_gettime(clockid_t clock, struct timespec *ret)
{
	static int (*real)(clockid_t, struct timespec *);
	int r;

	if (!real)
		real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	r = real(clock, ret);
	if (!r && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		ret->tv_sec += moved_by();
	return r;
}

time_t moved_time(time_t *ret)
{
	struct timespec now = {};

	(void)moved_clock_gettime(CLOCK_REALTIME, &now);
	if (ret)
		*ret = now.tv_sec;
	return now.tv_sec;
}
