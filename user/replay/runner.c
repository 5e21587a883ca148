/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "replay/runner.h"

#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ETHERNET 14
#define RUN_MIN  54 /* shorter frames are padded: kernels since 6.15 want a whole IP header behind an IP ethertype */

int runner_init(struct runner *runner, struct datapath *datapath, bool xdp)
{
	*runner = (struct runner){.datapath = datapath, .opts = {.sz = sizeof(runner->opts)}};
	runner->rx = datapath_prog_fd(datapath, xdp ? "xdp_rx" : "tc_rx");
	return runner->rx < 0 ? runner->rx : 0;
}

/* What hosts send is rare in replays: its program is loaded when the first such packet comes. Why it cannot be is told
 * once; that is nobody's misuse, whatever the kernel calls it. */
static int program_for(struct runner *runner, uint32_t in)
{
	bool first = !runner->tx;
	char *why = NULL;

	if (!(in & IN_TX))
		return runner->rx;
	if (runner->tx <= 0)
		runner->tx = datapath_program(runner->datapath, "tc_tx", &why);
	if (runner->tx < 0 && first)
		warnx("%s", why ? why : strerror(-runner->tx));
	free(why);
	return runner->tx < 0 ? -EIO : runner->tx;
}

/* Frames too short to be run are what the programs would call them. */
static void call_malformed(struct verdict *ret)
{
	*ret = (struct verdict){.action = ACTION_DROP, .reason = REASON_MALFORMED};
}

/* Where the packet in this frame ends: Ethernet padding behind it is not sent on. */
static size_t packet_end(const uint8_t *head, size_t nr_head, size_t length)
{
	uint32_t ethertype = (uint32_t)head[12] << 8 | head[13];
	size_t end = length;

	if (ethertype == 0x0800 && nr_head >= ETHERNET + 20)
		end = ETHERNET + ((size_t)head[16] << 8 | head[17]);
	else if (ethertype == 0x86dd && nr_head >= ETHERNET + 40)
		end = ETHERNET + 40 + ((size_t)head[18] << 8 | head[19]);
	else if (ethertype == 0x0806)
		end = ETHERNET + 28;
	return end < length ? end : length;
}

/* Join what the program changed with what it never saw. A reply is all the program's own. */
static void join(const struct runner *runner, const uint8_t *frame, size_t length, size_t seen, struct verdict *ret)
{
	size_t nr_head = runner->opts.data_size_out, rest = ret->action == ACTION_REPLY ? 0 : length - seen, end;

	ret->head = runner->out;
	ret->nr_head = nr_head;
	ret->tail = frame + seen;
	ret->nr_tail = rest;
	if (nr_head < ETHERNET)
		return;
	end = packet_end(runner->out, nr_head, nr_head + rest);
	if (end < nr_head) {
		ret->nr_head = end;
		ret->nr_tail = 0;
	} else {
		ret->nr_tail = end - nr_head;
	}
}

static void read_report(const struct runner *runner, struct verdict *ret)
{
	const struct report *report = datapath_report(runner->datapath);

	*ret = (struct verdict){.action = report->action, .reason = report->reason, .exit = report->exit};
	ret->cut = report->cut;
	ret->copies = report->copies < REPORT_COPIES_MAX ? report->copies : REPORT_COPIES_MAX;
	ret->nr_trace = report->nr_trace < TRACE_MAX ? report->nr_trace : TRACE_MAX;
	memcpy(ret->trace, report->trace, ret->nr_trace * sizeof(*ret->trace));
}

int runner_run(struct runner *runner, uint32_t in, uint64_t now_ns, const uint8_t *frame, size_t length,
	       size_t wire_length, struct verdict *ret)
{
	volatile struct control *control = datapath_control(runner->datapath);
	struct report *report = (struct report *)datapath_report(runner->datapath);
	size_t seen = length <= RUN_FRAME_MAX ? length : RUN_HEAD;
	int r;

	if (length < ETHERNET) {
		call_malformed(ret);
		return 0;
	}
	control->now_ns = now_ns;
	control->in = in;
	control->wire_len = (uint32_t)wire_length;
	report->action = ACTION_DROP; /* what holds if the program says nothing */
	report->reason = REASON_NO_POLICY;
	report->nr_trace = 0;
	report->cut = 0;
	report->copies = 0;
	runner->opts.data_in = frame;
	runner->opts.data_size_in = (uint32_t)seen;
	if (seen < RUN_MIN) {
		memset(runner->padded, 0, sizeof(runner->padded));
		memcpy(runner->padded, frame, seen);
		runner->opts.data_in = runner->padded;
		runner->opts.data_size_in = RUN_MIN;
	}
	runner->opts.data_out = runner->out;
	runner->opts.data_size_out = sizeof(runner->out);
	r = program_for(runner, in);
	if (r >= 0)
		r = bpf_prog_test_run_opts(r, &runner->opts);
	if (r < 0)
		return r;
	read_report(runner, ret);
	ret->rest = frame + seen;
	ret->nr_rest = length - seen;
	if (ret->action != ACTION_DROP)
		join(runner, frame, length, seen, ret);
	return 0;
}
