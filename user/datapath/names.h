/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The names of flows from user space (layout and invariants: enid/names.h). */
#ifndef ENID_DATAPATH_NAMES_H
#define ENID_DATAPATH_NAMES_H

#include "datapath/datapath.h"

/* Drop the name {tuple of the half, in} if it leads to this half. in 0 = it has none. */
void name_drop(struct datapath *datapath, uint32_t index, uint32_t which, uint32_t in);

/* The half in use that has this name, as record << 1 | half; NAME_NONE = nobody. */
#define NAME_NONE UINT32_MAX
uint32_t name_find(struct datapath *datapath, const struct tuple *tuple, uint32_t in);

#endif
