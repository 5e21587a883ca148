/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What an established packet, a first packet and a flow cost. One line a metric: name, ours, reference, ratio, unit.
 *
 * Times are the kernel's own `duration` of BPF_PROG_TEST_RUN. What is compared is measured in turns (A, B, A, B, ...)
 * in one run, best against best, since the speed of a shared machine changes between minutes; the median stands behind.
 * A run begins when nobody else is on our core (core.h): the reference waits for one result after another, our programs
 * fill the core's width, and a neighbour halves the second only. How many runs had the core alone stands in the line.
 * The cost of the driver that varies the packet, or of the empty test loop, is measured in the same turns and
 * subtracted from both sides, except where the line says that it is included. Every measurement checks that the packets
 * were judged as meant, and that the flows counted them: a fast wrong answer is an error here. Exit: 0 all within their
 * limits, 1 not, or nothing could be measured.
 */
#include <errno.h>
#include <linux/pkt_cls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/core.h"
#include "bench/measure.h"

static const unsigned sizes[] = {10, 1000, 10000};
#define SIZES (sizeof(sizes) / sizeof(*sizes))

/* ---- metrics */

/* One flow, the same packet again and again: possible where delivery rewrites nothing (a peer in the subnet). */
static void established_hot(struct bench *b)
{
	struct load load = make_load(b, ENI_A, ENI_B, TCP_ACK, REPEAT);
	int ref = bpf_program__fd(b->ref->progs.ref);
	struct subject s[3] = {{.prog = b->nothing}, {.prog = b->scene[0].prog}, {.prog = ref}};
	uint64_t before;
	char more[96];

	if (establish(b, &b->scene[0], ENI_A, ENI_B, 1) ||
	    sweep(b, bpf_program__fd(b->ref->progs.ref_learn), ENI_A, ENI_B, TCP_ACK, false, 1))
		return failure(b, "established");
	before = counted(&b->scene[0]);
	for (int round = 0; round < (int)rounds; rest(), round++)
		for (int i = 0; i < 3; i++)
			if ((s[i].ns[round] = run(s[i].prog, &load)) < 0)
				return failure(b, "established");
	before = counted(&b->scene[0]) - before;
	if (before % REPEAT || before < (uint64_t)rounds * REPEAT) { /* each of every run, however many these were */
		fprintf(stderr, "bench: %llu packets counted\n", (unsigned long long)before);
		return failure(b, "established");
	}
	snprintf(more, sizeof(more), "  medians %.0f %.0f, test loop of %.0f included", median(&s[1]), median(&s[2]),
		 best(&s[0]));
	line(b, "established", best(&s[1]), best(&s[2]), 1.6, "ns", more);
	report(b, "established-net", s, 0);
}

/* Many flows in scattered order: what memory costs. To eni-c: the routed path. */
static void established_many(struct bench *b, const char *name, enum scene_eni to, uint32_t flows)
{
	struct load load = make_load(b, ENI_A, to, TCP_ACK, REPEAT);
	int ref = bpf_program__fd(b->ref->progs.ref);
	struct subject s[3] = {{.prog = b->nothing}, {.prog = b->scene[0].prog}, {.prog = ref}};

	if (establish(b, &b->scene[0], ENI_A, to, flows) ||
	    sweep(b, bpf_program__fd(b->ref->progs.ref_learn), ENI_A, to, TCP_ACK, false, flows) < 0)
		return failure(b, name);
	for (int round = 0; round < (int)rounds; rest(), round++)
		for (int i = 0; i < 3; i++)
			if ((s[i].ns[round] = run_driven(b, s[i].prog, &load, flows)) < 0)
				return failure(b, name);
	report(b, name, s, 0);
}

static void established_routed(struct bench *b)
{
	established_many(b, "established-routed", ENI_C, 1);
}

static void many_flows(struct bench *b)
{
	established_many(b, "established-routed-1k-flows", ENI_C, 1024);
	established_many(b, "established-routed-32k-flows", ENI_C, 32768);
	if (full)
		established_many(b, "established-routed-1048k-flows", ENI_C, 1048576);
}

