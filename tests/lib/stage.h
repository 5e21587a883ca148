/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A stage for races and floods: a private data path with the real clock and sweeper, four ENIs on veth devices in a
 * network namespace of our own, and single packets through tc_rx whose verdict comes back. Needs root.
 *
 * Who may do what, between any two ENIs; every rule names 10.0.0.0/16, so every flow is tracked:
 *   ports 1000-1999  admitted both ways
 *   ports 3000-3999  admitted toward eni-b only: what comes back from them passes by tracking alone
 *   ports 2000-2999  eni-a to eni-b: refused in every state, but one half of the check of state 0 and the other of
 *                    state 1 would admit them. Who passes was judged by a mix of two states.
 * 10.0.2.99 belongs to eni-x in state 0 and to eni-y in state 1. */
#ifndef ENID_TESTS_STAGE_H
#define ENID_TESTS_STAGE_H

#include "compile/image.h"
#include "datapath/datapath.h"
#include "state/state.h"

enum stage_eni { ENI_A, ENI_B, ENI_X, ENI_Y, STAGE_ENIS };
#define STAGE_MOVING  STAGE_ENIS /* as a destination: the address that moves between eni-x and eni-y */
#define STAGE_NOWHERE (-1)       /* as an exit: dropped */
#define STAGE_FRAME   86         /* Ethernet, IPv4 and 52 bytes */
#define STAGE_STATES  3          /* state 2: as state 0, without eni-y */

struct stage {
	struct datapath *datapath;
	struct state *state[STAGE_STATES];
	struct image *image[STAGE_STATES];
	int prog; /* tc_rx */
	int now;  /* state in force */
	uint32_t ifindex[STAGE_ENIS], port[STAGE_ENIS];
};

struct stage_packet {
	int from, to;
	uint8_t proto, tcp_flags; /* ICMP: an echo, request unless tcp_flags */
	uint16_t sport, dport;    /* ICMP: dport = identifier */
	uint16_t id, offset;      /* offset and IP_MF as in the header */
};

/* seconds: time-outs of established TCP and of UDP, 0 = AWS's. */
void stage_open(struct stage *stage, uint32_t flows_max, uint16_t seconds);
void stage_close(struct stage *stage);
/* Make state `which` hold, as the agent does. */
void stage_apply(struct stage *stage, int which);
/* Flow budgets that are in nobody's way. */
void stage_unlimited(struct stage *stage);

void stage_frame(const struct stage_packet *packet, uint8_t ret[STAGE_FRAME]);
/* ret: the ENI that it is delivered to, or STAGE_NOWHERE */
int stage_send(const struct stage *stage, const struct stage_packet *packet);
int stage_send_frame(const struct stage *stage, int from, const uint8_t frame[STAGE_FRAME]);

void stage_pin_thread(int cpu);
uint64_t stage_now_ns(void); /* CLOCK_MONOTONIC */
/* While the agent seems alive the kernel's sweeper leaves records to it for AGENT_HEAD_START_S. */
void stage_agent_alive(struct stage *stage, bool alive);
uint64_t stage_drops(const struct stage *stage, int eni, enum enid_reason reason);
/* Seconds that a test may take: $name, else `otherwise`. */
unsigned int stage_seconds(const char *name, unsigned int otherwise);

#endif
