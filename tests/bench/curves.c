/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Cost by size: rules, ENIs, routes (flows: curve_flows.c). Each point is measured in turns with the smallest one. */
#include "bench/measure.h"

#include <linux/pkt_cls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "datapath/records.h"

#define SIZES_MAX   6
#define CURVE_FLOWS 16384

struct curve {
	struct scene scene[SIZES_MAX];
	double fill_ms[SIZES_MAX]; /* from the files to the maps */
	size_t nr;
};

static double now_ms(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int open_curve(struct bench *b, struct curve *curve, const struct scene_size *sizes, size_t nr)
{
	memset(curve, 0, sizeof(*curve));
	for (size_t i = 0; i < nr; i++) {
		double began = now_ms(CLOCK_PROCESS_CPUTIME_ID);

		if (scene_open(&sizes[i], b->ifindex, &curve->scene[i]))
			return -1;
		curve->fill_ms[i] = now_ms(CLOCK_PROCESS_CPUTIME_ID) - began;
		curve->nr++;
	}
	return 0;
}

static void close_curve(struct curve *curve)
{
	for (size_t i = 0; i < curve->nr; i++)
		scene_close(&curve->scene[i]);
}

/* Whatever is not for all lines of the suite. */
static void plain_destinations(struct bench *b)
{
	b->drive->bss->plan.daddr_first = 0;
	b->drive->bss->plan.dport_first = DRIVE_PORT_FIRST;
}

/* limit: what no point may cost more than, in times of the smallest; so no decade grows by more, either. */
static void tell_curve(struct bench *b, const char *format, const unsigned *numbers, struct subject *s, size_t nr,
		       double limit)
{
	char name[48];

	for (size_t i = 0; i < nr; i++) {
		struct subject three[3] = {s[0], s[i + 1], s[1]};

		snprintf(name, sizeof(name), format, numbers[i]);
		report(b, name, three, i ? limit : 0);
	}
}

static void tell_fill(struct bench *b, const char *format, const unsigned *numbers, const struct curve *curve)
{
	char name[48];

	for (size_t i = 0; i < curve->nr; i++) {
		snprintf(name, sizeof(name), format, numbers[i]);
		line(b, name, curve->fill_ms[i], curve->fill_ms[0], 0, "ms", "  CPU time from the files to the maps");
	}
}

/* What the kernel holds of the policy, and the agent of its image: computed (scale.py measures the agent). An element
 * of the tries: LIMITS by SUnreclaim. */
#define ROUTE_BYTES 105
#define PORT_BYTES  (sizeof(struct port) + sizeof(struct port_name) + sizeof(struct port_policy) + ID_MAX)

static double scene_bytes(const struct scene *scene)
{
	const struct image *image = scene->image;
	double bytes = (double)image->nr_ports * PORT_BYTES + (double)image->nr_ports * sizeof(*image->ports);

	for (size_t i = 0; i < image->nr_objects; i++)
		bytes += 2.0 * image->objects[i].nr_lines * sizeof(struct policy_line) +
			 (double)image->objects[i].nr_rules * sizeof(struct image_rule);
	for (size_t i = 0; i < image->nr_tables; i++)
		bytes += (double)image->tables[i].nr_routes * (ROUTE_BYTES + sizeof(struct image_route)) +
			 (double)image->tables[i].nr_rules * sizeof(struct image_rule);
	return bytes;
}

static void tell_memory(struct bench *b, const char *format, const unsigned *numbers, const struct curve *curve)
{
	char name[48];

	for (size_t i = 0; i < curve->nr; i++) {
		snprintf(name, sizeof(name), format, numbers[i]);
		line(b, name, scene_bytes(&curve->scene[i]) / 1e3, scene_bytes(&curve->scene[0]) / 1e3, 0, "kB",
		     "  computed: in use of maps, and the agent's image of it");
	}
}

/* Packets of flows that stand; fresh: first packets. Subjects [1..] are the scenes'. ret: 0 | -1 */
static int measure_curve(struct bench *b, const struct curve *curve, struct subject *s, const struct load *load,
			 bool fresh)
{
	struct load floor = *load;

	floor.verdict = TC_ACT_REDIRECT;
	for (int round = 0; round < (int)rounds; rest(), round++)
		for (size_t i = 0; i <= curve->nr; i++) {
			const struct scene *scene = i ? &curve->scene[i - 1] : NULL;
			int prog = scene ? scene->prog : b->nothing;

			s[i].ns[round] = fresh ? first_round(b, prog, scene ? load : &floor, scene, round)
					       : run_driven(b, prog, load, CURVE_FLOWS);
			if (s[i].ns[round] < 0)
				return -1;
		}
	return 0;
}

/* ---- 10 to a million rules */

void by_many_rules(struct bench *b)
{
	static const unsigned all[] = {10, 100, 1000, 10000, 100000, 1000000}, some[] = {10, 100000};
	const unsigned *numbers = full ? all : some;
	static struct subject s[SIZES_MAX + 1];
	static struct curve curve;
	struct scene_size sizes[SIZES_MAX];
	size_t nr = full ? SIZES_MAX : 2;
	struct load established = make_load(b, ENI_A, ENI_C, TCP_ACK, REPEAT);
	struct load first = make_load(b, ENI_A, ENI_C, TCP_SYN, FIRST_BATCH), denied = first;
	int r;

	for (size_t i = 0; i < nr; i++)
		sizes[i] = (struct scene_size){.rules = numbers[i], .flows_max = FLOWS_MAX};
	denied.verdict = TC_ACT_SHOT;
	plain_destinations(b);
	r = open_curve(b, &curve, sizes, nr);
	for (size_t i = 0; !r && i < curve.nr; i++)
		r = establish(b, &curve.scene[i], ENI_A, ENI_C, CURVE_FLOWS);
	if (!r)
		r = measure_curve(b, &curve, s, &established, false);
	if (!r)
		tell_curve(b, "established-of-%u-rules", numbers, s, curve.nr, 1.05);
	b->drive->bss->plan.dport_first = DRIVE_PORT_FIRST + 1000;
	if (!r)
		r = measure_curve(b, &curve, s, &first, true);
	if (!r)
		tell_curve(b, "first-of-%u-rules", numbers, s, curve.nr, 3);
	b->drive->bss->plan.dport_first = 0;
	if (!r)
		r = measure_curve(b, &curve, s, &denied, true);
	if (!r) {
		tell_curve(b, "denied-of-%u-rules", numbers, s, curve.nr, 1.2);
		tell_fill(b, "fill-of-%u-rules", numbers, &curve);
		tell_memory(b, "memory-of-%u-rules", numbers, &curve);
	}
	plain_destinations(b);
	close_curve(&curve);
	if (r)
		failure(b, "many-rules");
}

/* ---- 1 to 10,000 ENIs: packets of one of them to all others, in turns */

static int to_all_enis(struct bench *b, const struct scene *scene, unsigned enis, uint8_t tcp_flags)
{
	struct drive_plan *plan = &b->drive->bss->plan;

	plan->daddr_first = enis ? SCENE_ENIS_FIRST : 0;
	plan->daddr_scramble = 1;
	plan->daddr_mask = enis ? (1u << (31 - __builtin_clz(enis))) - 1 : 0;
	plan->daddr_gap = ~2047u;
	return tcp_flags ? sweep(b, scene->prog, ENI_A, ENI_C, tcp_flags, false, CURVE_FLOWS) : 0;
}

/* All sizes on the maps of the largest scene, and, as far as free lists have it so, on the same records: a scene's own
 * maps may lie badly in memory, which is more than what is measured (1 ENI 172 ns and 234 in two runs, 10 ENIs less).
 */
static int forget_flows(const struct scene *scene)
{
	for (uint64_t i = 1; i <= 2; i++) /* closed, and freed after limbo */
		(void)records_sweep(scene->datapath, datapath_now_ns(scene->datapath) + i * AFTER_ALL, NULL, NULL);
	return datapath_flows_used(scene->datapath) ? -1 : 0;
}

/* s[0]: the driver alone */
static int one_round_of_enis(struct bench *b, const struct scene *scene, const unsigned *numbers, size_t nr,
			     struct subject *s, int round)
{
	struct load load = make_load(b, ENI_A, ENI_C, TCP_ACK, REPEAT);

	(void)to_all_enis(b, NULL, numbers[0], 0);
	s[0].ns[round] = run_driven(b, b->nothing, &load, CURVE_FLOWS);
	for (size_t i = 0; i < nr; i++) {
		/* a packet opens each flow, one more sets its half's decision */
		if (forget_flows(scene) || to_all_enis(b, scene, numbers[i], TCP_SYN) ||
		    to_all_enis(b, scene, numbers[i], TCP_ACK))
			return -1;
		s[i + 1].ns[round] = run_driven(b, scene->prog, &load, CURVE_FLOWS);
		if (s[i + 1].ns[round] < 0)
			return -1;
	}
	return s[0].ns[round] < 0 ? -1 : 0;
}

void by_enis(struct bench *b)
{
	static const unsigned all[] = {1, 10, 100, 1000, 10000}, some[] = {1, 1000, 10000};
	const unsigned *numbers = full ? all : some;
	static struct subject s[SIZES_MAX + 1];
	static struct curve curve;
	struct scene_size sizes[SIZES_MAX];
	size_t nr = full ? 5 : 3;
	int r;

	plain_destinations(b);
	for (size_t i = 0; i < nr; i++)
		sizes[i] = (struct scene_size){.rules = 10, .enis = numbers[i], .flows_max = FLOWS_MAX};
	r = open_curve(b, &curve, sizes, nr);
	for (int round = 0; !r && round < (int)rounds; rest(), round++)
		r = one_round_of_enis(b, &curve.scene[curve.nr - 1], numbers, nr, s, round);
	if (!r) {
		tell_curve(b, "established-of-%u-enis", numbers, s, curve.nr, 1.2);
		tell_fill(b, "fill-of-%u-enis", numbers, &curve);
		tell_memory(b, "memory-of-%u-enis", numbers, &curve);
	}
	plain_destinations(b);
	close_curve(&curve);
	if (r)
		failure(b, "enis");
}

/* ---- 10 to a million routes: first packets to random addresses outside, by the internet gateway */

void by_routes(struct bench *b)
{
	static unsigned numbers[SIZES_MAX] = {10, 1000, 100000, 10000, 1000000};
	static struct subject s[SIZES_MAX + 1];
	static struct curve curve;
	struct load load = make_load(b, ENI_E, ENI_WORLD, TCP_SYN, FIRST_BATCH);
	struct scene_size sizes[SIZES_MAX];
	size_t nr = full ? 5 : 3;
	struct drive_plan *plan = &b->drive->bss->plan;
	int r;

	for (size_t i = 0; i < nr; i++)
		sizes[i] = (struct scene_size){
			.rules = 10, .routes = numbers[i], .flows_max = FLOWS_MAX, .anywhere = true};
	if (full && getenv("ENID_PREFIXES")) { /* the Internet's own table, a prefix a line */
		sizes[nr] = sizes[0];
		sizes[nr].prefixes = getenv("ENID_PREFIXES");
		sizes[nr].routes = numbers[nr] = scene_count_prefixes(sizes[nr].prefixes);
		nr++;
	}
	plain_destinations(b);
	r = open_curve(b, &curve, sizes, nr);
	plan->daddr_first = 128u << 24; /* to 159.255.255.255: an eighth of all, and no martian */
	plan->daddr_scramble = 0x9e3779b1u;
	plan->daddr_mask = (1u << 29) - 1;
	plan->daddr_gap = 0;
	if (!r)
		r = measure_curve(b, &curve, s, &load, true);
	if (!r) {
		tell_curve(b, "first-of-%u-routes", numbers, s, curve.nr, 3);
		tell_fill(b, "fill-of-%u-routes", numbers, &curve);
		tell_memory(b, "memory-of-%u-routes", numbers, &curve);
	}
	plain_destinations(b);
	close_curve(&curve);
	if (r)
		failure(b, "routes");
}
