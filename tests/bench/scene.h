/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A scene: a private data path that holds a generated state with a given number of rules, on veth devices.
 *
 * eni-a and eni-b share a subnet; eni-c lies in another one. Security groups (both directions) and the network ACLs of
 * both subnets have `rules` entries each: random CIDRs and port ranges, and last the one that admits what we send.
 * eni-d reaches the world by a NAT gateway, eni-e by its own public address; "eni" world is the uplink. */
#ifndef ENID_BENCH_SCENE_H
#define ENID_BENCH_SCENE_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/ref.h"
#include "datapath/datapath.h"

enum scene_eni { ENI_A, ENI_B, ENI_C, ENI_D, ENI_E, ENI_WORLD, ENI_MAX };

struct scene_size {
	unsigned rules;  /* of each direction of a group, and of each network ACL. More than SCENE_RULES_OF_ALL: of
			    sg-1's  ENIs in both directions together, in SCENE_GROUPS groups; ten everywhere else */
	unsigned enis;   /* besides the five */
	unsigned routes; /* of the main table, to the internet gateway, besides the two */
	bool gated;      /* every flow may pass a gateway that remembers it, as an agent would have it for this state */
	bool budgets;    /* as the data path sets them; else one ENI may have the whole table */
	bool anywhere;   /* the groups admit all addresses, not the expected peers' only */
	const char *prefixes; /* file of the routes, instead of random ones with the Internet's lengths */
	uint32_t flows_max;
};

#define SCENE_GROUPS          16
#define SCENE_RULES_OF_ALL    10000  /* so many each group and network ACL may have */
#define SCENE_RULES_OF_POLICY 500000 /* so many random ones the default map `policy` holds */
#define SCENE_POLICY_LINES    (1u << 22)
#define SCENE_ENIS_FIRST      0x0a001010 /* address of eni-x0; the others follow, with a gap after each 2,048 */
#define SCENE_FAKE_DEVICE     1000000    /* interface index of eni-x0: test runs send nothing */

struct scene {
	struct datapath *datapath;
	int prog; /* tc_rx */
	struct state *state;
	struct image *image;
};

/* scene_more.c: what makes it big, as files. ret: 0 | -errno */
int scene_print_more(const char *folder, const struct scene_size *size);
uint32_t scene_draw(uint32_t *seed);
/* How many routes a file of prefixes gives, a CIDR a line: IPv4, and none that a VPC cannot have. 0 = none */
unsigned scene_count_prefixes(const char *path);

/* In a network namespace of our own: the devices of all scenes. ret: 0 | -errno */
int scene_devices(uint32_t ret_ifindex[ENI_MAX]);

/* ret: 0 | -errno, said on stderr */
int scene_open(const struct scene_size *size, const uint32_t ifindex[ENI_MAX], struct scene *ret);
void scene_close(struct scene *scene);
/* A folder that holds only files. */
void scene_remove_files(const char *folder);

/* A TCP packet of `from` to `to` as the guest sends it; only the ports are left open. */
void scene_headers(enum scene_eni from, enum scene_eni to, uint8_t tcp_flags, uint8_t ret_headers[DRIVE_HEADERS]);

#endif
