/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What an established packet, a first packet and a flow cost. One line a metric: name, ours, reference, ratio, unit.
 *
 * Times are the kernel's own `duration` of BPF_PROG_TEST_RUN. What is compared is measured in turns (A, B, A, B, ...)
 * in one run, best against best, since the speed of a shared machine changes between minutes; the median stands behind.
 * The cost of the driver that varies the packet, or of the empty test loop, is measured in the same turns and
 * subtracted from both sides, except where the line says that it is included. Every measurement checks that the packets
 * were judged as meant, and that the flows counted them: a fast wrong answer is an error here. Exit: 0 all within their
 * limits, 1 not, or nothing could be measured.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/pkt_cls.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/scene.h"
#include "bench/drive.skel.h"
#include "bench/ref.skel.h"

#define ROUNDS_MAX  400
#define REPEAT      100000
#define FIRST_BATCH 2048 /* first packets a round: each makes a record */
#define FLOWS_MAX   131072
#define FLOWS_FULL  1310720
#define FIRST_FLOW  0x100000 /* numbers from here on are no established flow's */
#define SCRAMBLE    0x9e3779b1u

#define TCP_SYN 0x02
#define TCP_ACK 0x10

static const unsigned sizes[] = {10, 1000, 10000};
#define SIZES (sizeof(sizes) / sizeof(*sizes))

static unsigned rounds = 15;
static bool full; /* sizes that take a gigabyte as well */

struct bench {
	uint32_t ifindex[ENI_MAX];
	struct ref_bpf *ref;
	struct drive_bpf *drive;
	struct scene scene[SIZES];
	size_t scenes; /* open */
	int nothing;
	int failures;
};

/* One thing to measure, with its samples (ns a packet). */
struct subject {
	int prog;
	double ns[ROUNDS_MAX];
};

struct load {
	uint32_t ifindex;
	uint32_t repeat;
	uint32_t verdict; /* that every packet must have */
	uint8_t frame[64];
};

static struct load make_load(const struct bench *b, enum scene_eni from, enum scene_eni to, uint8_t tcp_flags,
			     uint32_t repeat)
{
	struct load load = {.ifindex = b->ifindex[from], .repeat = repeat, .verdict = TC_ACT_REDIRECT};

	scene_headers(from, to, tcp_flags, load.frame);
	load.frame[34] = DRIVE_SPORT(0) >> 8;
	load.frame[35] = DRIVE_SPORT(0) & 255;
	load.frame[36] = DRIVE_PORT_FIRST >> 8;
	load.frame[37] = DRIVE_PORT_FIRST & 255;
	return load;
}

/* ret: ns a run, or -1 */
static double run(int prog, const struct load *load)
{
	struct __sk_buff ctx = {.ifindex = load->ifindex};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = load->frame, .data_size_in = sizeof(load->frame),
		    .ctx_in = &ctx, .ctx_size_in = sizeof(ctx), .repeat = (int)load->repeat);

	if (bpf_prog_test_run_opts(prog, &opts)) {
		fprintf(stderr, "bench: test run: %s\n", strerror(errno));
		return -1;
	}
	if (opts.retval != load->verdict) {
		fprintf(stderr, "bench: verdict %u of the last packet, not %u\n", opts.retval, load->verdict);
		return -1;
	}
	return opts.duration;
}

/* What stands behind the driver from now on, and which packets it makes. flows 0 = each packet is of a flow of its own.
 */
static int drive_to(struct bench *b, int prog, const struct load *load, bool reply, uint32_t flows)
{
	int under_test = bpf_map__fd(b->drive->maps.under_test);
	struct drive_plan *plan = &b->drive->bss->plan;
	__u32 zero = 0;

	memcpy(plan->headers, load->frame, DRIVE_HEADERS);
	plan->reply = reply;
	plan->mask = flows - 1;
	plan->scramble = flows ? SCRAMBLE : 1;
	return bpf_map_update_elem(under_test, &zero, &prog, BPF_ANY);
}

static double run_driven(struct bench *b, int prog, const struct load *load, uint32_t flows)
{
	if (drive_to(b, prog, load, false, flows))
		return -1;
	return run(bpf_program__fd(b->drive->progs.drive), load);
}

