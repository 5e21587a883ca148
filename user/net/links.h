/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Network devices as the kernel reports them: a dump at the start, then RTM_NEWLINK and RTM_DELLINK.
 *
 * The caller keeps the table; here is only the conversation. Events that were lost (-ENOBUFS) are made good by another
 * dump: what a dump does not show is gone. Messages of the bridge family are no news of a device and are left out.
 */
#ifndef ENID_LINKS_H
#define ENID_LINKS_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

struct net_link {
	uint32_t ifindex;
	char name[IFNAMSIZ];
	char kind[16];       /* "veth", "tun", "bridge"; "" = hardware */
	uint16_t type;       /* ARPHRD_* */
	bool up;             /* set up by the operator (IFF_UP) */
	bool running;        /* ... and has a carrier, if it is of a kind that has (IFF_RUNNING) */
	bool peer_elsewhere; /* its other end is in another network namespace */
	uint8_t mac[6];      /* zeros if it has none of this length */
	uint32_t mtu;
	uint32_t master; /* bridge, bond or VRF that it is part of; 0 = none */
};

typedef void (*link_fn)(const struct net_link *link, bool gone, void *data);

struct links;

int links_open(struct links **ret);
void links_close(struct links **links);
int links_fd(const struct links *links); /* readable when there is news */

/* Tell `fn` of every device there is. */
int links_dump(struct links *links, link_fn fn, void *data);
/* Tell `fn` of all news, without waiting. ret: 0 | -ENOBUFS: some were lost, dump again | -errno */
int links_read(struct links *links, link_fn fn, void *data);

#endif
