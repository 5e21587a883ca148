/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Cost by the number of flows, from 1,000 to 10 million: a packet of any of them in random order, one flow more, and
 * forgetting all. All are established, and take turns. */
#include "bench/measure.h"

#include <linux/pkt_cls.h>
#include <stdio.h>
#include <time.h>

#include "datapath/records.h"

#define BYTES_FLOW 330 /* about, with all its maps */

static double cpu_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static double free_memory_gb(void)
{
	char text[128];
	double kb = 0;
	FILE *file = fopen("/proc/meminfo", "r");

	while (file && fgets(text, sizeof(text), file))
		if (sscanf(text, "MemAvailable: %lf", &kb) == 1)
			break;
	if (file)
		fclose(file);
	return kb / 1e6;
}

struct flow_curve {
	unsigned flows;
	struct scene scene;
	double lookup, create, expire; /* ns */
};

/* In the order of their ports; random order is what look-ups have. Of the handshake each packet is a sweep of its own.
 */
static int open_flows(struct bench *b, struct flow_curve *c)
{
	static const struct {
		enum scene_eni from, to;
		uint8_t tcp_flags;
		bool reply;
	} packets[] = {{ENI_A, ENI_C, TCP_SYN, false},
		       {ENI_C, ENI_A, TCP_SYN | TCP_ACK, true},
		       {ENI_A, ENI_C, TCP_ACK, false}};
	unsigned step = c->flows < MANY_FLOWS ? c->flows : MANY_FLOWS;
	int r = 0;

	for (unsigned done = 0; !r && done < c->flows; done += step)
		for (size_t i = 0; !r && i < sizeof(packets) / sizeof(*packets); i++) {
			b->drive->bss->plan.dport_first = DRIVE_PORT_FIRST + done / 32768;
			r = sweep(b, c->scene.prog, packets[i].from, packets[i].to, packets[i].tcp_flags,
				  packets[i].reply, step);
		}
	b->drive->bss->plan.dport_first = DRIVE_PORT_FIRST;
	if (!r && datapath_flows_used(c->scene.datapath) != c->flows) {
		fprintf(stderr, "bench: %u records of %u flows\n", datapath_flows_used(c->scene.datapath), c->flows);
		r = -1;
	}
	return r;
}

/* Numbers of flows are drawn from a power of two: of 10,485,760 from the first 8,388,608. */
static int measure_lookups(struct bench *b, struct flow_curve *c)
{
	struct load load = make_load(b, ENI_A, ENI_C, TCP_ACK, REPEAT);
	uint32_t drawn = 1u << (31 - __builtin_clz(c->flows));
	struct subject s[2];

	for (int round = 0; round < (int)rounds; rest(), round++) {
		s[0].ns[round] = run_driven(b, b->nothing, &load, drawn);
		s[1].ns[round] = run_driven(b, c->scene.prog, &load, drawn);
		if (s[0].ns[round] < 0 || s[1].ns[round] < 0)
			return -1;
	}
	c->lookup = best(&s[1]) - best(&s[0]);
	return 0;
}

static int measure_creation(struct bench *b, struct flow_curve *c)
{
	struct load load = make_load(b, ENI_A, ENI_C, TCP_SYN, FIRST_BATCH);
	struct subject s[2];

	b->drive->bss->plan.dport_first = DRIVE_PORT_FIRST + 2000;
	for (int round = 0; round < (int)rounds; rest(), round++) {
		s[0].ns[round] = first_round(b, b->nothing, &load, NULL, round);
		s[1].ns[round] = first_round(b, c->scene.prog, &load, &c->scene, round);
		if (s[1].ns[round] < 0)
			return -1;
	}
	c->create = best(&s[1]) - best(&s[0]);
	return 0;
}

/* Closed, and freed after limbo. */
static int measure_expiry(struct flow_curve *c)
{
	double began = cpu_ms();
	size_t freed = 0;

	for (unsigned i = 1; i <= 2; i++) {
		struct timespec now;

		clock_gettime(CLOCK_MONOTONIC, &now);
		freed += records_sweep(c->scene.datapath, (uint64_t)now.tv_sec * 1000000000 + i * AFTER_ALL, NULL, NULL)
				 .freed;
	}
	if (freed != c->flows + rounds * FIRST_BATCH) {
		fprintf(stderr, "bench: %zu of %u flows were freed\n", freed, c->flows + rounds * FIRST_BATCH);
		return -1;
	}
	c->expire = (cpu_ms() - began) * 1e6 / (double)freed;
	return 0;
}

static void tell_flows(struct bench *b, const struct flow_curve *c, const struct flow_curve *least, double bytes)
{
	bool grown = c->flows != least->flows;
	const struct {
		const char *what, *unit;
		double ours, reference, limit;
	} lines[] = {{"lookup", "ns", c->lookup, least->lookup, grown ? 5 : 0},
		     {"create", "ns", c->create, least->create, grown ? 5 : 0},
		     {"expire", "ns", c->expire, least->expire, grown ? 5 : 0},
		     {"memory", "kB", bytes * c->flows / 1e3, bytes * least->flows / 1e3, 0}};
	char name[48];

	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		snprintf(name, sizeof(name), "%s-of-%u-flows", lines[i].what, c->flows);
		line(b, name, lines[i].ours, lines[i].reference, lines[i].limit, lines[i].unit, "");
	}
}

static int one_size(struct bench *b, unsigned flows, struct flow_curve *least)
{
	const struct scene_size size = {.rules = 10, .flows_max = flows + flows / 4 + 4 * FIRST_BATCH * rounds};
	struct flow_curve c = {.flows = flows};
	double bytes = 0;
	int r = scene_open(&size, b->ifindex, &c.scene);

	if (r)
		return r;
	b->drive->bss->plan.daddr_first = 0;
	r = open_flows(b, &c);
	if (!r)
		r = measure_lookups(b, &c);
	if (!r)
		r = measure_creation(b, &c);
	if (!r)
		bytes = flow_bytes(c.scene.datapath);
	if (!r)
		r = measure_expiry(&c);
	b->drive->bss->plan.dport_first = DRIVE_PORT_FIRST;
	scene_close(&c.scene);
	if (r)
		return r;
	if (!least->flows)
		*least = c;
	tell_flows(b, &c, least, bytes);
	return 0;
}

void by_flows(struct bench *b)
{
	static const unsigned numbers[] = {1024, 8192, 131072, 1048576, 10485760};
	struct flow_curve least = {};

	for (size_t i = 0; i < (full ? 5 : 4); i++) {
		double gb = numbers[i] * 1.25 * BYTES_FLOW / 1e9;

		if (gb > 1 && free_memory_gb() < 1.5 * gb) {
			printf("# %u flows want %.0f GB, %.0f are free: left out\n", numbers[i], 1.5 * gb,
			       free_memory_gb());
			continue;
		}
		if (one_size(b, numbers[i], &least))
			return failure(b, "many-flows");
	}
}
