/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Flows: an input is a mode, then steps of four bytes that make, answer, cut, quote and repeat packets between the
 * ports of the scene, let time pass and edit the state. What passed is remembered, so that answers and ICMP errors come
 * from where the packet went, or (a hostile one) from elsewhere. */
#include <string.h>

#include "audit.h"
#include "frame.h"
#include "scene.h"

#define STEPS_MAX 200
#define PAST      8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sent { /* a packet as it left by `port`, or as it was sent */
	int port;
	size_t length;
	uint8_t frame[FRAME_ROOM];
};

static struct {
	struct sent past[PAST];
	unsigned next;
} flow;

enum step { STEP_NEW, STEP_ANSWER, STEP_AGAIN, STEP_ERROR, STEP_PIECES, STEP_TIME, STEP_EDIT, STEP_ODD };

static const uint8_t protocols[8] = {6, 6, 6, 17, 17, 1, 50, 58};
static const uint16_t services[8] = {22, 53, 80, 443, 1024, 8080, 67, 65535};
static const uint8_t tcp_flags[8] = {2, 18, 16, 17, 4, 20, 24, 1};

static void address_of(const struct frame_spec *spec, unsigned port, bool public, uint8_t *ret)
{
	static const uint8_t publics[8] = {10,  20, 12, 110,
					   130, 7,  9,  99}; /* .130 a blackhole, .9 the NAT gateway's, .99 nobody's */
	const struct scene_port *its = &scene_ports[port % SCENE_PORTS];

	memcpy(ret, spec->family == 4 ? its->ip4 : its->ip6, spec->family == 4 ? 4 : 16);
	if (public && spec->family == 4)
		memcpy(ret, ((const uint8_t[]){203, 0, 113, publics[port & 7]}), 4);
	else if (public) /* a delegated prefix; the router; the resolver */
		ret[port & 1 ? 15 : 9] ^= 0xa;
}

static void set_macs(struct frame_spec *spec, unsigned from, unsigned to, bool direct)
{
	memcpy(spec->smac, scene_ports[from].mac, 6);
	memcpy(spec->dmac, direct ? scene_ports[to].mac : scene_router_mac, 6);
}

static void remember(int port, const uint8_t *frame, size_t length)
{
	struct sent *to = &flow.past[flow.next++ % PAST];

	if (!frame || length > sizeof(to->frame))
		return;
	to->port = port;
	to->length = length;
	memcpy(to->frame, frame, length);
}

static void send(unsigned port, bool tx, const uint8_t *frame, size_t length, uint32_t odd)
{
	const struct scene_meta meta = {.linear = odd & 1 ? 54 + (odd >> 4) : UINT32_MAX,
					.gso_size = odd & 2 ? 500 : 0,
					.gso_segs = odd & 4 ? 3 : 0};
	struct scene_result result = scene_send(port, tx, frame, length, &meta);

	if (result.exit >= 0)
		remember(result.exit, result.frame, result.length);
	else
		remember((int)port, frame, length);
}

/* GSO 2 | DF 1, from 4 | to 4, protocol 3 | family 1 | direct 1 | public 1 | ports 2, service 3 | flags 3 | size 2 */
static void step_new(const uint8_t *step, bool tx)
{
	unsigned from = (step[1] >> 4) % SCENE_PORTS, to = (step[1] & 15) % SCENE_PORTS;
	struct frame_spec spec = {.family = step[2] & 8 ? 6 : 4, .proto = protocols[step[2] & 7]};
	static const uint16_t sizes[4] = {0, 9, 1000, 1600};
	uint8_t frame[FRAME_ROOM];

	if (spec.proto == 1 || spec.proto == 58)
		spec.proto = spec.family == 4 ? 1 : 58;
	spec.sport = (uint16_t)(1000 + (step[2] >> 6));
	spec.dport = services[step[3] & 7];
	if (spec.proto == 1)
		spec.sport = step[3] & 1 ? 8 << 8 : (uint16_t)((step[3] >> 1) << 8);
	else if (spec.proto == 58)
		spec.sport = step[3] & 1 ? 128 << 8 : (uint16_t)((130 + (step[3] >> 4)) << 8);
	spec.flags = tcp_flags[step[3] >> 3 & 7];
	spec.seq = 1000;
	spec.ack = spec.flags & 16 ? 5000 : 0;
	spec.payload = sizes[step[3] >> 6];
	spec.dont_fragment = step[0] & 16;
	set_macs(&spec, from, to, step[2] & 16);
	address_of(&spec, tx ? to : from, false, spec.saddr);
	address_of(&spec, tx ? from : to, step[2] & 32, spec.daddr);
	send(from, tx, frame, frame_make(&spec, frame), step[0] >> 5 & 6);
}

