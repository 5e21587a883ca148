/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The kernel as a source of flow logs: perf rings for events, the tallies map in two parities, the record sweep.
 *
 * Events wake nobody up one by one (a watermark does); the tick reads the rings anyway. An event that finds no room, or
 * no agent, is declared by the data path itself in port_stats.skipped_*: what the rings lose is never silent (E26).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "datapath/beside.h"
#include "datapath/datapath.h"
#include "datapath/records.h"
#include "flowlog/source.h"

#define RING_PAGES  64
#define BATCH_FIRST 1024u
#define ONLINE_CPUS "/sys/devices/system/cpu/online"

struct kernel {
	struct datapath *datapath;
	volatile struct control *control;
	int tallies_map, events_map;
	struct perf_buffer *rings;
	char cpus[256]; /* that the rings are open on */
	uint64_t lost;
	tally_fn spilled; /* who takes what comes through the rings */
	void *spilled_arg;
	uint32_t batch; /* entries read at once */
	struct tally_key *keys, *old;
	struct tally *tallies;
	uint64_t tidied_ns;
};

#define TIDY_NS 10000000000ull /* between two looks at the traces */

/* ---- tallies */

static int make_batch(struct kernel *kernel, uint32_t entries)
{
	struct tally_key *keys = calloc(entries, sizeof(*keys)), *old = calloc(entries, sizeof(*old));
	struct tally *tallies = calloc(entries, sizeof(*tallies));

	if (!keys || !old || !tallies) {
		free(keys);
		free(old);
		free(tallies);
		return -ENOMEM;
	}
	free(kernel->keys);
	free(kernel->old);
	free(kernel->tallies);
	kernel->keys = keys;
	kernel->old = old;
	kernel->tallies = tallies;
	kernel->batch = entries;
	return 0;
}

/* Pass on what of one batch has the old parity. Deleted first: killed in between, we lose some and tell none twice. */
static int take_batch(struct kernel *kernel, uint32_t nr, uint32_t parity, tally_fn each, void *arg)
{
	uint32_t nr_old = 0, deleted;

	for (uint32_t i = 0; i < nr; i++) {
		if (kernel->keys[i].parity != parity)
			continue;
		kernel->tallies[nr_old] = kernel->tallies[i];
		kernel->old[nr_old++] = kernel->keys[i];
	}
	deleted = nr_old;
	if (nr_old && bpf_map_delete_batch(kernel->tallies_map, kernel->old, &deleted, NULL))
		return -errno;
	for (uint32_t i = 0; i < nr_old; i++)
		each(arg, &kernel->old[i], &kernel->tallies[i]);
	return 0;
}

static int take_parity(struct kernel *kernel, uint32_t parity, tally_fn each, void *arg)
{
	uint32_t position = 0;
	bool first = true;

	for (;;) {
		uint32_t next, nr = kernel->batch;
		bool end = false;
		int r;

		if (bpf_map_lookup_batch(kernel->tallies_map, first ? NULL : &position, &next, kernel->keys,
					 kernel->tallies, &nr, NULL)) {
			if (errno == ENOSPC) { /* one bucket holds more */
				r = make_batch(kernel, kernel->batch * 2);
				if (r)
					return r;
				continue;
			}
			if (errno != ENOENT)
				return -errno;
			end = true;
		}
		r = take_batch(kernel, nr, parity, each, arg);
		if (r || end)
			return r;
		position = next;
		first = false;
	}
}

/* All of this parity are gone, and nobody adds to it. A sum that a killed agent left too high is right again here. */
static void give_back(struct kernel *kernel, uint32_t parity)
{
	struct port_stats *stats = datapath_port_stats(kernel->datapath);

	for (uint32_t port = 0; port < PORTS_MAX; port++)
		if (stats[port].tallies[parity])
			stats[port].tallies[parity] = 0;
	kernel->control->tallies_used[parity] = 0;
}

static int kernel_tallies(void *self, tally_fn each, void *arg)
{
	struct kernel *kernel = self;
	struct tally_key any;
	uint32_t parity = kernel->control->log_parity & 1;
	int r;

	if (bpf_map_get_next_key(kernel->tallies_map, NULL, &any))
		return errno == ENOENT ? 0 : -errno;
	__atomic_store_n(&kernel->control->log_parity, parity ^ 1, __ATOMIC_SEQ_CST);
	datapath_grace();
	r = take_parity(kernel, parity, each, arg);
	if (!r)
		give_back(kernel, parity);
	return r;
}

/* ---- events */

struct raw_sample {
	struct perf_event_header header;
	uint32_t size;
	char data[];
};

struct lost_sample {
	struct perf_event_header header;
	uint64_t id;
	uint64_t lost;
};