/* A million flows, all active, against a thousand. */
static void growth(struct bench *b)
{
	struct load load = make_load(b, ENI_A, ENI_C, TCP_ACK, REPEAT);
	struct subject s[3] = {{.prog = b->nothing}, {.prog = b->scene[0].prog}, {.prog = b->scene[0].prog}};
	const uint32_t flows[3] = {MANY_FLOWS, MANY_FLOWS, 1024};

	if (establish(b, &b->scene[0], ENI_A, ENI_C, MANY_FLOWS))
		return failure(b, "established-1m-over-1k-flows");
	for (int round = 0; round < (int)rounds; rest(), round++)
		for (int i = 0; i < 3; i++)
			if ((s[i].ns[round] = run_driven(b, s[i].prog, &load, flows[i])) < 0)
				return failure(b, "established-1m-over-1k-flows");
	report(b, "established-1m-over-1k-flows", s, 5);
}

/* The same packet under 10, 1,000, 10,000 rules. */
static void established_by_rules(struct bench *b)
{
	struct load load = make_load(b, ENI_A, ENI_C, TCP_ACK, REPEAT);
	struct subject s[SIZES + 1] = {{.prog = b->nothing}};
	char name[40];

	for (size_t i = 0; i < SIZES; i++) {
		s[i + 1].prog = b->scene[i].prog;
		if (establish(b, &b->scene[i], ENI_A, ENI_C, 1))
			return failure(b, "established-rules");
	}
	for (int round = 0; round < (int)rounds; rest(), round++)
		for (size_t i = 0; i < SIZES + 1; i++)
			if ((s[i].ns[round] = run_driven(b, s[i].prog, &load, 1)) < 0)
				return failure(b, "established-rules");
	for (size_t i = 1; i < SIZES; i++) {
		struct subject three[3] = {s[0], s[i + 1], s[1]};

		snprintf(name, sizeof(name), "established-%u-rules", sizes[i]);
		report(b, name, three, 1.05);
	}
}

/* First packets (SYN, routed, all stages), each of a flow of its own; dport_first decides whether a rule admits them.
 */
static void openings(struct bench *b, const char *what, bool admitted, double limit)
{
	struct load load = make_load(b, ENI_A, ENI_C, TCP_SYN, FIRST_BATCH), floor = load;
	struct subject s[SIZES + 1] = {{.prog = b->nothing}};
	char name[40];

	load.verdict = admitted ? TC_ACT_REDIRECT : TC_ACT_SHOT;
	b->drive->bss->plan.dport_first = admitted ? DRIVE_PORT_FIRST : 0;
	for (int round = 0; round < (int)rounds; rest(), round++)
		for (size_t i = 0; i < SIZES + 1; i++) {
			const struct scene *scene = i ? &b->scene[i - 1] : NULL;

			s[i].ns[round] =
				first_round(b, scene ? scene->prog : s[i].prog, scene ? &load : &floor, scene, round);
			if (s[i].ns[round] < 0)
				return failure(b, what);
		}
	for (size_t i = 1; i < SIZES; i++) {
		struct subject three[3] = {s[0], s[i + 1], s[1]};

		snprintf(name, sizeof(name), "%s-%u-rules", what, sizes[i]);
		report(b, name, three, limit);
	}
}

static void first_by_rules(struct bench *b)
{
	openings(b, "first", true, 2.0);
}

static void denied_by_rules(struct bench *b)
{
	openings(b, "denied", false, 0);
}

/* ---- gateways, against the routed way within the VPC */

static const struct way {
	const char *name;
	enum scene_eni from, to;
	double established, first; /* limits */
} ways[] = {
	{"local", ENI_A, ENI_C, 0, 0},
	{"internet-gateway", ENI_E, ENI_WORLD, 1.25, 0},
	{"nat-gateway", ENI_D, ENI_WORLD, 1.25, 2},
};
#define WAYS (sizeof(ways) / sizeof(*ways))