/* A packet of the past turned round: from the port it left by, or from another one. flags 3, elsewhere 1 */
static void step_answer(const uint8_t *step, bool tx)
{
	const struct sent *past = &flow.past[step[1] % PAST];
	struct sent answer = *past;
	unsigned port = step[2] & 8 ? step[3] % SCENE_PORTS : (unsigned)past->port % SCENE_PORTS;
	uint8_t proto = 0;
	size_t l4 = frame_l4(past->frame, past->length, &proto);

	if (!l4)
		return;
	frame_reverse(answer.frame, answer.length);
	memcpy(answer.frame, step[2] & 16 ? past->frame + 6 : scene_router_mac, 6);
	memcpy(answer.frame + 6, scene_ports[port].mac, 6);
	if (proto == 6 && l4 + 20 <= answer.length) {
		answer.frame[l4 + 13] = tcp_flags[step[2] & 7];
		memcpy(answer.frame + l4 + 4, past->frame + l4 + 8, 4); /* next is what was acknowledged */
		answer.frame[l4 + 10] = 19;
		answer.frame[l4 + 11] = (uint8_t)(step[3] >> 6);
	}
	send(port, tx, answer.frame, answer.length, step[2] >> 5);
}

/* ... once more, a byte of it changed */
static void step_again(const uint8_t *step, bool tx)
{
	struct sent again = flow.past[step[1] % PAST];

	if (!again.length)
		return;
	if (step[1] & 16)
		memcpy(again.frame, scene_router_mac, 6);
	if (step[1] & 32)
		memcpy(again.frame + 6, scene_ports[(unsigned)again.port % SCENE_PORTS].mac, 6);
	again.frame[step[2] % again.length] ^= step[3];
	send((unsigned)again.port % SCENE_PORTS, tx, again.frame, again.length, step[1] >> 6);
}

/* An ICMP error about a packet of the past, to its sender. */
static void step_error(const uint8_t *step, bool tx)
{
	const struct sent *past = &flow.past[step[1] % PAST];
	unsigned port = step[1] & 16 ? step[3] % SCENE_PORTS : (unsigned)past->port % SCENE_PORTS;
	static const uint8_t types4[4] = {3, 11, 12, 5}, types6[4] = {1, 2, 3, 4};
	struct frame_spec spec = {.family = 4, .proto = 1};
	uint8_t frame[FRAME_ROOM];

	if (past->length < 60)
		return;
	if (past->frame[12] == 0x86)
		spec.family = 6, spec.proto = 58;
	spec.sport = (uint16_t)((spec.family == 4 ? types4 : types6)[step[2] & 3] << 8 | (step[2] >> 2 & 7));
	spec.body = past->frame + 14;
	spec.payload = (uint16_t)(past->length - 14 < 600 ? past->length - 14 : 600);
	if (step[2] & 32)
		spec.payload = 8 + (step[3] & 63);
	set_macs(&spec, port, port, false);
	address_of(&spec, port, false, spec.saddr);
	if (spec.family == 4)
		memcpy(spec.daddr, past->frame + 26, 4);
	else
		memcpy(spec.daddr, past->frame + 22, 16);
	if (step[2] & 64) /* not to whom it quotes */
		spec.daddr[spec.family == 4 ? 3 : 15] ^= 1;
	send(port, tx, frame, frame_make(&spec, frame), 0);
}

