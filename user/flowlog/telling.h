/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From a record to the window, although the agent may be killed in between. What a record will say that was told, and
 * which packets are on their way, is noted in the books first. Whoever finds the note of an agent that was killed ends
 * what it had begun with the record, so that nothing is told twice, and declares what is not known to be in the window
 * (E26). */
#ifndef ENID_FLOWLOG_TELLING_H
#define ENID_FLOWLOG_TELLING_H

#include "enid/flow.h"
#include "flowlog/books.h"

/* Note what is told: all that `copy` has. It counts from telling_begin() on, which says so in the record. */
void telling_note(struct telling *telling, uint32_t index, const struct flow_record *copy);
void telling_owe(struct telling *telling, uint32_t which, uint32_t port, uint64_t packets);
void telling_begin(struct telling *telling, uint32_t nr, struct flow_record *record);
/* What is owed with this number is in the window. */
void telling_is_in(struct telling *telling, uint32_t which);
void telling_end(struct telling *telling);

/* For an agent that starts. records: nr of them */
void telling_recover(struct books *books, struct flow_record *records, uint32_t nr);

#endif
