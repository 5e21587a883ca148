/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Both CPUs at once, each with a driver of its own. */
#include "bench/core.h"
#include "bench/measure.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CPUS      2
#define CPU_FLOWS 16384    /* new flows of a CPU, a round */
#define CPU_FIRST 0x200000 /* where their numbers begin */

struct opener {
	struct bench *b;
	struct drive_bpf *drive;
	struct load load;
	int cpu;
	pthread_barrier_t *start;
	uint32_t packets; /* a round */
	double ns;        /* of its own CPU time, a packet; -1 = it failed */
};

static void *open_flows(void *argument)
{
	struct opener *o = argument;
	struct timespec before, after;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(o->cpu, &cpus);
	(void)sched_setaffinity(0, sizeof(cpus), &cpus);
	(void)core_wait();
	pthread_barrier_wait(o->start);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
	o->ns = run_now(bpf_program__fd(o->drive->progs.drive), &o->load);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
	if (o->ns >= 0)
		o->ns = ((double)(after.tv_sec - before.tv_sec) * 1e9 + (double)(after.tv_nsec - before.tv_nsec)) /
			o->packets;
	return NULL;
}

/* ret: ns a packet and CPU while the first `nr` of the openers work at the same time, or -1 */
static double open_on(struct opener *openers, unsigned nr, uint32_t *number)
{
	pthread_t threads[CPUS];
	pthread_barrier_t start;
	double sum = 0;

	pthread_barrier_init(&start, NULL, nr);
	for (unsigned i = 0; i < nr; i++) {
		openers[i].start = &start;
		openers[i].drive->bss->plan.step = *number;
		*number += openers[i].packets;
		if (pthread_create(&threads[i], NULL, open_flows, &openers[i]))
			abort();
	}
	for (unsigned i = 0; i < nr; i++) {
		pthread_join(threads[i], NULL);
		sum = sum < 0 || openers[i].ns < 0 ? -1 : sum + openers[i].ns;
	}
	pthread_barrier_destroy(&start);
	return sum < 0 ? -1 : sum / nr;
}

static void tell_openers(struct bench *b, const char *name, struct subject s[CPUS])
{
	double one = best(&s[0]), two = best(&s[1]);
	char more[96];

	snprintf(more, sizeof(more), "  medians %.0f %.0f; both CPUs do %.2f times the work of one", median(&s[1]),
		 median(&s[0]), 2 * one / two);
	line(b, name, two, one, 2 / 1.8, "ns", more);
}

/* flows 0 = each packet is of a new one; else the second CPU's are flows of its own. */
static int make_openers(struct bench *b, struct opener openers[CPUS], uint8_t tcp_flags, uint32_t packets,
			uint32_t flows)
{
	struct drive_bpf *own = b->drive;
	int r = 0;

	for (int i = 0; i < CPUS && !r; i++) {
		openers[i] = (struct opener){.b = b, .cpu = i, .packets = packets};
		openers[i].drive = i ? drive_bpf__open_and_load() : own;
		openers[i].load = make_load(b, ENI_A, ENI_C, tcp_flags, packets);
		if (!openers[i].drive)
			return -1;
		openers[i].drive->bss->plan.dport_first = DRIVE_PORT_FIRST + (flows && i ? 100 : 0);
		b->drive = openers[i].drive;
		r = flows ? establish(b, &b->scene[0], ENI_A, ENI_C, flows) : 0;
		if (!r)
			r = drive_to(b, b->scene[0].prog, &openers[i].load, false, flows);
		b->drive = own;
	}
	return r;
}

static void on_two_cpus(struct bench *b, const char *name, uint8_t tcp_flags, uint32_t packets, uint32_t flows)
{
	static struct subject s[CPUS];
	struct opener openers[CPUS] = {};
	uint32_t number = CPU_FIRST;
	bool failed = make_openers(b, openers, tcp_flags, packets, flows) != 0;

	for (unsigned round = 0; round < rounds && !failed; rest(), round++) {
		double first = open_on(&openers[0], 1, &number), second = open_on(&openers[1], 1, &number);

		s[0].ns[round] = (first + second) / 2; /* one CPU may be slower than the other */
		s[1].ns[round] = open_on(openers, CPUS, &number);
		failed = first < 0 || second < 0 || s[1].ns[round] < 0;
	}
	drive_bpf__destroy(openers[1].drive);
	if (failed)
		return failure(b, name);
	tell_openers(b, name, s);
}

void first_on_two_cpus(struct bench *b)
{
	on_two_cpus(b, "first-on-two-cpus", TCP_SYN, CPU_FLOWS, 0);
}

void established_on_two_cpus(struct bench *b)
{
	on_two_cpus(b, "established-on-two-cpus", TCP_ACK, REPEAT, 1024);
}
