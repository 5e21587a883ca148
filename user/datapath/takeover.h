/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Taking over from a set of pins with another layout: an upgrade, or the way back (E3, E5). Inside datapath/ only.
 *
 *  T1  A set is complete when its `control` is pinned, and until then is nobody's. Of two complete sets the map
 *      handover_phase says which one is in force; where it does not, both are refused.
 *  T2  Until the store that flips handover_phase the old set judges every packet, after it the new one every packet:
 *      a failure or a death before leaves the old set in force, one after it the new one.
 *  T3  Live flows, NAT mappings and counters are carried over twice before the flip, the second time only what changed,
 *      and once after it, when no packet is under way in the old set. A flow opened in the milliseconds between the
 *      second time and the last may be opened anew by its next packet. Nothing in our set grows old before the flip.
 *  T4  Only a set of the same version (DATAPATH_LAYOUT) is read: in another one a field may have another meaning.
 */
#ifndef ENID_TAKEOVER_H
#define ENID_TAKEOVER_H

#include <stdbool.h>

struct datapath;
struct datapath_options;
struct takeover;

/* Look for sets of other layouts; clear away what a start that failed has left of ours. */
int takeover_prepare(struct datapath *datapath, const char *pin_dir, char **ret_why);
bool takeover_has_old(const struct datapath *datapath);
/* For a reader: is another set in force? ret: 0 = no | -ENOENT, *ret_why names it | another -errno */
int takeover_look(const struct datapath *datapath, const char *pin_dir, char **ret_why);
/* Sizes that the options leave open are the old set's. */
void takeover_sizes(const struct datapath *datapath, struct datapath_options *options);
/* Before loading: books whose types did not change are the same maps in both sets. */
int takeover_share_maps(struct datapath *datapath, char **ret_why);
/* After loading: numbers, counters and flows of the old set. */
int takeover_begin(struct datapath *datapath, char **ret_why);
/* What to attach meanwhile; -1 = our own programs */
int takeover_prog_fd(const struct datapath *datapath, const char *name);
void takeover_close(struct takeover **takeover);

#endif
