/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* differ: random states and packet sequences through `enid replay` and through the model, and a loud word on the first
 * line of each case where they differ.
 *
 *   differ [--enid PATH] [--hook tc|xdp] [--seed N] [--packets N] [--states M] [--keep DIR] [--stop N]
 *   differ --one SEED [--packets PER_CASE] ...       that case alone
 *   differ --batch N                                 cases in one run of enid replay (25)
 *   differ --without hairpin,...                     leave traffic out, to look past a known difference
 *   differ --raw                                     differences as they are found, not made small
 *   differ --tenants 64 ...                          so many tenants with one state and one sequence, all at once
 *   differ replay --state STATE [FILE]               the model answers in enid's place
 *   differ states SEED N DIR                         first states alone, for other tests
 *
 * Exit: 0 no difference, 1 differences, 2 misuse or the build cannot be run.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "case.h"

struct settings {
	uint64_t seed, one;
	long packets, states, stop;
	int tenants, batch;
	const char *keep;
	bool raw;
	struct runner run;
};

static void print_packet(const struct line *l)
{
	char words[512];

	if (*l->state) {
		printf("    line    state %s%s\n", l->state, l->broken ? " (broken)" : "");
		return;
	}
	pkt_describe(l->frame, l->n, words, sizeof(words));
	printf("    packet  %s %s at %.6f: %s\n", l->port, l->tx ? "tx" : "rx", (double)l->at / 1e9, words);
}

void case_report(const struct test_case *c, const struct difference *d)
{
	char words[512];

	printf("DIFFERENCE seed %" PRIx64 " line %d: %s\n", c->seed, d->line, d->what);
	print_packet(&c->line[d->line]);
	printf("    model   %s %s", act_name[d->want.act], d->want.to);
	for (int i = 0; d->want.act == ACT_DROP && d->want.reasons != WHY_ANY && i < WHY_MAX; i++)
		if (d->want.reasons & BIT(i))
			printf(" %s", why_name[i]);
	for (int i = 0; i < ACT_MAX; i++)
		if (d->want.others & 1u << i)
			printf(" or %s", act_name[i]);
	printf("\n    enid    %s %s %s\n",
	       d->got.applied         ? "applied"
	       : d->got.refused       ? "refused"
	       : d->got.act < ACT_MAX ? act_name[d->got.act]
				      : "?",
	       d->got.to, d->got.reason);
	if (d->got.n > 0) {
		pkt_describe(d->got.frame, d->got.n, words, sizeof(words));
		printf("            %s\n", words);
	}
}

static void report(const struct settings *s, const struct test_case *c, const struct difference *d)
{
	int *pick = NULL, n;

	case_report(c, d);
	if (s->raw)
		return;
	n = case_shrink(c, &s->run, d->line, &pick);
	if (n < 0)
		return;
	printf("    shrunk  to %d lines:\n", n);
	for (int i = 0; i < n && i < 24; i++)
		print_packet(&c->line[pick[i]]);
	if (s->keep && !case_keep(c, pick, n, &s->run, d->what, s->keep))
		printf("    kept    %s/seed-%" PRIx64 "\n", s->keep, c->seed);
	free(pick);
	fflush(stdout);
}

/* A difference within a batch: does the case show it alone? Returns 0 or -errno. */
static int report_alone(const struct settings *s, const struct test_case *c, const struct difference *found)
{
	struct difference d = {.line = -1};
	int r = case_run(c, NULL, c->nr_line, &s->run, NULL, &d);

	if (r)
		return r;
	if (d.line >= 0) {
		report(s, c, &d);
		return 0;
	}
	case_report(c, found);
	printf("    alone   the case shows nothing: it needs those before it (--batch %d)\n", s->batch);
	return 0;
}

/* Returns how many differ, or -errno. */
static int one_batch(const struct settings *s, uint64_t seed, int nr, int packets, struct tally *tally)
{
	struct test_case *c = calloc((size_t)nr, sizeof(*c));
	struct difference *d = calloc((size_t)nr, sizeof(*d));
	int r = c && d ? 0 : -ENOMEM, differ = 0;

	for (int i = 0; i < nr && !r; i++)
		r = case_make(seed + (uint64_t)i, packets, &c[i]);
	if (!r)
		r = batch_run(c, nr, &s->run, tally, d);
	tally->states += r ? 0 : nr;
	for (int i = 0; i < nr && !r; i++) {
		if (d[i].line < 0)
			continue;
		r = report_alone(s, &c[i], &d[i]);
		differ++;
	}
	for (int i = 0; c && i < nr; i++)
		case_free(&c[i]);
	free(c);
	free(d);
	return r ? r : differ;
}

static void print_tally(const struct tally *t, long differences, double seconds)
{
	printf("%ld packets, %ld states, %ld edits in %.1f s: %ld differences\n", t->packets, t->states, t->edits,
	       seconds, differences);
	printf("  model   %ld flows opened, %ld touched, %ld fragments\n  actions", t->opened, t->touched,
	       t->fragments);
	for (int i = 0; i < ACT_MAX; i++)
		if (t->action[i])
			printf(" %s %ld", act_name[i], t->action[i]);
	printf("\n  drops  ");
	for (int i = 0; i < WHY_MAX; i++)
		if (t->reason[i])
			printf(" %s %ld", why_name[i], t->reason[i]);
	putchar('\n');
}

