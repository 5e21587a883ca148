/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* wires [-r ROUNDS] [-n PACKETS] [-f FLOWS] [-o OPENING] [-p FIRST] [-R] [-b EXIT] DEVICE SMAC DMAC SADDR DADDR SINK...
 *
 * Frames enter DEVICE of this network namespace, as if it had received them; each SINK is NETNS-FILE:DEVICE and counts
 * what arrives there. UDP, so that any packet may open a flow. All of it runs on one CPU to completion: the CPU time of
 * this thread and of its ksoftirqd is what a packet costs from the device to the sink (LIMITS, C). -o 1: a packet of
 * each flow is sent beforehand; -R: they answer. One line: ns of the best and of the median round, packets sent
 * in all rounds, packets that arrived, all less what generating alone costs. -C: only say which CPU is best, and its
 * probe (core.h).
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/core.h"
#include "bench/wires.h"
#include "bench/wires.skel.h"
#include "state/cidr.h"

#define ROUNDS_MAX 64

struct wires {
	struct wires_bpf *bpf;
	struct xdp_md ctx;
	unsigned rounds, packets, opening;
	int cpu;
	char softirqd[64]; /* its schedstat */
};

static double cpu_ns(const struct wires *w)
{
	unsigned long long other = 0;
	struct timespec own;
	FILE *file = fopen(w->softirqd, "r");

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &own);
	if (file) {
		if (fscanf(file, "%llu", &other) != 1)
			other = 0;
		fclose(file);
	}
	return (double)own.tv_sec * 1e9 + (double)own.tv_nsec + (double)other;
}

static void find_softirqd(struct wires *w)
{
	char wanted[32], comm[32], path[64];

	snprintf(wanted, sizeof(wanted), "ksoftirqd/%d\n", w->cpu);
	for (int pid = 1; pid < 1000 && !w->softirqd[0]; pid++) {
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%d/comm", pid);
		file = fopen(path, "r");
		if (!file)
			continue;
		if (fgets(comm, sizeof(comm), file) && !strcmp(comm, wanted))
			snprintf(w->softirqd, sizeof(w->softirqd), "/proc/%d/schedstat", pid);
		fclose(file);
	}
}

static void stay(struct wires *w)
{
	core_choose();
	w->cpu = sched_getcpu();
	find_softirqd(w);
}

static int make_frame(struct wires_plan *plan, char **words)
{
	struct {
		struct ethhdr eth;
		struct iphdr ip;
		__be16 udp[4];
	} __attribute__((packed)) head = {
		.eth.h_proto = htons(ETH_P_IP),
		.ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP, .tot_len = htons(WIRES_FRAME - 14)},
	};
	uint32_t sum = 0;
	uint16_t half[10];

	if (mac_parse(words[0], head.eth.h_source) || mac_parse(words[1], head.eth.h_dest) ||
	    inet_pton(AF_INET, words[2], &head.ip.saddr) != 1 || inet_pton(AF_INET, words[3], &head.ip.daddr) != 1)
		return -EINVAL;
	memcpy(half, (char *)&head + 14, sizeof(half));
	for (int i = 0; i < 10; i++)
		sum += half[i];
	sum = (sum & 0xffff) + (sum >> 16);
	head.ip.check = (uint16_t) ~((sum & 0xffff) + (sum >> 16));
	head.udp[2] = htons(WIRES_FRAME - 34);
	memcpy(plan->frame, &head, sizeof(head));
	return 0;
}

/* A sink's device lies in another namespace: go there, attach, come back. */
static int attach_sink(struct wires *w, const char *sink)
{
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), there = -1, r = -EINVAL;
	char *path = strdup(sink), *device = path ? strchr(path, ':') : NULL;
	LIBBPF_OPTS(bpf_tc_hook, hook, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = bpf_program__fd(w->bpf->progs.sink), .handle = 1, .priority = 1,
		    .flags = BPF_TC_F_REPLACE);

	if (device) {
		*device++ = 0;
		there = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (there >= 0 && !setns(there, CLONE_NEWNET)) {
		hook.ifindex = (int)if_nametoindex(device);
		r = bpf_tc_hook_create(&hook);
		if (!r || r == -EEXIST)
			r = bpf_tc_attach(&hook, &opts);
		if (setns(home, CLONE_NEWNET))
			r = -errno;
	}
	close(there);
	close(home);
	free(path);
	return r;
}

static int attach_bare(struct wires *w, unsigned ifindex, bool routed)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .attach_point = BPF_TC_INGRESS, .ifindex = (int)ifindex);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = 1, .priority = 1, .flags = BPF_TC_F_REPLACE,
		    .prog_fd = bpf_program__fd(routed ? w->bpf->progs.routed : w->bpf->progs.bare));
	int r = bpf_tc_hook_create(&hook);

	return r && r != -EEXIST ? r : bpf_tc_attach(&hook, &opts);
}

static int send_packets(struct wires *w, unsigned packets)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = w->bpf->bss->plan.frame, .data_size_in = WIRES_FRAME,
		    .ctx_in = &w->ctx, .ctx_size_in = sizeof(w->ctx), .repeat = (int)packets,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = 64);

	return bpf_prog_test_run_opts(bpf_program__fd(w->bpf->progs.generate), &opts);
}

