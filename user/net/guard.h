/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The forwarding guard: the host's own stack forwards nothing from or to a router-mode port, whatever its routes say.
 *
 * An nftables table with the ports' names in a set. Names, not indexes: a device that is made again is covered from its
 * first packet on, before any hook of ours is there (E1, E7, E9). What a port's hook leaves to the host on purpose
 * carries GUARD_MARK; without that mark nothing from a port reaches a local socket either.
 *
 *  I1  A name is in the set before its hook is attached, and leaves it after the hook is gone.
 *  I2  The table is replaced in one transaction: no packet meets half of it.
 *  I3  It stays when the agent ends.
 */
#ifndef ENID_GUARD_H
#define ENID_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUARD_MARK 0x656e6964u /* "enid": skb->mark of what tc_rx leaves to the host */

struct guard_port {
	const char *device;
	bool marks; /* its hook is a TC program, which can mark; XDP cannot */
};

struct guard;

/* The table is called enid, or enid_<hash> for a pin folder that is not the usual one. */
int guard_open(const char *pin_dir, struct guard **ret);
void guard_close(struct guard **guard); /* the table stays */

/* A name that nftables can hold: others are refused with the state. */
bool guard_name_ok(const char *device);

/* Cover exactly these. ret: 0 | -EOPNOTSUPP: no nftables here; IPv4 forwarding of each device is switched off instead,
 * which is less: *ret_why says what is missing | -errno; *ret_why (to free) is set on every failure */
int guard_set(struct guard *guard, const struct guard_port *ports, size_t nr, char **ret_why);

/* Did somebody else change the table? Then put it back. ret: 1 = it was changed | 0 | -errno */
int guard_check(struct guard *guard);

/* Take one device out, with no agent there to do it. */
void guard_release(const char *pin_dir, const char *device);
/* Remove the table. Without nftables: nothing to do. */
int guard_remove(const char *pin_dir);

#endif