static void tell_ways(struct bench *b, const char *what, struct subject s[WAYS + 1], bool first)
{
	char name[48], more[96];

	for (size_t i = 1; i < WAYS; i++) {
		struct subject three[3] = {s[0], s[i + 1], s[1]};

		snprintf(name, sizeof(name), "%s-%s", what, ways[i].name);
		if (first) {
			report(b, name, three, ways[i].first);
			continue;
		}
		snprintf(more, sizeof(more), "  medians %.0f %.0f, driver of %.0f included", median(&s[i + 1]),
			 median(&s[1]), best(&s[0]));
		line(b, name, best(&s[i + 1]), best(&s[1]), ways[i].established, "ns", more);
		snprintf(name, sizeof(name), "%s-%s-net", what, ways[i].name);
		report(b, name, three, 0);
	}
}

static void established_by_way(struct bench *b)
{
	const struct scene *scene = &b->scene[0];
	struct subject s[WAYS + 1] = {{.prog = b->nothing}};

	b->drive->bss->plan.dport_first = DRIVE_PORT_FIRST;
	for (size_t i = 0; i < WAYS; i++)
		if (establish(b, scene, ways[i].from, ways[i].to, 1))
			return failure(b, "established-by-way");
	for (int round = 0; round < (int)rounds; rest(), round++)
		for (size_t i = 0; i < WAYS + 1; i++) {
			const struct way *way = &ways[i ? i - 1 : 0];
			struct load load = make_load(b, way->from, way->to, TCP_ACK, REPEAT);

			s[i].ns[round] = run_driven(b, i ? scene->prog : b->nothing, &load, 1);
			if (s[i].ns[round] < 0)
				return failure(b, "established-by-way");
		}
	tell_ways(b, "established", s, false);
}

static void first_by_way(struct bench *b)
{
	const struct scene *scene = &b->scene[1]; /* has room for as many flows again */
	struct subject s[WAYS + 1] = {{.prog = b->nothing}};

	b->drive->bss->plan.dport_first = DRIVE_PORT_FIRST + 1000; /* flows that nobody has opened yet */
	for (int round = 0; round < (int)rounds; rest(), round++)
		for (size_t i = 0; i < WAYS + 1; i++) {
			const struct way *way = &ways[i ? i - 1 : 0];
			struct load load = make_load(b, way->from, way->to, TCP_SYN, FIRST_BATCH);

			s[i].ns[round] = first_round(b, i ? scene->prog : b->nothing, &load, i ? scene : NULL, round);
			if (s[i].ns[round] < 0)
				return failure(b, "first-by-way");
		}
	b->drive->bss->plan.dport_first = DRIVE_PORT_FIRST;
	tell_ways(b, "first", s, true);
}

/* ---- memory */

static double memory_of(int fd)
{
	char path[64], text[128];
	double bytes = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "r");
	while (file && fgets(text, sizeof(text), file))
		if (!strncmp(text, "memlock:", 8))
			bytes = strtod(text + 8, NULL);
	if (file)
		fclose(file);
	return bytes;
}

double flow_bytes(const struct datapath *datapath)
{
	static const char *const maps[] = {"records", "names", "names_spilled", "limbo", "sides", "traces"};
	double sum = 0;

	for (size_t i = 0; i < sizeof(maps) / sizeof(*maps); i++) {
		double bytes = memory_of(datapath_map_fd(datapath, maps[i]));

		if (bytes <= 0)
			return 0;
		sum += bytes;
	}
	return sum / datapath_flows_max(datapath);
}

static void tell_bytes(struct bench *b, const char *name, const struct datapath *datapath)
{
	double bytes = flow_bytes(datapath);

	if (bytes <= 0)
		return failure(b, name);
	line(b, name, bytes, memory_of(bpf_map__fd(b->ref->maps.flows)) / REF_FLOWS_MAX, 0, "bytes", "");
}

/* The reference is what one flow costs in the reference's map: one direction, no names. Of a host without gateways that
 * remember flows, and of one with. */
static void memory(struct bench *b)
{
	const struct datapath_options plain = {.flows_max = datapath_flows_max(b->scene[0].datapath),
					       .without = "xdp_rx"};
	struct datapath *datapath = NULL;
	char *why = NULL;

	if (datapath_open(&plain, &datapath, &why) < 0)
		failure(b, "memory-per-flow");
	else
		tell_bytes(b, "memory-per-flow", datapath);
	tell_bytes(b, "memory-per-flow-with-gateways", b->scene[0].datapath);
	datapath_close(&datapath);
	free(why);
}

