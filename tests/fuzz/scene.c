/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "scene.h"

#include <inttypes.h>
#include <linux/pkt_cls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "compile/image.h"
#include "datapath/records.h"
#include "enid/names.h"
#include "enid/reasons.h"
#include "replay/line.h"
#include "replay/replay.h"
#include "state/state.h"

#define ENTRIES_MAX   4096
#define IFINDEX_FIRST 100
#define INPUT_S       1000000u /* between the beginnings of two inputs, for $ENID_FUZZ_LINES */
#define NS_PER_S      UINT64_C(1000000000)
#define XDP_DROP      1 /* linux/bpf.h and bpf/bpf.h say so too, and exclude libpcap's */
#define XDP_PASS      2

#define MAC(last) \
	{ \
		2, 0, 0, 0, 0, (last) \
	}
#define V6(net, last) \
	{ \
		0x20, 1, 0xd, 0xb8, 0, (net) >> 8, 0, (net)&0xff, [15] = (last) \
	}
const struct scene_port scene_ports[SCENE_PORTS] = {
	{"a", false, false, false, MAC(1), {10, 0, 1, 10}, V6(0x101, 0x10), .mtu = 0},
	{"a2", false, false, false, MAC(2), {10, 0, 1, 11}, V6(0x101, 0x11), .mtu = 0},
	{"b", false, false, false, MAC(3), {10, 0, 2, 20}, V6(0x102, 0x20), .mtu = 1200},
	{"m", false, false, false, MAC(4), {10, 0, 3, 30}, {0}, .mtu = 0},
	{"g", false, true, false, MAC(5), {10, 0, 1, 12}, V6(0x101, 0x12), .mtu = 0},
	{"gi", false, true, true, MAC(6), {10, 0, 2, 21}, V6(0x102, 0x21), .mtu = 0},
	{"z", false, false, false, MAC(7), {10, 0, 1, 10}, V6(0x201, 0x10), .mtu = 0},
	{"y", false, false, false, MAC(8), {10, 0, 1, 11}, V6(0x201, 0x11), .mtu = 0},
	{"igw-1", true, false, false, {2, 255, 255, 255, 254, 1}, {198, 51, 100, 7}, V6(0xff00, 7), .mtu = 0},
	{"igw-2", true, false, false, {2, 255, 255, 255, 254, 1}, {198, 51, 100, 7}, V6(0xff00, 7), .mtu = 0},
	{"c", false, false, false, MAC(9), {10, 3, 1, 30}, V6(0x301, 0x30), .mtu = 900},
	{"e", false, false, false, MAC(10), {10, 0, 4, 40}, V6(0x104, 0x40), .mtu = 0},
	{"eigw-1", true, false, false, {2, 255, 255, 255, 254, 1}, {198, 51, 100, 8}, V6(0xff00, 8), .mtu = 0},
	{"vgw-1", true, false, false, {2, 255, 255, 255, 254, 1}, {172, 21, 0, 7}, V6(0xff00, 9), .raw = true},
	{"vpce-1", true, false, false, {2, 255, 255, 255, 254, 1}, {192, 0, 2, 200}, V6(0xff00, 10), .mtu = 0},
	{"att-7", true, false, false, {2, 255, 255, 255, 254, 1}, {172, 20, 0, 7}, V6(0xff00, 11), .mtu = 0},
	{"vpn-8", true, false, false, {2, 255, 255, 255, 254, 1}, {172, 20, 0, 8}, V6(0xff00, 12), .mtu = 0},
};
const uint8_t scene_router_mac[6] = {2, 0x65, 0x6e, 0x69, 0x64, 1};

struct scene scene;

static const char *const paths[SCENE_STATES] = {"tests/fuzz/states/before.json", "tests/fuzz/states/after.json"};
static struct image *images[SCENE_STATES];
static FILE *lines;
static uint64_t inputs;

