/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef ENID_SHOW_FLOWS_H
#define ENID_SHOW_FLOWS_H

#include "show/view.h"

/* A row of `enid show flows`, for whoever tells more of flow number `index`: a new object and its line (to free()). */
json_t *show_flow(const struct view *view, const struct flow_record *record, uint32_t index);
char *show_flow_line(const json_t *row);

#endif
