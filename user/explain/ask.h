/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A question in people's words, and its answer: the way there and the way back, from the model and from the programs.
 */
#ifndef ENID_EXPLAIN_ASK_H
#define ENID_EXPLAIN_ASK_H

#include "explain/program.h"
#include "explain/way.h"

#define ASK_SOURCE_PORT 49152
#define PROTOCOL_ICMP   256

struct question {
	const char *from, *to; /* ENI id, name tag, instance id, address, or "internet" */
	const char *vpc;       /* where addresses are looked up; NULL = in all */
	const char *via;       /* the uplink by which somebody outside sends; NULL = the internet gateway's */
	int family;            /* 4, 6; 0 = as both ends have it */
	int protocol;          /* or PROTOCOL_ICMP: that of the family */
	int port, source_port; /* -1 = not said */
	int icmp_type, icmp_code;
};

/* One direction. */
struct ask_way {
	bool asked; /* there is one */
	struct way way;
	struct program_answer program;
	bool by_program; /* ... answered */
	uint8_t frame[FRAME_BUILT_MAX];
	size_t nr_frame;
	char differs[256]; /* model and programs disagree: about what; "" = they do not */
};

struct answer {
	struct question question;
	const struct eni *from, *to; /* NULL = outside */
	struct way_memory memory;
	struct ask_way there, back;
	const char *no_back; /* why nobody was asked about the way back; NULL = somebody was */
	const char *astray;  /* why what comes back is no answer to the sender; NULL = it is one */
	bool found;          /* there and back */
};

/* Who is asked. */
struct asked {
	const struct state *state;
	const struct image *image;
	struct program *program; /* NULL: the model alone */
};

/* ret: 0 | -EINVAL: the question makes no sense, *ret_why to free() | -errno of the programs */
int ask(const struct asked *asked, const struct question *question, struct answer *ret, char **ret_why);

/* An address of the internet that no rule, route or list of the state names, if there is one (outside.c). */
union addr outside_address(const struct state *state, int family);

/* "tcp", "icmp", "47". ret: the number | -EINVAL */
int protocol_number(const char *word);
const char *protocol_name(int protocol, char text[16]);

#endif