#define FAULTY_PACKETS 24 /* of an input, see scene_each_fault */
static struct {
	bool wanted;
	enum fault_kind { FAULT_LOOKUP, FAULT_UPDATE, FAULT_ACCESS, FAULT_KINDS } kind;
	unsigned packet; /* counted from 1; 0 = none is to fail */
	uint64_t at;
	unsigned sent;
	bool reached; /* the packet had that many look-ups or updates */
} fault;

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *to = getenv("ENID_FUZZ_LINES");

	(void)argc, (void)argv;
	for (int i = 0; i < SCENE_STATES; i++) {
		struct state_messages messages = {};
		struct state *state = NULL;
		char *why = NULL;

		MUST(!state_load(&paths[i], 1, &state, &messages), "%s: run this in the root of the tree", paths[i]);
		MUST(!compile_image(state, state_host(state, "host-a"), &images[i], &why), "%s: %s", paths[i], why);
		state_messages_done(&messages); /* the state stays: the image points into it */
	}
	host_entries_max = ENTRIES_MAX;
	fault.wanted = getenv("ENID_FUZZ_FAULTS") != NULL;
	lines = to ? fopen(to, "a") : NULL;
	MUST(!to || lines, "cannot write '%s'", to);
	return 0;
}

static void write_line(unsigned port, bool tx, const uint8_t *frame, size_t length)
{
	static char hex[2 * FRAME_MAX + 1];

	if (!lines || scene.mode & (SCENE_WIRE | SCENE_BROKEN))
		return;
	hex_encode(frame, length, hex);
	fprintf(lines, "{\"port\":\"%s\",%s\"at\":%" PRIu64 ".%09" PRIu64 ",\"packet\":\"%.*s\"}\n",
		scene_ports[port].id, tx ? "\"dir\":\"tx\"," : "", inputs * INPUT_S + scene.at_ns / NS_PER_S,
		scene.at_ns % NS_PER_S, 2 * (int)length, hex);
}

static uint64_t now_ns(void)
{
	return REPLAY_BASE_NS + scene.at_ns;
}

static void set_clock(void)
{
	host_clock_ns = now_ns();
	datapath_control(scene.datapath)->now_ns = now_ns();
}

static void mend(void)
{
	host_lookups_left = host_accesses_left = 0;
	host_updates_left = UINT64_MAX;
}

void scene_edit(enum scene_state state)
{
	struct apply_result result;
	char *why = NULL;

	mend();
	set_clock();
	MUST(!datapath_apply(scene.datapath, images[state], &result, &why), "%s: %s", paths[state], why);
	scene.state = state;
	if (lines && !(scene.mode & (SCENE_WIRE | SCENE_BROKEN)))
		fprintf(lines, "{\"state\":\"%s\",\"at\":%" PRIu64 ".%09" PRIu64 "}\n", paths[state],
			inputs * INPUT_S + scene.at_ns / NS_PER_S, scene.at_ns % NS_PER_S);
	if (!(scene.mode & SCENE_BROKEN))
		audit_records(&scene);
}

static void plug_devices(void)
{
	for (unsigned i = 0; i < SCENE_PORTS; i++) {
		enum deliver_how how = scene_ports[i].raw      ? DELIVER_REDIRECT
				       : scene_ports[i].uplink ? DELIVER_NEIGH
				       : i & 1                 ? DELIVER_PEER
							       : DELIVER_REDIRECT;

		MUST(!datapath_set_device(scene.datapath, scene.numbers[i], IFINDEX_FIRST + i, how), "no device for %s",
		     scene_ports[i].id);
		datapath_set_mtu(scene.datapath, scene.numbers[i], scene_ports[i].mtu);
	}
}

/* Leave room for `room` names, one of them in the hash. */
static void fill_names(uint32_t room)
{
	volatile struct control *control = datapath_control(scene.datapath);
	struct name_bucket *buckets = datapath_names(scene.datapath);

	control->nr_buckets = 2;
	for (unsigned i = room - 1; i < 2 * BUCKET_NAMES; i++)
		buckets[i & 1].slot[i / 2] = (struct name_slot){.tag = SCENE_NOBODY, .ref = SCENE_NOBODY};
	host_map_find("names_spilled")->max_entries = 1;
}

static void make_tight(void)
{
	volatile struct control *control = datapath_control(scene.datapath);

	control->flows_guarantee = 1;
	control->flows_shared = 4;
	control->half_open_max = 2;
	if (!(scene.mode & SCENE_FULL))
		return;
	host_map_find("tallies")->max_entries = 2;
	host_map_find("port_drops")->max_entries = 2;
	fill_names(5);
	host_map_find("fragments")->max_entries = 2;
	host_map_find("fragments_due")->max_entries = 3;
}