static double seconds_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int run_all(const struct settings *s)
{
	struct tally tally = {0};
	long differences = 0, cases = s->one ? 1 : s->states;
	int per_case = (int)(s->one ? s->packets : (s->packets + s->states - 1) / s->states);
	double begin = seconds_now();

	printf("seed %" PRIx64 ", %ld states of %d packets, %s%s%s\n", s->one ? s->one : s->seed, cases, per_case,
	       s->run.enid, s->run.hook ? " --hook " : "", s->run.hook ? s->run.hook : "");
	fflush(stdout);
	for (long i = 0; i < cases && differences < s->stop; i += s->batch) {
		uint64_t seed = s->one ? s->one : s->seed + (uint64_t)i;
		int nr = cases - i < s->batch ? (int)(cases - i) : s->batch;
		int r = s->tenants ? tenants_case(seed, per_case, s->tenants, &s->run, &tally)
				   : one_batch(s, seed, nr, per_case, &tally);

		if (r < 0) {
			fprintf(stderr, "differ: cannot run %s: %s\n", s->run.enid, strerror(-r));
			return 2;
		}
		differences += r;
	}
	print_tally(&tally, differences, seconds_now() - begin);
	return differences ? 1 : 0;
}

static int usage(void)
{
	fputs("usage: differ [--enid PATH] [--hook tc|xdp] [--seed HEX] [--packets N] [--states M] [--keep DIR]\n"
	      "              [--stop N] [--one HEX] [--raw] [--batch N] [--tenants N] [--without "
	      "self,hairpin,errors,fragments,odd,mac,linklocal,runts,lies,\n"
	      "              nat,eigw,peering,tgw,vgw,endpoint,tables,bpa,sizes,ttl,mss] [-- OPTION...]\n"
	      "       differ replay --state STATE [--host HOST] [FILE]\n"
	      "       differ states SEED N DIR\n",
	      stderr);
	return 2;
}

static unsigned without_mask(const char *names)
{
	static const char *const known[] = {"self", "hairpin",   "errors", "fragments", "odd",
					    "mac",  "linklocal", "runts",  "lies"};
	unsigned mask = 0;

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strstr(names, known[i]))
			mask |= 1u << i;
	gen_without = names;
	return mask;
}

static int parse_options(int argc, char **argv, struct settings *s)
{
	static const struct option options[] = {
		{"enid", 1, NULL, 'e'},    {"hook", 1, NULL, 'h'},    {"seed", 1, NULL, 's'}, {"packets", 1, NULL, 'p'},
		{"states", 1, NULL, 'n'},  {"keep", 1, NULL, 'k'},    {"stop", 1, NULL, 'x'}, {"one", 1, NULL, 'o'},
		{"without", 1, NULL, 'w'}, {"tenants", 1, NULL, 't'}, {"raw", 0, NULL, 'r'},  {"batch", 1, NULL, 'b'},
		{NULL, 0, NULL, 0}};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'e':
			s->run.enid = optarg;
			break;
		case 'h':
			s->run.hook = optarg;
			break;
		case 's':
			s->seed = strtoull(optarg, NULL, 16);
			break;
		case 'o':
			s->one = strtoull(optarg, NULL, 16);
			break;
		case 'p':
			s->packets = strtol(optarg, NULL, 10);
			break;
		case 'n':
			s->states = strtol(optarg, NULL, 10);
			break;
		case 'x':
			s->stop = strtol(optarg, NULL, 10);
			break;
		case 't':
			gen_without = "bpa"; /* which is the account's: all tenants' */
			s->tenants = atoi(optarg);
			s->batch = 1;
			break;
		case 'b':
			s->batch = atoi(optarg);
			break;
		case 'w':
			traffic_without |= without_mask(optarg);
			break;
		case 'r':
			s->raw = true;
			break;
		case 'k':
			s->keep = optarg;
			break;
		default:
			return -1;
		}
	}
	while (optind < argc && s->run.nr_options < (int)ARRAY_SIZE(s->run.options))
		s->run.options[s->run.nr_options++] = argv[optind++];
	return s->packets > 0 && s->states > 0 && s->tenants >= 0 && s->tenants < 100 && s->batch > 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
	char folder[] = "/tmp/enid-oracle-XXXXXX", command[64];
	struct settings s = {
		.seed = 1, .packets = 1000000, .states = 300, .stop = 5, .batch = 25, .run = {.enid = "build/enid"}};
	int r;

	if (argc > 1 && !strcmp(argv[1], "replay"))
		return oracle_replay(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "states"))
		return oracle_states(argc - 1, argv + 1);
	if (parse_options(argc, argv, &s))
		return usage();
	s.run.folder = mkdtemp(folder);
	if (!s.run.folder) {
		perror("differ: mkdtemp");
		return 2;
	}
	r = run_all(&s);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	if (system(command))
		fprintf(stderr, "differ: cannot remove %s\n", folder);
	return r;
}
