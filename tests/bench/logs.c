/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Flow logs on over off: established packets a second while a collector takes and writes a window of all flows each
 * second (its clock is told that a minute has passed), against the same with nobody collecting. The collector has the
 * other CPU. What its own CPU time would take from the packets, were there one CPU only and windows of a minute, the
 * shortest there are, is told beside it. */
#include "bench/core.h"
#include "bench/measure.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "flowlog/collector.h"

#define LOG_FLOWS  32768
#define MINUTE_NS  60000000000ull
#define TICK_US    100000
#define RUN        200000 /* packets between two looks at the clock */
#define WINDOWS    2      /* a side of a round lasts as many seconds */
#define LOG_ROUNDS 9      /* at most; odd */

struct logger {
	struct collector *collector;
	atomic_bool over;
	unsigned windows;
	double cpu_s; /* that they took */
	int r;
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* To any CPU but the packets'. */
static void leave_cpu(void)
{
	cpu_set_t cpus;
	int here = sched_getcpu();

	CPU_ZERO(&cpus);
	for (int i = 0; i < sysconf(_SC_NPROCESSORS_ONLN); i++)
		if (i != here)
			CPU_SET(i, &cpus);
	(void)sched_setaffinity(0, sizeof(cpus), &cpus);
}

/* A window is over with every second. */
static void *collect(void *argument)
{
	struct logger *logger = argument;
	uint64_t wall = clock_ns(CLOCK_REALTIME) / MINUTE_NS * MINUTE_NS + logger->windows * MINUTE_NS;
	uint64_t began = clock_ns(CLOCK_MONOTONIC), seen = 0;

	leave_cpu();
	while (!atomic_load(&logger->over)) {
		uint64_t mono = clock_ns(CLOCK_MONOTONIC), second = (mono - began) / 1000000000;

		logger->r |= collector_tick(logger->collector, mono, wall + second * MINUTE_NS);
		logger->windows += (unsigned)(second - seen);
		seen = second;
		usleep(TICK_US);
	}
	collector_wait(logger->collector); /* the file of the last window counts, too */
	return NULL;
}

/* For WINDOWS seconds. ret: ns a packet, the mean of all runs while the core was ours alone, or of all if it seldom
 * was; or -1. */
static double packets_for_a_while(struct bench *b, const struct load *load)
{
	double all = 0, alone = 0;
	unsigned nr = 0, nr_alone = 0;
	uint64_t began = clock_ns(CLOCK_MONOTONIC);

	while (clock_ns(CLOCK_MONOTONIC) - began < WINDOWS * 1000000000ull) {
		bool before = core_alone();
		double ns = run_now(bpf_program__fd(b->drive->progs.drive), load);

		if (ns < 0)
			return -1;
		all += ns;
		nr++;
		if (before && core_alone()) {
			alone += ns;
			nr_alone++;
		}
	}
	return nr_alone > nr / 8 ? alone / nr_alone : all / nr;
}

static double with_logs(struct bench *b, const struct load *load, struct logger *logger)
{
	uint64_t all, own;
	pthread_t thread;
	double ns;

	all = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	own = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	atomic_store(&logger->over, false);
	if (pthread_create(&thread, NULL, collect, logger))
		return -1;
	ns = packets_for_a_while(b, load);
	atomic_store(&logger->over, true);
	pthread_join(thread, NULL);
	own = clock_ns(CLOCK_THREAD_CPUTIME_ID) - own;
	logger->cpu_s += (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - all - own) / 1e9; /* its writer's, too */
	return logger->r ? -1 : ns;
}

static int compare_rounds(struct bench *b, struct logger *logger, struct subject s[2])
{
	struct load load = make_load(b, ENI_A, ENI_C, TCP_ACK, RUN);

	if (establish(b, &b->scene[0], ENI_A, ENI_C, LOG_FLOWS) ||
	    drive_to(b, b->scene[0].prog, &load, false, LOG_FLOWS))
		return -1;
	for (unsigned round = 0; round < LOG_ROUNDS; round++) {
		s[0].ns[round] = packets_for_a_while(b, &load);
		s[1].ns[round] = with_logs(b, &load, logger);
		if (s[0].ns[round] < 0 || s[1].ns[round] < 0)
			return -1;
	}
	return 0;
}

/* A side is a mean of two seconds, in which a neighbour comes and goes; the two of a round stand next to each other. Of
 * the rounds the one whose ratio is the median tells: the best of either may be of different minutes (0.92 to 1.06 in
 * eight runs). */
static unsigned median_round(const struct subject s[2])
{
	for (unsigned i = 0; i < LOG_ROUNDS; i++) {
		unsigned less = 0, equal = 0;

		for (unsigned k = 0; k < LOG_ROUNDS; k++) {
			double order = s[1].ns[k] * s[0].ns[i] - s[1].ns[i] * s[0].ns[k];

			less += order < 0;
			equal += order == 0;
		}
		if (less <= LOG_ROUNDS / 2 && less + equal > LOG_ROUNDS / 2)
			return i;
	}
	return 0;
}

void logs_on_over_off(struct bench *b)
{
	static struct subject s[2]; /* off, on */
	char folder[] = "/tmp/enid-bench-logs-XXXXXX", more[128], *why = NULL;
	const struct collector_options options = {.log_dir = folder};
	const struct scene *scene = &b->scene[0];
	struct collector_report told;
	struct logger logger = {};
	unsigned shown;
	int r = -1;

	if (!mkdtemp(folder))
		return failure(b, "flow-logs-on-over-off");
	if (!collector_open(scene->datapath, scene->state, scene->image, &options, &logger.collector, &why)) {
		r = compare_rounds(b, &logger, s);
		collector_report(logger.collector, &told);
		collector_close(&logger.collector);
	}
	scene_remove_files(folder);
	free(why);
	if (r || told.lines < LOG_FLOWS || !logger.windows) /* nobody wrote them: nothing was measured */
		return failure(b, "flow-logs-on-over-off");
	shown = median_round(s);
	snprintf(more, sizeof(more), "  %llu lines, %.0f ms CPU a window of %u flows: %.4f of a CPU in one of a minute",
		 (unsigned long long)told.lines, logger.cpu_s * 1e3 / logger.windows, LOG_FLOWS,
		 logger.cpu_s / logger.windows / 60);
	line(b, "flow-logs-on-over-off", s[1].ns[shown], s[0].ns[shown], 1 / 0.95, "ns", more);
}