void scene_break(unsigned at)
{
	if (!(scene.mode & SCENE_BROKEN))
		return;
	host_lookups_left = scene.mode & SCENE_TIGHT && at < 4 ? 0 : at;
	host_updates_left = host_lookups_left ? UINT64_MAX : at;
}

void scene_begin(uint32_t mode)
{
	const struct datapath_options options = {.replay = !(mode & SCENE_WIRE),
						 .flows_max = 32,
						 .policy_lines = ENTRIES_MAX,
						 .without = mode & SCENE_XDP ? "tc_rx" : "xdp_rx"};
	char *why = NULL;

	scene = (struct scene){.mode = mode};
	fault.sent = 0;
	mend();
	inputs++;
	memset(&host_effects, 0, sizeof(host_effects));
	MUST(!datapath_open(&options, &scene.datapath, &why), "%s", why ? why : "no memory");
	audit_begin();
	for (int i = 0; i < 7; i++) /* every run of an input is the same one */
		datapath_control(scene.datapath)->secrets[i] = 0x9e3779b97f4a7c15ull * (unsigned)(i + 1);
	MUST(!runner_init(&scene.runner, scene.datapath, mode & SCENE_XDP), "no programs");
	scene_edit(SCENE_BEFORE);
	for (unsigned i = 0; i < SCENE_PORTS; i++)
		scene.numbers[i] = datapath_port_number(scene.datapath, scene_ports[i].id);
	if (mode & SCENE_WIRE)
		plug_devices();
	if (mode & SCENE_TIGHT)
		make_tight();
	if (mode & SCENE_FULL) /* as if an agent had just died */
		datapath_control(scene.datapath)->agent_alive_ns = now_ns();
	host_effects.ring_full = mode & SCENE_FULL && mode & SCENE_XDP;
	host_effects.fib = mode & SCENE_TIGHT ? 4 : 0; /* "not forwarded": the host itself */
}

void scene_pass(uint64_t ns)
{
	scene.at_ns += ns;
	set_clock();
	if (scene.mode & SCENE_WIRE)
		(void)host_tick();
}

static int port_of_number(uint32_t number)
{
	for (int i = 0; number && i < SCENE_PORTS; i++)
		if (scene.numbers[i] == number)
			return i;
	return -1;
}

static struct scene_result replay_one(uint32_t in, const uint8_t *frame, size_t length)
{
	struct scene_result result = {.exit = -1};
	struct verdict verdict;
	bool dropped;

	MUST(!runner_run(&scene.runner, in, now_ns(), frame, length, length, &verdict),
	     "a frame of %zu bytes was not run", length);
	dropped = verdict.action == ACTION_DROP;
	MUST(verdict.action < ACTION_MAX && verdict.reason < REASON_MAX, "action %u, reason %u", verdict.action,
	     verdict.reason);
	MUST(dropped == (verdict.reason != REASON_ACCEPTED) || verdict.action == ACTION_REPLY || /* to a drop */
		     scene.mode & SCENE_BROKEN,
	     "action %u for reason %u", verdict.action, verdict.reason);
	result.action = verdict.action;
	result.reason = verdict.reason;
	result.frame = verdict.head;
	result.length = verdict.nr_head;
	if (length < 14)
		return result; /* no program was asked */
	audit_after(&scene, dropped && verdict.reason != REASON_CONNTRACK_FULL, verdict.reason);
	if (verdict.action == ACTION_DELIVER || verdict.action == ACTION_UPLINK) {
		result.exit = port_of_number(verdict.exit);
		audit_delivery(&scene, in, verdict.exit, verdict.head);
	} else if (verdict.action == ACTION_REPLY) {
		result.exit = port_of_number(IN_PORT(in));
	}
	return result;
}