/* What is queued is worked off before the clock is read. */
static void drain(void)
{
	for (int i = 0; i < 20; i++)
		sched_yield();
	usleep(2000);
}

static double round_ns(struct wires *w, bool drop)
{
	double before;

	(void)core_wait();
	before = cpu_ns(w);
	w->bpf->bss->plan.drop = drop;
	if (send_packets(w, w->packets))
		return -1;
	drain();
	return (cpu_ns(w) - before) / w->packets;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int measure(struct wires *w)
{
	double ns[ROUNDS_MAX], floor[ROUNDS_MAX];
	uint64_t before = w->bpf->bss->arrived;

	for (unsigned i = 0; i < w->rounds; i++) {
		uint32_t step = w->bpf->bss->plan.step;

		floor[i] = round_ns(w, true);
		w->bpf->bss->plan.step = step;
		ns[i] = round_ns(w, false);
		if (ns[i] < 0 || floor[i] < 0)
			return -errno;
	}
	qsort(ns, w->rounds, sizeof(*ns), compare);
	qsort(floor, w->rounds, sizeof(*floor), compare);
	printf("%.1f %.1f %u %llu\n", ns[0] - floor[0], ns[w->rounds / 2] - floor[w->rounds / 2],
	       w->rounds * w->packets, (unsigned long long)(w->bpf->bss->arrived - before));
	return 0;
}

/* words: SMAC DMAC SADDR DADDR. The router's MAC, to which they send, is what the next link sees them come from. */
static int add_way(struct wires *w, char **words, const char *mac, unsigned exit)
{
	struct wires_way way = {.exit = exit};
	struct in_addr to;

	if (mac_parse(mac, way.to) || mac_parse(words[1], way.from) || inet_pton(AF_INET, words[3], &to) != 1)
		return -EINVAL;
	return bpf_map_update_elem(bpf_map__fd(w->bpf->maps.ways), &to.s_addr, &way, BPF_ANY);
}

static int set_up(struct wires *w, int argc, char **argv, unsigned flows, unsigned first, const char *exit_device,
		  const char *exit_mac)
{
	struct wires_plan *plan = &w->bpf->bss->plan;
	unsigned ifindex = if_nametoindex(argv[0]);
	int r = ifindex ? make_frame(plan, argv + 1) : -ENODEV;

	w->ctx.data_end = WIRES_FRAME;
	w->ctx.ingress_ifindex = ifindex;
	plan->flows = flows;
	plan->dport = 2048;
	plan->step = first;
	for (int i = 5; !r && i < argc; i++)
		r = attach_sink(w, argv[i]);
	if (!r && exit_device) {
		plan->exit = if_nametoindex(exit_device);
		r = plan->exit ? attach_bare(w, ifindex, exit_mac) : -ENODEV;
		if (!r && exit_mac)
			r = add_way(w, argv + 1, exit_mac, plan->exit);
	}
	return r;
}

/* CPU and best probe for the runs to come (core.h). */
static int choose(void)
{
	core_choose();
	printf("%d %.0f\n", sched_getcpu(), core_best());
	return 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: wires [-r ROUNDS] [-n PACKETS] [-f FLOWS] [-o 1] [-p FIRST] [-R] [-b EXIT [-t MAC]]\n"
			"             DEVICE SMAC DMAC SADDR DADDR [NETNS-FILE:DEVICE...]\n");
	return 2;
}

int main(int argc, char **argv)
{
	struct wires w = {.rounds = 9, .packets = 20000};
	unsigned flows = 0, first = 0, reply = 0;
	const char *exit_device = NULL, *exit_mac = NULL;
	int c, r;

	while ((c = getopt(argc, argv, "r:n:f:o:p:b:t:RC")) != -1) {
		unsigned number = optarg ? (unsigned)strtoul(optarg, NULL, 10) : 0;

		if (c == 'r')
			w.rounds = number;
		else if (c == 'n')
			w.packets = number;
		else if (c == 'f')
			flows = number;
		else if (c == 'o')
			w.opening = number;
		else if (c == 'p')
			first = number;
		else if (c == 'R')
			reply = 1;
		else if (c == 'C')
			return choose();
		else if (c == 'b')
			exit_device = optarg;
		else if (c == 't')
			exit_mac = optarg;
		else
			return usage();
	}
	if (argc - optind < 5 || !w.rounds || w.rounds > ROUNDS_MAX || !w.packets || flows & (flows - 1))
		return usage();
	stay(&w);
	w.bpf = wires_bpf__open_and_load();
	if (w.bpf)
		w.bpf->bss->plan.reply = reply;
	r = w.bpf ? set_up(&w, argc - optind, argv + optind, flows, first, exit_device, exit_mac) : -errno;
	if (!r && w.opening)
		r = send_packets(&w, flows);
	if (!r)
		r = measure(&w);
	if (r)
		fprintf(stderr, "wires: %s\n", strerror(-r));
	wires_bpf__destroy(w.bpf);
	return r ? 1 : 0;
}
