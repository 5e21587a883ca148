/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A table of flows of another size takes the place of the former one, and the flows move.
 *
 * The former maps stay pinned as NAME_former, and the programs that work on them stay attached, until the new programs
 * are: so the flows are carried over twice. Before, without their counters, so that every packet that the new programs
 * see finds its flow; and after, when nobody writes the former table any more: what was opened or counted there since.
 *
 * Invariants
 *  F1  The new maps are pinned as NAME_next, `control` last, then they change places, `control` last: whenever an agent
 *      is killed the next one undoes it or goes on with it.
 *  F2  A flow that stands in both tables is charged twice, to ports and to gateways: what is left of the former table
 *      gives back its charges, record by record. Budgets are too tight for that moment, never too wide.
 *  F3  Counters are taken from a former record once: it is FREE then. While they are, its state is GONE, and its halves
 *      say how far it came: of a half at which an agent was killed the next one declares what may be lost, and nothing
 *      is told twice.
 */
#ifndef ENID_DATAPATH_FORMER_H
#define ENID_DATAPATH_FORMER_H

#include "datapath/internal.h"

struct former;

/* Does a table of another size stand there? One for more flows through gateways than are asked for will do. Sizes that
 * the options leave open are set. */
bool former_wanted(struct datapath_options *options);
/* The maps that belong to a table. */
bool former_holds(const char *map);
/* Was a carrying over begun below this folder of a set, and not ended? *ret_moving: its new maps are not in their
 * places yet, and were never in use. A former map is called NAME_former, or as ever where it was not moved yet. */
bool former_left(const char *pin_dir, bool *ret_moving);
/* Finish or undo what a killed agent left of the pins (F1). */
int former_recover(const char *pin_dir, char **ret_why);
/* ret: -ENOSPC = more flows live than fit. Where many go through gateways, options->gated is set. */
int former_check(struct datapath_options *options, char **ret_why);
/* Our maps, loaded and empty, take the place of the pinned ones; our control gets what holds on. */
int former_replace(struct datapath *datapath, const char *pin_dir, char **ret_why);
/* If there is a former table, carry its flows over, but for their counters: datapath_carried() */
int former_open(struct datapath *datapath, const char *pin_dir, char **ret_why);
void former_close(struct former **former);

#endif