static int run_program(const char *name, unsigned port, const uint8_t *frame, size_t length,
		       const struct scene_meta *meta, struct host_run *ret)
{
	*ret = (struct host_run){.program = host_program_find(name), .frame = frame, .length = (uint32_t)length};
	ret->linear = meta->linear < length ? meta->linear : (uint32_t)length;
	ret->ifindex = IFINDEX_FIRST + port;
	ret->ingress_ifindex = meta->ingress_ifindex;
	ret->mark = meta->mark;
	ret->gso_size = meta->gso_size;
	ret->gso_segs = meta->gso_segs;
	ret->pkt_type = meta->pkt_type & 3;
	ret->vlan_present = meta->vlan;
	ret->protocol = meta->protocol;
	host_run(ret);
	return ret->verdict;
}

/* What this device sends must pass its own guard, once: nobody else knows the mark. */
static void leave_by(unsigned port, const struct host_run *sent)
{
	static uint8_t copy[HOST_FRAME_MAX];
	const struct scene_meta meta = {.linear = sent->nr_out, .mark = sent->mark};
	struct host_run guard;

	if (scene_ports[port].uplink || host_effects.to != HOST_REDIRECT)
		return;
	memcpy(copy, sent->out, sent->nr_out);
	MUST(run_program("tc_tx", port, copy, sent->nr_out, &meta, &guard) == TC_ACT_OK || scene.mode & SCENE_BROKEN,
	     "the guard of %s stopped what was redirected there", scene_ports[port].id);
	MUST(!guard.mark || scene.mode & SCENE_BROKEN, "the mark of %s leaves with the packet", scene_ports[port].id);
}

/* On a device without Ethernet headers packets come and go without one. */
static void run_rx_or_tx(unsigned port, bool tx, const uint8_t *frame, size_t length, const struct scene_meta *meta,
			 struct host_run *ret)
{
	struct scene_meta raw = *meta;

	if (!scene_ports[port].raw || length < 14 + 14) {
		run_program(tx ? "tc_tx" : "tc_rx", port, frame, length, meta, ret);
		return;
	}
	raw.linear = meta->linear > 14 ? meta->linear - 14 : 0;
	raw.protocol = (uint32_t)(frame[12] | frame[13] << 8);
	run_program("tc_rx_raw", port, frame + 14, length - 14, &raw, ret);
}

/* The packet was cut. Pieces for an uplink come in there once more, to find their neighbour. */
static struct scene_result pieces_left(unsigned port, const struct host_run *run)
{
	static uint8_t copy[HOST_FRAME_MAX];
	const struct scene_meta meta = {.linear = run->nr_out, .mark = host_effects.clone_mark};
	struct scene_result result = {.exit = -1, .action = ACTION_DELIVER};
	uint32_t to = host_effects.clone_ifindex - IFINDEX_FIRST;
	struct host_run again;

	MUST(to < SCENE_PORTS && run->verdict == TC_ACT_SHOT, "pieces sent to device %u, and verdict %d",
	     host_effects.clone_ifindex, run->verdict);
	audit_wire(&scene, false, true);
	audit_delivery(&scene, scene.numbers[port], scene.numbers[to], run->out);
	if (!scene_ports[to].uplink || scene_ports[to].raw)
		return result;
	memcpy(copy, run->out, run->nr_out);
	run_program("tc_rx", to, copy, run->nr_out, &meta, &again);
	MUST((again.verdict == TC_ACT_REDIRECT && host_effects.to == HOST_REDIRECT_NEIGH &&
	      host_effects.ifindex == IFINDEX_FIRST + to) ||
		     scene.mode & SCENE_BROKEN,
	     "a piece did not leave by %s", scene_ports[to].id);
	return result;
}

