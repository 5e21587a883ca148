/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Frames, byte by byte, on a wire or in replay. An input is a mode, then packets:
 *   port | flags, time passed, length (2), frame
 * with P_OWN the frame has the MACs and the source address of its port, so that what is behind them is met, too. */
#include <string.h>

#include "audit.h"
#include "scene.h"

#define P_TX   1u
#define P_OWN  2u /* source MAC and address of the port, destination MAC of the router */
#define P_META 4u /* 6 more bytes: how the frame meets the hook */
#define P_EDIT 8u /* the other state, first */

#define PACKETS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bytes {
	const uint8_t *at;
	size_t left;
};

static uint32_t take(struct bytes *from, unsigned nr)
{
	uint32_t value = 0;

	for (; nr && from->left; nr--, from->at++, from->left--)
		value = value << 8 | *from->at;
	return value;
}

static void make_own(uint8_t *frame, size_t length, unsigned port)
{
	const struct scene_port *its = &scene_ports[port % SCENE_PORTS];

	if (length < 14)
		return;
	memcpy(frame, scene_router_mac, 6);
	memcpy(frame + 6, its->mac, 6);
	if (length >= 34 && frame[12] == 8 && frame[13] == 0)
		memcpy(frame + 26, its->ip4, 4);
	if (length >= 54 && frame[12] == 0x86 && frame[13] == 0xdd)
		memcpy(frame + 22, its->ip6, 16);
}

static struct scene_meta take_meta(struct bytes *from)
{
	struct scene_meta meta = {.linear = take(from, 1) * 2};
	uint32_t flags = take(from, 1);

	meta.gso_size = take(from, 2) & 0x3fff;
	meta.gso_segs = take(from, 1) & 15;
	meta.mark = take(from, 1);
	meta.vlan = flags & 1;
	meta.pkt_type = flags >> 1 & 3;
	meta.ingress_ifindex = flags & 8 ? 7 : 0;
	if (flags & 16)
		meta.linear = UINT32_MAX;
	return meta;
}

static void run_input(const uint8_t *data, size_t size)
{
	/* a second and a half is a rate's refill, 70 s outlives half-open flows and fragments, 400 s the shortest flows
	 */
	static const uint64_t steps_ms[8] = {0, 0, 1, 40, 1500, 31000, 70000, 400000};
	struct bytes from = {data, size};
	static uint8_t frame[RUN_FRAME_MAX];

	scene_begin(take(&from, 1) & SCENE_MODES);
	for (int i = 0; i < PACKETS_MAX && from.left >= 5; i++) {
		uint32_t head = take(&from, 1), flags = head >> 4, step = take(&from, 1),
			 length = take(&from, 2) & 0xfff;
		struct scene_meta meta = {.linear = UINT32_MAX};

		if (flags & P_META)
			meta = take_meta(&from);
		length = length < from.left ? length : (uint32_t)from.left;
		length = length < sizeof(frame) ? length : sizeof(frame);
		memcpy(frame, from.at, length);
		from.at += length;
		from.left -= length;
		if (flags & P_OWN)
			make_own(frame, length, head & 15);
		scene_pass(steps_ms[step & 7] * 1000000);
		if (flags & P_EDIT && !(scene.mode & SCENE_WIRE))
			scene_edit(scene.state == SCENE_BEFORE ? SCENE_AFTER : SCENE_BEFORE);
		scene_break(step >> 3);
		(void)scene_send(head & 15, flags & P_TX, frame, length, &meta);
	}
	scene_end();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 8)
		return 0;
	scene_each_fault(run_input, data, size);
	return 0;
}
