/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How the benchmark measures: loads, subjects in turns, and the lines it prints. */
#ifndef ENID_BENCH_MEASURE_H
#define ENID_BENCH_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/scene.h"
#include "bench/drive.skel.h"
#include "bench/ref.skel.h"

#define ROUNDS_MAX  400
#define REPEAT      100000
#define FIRST_BATCH 2048 /* first packets a round: each makes a record */
#define FLOWS_MAX   131072
#define MANY_FLOWS  1048576  /* the first scene has room for so many and more */
#define FIRST_FLOW  0x100000 /* numbers from here on are no established flow's */
#define SCENES      3

#define TCP_SYN 0x02
#define TCP_ACK 0x10

#define AFTER_ALL 1000000000000000ull /* ns from now on: every time-out is over, five days among them */

extern unsigned rounds;
extern bool full; /* sizes that take a gigabyte as well */

struct bench {
	uint32_t ifindex[ENI_MAX];
	struct ref_bpf *ref;
	struct drive_bpf *drive;
	struct scene scene[SCENES];
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
	bool any_verdict; /* each is as good */
	bool again;       /* a run more changes nothing */
	uint8_t frame[64];
};

struct load make_load(const struct bench *b, enum scene_eni from, enum scene_eni to, uint8_t tcp_flags,
		      uint32_t repeat);
/* ret: ns a run, or -1 */
double run_now(int prog, const struct load *load);
/* The same, begun when the core is ours alone, if that is to be had soon. */
double run(int prog, const struct load *load);
/* What stands behind the driver from now on, and which packets it makes. flows 0 = each packet is of a flow of its own.
 */
int drive_to(struct bench *b, int prog, const struct load *load, bool reply, uint32_t flows);
double run_driven(struct bench *b, int prog, const struct load *load, uint32_t flows);
/* Between rounds: a measurement that takes a second meets the machine in its good moments, too. */
void rest(void);
double best(struct subject *s);
double median(struct subject *s);
/* limit 0 = told, not judged */
void line(struct bench *b, const char *name, double ours, double reference, double limit, const char *unit,
	  const char *more);
void failure(struct bench *b, const char *name);
/* Subjects: [0] the floor, [1] ours, [2] the reference; less the floor. */
void report(struct bench *b, const char *name, struct subject s[3], double limit);
/* Packets that all flows of a data path's records have counted. */
uint64_t counted(const struct scene *scene);
/* One packet of each flow. ret: 0 | -1 */
int sweep(struct bench *b, int prog, enum scene_eni from, enum scene_eni to, uint8_t tcp_flags, bool reply,
	  uint32_t flows);
int establish(struct bench *b, const struct scene *scene, enum scene_eni from, enum scene_eni to, uint32_t flows);

/* A round of one subject: first packets from where the rounds before stopped, the same for every subject.
 * The load's verdict says whether each must make a record, or none may. ret: ns a packet, or -1 */
double first_round(struct bench *b, int prog, const struct load *load, const struct scene *scene, int round);

/* Bytes a flow in all maps of a data path; 0 = they could not be had. */
double flow_bytes(const struct datapath *datapath);

/* cpus.c */
void first_on_two_cpus(struct bench *b);
void established_on_two_cpus(struct bench *b);
/* floods.c */
void floods(struct bench *b);
/* logs.c */
void logs_on_over_off(struct bench *b);
/* curves.c, curve_flows.c: scenes of their own */
void by_many_rules(struct bench *b);
void by_enis(struct bench *b);
void by_routes(struct bench *b);
void by_flows(struct bench *b);

#endif
