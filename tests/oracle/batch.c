/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Many cases in one run of enid replay, whose start costs as much as a few thousand packets. Between two cases stands a
 * state without ENIs: what belongs to an ENI goes with it (CT-20), so the next case begins as in a new process, on maps
 * that are not new.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "case.h"

#define GAP (1000000 * NS) /* between the last packet of a case and the next one's beginning */

static int write_case_states(const struct test_case *c, int number, const char *folder)
{
	char path[512];

	for (int k = 0; k < c->nr_state; k++) {
		snprintf(path, sizeof(path), "%s/%d-state%d.json", folder, number, k);
		if (json_dump_file(c->state[k], path, JSON_COMPACT))
			return -EIO;
	}
	return 0;
}

/* A host without ports. */
static int write_nothing(const char *folder, const char *name)
{
	char path[512];
	json_t *state = json_pack("{s[{ssss}]}", "Hosts", "HostId", HOST, "TunnelAddress", "192.0.2.11");
	int r;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	r = state && !json_dump_file(state, path, JSON_COMPACT) ? 0 : -EIO;
	json_decref(state);
	return r;
}

static int write_batch(const struct test_case *cases, int nr, const char *folder)
{
	struct line nothing = {.state = "state.json"}, first = {.state = "state0.json"};
	char states[512];
	int64_t since = 0;
	FILE *f;
	int r = write_nothing(folder, "state.json");

	snprintf(states, sizeof(states), "%s/scenario.jsonl", folder);
	f = fopen(states, "w");
	for (int i = 0; f && !r && i < nr; i++) {
		const struct test_case *c = &cases[i];

		r = write_case_states(c, i, folder);
		snprintf(states, sizeof(states), "%s/", folder);
		line_write(f, &nothing, states, since);
		snprintf(states, sizeof(states), "%s/%d-", folder, i);
		line_write(f, &first, states, since);
		for (int k = 0; k < c->nr_line; k++)
			line_write(f, &c->line[k], states, since);
		since += (c->nr_line ? c->line[c->nr_line - 1].at : 0) + GAP;
	}
	return !f || fclose(f) ? -EIO : r;
}

static bool next_applied(FILE *out, char **text, size_t *room)
{
	struct answer_line a;

	return getline(text, room, out) > 0 && !answer_read(*text, &a) && a.applied;
}

/* One difference a case at most. Returns 0 or -errno. */
int batch_run(const struct test_case *cases, int nr, const struct runner *run, struct tally *tally,
	      struct difference *ret_differences)
{
	char path[512], *text = NULL;
	size_t room = 0;
	FILE *out;
	int r = write_batch(cases, nr, run->folder);

	snprintf(path, sizeof(path), "%s/out.jsonl", run->folder);
	if (!r)
		r = replay_spawn(run, path);
	if (r < 0 || r == 126 || r == 127)
		return r < 0 ? r : -ENOEXEC;
	out = fopen(path, "r");
	if (!out)
		return -errno;
	for (int i = 0; i < nr; i++) {
		struct difference *d = &ret_differences[i];
		bool emptied = next_applied(out, &text, &room);
		bool begun = next_applied(out, &text, &room) && emptied;

		if (!begun) {
			memset(d, 0, sizeof(*d));
			d->what = "the case's first state was not applied";
			continue;
		}
		case_judge(&cases[i], NULL, cases[i].nr_line, out, tally, d);
		for (int k = d->line; k >= 0 && k < cases[i].nr_line - 1; k++)
			if (getline(&text, &room, out) <= 0)
				break;
	}
	free(text);
	fclose(out);
	return 0;
}