/* Between rounds: a measurement that takes a second meets the machine in its good moments, too. */
static void rest(void)
{
	usleep(30000);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double best(struct subject *s)
{
	qsort(s->ns, rounds, sizeof(*s->ns), compare);
	return s->ns[0];
}

static double median(struct subject *s)
{
	qsort(s->ns, rounds, sizeof(*s->ns), compare);
	return s->ns[rounds / 2];
}

/* limit 0 = told, not judged */
static void line(struct bench *b, const char *name, double ours, double reference, double limit, const char *unit,
		 const char *more)
{
	double ratio = reference > 0 ? ours / reference : 0;
	bool over = limit > 0 && (reference <= 0 || ratio > limit);

	printf("%-34s %9.1f %9.1f %6.2f %-5s", name, ours, reference, ratio, unit);
	if (limit > 0)
		printf("  limit %.2f%s", limit, over ? " EXCEEDED" : "");
	printf("%s\n", more);
	b->failures += over;
}

static void failure(struct bench *b, const char *name)
{
	printf("%-34s could not be measured\n", name);
	b->failures++;
}

/* Subjects: [0] the floor, [1] ours, [2] the reference; less the floor. */
static void report(struct bench *b, const char *name, struct subject s[3], double limit)
{
	char more[96];

	snprintf(more, sizeof(more), "  medians %.0f %.0f, floor %.0f subtracted", median(&s[1]) - median(&s[0]),
		 median(&s[2]) - median(&s[0]), best(&s[0]));
	line(b, name, best(&s[1]) - best(&s[0]), best(&s[2]) - best(&s[0]), limit, "ns", more);
}

/* ---- flows that stand */

/* Packets that all flows of a data path's records have counted. */
static uint64_t counted(const struct scene *scene)
{
	const struct flow_record *records = datapath_records(scene->datapath);
	uint64_t sum = 0;

	for (uint32_t i = 0; i < datapath_flows_max(scene->datapath); i++)
		if (GS_STATE(records[i].half[0].gs) == RECORD_LIVE)
			sum += half_packets(&records[i].half[0]) + half_packets(&records[i].half[1]);
	return sum;
}

/* One packet of each flow. */
static int sweep(struct bench *b, int prog, enum scene_eni from, enum scene_eni to, uint8_t tcp_flags, bool reply,
		 uint32_t flows)
{
	struct load load = make_load(b, from, to, tcp_flags, flows);

	if (drive_to(b, prog, &load, reply, flows))
		return -1;
	return run(bpf_program__fd(b->drive->progs.drive), &load) < 0 ? -1 : 0;
}

static int establish(struct bench *b, const struct scene *scene, enum scene_eni from, enum scene_eni to, uint32_t flows)
{
	uint32_t before = datapath_control(scene->datapath)->flows_used;
	int r = sweep(b, scene->prog, from, to, TCP_SYN, false, flows);

	if (!r)
		r = sweep(b, scene->prog, to, from, TCP_SYN | TCP_ACK, true, flows);
	if (!r)
		r = sweep(b, scene->prog, from, to, TCP_ACK, false, flows);
	if (!r && datapath_control(scene->datapath)->flows_used < flows) {
		fprintf(stderr, "bench: %u records before, %u after %u flows\n", before,
			datapath_control(scene->datapath)->flows_used, flows);
		r = -1;
	}
	return r;
}

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
	if (counted(&b->scene[0]) - before != (uint64_t)rounds * REPEAT) {
		fprintf(stderr, "bench: %llu of %u packets counted\n",
			(unsigned long long)(counted(&b->scene[0]) - before), rounds * REPEAT);
		return failure(b, "established");
	}
	snprintf(more, sizeof(more), "  medians %.0f %.0f, test loop of %.0f included", median(&s[1]), median(&s[2]),
		 best(&s[0]));
	line(b, "established", best(&s[1]), best(&s[2]), 2.0, "ns", more);
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

/* A round of one subject: first packets from where the rounds before stopped, the same for every subject.
 * admitted: each must make a record; else none may. ret: ns a packet, or -1 */
static double first_round(struct bench *b, int prog, const struct load *load, const struct scene *scene, int round)
{
	volatile struct control *control = scene ? datapath_control(scene->datapath) : NULL;
	uint32_t wanted = load->verdict == TC_ACT_REDIRECT ? FIRST_BATCH : 0;
	uint32_t used = control ? control->flows_used : 0;
	double ns;

	b->drive->bss->plan.step = FIRST_FLOW + (uint32_t)round * FIRST_BATCH;
	ns = run_driven(b, prog, load, 0);
	if (ns < 0 || !control || control->flows_used - used == wanted)
		return ns;
	fprintf(stderr, "bench: %u records of %u first packets, not %u\n", control->flows_used - used, FIRST_BATCH,
		wanted);
	return -1;
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

/* The reference is what one flow costs in the reference's map: one direction, no names, no ledger. */
static void memory(struct bench *b)
{
	static const char *const maps[] = {"records", "names", "ledger", "limbo", "free_records"};
	const struct scene *scene = &b->scene[0];
	double sum = 0;

	for (size_t i = 0; i < sizeof(maps) / sizeof(*maps); i++) {
		double bytes = memory_of(datapath_map_fd(scene->datapath, maps[i]));

		if (bytes <= 0)
			return failure(b, "memory-per-flow");
		sum += bytes;
	}
	line(b, "memory-per-flow", sum / datapath_flows_max(scene->datapath),
	     memory_of(bpf_map__fd(b->ref->maps.flows)) / REF_FLOWS_MAX, 0, "bytes", "");
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
	{"memory", memory, 1},
};
#define METRICS (sizeof(metrics) / sizeof(*metrics))

static int open_scenes(struct bench *b, size_t nr)
{
	int r = 0;

	for (; !r && b->scenes < nr; b->scenes++)
		r = scene_open(sizes[b->scenes], full && !b->scenes ? FLOWS_FULL : FLOWS_MAX, b->ifindex,
			       &b->scene[b->scenes]);
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

/* The CPU that opens a flow counts it cheapest; and no round shall pay for a move. */
static void stay(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
}

int main(int argc, char **argv)
{
	static struct bench b;

	setvbuf(stdout, NULL, _IOLBF, 0);
	stay();
	if (!options(argc, argv) || set_up(&b))
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
