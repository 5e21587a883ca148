/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The kernel's own word: a private copy of the data path, asked one packet at a time. */
#ifndef ENID_EXPLAIN_PROGRAM_H
#define ENID_EXPLAIN_PROGRAM_H

#include "compile/image.h"
#include "replay/runner.h"

#define PROGRAM_TEXT_MAX 80

/* What became of a packet, in words that the model has, too. */
struct program_step {
	uint32_t stage;
	char id[ID_MAX], rule[PROGRAM_TEXT_MAX];
};

struct program_answer {
	uint32_t action, reason;
	char to[ID_MAX]; /* the port it left by, "" = none */
	bool has_tuple;  /* the packet left as IPv4 or IPv6, by itself */
	struct tuple tuple;
	struct program_step step[TRACE_MAX];
	size_t nr_steps;
};

struct program {
	struct datapath *datapath;    /* ours */
	const struct datapath *names; /* whose numbers of ports and rules are in force */
	struct runner runner;
	uint64_t now_ns;
	uint64_t secrets[7];
};

/* Load the programs and give them the image. ret: 0 | -errno, *ret_why to free() */
int program_open(const struct image *image, bool xdp, struct program *ret, char **ret_why);
/* The same, but every table is copied from what a host has pinned: nothing there is written. `pinned` must live on. */
int program_open_copy(struct datapath *pinned, bool xdp, struct program *ret, char **ret_why);
void program_close(struct program *program);

/* Forget all flows. */
void program_forget(struct program *program);

/* One frame that port `id` receives (tx: that the host sends there). ret: 0 | -errno */
int program_ask(struct program *program, const char *id, bool tx, const uint8_t *frame, size_t length,
		struct program_answer *ret);

/* ---- frame.c: a packet as it stands on the wire */
#define FRAME_BUILT_MAX 128
struct frame_wish {
	struct tuple tuple;
	uint32_t icmp; /* type << 8 | code */
	uint8_t tcp_flags;
	uint8_t source_mac[6], target_mac[6];
};
size_t frame_build(const struct frame_wish *wish, uint8_t frame[FRAME_BUILT_MAX]);
/* ret: false = no IP packet that can be read */
bool frame_read(const uint8_t *frame, size_t length, struct tuple *ret);

#endif
