/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A scene: a private data path that holds a generated state with a given number of rules, on veth devices.
 *
 * eni-a and eni-b share a subnet; eni-c lies in another one. Security groups (both directions) and the network ACLs of
 * both subnets have `rules` entries each: random CIDRs and port ranges, and last the one that admits what we send.
 * eni-d reaches the world by a NAT gateway, eni-e by its own public address; "eni" world is the uplink. */
#ifndef ENID_BENCH_SCENE_H
#define ENID_BENCH_SCENE_H

#include <stdint.h>

#include "bench/ref.h"
#include "datapath/datapath.h"

enum scene_eni { ENI_A, ENI_B, ENI_C, ENI_D, ENI_E, ENI_WORLD, ENI_MAX };

struct scene {
	unsigned rules;
	struct datapath *datapath;
	int prog; /* tc_rx */
	struct state *state;
	struct image *image;
};

/* In a network namespace of our own: the devices of all scenes. ret: 0 | -errno */
int scene_devices(uint32_t ret_ifindex[ENI_MAX]);

/* ret: 0 | -errno, said on stderr */
int scene_open(unsigned rules, uint32_t flows_max, const uint32_t ifindex[ENI_MAX], struct scene *ret);
void scene_close(struct scene *scene);

/* A TCP packet of `from` to `to` as the guest sends it; only the ports are left open. */
void scene_headers(enum scene_eni from, enum scene_eni to, uint8_t tcp_flags, uint8_t ret_headers[DRIVE_HEADERS]);

#endif
