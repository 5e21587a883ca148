/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "bench/measure.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/pkt_cls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/core.h"

#define SCRAMBLE   0x9e3779b1u
#define RUN_TRIES  6
#define SHARED_MAX 150 /* runs on a shared core until a line is measured as well as can be */

unsigned rounds = 15;
bool full;

struct load make_load(const struct bench *b, enum scene_eni from, enum scene_eni to, uint8_t tcp_flags, uint32_t repeat)
{
	struct load load = {.ifindex = b->ifindex[from], .repeat = repeat, .verdict = TC_ACT_REDIRECT};

	load.again = tcp_flags == TCP_ACK && repeat == REPEAT;
	scene_headers(from, to, tcp_flags, load.frame);
	load.frame[34] = DRIVE_SPORT(0) >> 8;
	load.frame[35] = DRIVE_SPORT(0) & 255;
	load.frame[36] = DRIVE_PORT_FIRST >> 8;
	load.frame[37] = DRIVE_PORT_FIRST & 255;
	return load;
}

static struct {
	unsigned all, alone;
} samples; /* since the last line */

double run_now(int prog, const struct load *load)
{
	struct __sk_buff ctx = {.ifindex = load->ifindex};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = load->frame, .data_size_in = sizeof(load->frame),
		    .ctx_in = &ctx, .ctx_size_in = sizeof(ctx), .repeat = (int)load->repeat);

	if (bpf_prog_test_run_opts(prog, &opts)) {
		fprintf(stderr, "bench: test run: %s\n", strerror(errno));
		return -1;
	}
	if (opts.retval != load->verdict && !load->any_verdict) {
		fprintf(stderr, "bench: verdict %u of the last packet, not %u\n", opts.retval, load->verdict);
		return -1;
	}
	return opts.duration;
}

/* Begun while the core is ours alone, if that can be had, and done again if it was not all the time, where that
 * changes nothing. Where it never is the best of what there was counts. */
double run(int prog, const struct load *load)
{
	double least = -1;

	for (int i = 0; i < RUN_TRIES; i++) {
		bool patient = samples.all - samples.alone < SHARED_MAX, alone = patient && core_wait();
		double ns = run_now(prog, load);

		if (ns < 0)
			return ns;
		alone = alone && core_alone();
		samples.all++;
		samples.alone += alone;
		if (least < 0 || alone || ns < least)
			least = ns;
		if (alone || !patient || !load->again)
			break;
	}
	return least;
}

int drive_to(struct bench *b, int prog, const struct load *load, bool reply, uint32_t flows)
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

double run_driven(struct bench *b, int prog, const struct load *load, uint32_t flows)
{
	if (drive_to(b, prog, load, false, flows))
		return -1;
	return run(bpf_program__fd(b->drive->progs.drive), load);
}

void rest(void)
{
	usleep(30000);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double best(struct subject *s)
{
	qsort(s->ns, rounds, sizeof(*s->ns), compare);
	return s->ns[0];
}

double median(struct subject *s)
{
	qsort(s->ns, rounds, sizeof(*s->ns), compare);
	return s->ns[rounds / 2];
}

/* In how many of the samples since the last note the core was ours. */
static const char *told_alone(char *to, size_t size)
{
	*to = 0;
	if (samples.all)
		snprintf(to, size, "; %u of %u runs alone on the core", samples.alone, samples.all);
	samples.all = samples.alone = 0;
	return to;
}

void line(struct bench *b, const char *name, double ours, double reference, double limit, const char *unit,
	  const char *more)
{
	double ratio = reference > 0 ? ours / reference : 0;
	bool over = limit > 0 && (reference <= 0 || ratio > limit);
	char note[64];

	printf("%-34s %9.1f %9.1f %6.2f %-5s", name, ours, reference, ratio, unit);
	if (limit > 0)
		printf("  limit %.2f%s", limit, over ? " EXCEEDED" : "");
	printf("%s%s\n", more, told_alone(note, sizeof(note)));
	b->failures += over;
}

void failure(struct bench *b, const char *name)
{
	printf("%-34s could not be measured\n", name);
	b->failures++;
}

void report(struct bench *b, const char *name, struct subject s[3], double limit)
{
	char more[96];

	snprintf(more, sizeof(more), "  medians %.0f %.0f, floor %.0f subtracted", median(&s[1]) - median(&s[0]),
		 median(&s[2]) - median(&s[0]), best(&s[0]));
	line(b, name, best(&s[1]) - best(&s[0]), best(&s[2]) - best(&s[0]), limit, "ns", more);
}

/* ---- flows that stand */

uint64_t counted(const struct scene *scene)
{
	const struct flow_record *records = datapath_records(scene->datapath);
	uint64_t sum = 0;

	for (uint32_t i = 0; i < datapath_flows_max(scene->datapath); i++)
		if (GS_STATE(records[i].half[0].gs) == RECORD_LIVE)
			sum += half_packets(&records[i].half[0]) + half_packets(&records[i].half[1]);
	return sum;
}

/* One packet of each flow. */
int sweep(struct bench *b, int prog, enum scene_eni from, enum scene_eni to, uint8_t tcp_flags, bool reply,
	  uint32_t flows)
{
	struct load load = make_load(b, from, to, tcp_flags, flows);

	if (drive_to(b, prog, &load, reply, flows))
		return -1;
	return run(bpf_program__fd(b->drive->progs.drive), &load) < 0 ? -1 : 0;
}

int establish(struct bench *b, const struct scene *scene, enum scene_eni from, enum scene_eni to, uint32_t flows)
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
double first_round(struct bench *b, int prog, const struct load *load, const struct scene *scene, int round)
{
	uint32_t wanted = load->verdict == TC_ACT_REDIRECT ? FIRST_BATCH : 0;
	uint32_t used = scene ? datapath_flows_used(scene->datapath) : 0, now;
	double ns;

	b->drive->bss->plan.step = FIRST_FLOW + (uint32_t)round * FIRST_BATCH;
	ns = run_driven(b, prog, load, 0);
	now = scene ? datapath_flows_used(scene->datapath) : 0;
	if (ns < 0 || !scene || now - used == wanted)
		return ns;
	fprintf(stderr, "bench: %u records of %u first packets, not %u\n", now - used, FIRST_BATCH, wanted);
	return -1;
}
