/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Receive merging (GRO) on a port's device, which veth has off: without it each segment of a guest that leaves no
 * segmentation to its device is judged and delivered by itself. A veth uses it only for such guests.
 *
 *  I1  It is set once, when the device becomes a port; what the operator does afterwards stands.
 *  I2  What was set is noted as an empty folder PIN-DIR/gro/IFINDEX, which lives as long as the pins do: detaching
 *      undoes it without an agent or a state, and no sooner.
 */
#ifndef ENID_OFFLOAD_H
#define ENID_OFFLOAD_H

#include <stdint.h>

/* ret: 1 = switched on now | 0: it was on, or noted already | -errno */
int offload_set(const char *pin_dir, uint32_t ifindex, const char *device);
/* As it was before; nothing, if nothing is noted. Fine if the device is gone. */
void offload_undo(const char *pin_dir, uint32_t ifindex);
void offload_undo_all(const char *pin_dir);
/* Forget devices that are gone: their index may be another's one day (E7). */
void offload_sweep(const char *pin_dir);

#endif
