/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "bench/core.h"

#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define PROBE_STEPS  8000 /* 10 to 20 us */
#define ALONE        1.25 /* times the best that was seen: a busy neighbour makes it 1.6 to 2.2 */
#define CHOOSE_TRIES 100
#define WAIT_TRIES   50
#define PAUSE_US     2000

static double best_seen; /* ns a probe, 0 = none yet */

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Additions that depend on nothing but their like five before: as many at once as the core has units. */
static double probe(void)
{
	unsigned long a = 0, b = 0, c = 0, d = 0, e = 0;
	double began = now_ns();

	for (int i = 0; i < PROBE_STEPS; i++) {
		for (int k = 0; k < 3; k++) {
			a++, b++, c++, d++, e++;
			__asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e));
		}
	}
	return now_ns() - began;
}

static bool fits(double ns)
{
	if (!best_seen && getenv("ENID_BENCH_PROBE"))
		best_seen = strtod(getenv("ENID_BENCH_PROBE"), NULL);
	if (!best_seen || ns < best_seen)
		best_seen = ns;
	return ns <= ALONE * best_seen;
}

/* The better of two: a probe that an interrupt met says nothing. */
bool core_alone(void)
{
	bool alone = fits(probe());

	return alone || fits(probe());
}

bool core_wait(void)
{
	for (int i = 0; i < WAIT_TRIES; i++) {
		if (core_alone())
			return true;
		usleep(PAUSE_US);
	}
	return false;
}

static void stay_on(int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
}

double core_best(void)
{
	return best_seen;
}

void core_choose(void)
{
	const char *given = getenv("ENID_BENCH_CPU");
	int nr = (int)sysconf(_SC_NPROCESSORS_ONLN), chosen = sched_getcpu(), most = -1;

	if (given)
		return stay_on(atoi(given));
	for (int pass = 0; pass < 2; pass++) /* the first one finds out what alone means */
		for (int cpu = 0; cpu < nr && cpu < CPU_SETSIZE; cpu++) {
			int alone = 0;

			stay_on(cpu);
			for (int i = 0; i < CHOOSE_TRIES / nr; i++) {
				alone += core_alone();
				usleep(PAUSE_US / 4);
			}
			if (pass && alone > most) {
				most = alone;
				chosen = cpu;
			}
		}
	stay_on(chosen);
}