static struct scene_result wire_one(unsigned port, bool tx, const uint8_t *frame, size_t length,
				    const struct scene_meta *meta)
{
	struct scene_result result = {.exit = -1, .action = ACTION_DROP};
	struct scene_meta plain = *meta;
	struct host_run run;
	uint32_t to;

	if (scene.mode & SCENE_XDP && !tx) {
		bool drop = run_program("xdp_rx", port, frame, length, meta, &run) == XDP_DROP;

		MUST(drop || run.verdict == XDP_PASS, "XDP verdict %d", run.verdict);
		MUST(drop || (run.nr_out == length && !memcmp(run.out, frame, length)), "XDP changed a frame");
		audit_after(&scene, true, drop);
		audit_wire(&scene, drop, false);
		if (drop)
			return result;
		plain.linear = (uint32_t)length;
		audit_before(&scene);
	}
	if (!tx)
		plain.ingress_ifindex = IFINDEX_FIRST + port;
	run_rx_or_tx(port, tx, frame, length, &plain, &run);
	MUST(run.verdict == TC_ACT_OK || run.verdict == TC_ACT_SHOT || run.verdict == TC_ACT_REDIRECT, "TC verdict %d",
	     run.verdict);
	if (host_effects.clones)
		return pieces_left(port, &run);
	to = host_effects.ifindex - IFINDEX_FIRST;
	audit_wire(&scene, run.verdict == TC_ACT_SHOT, run.verdict == TC_ACT_REDIRECT && to == port);
	if (run.verdict == TC_ACT_OK)
		result.action = ACTION_PASS;
	if (run.verdict != TC_ACT_REDIRECT)
		return result;
	MUST(to < SCENE_PORTS, "redirected to device %u", host_effects.ifindex);
	result.action = to == port ? ACTION_REPLY : ACTION_DELIVER;
	result.exit = (int)to;
	if (to != port && host_effects.to != HOST_REDIRECT_NEIGH)
		audit_delivery(&scene, scene.numbers[port], scene.numbers[to], run.out);
	leave_by(to, &run);
	result.frame = run.out;
	result.length = run.nr_out;
	return result;
}

static void arm_fault(void)
{
	if (++fault.sent != fault.packet)
		return;
	scene.mode |= SCENE_BROKEN; /* no book balances from here on */
	host_lookups_left = fault.kind == FAULT_LOOKUP ? fault.at : 0;
	host_updates_left = fault.kind == FAULT_UPDATE ? fault.at - 1 : UINT64_MAX;
	host_accesses_left = fault.kind == FAULT_ACCESS ? fault.at : 0;
}

static void check_fault(void)
{
	if (fault.sent != fault.packet)
		return;
	fault.reached = !(fault.kind == FAULT_LOOKUP   ? host_lookups_left
			  : fault.kind == FAULT_UPDATE ? host_updates_left
						       : host_accesses_left);
}

struct scene_result scene_send(unsigned port, bool tx, const uint8_t *frame, size_t length,
			       const struct scene_meta *meta)
{
	static const struct scene_meta whole = {.linear = UINT32_MAX};
	struct scene_result result = {.exit = -1};

	port %= SCENE_PORTS;
	tx = tx && !scene_ports[port].uplink;
	if (length > RUN_FRAME_MAX)
		length = RUN_FRAME_MAX;
	set_clock();
	audit_before(&scene);
	write_line(port, tx, frame, length);
	arm_fault();
	if (!(scene.mode & SCENE_WIRE))
		result = replay_one(scene.numbers[port] | (tx ? IN_TX : 0), frame, length);
	else if (length >= 14)
		result = wire_one(port, tx, frame, length, meta ? meta : &whole);
	check_fault();
	mend();
	return result;
}

static bool fault_reached(void (*run)(const uint8_t *data, size_t size), const uint8_t *data, size_t size)
{
	fault.reached = false;
	run(data, size);
	return fault.reached;
}

void scene_each_fault(void (*run)(const uint8_t *data, size_t size), const uint8_t *data, size_t size)
{
	unsigned sent;

	fault.packet = 0;
	run(data, size);
	if (!fault.wanted || scene.mode & SCENE_BROKEN)
		return;
	sent = fault.sent < FAULTY_PACKETS ? fault.sent : FAULTY_PACKETS;
	for (fault.kind = 0; fault.kind < FAULT_KINDS; fault.kind++)
		for (fault.packet = 1; fault.packet <= sent; fault.packet++) {
			fault.at = 1;
			while (fault_reached(run, data, size))
				fault.at++;
		}
	fault.packet = 0;
}

void scene_end(void)
{
	set_clock();
	for (int i = 0; i < 4; i++) { /* found to be over; out of limbo */
		scene_pass(NS_PER_S * (i ? 1 : 500000));
		if (!(scene.mode & SCENE_WIRE))
			(void)records_sweep(scene.datapath, now_ns(), NULL, NULL);
	}
	if (!(scene.mode & SCENE_BROKEN))
		audit_empty(&scene);
	datapath_close(&scene.datapath);
	if (lines)
		fflush(lines);
}
