/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the fuzzers of packets share: a datapath of its own for each input, in one of two fixed states, and one packet
 * after another through it, each followed by the audit (audit.h).
 *
 * Modes. REPLAY is what `enid replay` does, on either hook, so the same packets can be given to the kernel's programs:
 * with $ENID_FUZZ_LINES set every packet and edit is also written there as a line of replay input. WIRE is what a
 * running agent's programs do: devices, marks, redirects, GSO, tags beside the frame, the sweeper's timer. */
#ifndef ENID_FUZZ_SCENE_H
#define ENID_FUZZ_SCENE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "datapath/datapath.h"
#include "host/host.h"
#include "replay/runner.h"

#define SCENE_XDP   1u
#define SCENE_WIRE  2u
#define SCENE_TIGHT 4u /* little room: shares and half-open budgets bite */
#define SCENE_FULL  8u /* ... and the reports' maps are full, and so is the ring */
/* Look-ups or updates of maps fail where scene_break() says, as none ever should: no book balances then, but nothing
 * may be read or written that is not ours, and no packet may reach another tenant. */
#define SCENE_BROKEN 16u
#define SCENE_MODES  31u

#define SCENE_NOBODY 0xfffffffeu /* the half of names that only fill the table */
#define SCENE_PORTS  17
#define SCENE_A      0  /* in scene_ports: of the first VPC, */
#define SCENE_C      10 /* ... and of one that gateways join to it */

enum scene_state { SCENE_BEFORE, SCENE_AFTER, SCENE_STATES };

struct scene_port {
	const char *id;
	bool uplink, guard, instance;
	uint8_t mac[6];
	uint8_t ip4[4]; /* zeros: none */
	uint8_t ip6[16];
	uint32_t mtu; /* of its device, 0 = unknown */
	bool raw;     /* ... which has no Ethernet header */
};
extern const struct scene_port scene_ports[SCENE_PORTS];
extern const uint8_t scene_router_mac[6];

/* How a frame meets a hook on a wire, besides its bytes. */
struct scene_meta {
	uint32_t linear, mark, gso_size, gso_segs, pkt_type, ingress_ifindex;
	uint32_t protocol; /* network order; 0 = as the frame says */
	bool vlan;
};

struct scene {
	struct datapath *datapath;
	struct runner runner;
	uint32_t mode;
	uint32_t numbers[SCENE_PORTS];
	uint64_t at_ns; /* since the input's beginning */
	enum scene_state state;
};
extern struct scene scene;

/* What became of a packet; `frame` is valid until the next one. */
struct scene_result {
	uint32_t action, reason;
	int exit; /* index of the port it left by, -1 = none */
	const uint8_t *frame;
	size_t length;
};

void scene_begin(uint32_t mode);
void scene_edit(enum scene_state state);
void scene_break(unsigned at); /* of the next packet, if the mode is SCENE_BROKEN: the look-up or update that fails */
void scene_pass(uint64_t ns);  /* time passes; the sweeper comes by */
struct scene_result scene_send(unsigned port, bool tx, const uint8_t *frame, size_t length,
			       const struct scene_meta *meta);
/* Run an input; with $ENID_FUZZ_FAULTS, then again and again, each time with another look-up, then another update,
 * then another access to the frame, of another packet that fails, until every one of the first packets has failed once.
 */
void scene_each_fault(void (*run)(const uint8_t *data, size_t size), const uint8_t *data, size_t size);
void scene_end(void); /* time passes until nothing lives: every book must be back at zero */

#endif
