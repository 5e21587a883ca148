/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Make a failing case small, and keep it as a regression: lines are dropped in ever smaller chunks as long as the last
 * line still differs. The kept folder has the shape of the contract's examples (state, scenario, expect, about).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "case.h"

#define MAX_RUNS 120

static bool still_differs(const struct test_case *c, const struct runner *run, const int *pick, int n)
{
	struct difference d;

	return !case_run(c, pick, n, run, NULL, &d) && d.line >= 0;
}

int case_shrink(const struct test_case *c, const struct runner *run, int last, int **ret_pick)
{
	int n = last + 1, runs = 0;
	int *pick = calloc((size_t)n, sizeof(*pick)), *trial = calloc((size_t)n, sizeof(*trial));

	if (!pick || !trial) {
		free(pick);
		free(trial);
		return -ENOMEM;
	}
	for (int i = 0; i < n; i++)
		pick[i] = i;
	for (int chunk = n / 2; chunk > 0 && runs < MAX_RUNS; chunk /= 2) {
		for (int from = 0; from < n - 1 && runs < MAX_RUNS;) {
			int cut = from + chunk < n - 1 ? chunk : n - 1 - from;

			memcpy(trial, pick, (size_t)from * sizeof(*pick));
			memcpy(trial + from, pick + from + cut, (size_t)(n - from - cut) * sizeof(*pick));
			runs++;
			if (still_differs(c, run, trial, n - cut)) {
				memcpy(pick, trial, (size_t)(n - cut) * sizeof(*pick));
				n -= cut;
			} else {
				from += cut;
			}
		}
	}
	free(trial);
	*ret_pick = pick;
	return n;
}

static void write_expectation(FILE *f, const struct model *m, const struct line *l, const struct pkt *p,
			      const struct verdict *v)
{
	uint8_t out[FRAME_MAX];
	struct pkt q;

	if (*l->state) {
		fprintf(f, "{\"action\": \"%s\"}\n", l->broken ? "refused" : "applied");
		return;
	}
	if (v->others) {
		fprintf(f, "{\"action\": \"?\"}\n");
		return;
	}
	fprintf(f, "{\"action\": \"%s\"", act_name[v->act]);
	if (*v->to && v->act != ACT_PASS)
		fprintf(f, ", \"to\": \"%s\"", v->to);
	const char *sep = ", \"reason\": [";

	for (int i = 0; v->act == ACT_DROP && v->reasons != WHY_ANY && i < WHY_MAX; i++) {
		if (!(v->reasons & BIT(i)))
			continue;
		fprintf(f, "%s\"%s\"", sep, why_name[i]);
		sep = ", ";
	}
	if (*sep == ',' && !sep[2])
		fputc(']', f);
	if (v->act == ACT_DELIVER || v->act == ACT_UPLINK) {
		pkt_parse(out, verdict_packet(m, p, v, out), &q);
		fprintf(f, ", \"src\": \"%s\", \"dst\": \"%s\"", ip_text(q.fam, &q.src), ip_text(q.fam, &q.dst));
	}
	fputs("}\n", f);
}

static int write_expectations(const struct test_case *c, const int *pick, int nr_pick, const char *folder)
{
	struct model m = {.host = HOST};
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/expect.jsonl", folder);
	f = fopen(path, "w");
	if (!f || world_read(c->state[0], HOST, &m.world)) {
		if (f)
			fclose(f);
		return -EIO;
	}
	for (int i = 0; i < nr_pick; i++) {
		const struct line *l = &c->line[pick[i]];
		struct world *w = NULL;
		struct verdict v = {0};
		struct pkt p = {0};

		m.now = l->at;
		if (*l->state && !l->broken && !world_read(c->state[atoi(l->state + 5)], HOST, &w))
			model_apply(&m, w);
		if (!*l->state) {
			pkt_parse(l->frame, l->n, &p);
			model_judge(&m, l->port, l->tx, &p, &v);
			model_commit(&m, l->port, l->tx, &p, &v, v.act == ACT_DROP);
		}
		write_expectation(f, &m, l, &p, &v);
	}
	model_done(&m);
	return fclose(f) ? -errno : 0;
}

int case_keep(const struct test_case *c, const int *pick, int nr_pick, const struct runner *run, const char *what,
	      const char *keep)
{
	char folder[400], path[512], command[1100];
	FILE *f;

	snprintf(folder, sizeof(folder), "%s/seed-%llx", keep, (unsigned long long)c->seed);
	if ((mkdir(keep, 0755) && errno != EEXIST) || (mkdir(folder, 0755) && errno != EEXIST))
		return -errno;
	if (case_write(c, pick, nr_pick, folder) || write_expectations(c, pick, nr_pick, folder))
		return -EIO;
	snprintf(command, sizeof(command), "sed -i 's|\"state\": \"%s/|\"state\": \"|' %s/scenario.jsonl", folder,
		 folder);
	if (system(command))
		return -EIO;
	snprintf(path, sizeof(path), "%s/about.txt", folder);
	f = fopen(path, "w");
	if (!f)
		return -errno;
	fprintf(f, "found by the oracle, seed %llx, hook %s: %s\n", (unsigned long long)c->seed,
		run->hook ? run->hook : "default", what);
	return fclose(f) ? -errno : 0;
}