static enum bpf_perf_event_ret on_sample(void *ctx, int cpu, struct perf_event_header *header)
{
	struct kernel *kernel = ctx;
	const struct raw_sample *sample = (const struct raw_sample *)header;
	struct event event;

	(void)cpu;
	if (header->type == PERF_RECORD_LOST)
		kernel->lost += ((const struct lost_sample *)header)->lost;
	if (header->type != PERF_RECORD_SAMPLE || sample->size < sizeof(event))
		return LIBBPF_PERF_EVENT_CONT;
	memcpy(&event, sample->data, sizeof(event));
	if (event.kind == EVENT_TALLY && kernel->spilled)
		kernel->spilled(kernel->spilled_arg, &event.key,
				&(struct tally){.packets = event.packets,
						.bytes = event.bytes,
						.first_ns = event.at_ns,
						.last_ns = event.at_ns,
						.tcp_flags = event.tcp_flags});
	return LIBBPF_PERF_EVENT_CONT;
}

static void read_cpus(char ret[256])
{
	int fd = open(ONLINE_CPUS, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, ret, 255) : 0;

	ret[n > 0 ? n : 0] = 0;
	if (fd >= 0)
		close(fd);
}

static int open_rings(struct kernel *kernel)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_BPF_OUTPUT,
		.sample_type = PERF_SAMPLE_RAW,
		.sample_period = 1,
		.watermark = 1,
		.wakeup_watermark = RING_PAGES * 4096 / 2,
	};

	read_cpus(kernel->cpus);
	kernel->rings = perf_buffer__new_raw(kernel->events_map, RING_PAGES, &attr, on_sample, kernel, NULL);
	return kernel->rings ? 0 : -errno;
}

static int kernel_events(void *self, tally_fn spilled, void *arg)
{
	struct kernel *kernel = self;
	int r;

	if (!kernel->rings)
		return 0;
	kernel->spilled = spilled;
	kernel->spilled_arg = arg;
	r = perf_buffer__consume(kernel->rings);
	return r < 0 ? r : 0;
}

/* A CPU that came back has no ring (E25): open them all anew. */
static int follow_cpus(struct kernel *kernel)
{
	char now[256];

	read_cpus(now);
	if (kernel->rings && !strcmp(now, kernel->cpus))
		return 0;
	if (kernel->rings)
		(void)perf_buffer__consume(kernel->rings);
	perf_buffer__free(kernel->rings);
	kernel->rings = NULL;
	return open_rings(kernel);
}

static int kernel_sweep(void *self, uint64_t now_ns, record_fn last, void *arg)
{
	struct kernel *kernel = self;

	(void)records_sweep(kernel->datapath, now_ns, last, arg);
	if (now_ns - kernel->tidied_ns >= TIDY_NS) {
		kernel->tidied_ns = now_ns;
		(void)traces_tidy(kernel->datapath);
	}
	return follow_cpus(kernel);
}

static bool kernel_decision(void *self, uint32_t decision, struct decision_text *ret)
{
	return datapath_decision(((struct kernel *)self)->datapath, decision, ret);
}

static uint64_t kernel_lost_events(void *self)
{
	return ((struct kernel *)self)->lost;
}

static int kernel_fd(void *self)
{
	struct kernel *kernel = self;

	return kernel->rings ? perf_buffer__epoll_fd(kernel->rings) : -1;
}

static void kernel_close(void *self)
{
	struct kernel *kernel = self;

	perf_buffer__free(kernel->rings);
	free(kernel->keys);
	free(kernel->old);
	free(kernel->tallies);
	free(kernel);
}

int source_open(struct datapath *datapath, struct source *ret, char **ret_why)
{
	struct kernel *kernel = calloc(1, sizeof(*kernel));
	int r;

	if (!kernel)
		return -ENOMEM;
	kernel->datapath = datapath;
	kernel->control = datapath_control(datapath);
	kernel->tallies_map = datapath_map_fd(datapath, "tallies");
	kernel->events_map = datapath_map_fd(datapath, "events");
	r = make_batch(kernel, BATCH_FIRST);
	if (!r)
		r = open_rings(kernel);
	if (r) {
		kernel_close(kernel);
		if (asprintf(ret_why, "the event rings of the data path cannot be opened: %s", strerror(-r)) < 0)
			*ret_why = NULL;
		return r;
	}
	*ret = (struct source){
		.control = kernel->control,
		.records = datapath_records(datapath),
		.beside = datapath_beside(datapath),
		.stats = datapath_port_stats(datapath),
		.flows_max = datapath_flows_max(datapath),
		.self = kernel,
		.tallies = kernel_tallies,
		.events = kernel_events,
		.sweep = kernel_sweep,
		.decision = kernel_decision,
		.lost_events = kernel_lost_events,
		.fd = kernel_fd,
		.close = kernel_close,
	};
	return 0;
}
