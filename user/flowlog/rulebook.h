/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Rules in use: what each rule of a security group, entry of a network ACL and route has carried, and when last. Taken
 * from the records as they are harvested, so the data path pays nothing. A file of the run folder, which a restarted
 * agent goes on with, and which readers map.
 *
 * An entry is known by its words, not by its number in the kernel: it outlives every edit of other rules. Entries are
 * never moved: slot n is entry n - 1 for good. The collector adds and counts, the writer's thread reads words.
 */
#ifndef ENID_FLOWLOG_RULEBOOK_H
#define ENID_FLOWLOG_RULEBOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "enid/limits.h"

#define RULEBOOK_FILE     "rules.use"
#define RULEBOOK_MAX      (1u << 20)
#define RULEBOOK_RULE_MAX 128

struct rule_words {
	uint32_t stage; /* enum enid_stage */
	char id[ID_MAX];
	char rule[RULEBOOK_RULE_MAX];
};

struct rule_use {
	struct rule_words words;
	uint32_t last_s; /* Unix time of the last packet; 0 = none since `since_s` */
	uint64_t packets, bytes;
	uint64_t rejects; /* of the packets: those that it stopped */
};

struct rulebook;

/* dir NULL: plain memory. ret: 0 | -ENOMEM */
int rulebook_open(const char *dir, struct rulebook **ret);
void rulebook_close(struct rulebook **book);

/* The entry of these words, made if there is none. ret: slot; 0 = no room for another one */
uint32_t rulebook_slot(struct rulebook *book, uint32_t stage, const char *id, const char *rule);
void rulebook_use(struct rulebook *book, uint32_t slot, uint64_t packets, uint64_t bytes, bool reject, uint32_t last_s);
/* Any thread. ret: false = no such slot */
bool rulebook_words(struct rulebook *book, uint32_t slot, struct rule_words *ret);

/* For readers: a copy of all entries, sorted by words, to free(). ret: 0 | -ENOENT (no agent has run) | -errno */
int rulebook_read(const char *dir, struct rule_use **ret, size_t *ret_nr, uint32_t *ret_since_s);
int rule_words_compare(const struct rule_words *a, const struct rule_words *b);

#endif
