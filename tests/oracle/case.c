/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Make a case, write it out, run it, hold each answer against the model. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "case.h"

struct world *case_world(json_t *state)
{
	struct world *w = NULL;

	(void)world_read(state, HOST, &w);
	return w;
}

static bool add_edit(struct test_case *c, struct rnd *r, json_t **current, struct line *l, int64_t at)
{
	const char *what;
	bool broken;
	json_t *next = gen_edit(r, *current, &what, &broken);
	int k = c->nr_state;

	if (!strcmp(what, "nothing") || k == MAX_STATES) {
		json_decref(next);
		return false;
	}
	memset(l, 0, offsetof(struct line, frame));
	l->n = 0;
	snprintf(l->state, sizeof(l->state), "state%d.json", k);
	l->broken = broken;
	l->at = at;
	c->state[k] = next;
	c->what[k] = what;
	c->nr_state++;
	if (!broken)
		*current = next;
	return true;
}

int case_make(uint64_t seed, int packets, struct test_case *ret_case)
{
	struct test_case *c = ret_case;
	struct rnd r = {seed * 0x9e3779b97f4a7c15ULL | 1};
	struct traffic *t = malloc(sizeof(*t));
	struct world *w;
	json_t *current;

	for (int i = 0; i < 8; i++)
		(void)rnd_next(&r);
	memset(c, 0, sizeof(*c));
	c->seed = seed;
	c->line = calloc((size_t)packets + MAX_STATES, sizeof(*c->line));
	current = c->state[c->nr_state++] = gen_state(&r);
	w = case_world(current);
	if (!t || !c->line || !w)
		return -ENOMEM;
	traffic_init(t, &r);
	int edits_percent_of_100 = rnd_between(&r, 0, 30);

	for (int i = 0; i < packets; i++) {
		struct line *l = &c->line[c->nr_line++];

		if (rnd_below(&r, 10000) < edits_percent_of_100 && !t->nr_pending &&
		    add_edit(c, &r, &current, l, t->now)) {
			if (l->broken)
				continue;
			world_free(w);
			w = case_world(current);
			continue;
		}
		traffic_line(t, w, l);
	}
	world_free(w);
	free(t);
	return 0;
}

void case_free(struct test_case *c)
{
	for (int i = 0; i < c->nr_state; i++)
		json_decref(c->state[i]);
	free(c->line);
}

/* ---- writing */

/* `states`: what stands before the name of a state's file; `since`: when the case begins. */
void line_write(FILE *f, const struct line *l, const char *states, int64_t since)
{
	static char hex[2 * FRAME_MAX + 1];

	if (*l->state) {
		fprintf(f, "{\"state\": \"%s%s\", \"at\": %.6f}\n", states, l->state, (double)(since + l->at) / 1e9);
		return;
	}
	hex_write(l->frame, l->n, hex);
	fprintf(f, "{\"port\": \"%s\", %s\"packet\": \"%s\", \"at\": %.6f}\n", l->port,
		l->tx ? "\"dir\": \"tx\", " : "", hex, (double)(since + l->at) / 1e9);
}

