/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An answer as text for people, and as JSON in the form of AWS's Reachability Analyzer. */
#ifndef ENID_EXPLAIN_REPORT_H
#define ENID_EXPLAIN_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "base/names.h"
#include "explain/ask.h"

void report_text(const struct asked *asked, const struct answer *answer, FILE *out);
/* A NetworkInsightsAnalysis and what is ours under "Enid", and a newline. ret: 0 | -errno */
int report_json(const struct asked *asked, const struct answer *answer, FILE *out, size_t flags);

/* codes.c: the explanation code of AWS for why a packet goes no further; NULL = it was not refused.
 * inbound: it came from outside. */
const char *explanation_code(const struct asked *asked, const struct way *way);

/* A rule in words: "tcp 22 from 10.0.0.0/8", "deny all to 0.0.0.0/0". Both return text. */
#define RULE_WORDS_MAX 256
const char *rule_words(const struct rule_found *rule, bool egress, char text[RULE_WORDS_MAX]);
const char *packet_words(const struct tuple *tuple, uint32_t icmp, char text[RULE_WORDS_MAX]);
const char *miss_words(enum rule_miss miss);

#endif