/* A packet of the past in pieces of 8 to 512 bytes, from first to last or the other way round. */
static void step_pieces(const uint8_t *step, bool tx)
{
	struct sent whole = flow.past[step[1] % PAST];
	uint16_t size = (uint16_t)(8u << (step[2] & 7) & 1016), offset = 0;
	unsigned port = (unsigned)whole.port % SCENE_PORTS;
	uint8_t frame[FRAME_ROOM];

	if (whole.length < 60)
		return;
	if (whole.port < SCENE_PORTS && step[2] & 8)
		memcpy(whole.frame + 6, scene_ports[port].mac, 6);
	if (step[2] & 8)
		memcpy(whole.frame, scene_router_mac, 6);
	if (step[2] & 32)
		frame_reverse(whole.frame, whole.length);
	for (int i = 0; i < 6; i++, offset = (uint16_t)(offset + size)) {
		uint16_t at = step[2] & 16 ? (uint16_t)((5 - i) * size) : offset;
		size_t length = frame_piece(whole.frame, whole.length, at, size, step[3], frame);

		if (length)
			(void)scene_send(port, tx, frame, length, NULL);
	}
}

/* ARP, neighbour discovery, DHCP and other things that are no flow. */
static void step_odd(const uint8_t *step, bool tx)
{
	unsigned port = (step[1] >> 4) % SCENE_PORTS, other = (step[1] & 15) % SCENE_PORTS;
	const struct scene_port *its = &scene_ports[port];
	uint8_t frame[FRAME_ROOM] = {}, solicit[32] = {};
	struct frame_spec spec = {.family = 6, .proto = 58, .sport = (uint16_t)((133 + (step[2] >> 4 & 7)) << 8)};

	set_macs(&spec, port, other, step[2] & 8);
	if (step[2] & 1) {
		static const uint8_t head[8] = {0, 1, 8, 0, 6, 4, 0, 1};

		memset(frame, 0xff, 6);
		memcpy(frame + 6, its->mac, 6);
		frame[12] = 8;
		frame[13] = 6;
		memcpy(frame + 14, head, 8);
		frame[21] = step[2] & 2 ? step[3] & 3 : 1;
		memcpy(frame + 22, its->mac, 6);
		memcpy(frame + 28, step[2] & 4 ? scene_ports[other].ip4 : its->ip4, 4);
		memcpy(frame + 38, scene_ports[other].ip4, 4);
		if (step[2] & 16)
			frame[41] = 1; /* the router */
		(void)scene_send(port, tx, frame, 60, NULL);
		return;
	}
	memcpy(spec.saddr, its->ip6, step[2] & 2 ? 0 : 16);
	memcpy(spec.daddr, scene_ports[other].ip6, 16);
	memcpy(solicit, scene_ports[other].ip6, 16);
	if (step[2] & 4)
		solicit[15] = 1;
	spec.body = solicit;
	spec.payload = step[3] & 31;
	(void)scene_send(port, tx, frame, frame_make(&spec, frame), NULL);
}

static void take_step(const uint8_t *step)
{
	static const uint32_t jumps_ms[16] = {1,     10,    100,   1000,   9900,   10100,  29000,  31000,
					      61000, 69000, 71000, 119000, 181000, 351000, 601000, 432000000};
	bool tx = step[0] & 8;

	scene_break(step[0] >> 4 ? (step[0] >> 4) * 3 + (step[1] & 3) : 0);
	switch ((enum step)(step[0] & 7)) {
	case STEP_NEW:
		return step_new(step, tx);
	case STEP_ANSWER:
		return step_answer(step, tx);
	case STEP_AGAIN:
		return step_again(step, tx);
	case STEP_ERROR:
		return step_error(step, tx);
	case STEP_PIECES:
		return step_pieces(step, tx);
	case STEP_TIME:
		return scene_pass((uint64_t)jumps_ms[step[1] & 15] * 1000000);
	case STEP_EDIT:
		if (!(scene.mode & SCENE_WIRE))
			scene_edit(step[1] & 1 ? SCENE_AFTER : SCENE_BEFORE);
		return;
	case STEP_ODD:
		return step_odd(step, tx);
	}
}

static void run_input(const uint8_t *data, size_t size)
{
	memset(&flow, 0, sizeof(flow));
	scene_begin(data[0] & SCENE_MODES);
	for (size_t at = 1, i = 0; at + 4 <= size && i < STEPS_MAX; at += 4, i++)
		take_step(data + at);
	scene_end();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 5)
		return 0;
	scene_each_fault(run_input, data, size);
	return 0;
}
