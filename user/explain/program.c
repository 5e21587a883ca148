/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "explain/program.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "datapath/records.h"
#include "replay/replay.h"

#define FLOWS_FEW 4096
#define FORGET_NS 1000000000000ull /* longer than any flow that two packets make lasts */

static int start(struct program *program, bool xdp)
{
	program->names = program->datapath;
	program->now_ns = REPLAY_BASE_NS;
	datapath_control(program->datapath)->now_ns = program->now_ns;
	return runner_init(&program->runner, program->datapath, xdp);
}

static void set_sizes(struct program *program, const struct host *host)
{
	for (size_t i = 0; i < host->nr_ports; i++)
		datapath_set_mtu(program->datapath, datapath_port_number(program->datapath, host->ports[i].eni->id),
				 host->ports[i].mtu);
	for (size_t i = 0; i < host->nr_uplinks; i++)
		datapath_set_mtu(program->datapath,
				 datapath_port_number(program->datapath, host->uplinks[i].gateway_id),
				 host->uplinks[i].mtu);
}

static void take_secrets(struct program *program)
{
	const volatile struct control *control = datapath_control(program->datapath);

	for (size_t i = 0; i < ARRAY_SIZE(program->secrets); i++)
		program->secrets[i] = control->secrets[i];
}

int program_open(const struct image *image, bool xdp, struct program *ret, char **ret_why)
{
	const struct datapath_options options = {
		.replay = true, .flows_max = FLOWS_FEW, .without = xdp ? "tc_rx" : "xdp_rx"};
	struct apply_result result;
	int r;

	memset(ret, 0, sizeof(*ret));
	r = datapath_open(&options, &ret->datapath, ret_why);
	if (!r)
		r = start(ret, xdp);
	if (!r)
		r = datapath_apply(ret->datapath, image, &result, ret_why);
	if (r) {
		program_close(ret);
		return r;
	}
	set_sizes(ret, image->host);
	take_secrets(ret);
	return 0;
}

int program_open_copy(struct datapath *pinned, bool xdp, struct program *ret, char **ret_why)
{
	int r;

	memset(ret, 0, sizeof(*ret));
	r = datapath_copy(pinned, false, xdp, &ret->datapath, ret_why);
	if (!r)
		r = start(ret, xdp);
	if (r) {
		program_close(ret);
		return r;
	}
	ret->names = pinned;
	take_secrets(ret);
	return 0;
}

void program_close(struct program *program)
{
	datapath_close(&program->datapath);
}

void program_forget(struct program *program)
{
	for (int i = 0; i < 2; i++) { /* closed, then freed */
		program->now_ns += FORGET_NS;
		datapath_control(program->datapath)->now_ns = program->now_ns;
		(void)records_sweep(program->datapath, program->now_ns, NULL, NULL);
	}
}

static void read_steps(const struct program *program, const struct verdict *verdict, struct program_answer *ret)
{
	for (uint32_t i = 0; i < verdict->nr_trace; i++) {
		struct program_step *step = ret->step + ret->nr_steps++;
		struct decision_text text;

		step->stage = DECISION_STAGE(verdict->trace[i]);
		if (!datapath_decision(program->names, verdict->trace[i], &text))
			text = (struct decision_text){"none", "unknown", ""};
		(void)snprintf(step->id, sizeof(step->id), "%s", text.id);
		(void)snprintf(step->rule, sizeof(step->rule), "%s", text.rule);
	}
}

int program_ask(struct program *program, const char *id, bool tx, const uint8_t *frame, size_t length,
		struct program_answer *ret)
{
	uint32_t port = datapath_port_number(program->names, id);
	struct verdict verdict = {};
	int r;

	*ret = (struct program_answer){};
	if (!port)
		return -ENOENT;
	r = runner_run(&program->runner, port | (tx ? IN_TX : 0), program->now_ns, frame, length, length, &verdict);
	if (r)
		return r;
	ret->action = verdict.action;
	ret->reason = verdict.reason;
	if (verdict.action == ACTION_DELIVER || verdict.action == ACTION_UPLINK)
		(void)snprintf(ret->to, sizeof(ret->to), "%s", datapath_port_id(program->names, verdict.exit));
	if (verdict.action != ACTION_DROP)
		ret->has_tuple = frame_read(verdict.head, verdict.nr_head, &ret->tuple);
	read_steps(program, &verdict, ret);
	return 0;
}
