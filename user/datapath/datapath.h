/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The kernel side as user space sees it: programs, maps, and the only code that writes maps.
 *
 * datapath_open() loads the objects (or adopts the pinned ones), datapath_apply() makes the maps equal to an image.
 * Order of an apply (E2): new objects and table versions first; then the slots that are not in force; then one store
 * flips control.generation; then a grace period; then the old slots and everything no longer referenced.
 */
#ifndef ENID_DATAPATH_H
#define ENID_DATAPATH_H

#include <stdbool.h>
#include <stdint.h>

#include "compile/image.h"
#include "enid/flow.h"
#include "enid/port.h"
#include "enid/report.h"

struct datapath_options {
	const char *pin_dir;   /* NULL = private: nothing pinned (replay) */
	uint32_t flows_max;    /* records; 0 = as pinned, else the default of the command */
	uint32_t policy_lines; /* 0 = as pinned, else POLICY_LINES_DEFAULT */
	bool replay;           /* virtual time, input and report through maps */
	const char *without;   /* a program that is not needed, and not loaded: verifying one takes 0.3 s. NULL = all */
	bool read_only;        /* open the pinned maps to look at them; no agent needed, nothing is written */
};

struct datapath;

/* Pins: <pin_dir>/<DATAPATH_LAYOUT>/maps/NAME and .../progs/NAME. The name of the layout changes
 * with every change of a pinned map's layout: pins of another layout are refused, never re-interpreted (E5). */
#define DATAPATH_LAYOUT "v2"

/* ret: 0 | -errno; *ret_why: a sentence for the user, to free() */
int datapath_open(const struct datapath_options *options, struct datapath **ret, char **ret_why);
void datapath_close(struct datapath **datapath); /* pinned objects stay */

struct apply_result {
	uint32_t changed;       /* objects of the state that changed (ports, subnets, tables, addresses, ...) */
	uint32_t kernel_writes; /* entries written; 0 if nothing changed */
};

/* All or nothing. ret: 0 | -ENOSPC (a map is too small: nothing was written; *ret_why says which) | -errno */
int datapath_apply(struct datapath *datapath, const struct image *image, struct apply_result *ret, char **ret_why);

/* From now on datapath_apply() comes back as soon as the new state is in force, where no flow has to be closed for it.
 * What is left to do is done by datapath_settle(), at the latest by the next apply or close: to be called when the
 * descriptor is readable. ret: the descriptor | -errno */
int datapath_settles_later(struct datapath *datapath);
void datapath_settle(struct datapath *datapath);

/* Give decisions of an adopted datapath their names, from the image that is in force; writes nothing to the kernel. */
int datapath_bind(struct datapath *datapath, const struct image *image);

/* Port numbers. 0 = never heard of; a port that is gone keeps its number. */
uint32_t datapath_port_number(const struct datapath *datapath, const char *id);
const char *datapath_port_id(const struct datapath *datapath, uint32_t port); /* "" = none */

/* Which device carries a port at the moment (ifindex 0 = none). Written by attach code only through here. */
int datapath_set_device(struct datapath *datapath, uint32_t port, uint32_t ifindex, enum deliver_how how);
/* The largest packet that the port's device takes; 0 = not known. */
void datapath_set_mtu(struct datapath *datapath, uint32_t port, uint32_t mtu);
int datapath_clear_device(struct datapath *datapath, uint32_t ifindex);

/* What a decision means, by the applied image. ret: false = unknown number (an old state's). */
struct decision_text {
	const char *stage, *id, *rule;
};
bool datapath_decision(const struct datapath *datapath, uint32_t decision, struct decision_text *ret);

/* Memory shared with the kernel (mmap): valid until datapath_close. */
volatile struct control *datapath_control(struct datapath *datapath);
struct flow_record *datapath_records(struct datapath *datapath);
struct ledger *datapath_ledger(struct datapath *datapath);
struct limbo *datapath_limbo(struct datapath *datapath);
struct port *datapath_ports(struct datapath *datapath);
struct port_stats *datapath_port_stats(struct datapath *datapath);
struct nat_stats *datapath_nat_stats(struct datapath *datapath);
const struct report *datapath_report(const struct datapath *datapath);
uint32_t datapath_flows_max(const struct datapath *datapath);

/* File descriptors of maps and programs, by the name they have in the objects ("names", "tallies", "tc_rx", ...). */
int datapath_map_fd(const struct datapath *datapath, const char *name);
int datapath_prog_fd(const struct datapath *datapath, const char *name);

/* The clock of the data path: CLOCK_MONOTONIC, or replay's virtual time. */
uint64_t datapath_now_ns(const struct datapath *datapath);

/* Wait until no packet that began before this call is still under way. */
void datapath_grace(void);

#endif
