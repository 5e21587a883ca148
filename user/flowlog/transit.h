/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Transit gateways in a set of log_enis: their doors, and who logs what passes them (FL-23, FL-27). Used by enis.c. */
#ifndef ENID_FLOWLOG_TRANSIT_H
#define ENID_FLOWLOG_TRANSIT_H

#include "flowlog/enis.h"

/* Ids under which a FlowLogs object may name something: its own, and what it is part of. */
#define LOG_RESOURCES 3

struct tgw;

/* Fill in transit, tgw_tables, and by_port of attachments. ret: 0 | -ENOMEM */
int log_transits_make(const struct state *state, const struct image *image, port_number_fn number, const void *arg,
		      struct log_enis *enis);

/* The transit gateway that a FlowLogs object's ResourceId names, or that of the attachment; NULL = none. */
const struct tgw *log_tgw_called(const struct state *state, const char *resource);
/* Whichever VPC is attached says in which Region the gateway is; "" = none does. */
void log_tgw_region(const struct state *state, const struct tgw *tgw, char ret[ID_MAX]);

/* Is it the ENI of an attachment, and among the ports of this host? Packets do not stop there, so the image knows none.
 */
bool log_is_door(const struct image *image, const struct eni *eni);

/* From enis.c, for an attachment as for an ENI. ret: 0 | -ENOMEM */
int log_eni_choose(const struct state *state, const struct log_enis *enis, struct log_eni *eni,
		   const char *const ids[LOG_RESOURCES]);
int log_eni_set_names(struct log_eni *eni, const char *const names[LOG_NAMES_MAX]);
/* name: into ret[LOG_NAME_MAX] */
void log_escape(const char *name, char *ret);

#endif
