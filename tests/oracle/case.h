/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One random case: a state, its edits and a sequence of lines, and how it is run against a build of enid. */
#ifndef ENID_ORACLE_CASE_H
#define ENID_ORACLE_CASE_H

#include "oracle.h"

#define MAX_STATES 16
#define HOST       "host-a"

struct test_case {
	uint64_t seed;
	json_t *state[MAX_STATES]; /* [0]: the first one; state lines name the others */
	const char *what[MAX_STATES];
	int nr_state;
	struct line *line;
	int nr_line;
};

struct runner {
	const char *enid, *hook, *folder;
	char *options[8]; /* more arguments for enid replay */
	int nr_options;
};

struct tally {
	long packets, states, edits, action[ACT_MAX], reason[WHY_MAX];
	long opened, touched, fragments;
};

struct difference {
	int line; /* -1: none */
	const char *what;
	struct verdict want;
	struct answer_line got;
};

int case_make(uint64_t seed, int packets, struct test_case *ret_case);
void case_free(struct test_case *c);
int case_write(const struct test_case *c, const int *pick, int nr_pick, const char *folder);
int case_answers(const struct test_case *c, const int *pick, int nr_pick, const struct runner *run, FILE **ret_out);
const char *case_step(struct model *m, json_t *const *states, const struct line *l, const struct answer_line *a,
		      struct tally *tally, struct verdict *ret_verdict);
struct world *case_world(json_t *state);
void line_write(FILE *f, const struct line *l, const char *states, int64_t since);
int replay_spawn(const struct runner *run, const char *out);
void case_judge(const struct test_case *c, const int *pick, int nr_pick, FILE *out, struct tally *tally,
		struct difference *d);
int batch_run(const struct test_case *cases, int nr, const struct runner *run, struct tally *tally,
	      struct difference *ret_differences);
int case_run(const struct test_case *c, const int *pick, int nr_pick, const struct runner *run, struct tally *tally,
	     struct difference *ret_difference);
int case_shrink(const struct test_case *c, const struct runner *run, int last, int **ret_pick);
int case_keep(const struct test_case *c, const int *pick, int nr_pick, const struct runner *run, const char *what,
	      const char *keep);
void case_report(const struct test_case *c, const struct difference *d);
int oracle_states(int argc, char **argv);
int tenants_case(uint64_t seed, int packets, int tenants, const struct runner *run, struct tally *tally);
#endif
