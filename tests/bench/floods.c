/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Floods from outside, of random sources, ten times what the table holds, against one ENI: SYNs that are answered, SYNs
 * that are not, SYNs that no rule admits, and pieces of packets whose first one never came (C10, C11, C12, A4). Told is
 * what a packet of the flood costs. While they last, flows of others that stand must lose no packet, and others' new
 * flows must all be admitted: every packet is counted by a record, or it is an error. */
#include "bench/measure.h"

#include <bpf/bpf.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define TABLE       65536
#define TIMES       10   /* the flood, over the table */
#define BATCH       8192 /* of the flood, between looks at the others */
#define STANDING    1024
#define OTHERS_NEW  64  /* flows of others, a look */
#define REFUSED     100 /* a port that no rule admits */
#define PORT_STANDS (DRIVE_PORT_FIRST + 1000)
#define PORT_NEW    (DRIVE_PORT_FIRST + 2000)

struct flood {
	struct bench *b;
	struct scene scene;
	uint32_t step;   /* of the flood: no source and port twice */
	uint32_t others; /* new flows of others so far */
	uint64_t lost, refused;
	double ns; /* of all its packets */
	uint32_t packets;
};

/* eni-e's other side: any address from 128.0.0.0 to 159.255.255.255. */
static void from_anywhere(struct flood *flood, bool from_outside)
{
	struct drive_plan *plan = &flood->b->drive->bss->plan;

	plan->daddr_first = 128u << 24;
	plan->daddr_scramble = 0x9e3779b1u;
	plan->daddr_mask = (1u << 29) - 1;
	plan->daddr_gap = 0;
	plan->vary_source = from_outside;
}

static void plain(struct flood *flood, uint32_t dport)
{
	flood->b->drive->bss->plan.daddr_first = 0;
	flood->b->drive->bss->plan.vary_source = 0;
	flood->b->drive->bss->plan.dport_first = dport;
}

/* One batch of the flood, however it is judged. */
static int send_batch(struct flood *flood, struct load *load, uint32_t dport, bool from_outside)
{
	struct bench *b = flood->b;
	double ns;

	load->any_verdict = true;
	plain(flood, dport);
	from_anywhere(flood, from_outside);
	if (drive_to(b, flood->scene.prog, load, !from_outside, 0))
		return -1;
	b->drive->bss->plan.step = flood->step;
	ns = run_now(bpf_program__fd(b->drive->progs.drive), load);
	if (ns < 0)
		return -1;
	flood->ns += ns * load->repeat;
	flood->packets += load->repeat;
	return 0;
}

/* Packets of others: how many did no record count? */
static int send_others(struct flood *flood, uint32_t dport, uint32_t first, uint32_t nr, uint8_t tcp_flags,
		       uint64_t *missing)
{
	struct load load = make_load(flood->b, ENI_A, ENI_C, tcp_flags, nr);
	uint64_t before = counted(&flood->scene), after;

	load.any_verdict = true;
	plain(flood, dport);
	if (drive_to(flood->b, flood->scene.prog, &load, false, 0))
		return -1;
	flood->b->drive->bss->plan.step = first;
	if (run_now(bpf_program__fd(flood->b->drive->progs.drive), &load) < 0)
		return -1;
	after = counted(&flood->scene);
	*missing += nr - (after - before);
	return 0;
}

static int look_at_others(struct flood *flood)
{
	int r = send_others(flood, PORT_STANDS, 0, STANDING, TCP_ACK, &flood->lost);

	if (!r)
		r = send_others(flood, PORT_NEW, flood->others, OTHERS_NEW, TCP_SYN, &flood->refused);
	flood->others += OTHERS_NEW;
	return r;
}

struct flood_kind {
	const char *name;
	uint32_t dport, rules;
	bool answered, pieces;
};

static int one_batch(struct flood *flood, const struct flood_kind *kind)
{
	struct load syn = make_load(flood->b, ENI_WORLD, ENI_E, TCP_SYN, BATCH);
	struct load answer = make_load(flood->b, ENI_E, ENI_WORLD, TCP_SYN | TCP_ACK, BATCH);
	int r;

	if (kind->pieces) { /* UDP, from byte 800 of its packet on, and more to come */
		syn.frame[20] = 0x20;
		syn.frame[21] = 100;
		syn.frame[23] = IPPROTO_UDP;
	}
	r = send_batch(flood, &syn, kind->dport, true);
	if (!r && kind->answered)
		r = send_batch(flood, &answer, kind->dport, false);
	flood->step += BATCH;
	return r ? r : look_at_others(flood);
}

static int stand(struct flood *flood)
{
	plain(flood, PORT_STANDS);
	flood->b->drive->bss->plan.step = 0;
	return establish(flood->b, &flood->scene, ENI_A, ENI_C, STANDING);
}

/* Records that the flood holds, for what it is: a part of the table, or none. */
static bool as_meant(const struct flood_kind *kind, uint32_t held)
{
	bool opens = kind->dport != REFUSED && !kind->pieces;

	if (opens ? held >= TABLE / 16 && held < TABLE - TABLE / 16 : !held)
		return true;
	fprintf(stderr, "bench: %s: %u of %u records are the flood's\n", kind->name, held, TABLE);
	return false;
}

static void one_flood(struct bench *b, const struct flood_kind *kind)
{
	const struct scene_size size = {.rules = kind->rules, .anywhere = true, .budgets = true, .flows_max = TABLE};
	struct flood flood = {.b = b, .step = FIRST_FLOW};
	uint32_t held;
	char more[160];
	int r = scene_open(&size, b->ifindex, &flood.scene);

	if (r)
		return failure(b, kind->name);
	r = stand(&flood);
	for (unsigned sent = 0; !r && sent < TIMES * TABLE; sent += BATCH)
		r = one_batch(&flood, kind);
	plain(&flood, DRIVE_PORT_FIRST);
	held = datapath_control(flood.scene.datapath)->flows_used - STANDING - flood.others;
	if (!r && !as_meant(kind, held))
		r = -1;
	snprintf(more, sizeof(more),
		 "  of %u packets, %u records; established packets lost: %llu, others' new flows refused: %llu",
		 flood.packets, held, (unsigned long long)flood.lost, (unsigned long long)flood.refused);
	if (!r && !flood.lost && !flood.refused)
		line(b, kind->name, flood.ns / flood.packets, flood.ns / flood.packets, 0, "ns", more);
	else
		failure(b, kind->name);
	if (flood.lost || flood.refused)
		fprintf(stderr, "bench: %s%s\n", kind->name, more);
	scene_close(&flood.scene);
}

void floods(struct bench *b)
{
	static const struct flood_kind kinds[] = {
		{"flood-of-syns", DRIVE_PORT_FIRST, 1000, false, false},
		{"flood-of-answered-syns", DRIVE_PORT_FIRST, 1000, true, false},
		{"flood-of-denied-syns", REFUSED, 1000, false, false},
		{"flood-of-denied-syns-100000-rules", REFUSED, 100000, false, false},
		{"flood-of-pieces", DRIVE_PORT_FIRST, 1000, false, true},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		one_flood(b, &kinds[i]);
}