static const struct metric {
	const char *name;
	void (*measure)(struct bench *b);
	size_t scenes; /* how many of them it needs, from the first on */
} metrics[] = {
	{"hot", established_hot, 1},
	{"routed", established_routed, 1},
	{"flows", many_flows, 1},
	{"rules", established_by_rules, SIZES},
	{"ways", established_by_way, 1},
	{"first-rules", first_by_rules, SIZES},
	{"denied-rules", denied_by_rules, SIZES},
	{"first-ways", first_by_way, 2},
	{"first-cpus", first_on_two_cpus, 1},
	{"established-cpus", established_on_two_cpus, 1},
	{"logs", logs_on_over_off, 1},
	{"growth", growth, 1},
	{"memory", memory, 1},
	{"floods", floods, 0},
	{"enis", by_enis, 0},
	{"routes", by_routes, 0},
	{"many-rules", by_many_rules, 0},
	{"many-flows", by_flows, 0},
};
#define METRICS (sizeof(metrics) / sizeof(*metrics))

static int open_scenes(struct bench *b, size_t nr)
{
	int r = 0;

	for (; !r && b->scenes < nr; b->scenes++)
		r = scene_open(&(struct scene_size){.rules = sizes[b->scenes],
						    .gated = true,
						    .flows_max = b->scenes ? FLOWS_MAX : 2 * MANY_FLOWS},
			       b->ifindex, &b->scene[b->scenes]);
	return r;
}

static int set_up(struct bench *b)
{
	int r = scene_devices(b->ifindex);

	if (r) {
		fprintf(stderr, "bench: a network namespace with three devices: %s\n", strerror(-r));
		return r;
	}
	b->ref = ref_bpf__open_and_load();
	b->drive = drive_bpf__open_and_load();
	if (!b->ref || !b->drive)
		return -errno;
	b->nothing = bpf_program__fd(b->drive->progs.nothing);
	b->drive->bss->plan.dport_first = DRIVE_PORT_FIRST;
	return 0;
}

/* bench [-a] [-r ROUNDS] [METRIC...]: all of them, or those whose names begin so */
static bool wanted(int argc, char **argv, const char *name)
{
	for (int i = optind; i < argc; i++)
		if (!strncmp(name, argv[i], strlen(argv[i])))
			return true;
	return optind == argc;
}

static bool options(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "ar:")) != -1) {
		if (c == 'r')
			rounds = (unsigned)strtoul(optarg, NULL, 10);
		full |= c == 'a';
		if (c == '?' || !rounds || rounds > ROUNDS_MAX) {
			fprintf(stderr, "usage: bench [-a] [-r ROUNDS] [METRIC...]\n");
			return false;
		}
	}
	return true;
}

/* Each word names something that there is. */
static bool words_known(int argc, char **argv)
{
	for (int i = optind; i < argc; i++) {
		bool known = false;

		for (size_t k = 0; k < METRICS; k++)
			known |= !strncmp(metrics[k].name, argv[i], strlen(argv[i]));
		if (!known) {
			fprintf(stderr, "bench: there is no metric '%s'\n", argv[i]);
			return false;
		}
	}
	return true;
}

int main(int argc, char **argv)
{
	static struct bench b;

	setvbuf(stdout, NULL, _IOLBF, 0);
	core_choose(); /* and no round pays for a move; the CPU that opens a flow counts it cheapest */
	if (!options(argc, argv) || !words_known(argc, argv) || set_up(&b))
		return 1;
	printf("# %-32s %9s %9s %6s %s\n", "name", "ours", "reference", "ratio", "unit");
	for (size_t i = 0; i < METRICS; i++) {
		if (!wanted(argc, argv, metrics[i].name))
			continue;
		if (open_scenes(&b, metrics[i].scenes))
			failure(&b, metrics[i].name);
		else
			metrics[i].measure(&b);
	}
	for (size_t i = 0; i < b.scenes; i++)
		scene_close(&b.scene[i]);
	drive_bpf__destroy(b.drive);
	ref_bpf__destroy(b.ref);
	return b.failures ? 1 : 0;
}