/* state.json, state1.json ... and scenario.jsonl of the picked lines (NULL: the first nr_pick). */
static int write_lines(const struct test_case *c, const int *pick, int nr_pick, const char *folder)
{
	char path[512], states[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/scenario.jsonl", folder);
	snprintf(states, sizeof(states), "%s/", folder);
	f = fopen(path, "w");
	if (!f)
		return -errno;
	for (int i = 0; i < nr_pick; i++)
		line_write(f, &c->line[pick ? pick[i] : i], states, 0);
	return fclose(f) ? -errno : 0;
}

static int write_states(const struct test_case *c, const int *pick, int nr_pick, const char *folder)
{
	char path[512];

	for (int k = 0; k < c->nr_state; k++) {
		bool used = k == 0;

		snprintf(path, sizeof(path), "state%d.json", k);
		for (int i = 0; i < nr_pick; i++)
			used |= !strcmp(c->line[pick ? pick[i] : i].state, path);
		if (k)
			snprintf(path, sizeof(path), "%s/state%d.json", folder, k);
		else
			snprintf(path, sizeof(path), "%s/state.json", folder);
		if (used && json_dump_file(c->state[k], path, JSON_INDENT(1)))
			return -EIO;
	}
	return 0;
}

int case_write(const struct test_case *c, const int *pick, int nr_pick, const char *folder)
{
	int r = write_states(c, pick, nr_pick, folder);

	return r ? r : write_lines(c, pick, nr_pick, folder);
}

/* ---- running */

/* Replay state.json and scenario.jsonl of the runner's folder. Returns its exit, 126 or 127 if there was none. */
int replay_spawn(const struct runner *run, const char *out)
{
	char state[512], lines[512], errors[512];
	const char *argv[24] = {run->enid, "replay", "--state", state, "--host", HOST};
	int n = 6, status;

	snprintf(state, sizeof(state), "%s/state.json", run->folder);
	snprintf(lines, sizeof(lines), "%s/scenario.jsonl", run->folder);
	snprintf(errors, sizeof(errors), "%s/stderr.txt", run->folder);
	if (run->hook) {
		argv[n++] = "--hook";
		argv[n++] = run->hook;
	}
	for (int i = 0; i < run->nr_options; i++)
		argv[n++] = run->options[i];
	argv[n++] = lines;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid) {
		int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600);

		int err = open(errors, O_WRONLY | O_CREAT | O_TRUNC, 0600);

		if (fd < 0 || err < 0 || dup2(fd, 1) < 0 || dup2(err, 2) < 0)
			_exit(126);
		execv(run->enid, (char **)argv);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void count(struct tally *t, const struct line *l, const struct pkt *p, const struct verdict *v,
		  const struct answer_line *a)
{
	if (*l->state) {
		t->edits++;
		return;
	}
	t->packets++;
	t->action[a->act == ACT_MAX ? ACT_DROP : a->act]++;
	for (int i = 0; a->act == ACT_DROP && i < WHY_MAX; i++)
		t->reason[i] += !strcmp(a->reason, why_name[i]);
	for (int i = 0; i < 2; i++) {
		t->opened += v->change[i].kind == CHANGE_OPEN;
		t->touched += v->change[i].kind == CHANGE_TOUCH;
	}
	t->fragments += p->more || p->foff;
}

/* Where the contract leaves a choice, one of the answers must be enid's; what is reported is about the first. */
static const char *judge_and_compare(struct model *m, const struct line *l, const struct pkt *p,
				     const struct answer_line *a, struct verdict *ret_verdict)
{
	const char *what = NULL, *first = NULL;
	int choices = 1;
	struct pkt g;

	m->seen_port = -1;
	if (a->n > 0) {
		pkt_parse(a->frame, a->n, &g);
		m->seen_port = g.sport;
	}
	for (m->choice = 0; m->choice < choices; m->choice++) {
		model_judge(m, l->port, l->tx, p, ret_verdict);
		choices = m->choices > choices ? m->choices : choices;
		what = compare(m, l, p, ret_verdict, a);
		if (!what)
			break;
		if (!first)
			first = what;
	}
	if (!what || choices == 1)
		return what;
	m->choice = 0;
	model_judge(m, l->port, l->tx, p, ret_verdict);
	return first;
}

/* Judge one line, compare, and let the model follow what really happened. */
const char *case_step(struct model *m, json_t *const *states, const struct line *l, const struct answer_line *a,
		      struct tally *tally, struct verdict *ret_verdict)
{
	struct verdict *v = ret_verdict;
	const char *what;
	struct pkt p = {0};

	m->now = l->at;
	memset(v, 0, sizeof(*v));
	if (*l->state) {
		what = compare(m, l, NULL, v, a);
		if (!l->broken)
			model_apply(m, case_world(states[atoi(l->state + 5)]));
	} else {
		pkt_parse(l->frame, l->n, &p);
		what = judge_and_compare(m, l, &p, a, v);
		model_commit(m, l->port, l->tx, &p, v, a->act == ACT_DROP);
	}
	if (tally)
		count(tally, l, &p, v, a);
	return what;
}

/* Hold the answers to the picked lines (NULL: the first nr_pick) against the model, up to the first difference. */
void case_judge(const struct test_case *c, const int *pick, int nr_pick, FILE *out, struct tally *tally,
		struct difference *d)
{
	struct model m = {.host = HOST, .world = case_world(c->state[0])};
	char *text = NULL;
	size_t room = 0;

	d->line = -1;
	for (int i = 0; i < nr_pick && d->line < 0; i++) {
		int at = pick ? pick[i] : i;

		if (getline(&text, &room, out) <= 0) {
			d->line = at;
			d->what = "no answer: enid replay ended early";
			memset(&d->got, 0, offsetof(struct answer_line, frame));
			memset(&d->want, 0, sizeof(d->want));
			break;
		}
		answer_read(text, &d->got);
		d->what = case_step(&m, c->state, &c->line[at], &d->got, tally, &d->want);
		if (d->what)
			d->line = at;
	}
	free(text);
	model_done(&m);
}

/* Replay the picked lines; *ret_out reads the answers. */
int case_answers(const struct test_case *c, const int *pick, int nr_pick, const struct runner *run, FILE **ret_out)
{
	char path[512];
	int r;

	r = case_write(c, pick, nr_pick, run->folder);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "%s/out.jsonl", run->folder);
	r = replay_spawn(run, path);
	if (r < 0 || r == 126 || r == 127)
		return r < 0 ? r : -ENOEXEC;
	*ret_out = fopen(path, "r");
	return *ret_out ? 0 : -errno;
}

int case_run(const struct test_case *c, const int *pick, int nr_pick, const struct runner *run, struct tally *tally,
	     struct difference *ret_difference)
{
	FILE *out;
	int r = case_answers(c, pick, nr_pick, run, &out);

	if (r)
		return r;
	case_judge(c, pick, nr_pick, out, tally, ret_difference);
	fclose(out);
	return 0;
}
