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
#include "enid/mirror.h"
#include "enid/report.h"

struct datapath_options {
	const char *pin_dir;   /* NULL = private: nothing pinned (replay) */
	uint32_t flows_max;    /* records; 0 = as pinned, else the default of the command */
	uint32_t policy_lines; /* 0 = as pinned, else POLICY_LINES_DEFAULT */
	bool replay;           /* virtual time, input and report through maps */
	const char *without;   /* a program that is not needed at once; without tc_rx it is xdp_rx that is */
	bool maps_only;        /* no packet will be judged: no program is loaded */
	bool later;            /* come back while programs are being loaded: datapath_apply() waits for them */
	bool read_only;        /* open the pinned maps to look at them; no agent needed, nothing is written */
	uint32_t names_for;    /* names for so many records, although there are fewer. 0 = for those there are */
	uint32_t sides;        /* places beside the records (enid/flow.h, I7); 0 = as `gated` says */
	bool gated;            /* any flow may need one: its way leads through a gateway that remembers it */
};

struct datapath;
struct name_bucket;

/* Pins: <pin_dir>/<layout>/maps/NAME and .../progs/NAME, and <pin_dir>/links. A layout's name is DATAPATH_LAYOUT and a
 * hash of all types in the maps. Pins of another layout are taken over (takeover.c), never re-interpreted (E5). To be
 * raised when a field changes its meaning and keeps its name, or a number its meaning (of an enum, say): no hash sees
 * that. Of a set with another version nothing is carried over. */
#define DATAPATH_LAYOUT "v5"
#define LINKS_FOLDER    "links"
#define HANDOVER_FOLDER "handover"

/* ret: 0 | -errno; *ret_why: a sentence for the user, to free() */
int datapath_open(const struct datapath_options *options, struct datapath **ret, char **ret_why);
void datapath_close(struct datapath **datapath); /* pinned objects stay */

/* Where datapath_open() was asked for another size of the table of flows than was pinned, the flows were carried over:
 * to be called when our programs are attached wherever the former ones were. Without it, the next start does the rest.
 */
void datapath_carried(struct datapath *datapath);
bool datapath_carries(const struct datapath *datapath); /* was it asked for? */

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

/* What datapath_apply() would need of each map, and nothing else: the same plan, not carried out. `ret`: of
 * PLAN_MAP_MAX. *ret_changed as in apply_result. ret: 0 | -ENOSPC (*ret_why: the map, what is needed, what it has) |
 * -ENOMEM */
struct map_change;
int datapath_plan(const struct datapath *datapath, const struct image *image, struct map_change *ret,
		  uint32_t *ret_changed, char **ret_why);

/* How full the maps of the state are: before and max of each. ret: of PLAN_MAP_MAX */
void datapath_use(const struct datapath *datapath, struct map_change *ret);

/* A private data path (replay) that holds what the pinned one held at one moment: policy; if asked for, flows with
 * their clock, too. xdp: to be asked by the XDP program. Numbers of ports and rules are the pinned one's. Whatever is
 * done there touches no pin. ret: 0 | -EAGAIN (states changed all the time while it was copied) | -errno */
int datapath_copy(const struct datapath *pinned, bool flows, bool xdp, struct datapath **ret, char **ret_why);
/* After an apply there: new flows are admitted as the pinned one would, although the copy has fewer records. */
void datapath_copy_limits(const struct datapath *pinned, struct datapath *copied);

/* The pins hold the set of another build, which is judging: until datapath_take_over() the programs to attach lead to
 * it. To be called after a first apply, once all hooks are attached: brings this set into force at all of them at once,
 * with the flows of the other one. Then attach again, and datapath_leave_old() removes the other set. */
bool datapath_takes_over(const struct datapath *datapath);
int datapath_take_over(struct datapath *datapath, char **ret_why); /* may be called again where it failed */
bool datapath_in_force(const struct datapath *datapath);           /* is it this set that judges? */
bool datapath_left_flows(const struct datapath *datapath);         /* the other set's could not be carried over */
bool datapath_lost_counts(const struct datapath *datapath);        /* some of those of the switch itself */
void datapath_leave_old(struct datapath *datapath);

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
struct name_bucket *datapath_names(struct datapath *datapath);
struct flow_record *datapath_records(struct datapath *datapath);
struct limbo *datapath_limbo(struct datapath *datapath);
struct port *datapath_ports(struct datapath *datapath);
struct port_stats *datapath_port_stats(struct datapath *datapath);
struct nat_stats *datapath_nat_stats(struct datapath *datapath);
const struct report *datapath_report(const struct datapath *datapath);
/* Replay: report.copies of them. */
const struct mirror_copy *datapath_copies(const struct datapath *datapath);
/* more of flows: datapath/beside.h */
uint32_t datapath_flows_max(const struct datapath *datapath);
uint32_t datapath_flows_used(const struct datapath *datapath);                     /* records not FREE */
const struct shelf *datapath_shelf(const struct datapath *datapath, uint32_t cpu); /* NULL = no such CPU */

/* File descriptors of maps and programs, by the name they have in the objects ("names", "tallies", "tc_rx", ...). */
int datapath_map_fd(const struct datapath *datapath, const char *name);
int datapath_prog_fd(const struct datapath *datapath, const char *name);
/* Does a program, whoever loaded it, judge by these maps? ret: 1 | 0 | -errno: it cannot be told */
int datapath_is_of(const struct datapath *datapath, int program);
/* A program that may have to be loaded first, which takes the verifier half a second. ret: descriptor | -errno */
int datapath_program(struct datapath *datapath, const char *name, char **ret_why);

/* What libbpf says from now on goes to nobody, but for words that datapath_open() and the like hand on. The function
 * that hears it is one for all threads, so it is set to this one and never back. */
void libbpf_hush(void);

/* The clock of the data path: CLOCK_MONOTONIC, or replay's virtual time. */
uint64_t datapath_now_ns(const struct datapath *datapath);

/* Wait until no packet that began before this call is still under way. */
void datapath_grace(void);

#endif
