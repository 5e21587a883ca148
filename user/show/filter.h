/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which flows and records somebody asks for: all that is given must hold. */
#ifndef ENID_SHOW_FILTER_H
#define ENID_SHOW_FILTER_H

#include <getopt.h>
#include <stdbool.h>

#include "state/state.h"

struct filter {
	const char *eni;     /* NULL = any */
	const char *verdict; /* "ACCEPT", "REJECT"; NULL = both */
	const char *reason;  /* of a reject, or FILTER_ANY_REASON; NULL = none is asked for */
	struct cidr cidr;    /* of either end; family 0 = any */
	int port;            /* of either end; -1 = any */
	int protocol;        /* -1 = any */
	bool any;            /* something was asked for */
};

#define FILTER_NONE \
	((struct filter){ \
		.port = -1, \
		.protocol = -1, \
	})

/* The options of commands that have a filter; their codes are theirs alone. */
#define FILTER_OPTIONS \
	{"eni", required_argument, NULL, FILTER_ENI}, {"address", required_argument, NULL, FILTER_ADDRESS}, \
		{"port", required_argument, NULL, FILTER_PORT}, \
	{ \
		"protocol", required_argument, NULL, FILTER_PROTOCOL \
	}
#define FILTER_USAGE "[--eni ID] [--address ADDRESS|CIDR] [--port N] [--protocol P]"

enum filter_option {
	FILTER_ENI = 512,
	FILTER_ADDRESS,
	FILTER_PORT,
	FILTER_PROTOCOL,
	FILTER_VERDICT, /* this and the next: of records only */
	FILTER_REASON,
};

#define FILTER_ANY_REASON "any"
#define FILTER_REASONS    FILTER_ANY_REASON " sg-egress sg-ingress nacl-egress nacl-ingress bpa conntrack-full"

/* Take an option. ret: 0 | -EINVAL, after a word on stderr | -ENOENT: it is none of these */
int filter_option(struct filter *filter, int option, const char *word);

/* Two ends as a packet has them; ports in host order. */
struct filter_ends {
	int family; /* 4, 6 */
	int protocol;
	union addr src, dst;
	int sport, dport; /* -1 = there is none */
};
bool filter_ends(const struct filter *filter, const struct filter_ends *ends);

#endif
