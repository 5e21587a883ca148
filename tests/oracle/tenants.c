/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Identical tenants (B7, B9): one random state of one to three VPCs, copied for every tenant with the same CIDRs,
 * addresses, MACs and rules, only the ids differ; and one random sequence of packets that all tenants send at the same
 * time, interleaved, each packet with its tenant's number in its payload. Every tenant must fare as if it were alone:
 * its answers equal the first tenant's word for word (verdict, port, packet, rules that decided) but for the ids and
 * the number, and the first tenant's equal the model's, which has never heard of the others.
 *
 * All of gen_state.c and gen_gates.c is in: gateways of every kind with what joins the tenant's VPCs, middleboxes,
 * guard ports, fragments, ICMP errors about the shared tuples, spoofed and broken frames, time-outs, edits. Only public
 * addresses differ, since two tenants cannot have the same one; they are chosen so that no checksum does (put_public).
 * A port that a NAT gateway had to choose is hidden: that it is no other's is the model's to say.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "case.h"

#define SUFFIX     4 /* of an id: -t and two digits */
#define WINDOW     24
#define TAG        0x5400u
#define ANSWER_MAX (6 * FRAME_MAX)

/* What one tenant sends, and what was answered. */
struct script {
	struct line *line;
	int *tag_at; /* offset in the frame, 0: no room for a number */
	char **said; /* the first answer that was read, as of tenant 0 */
	int nr;
};

struct copy {
	int base, tenant; /* tenant -1: a state line, which is everybody's */
};

struct crowd {
	struct test_case all; /* what is replayed */
	struct copy *copy;    /* for each line of it: whose it is */
	struct script script;
	json_t *alone[MAX_STATES]; /* the states of tenant 0 */
	int tenants;
};

/* ---- states */

static bool is_own_id(const char *s)
{
	static const char *const kinds[] = {"vpc-", "subnet-", "sg-",   "acl-", "rtb-",  "eni-", "igw-", "vgw-",
					    "tgw-", "nat-",    "eigw-", "pcx-", "vpce-", "vpn-", "i-"};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strncmp(s, kinds[i], strlen(kinds[i])))
			return true;
	return false;
}

#define PUBLIC_TEXT "203.0.113."

/* 203.0.113.x of tenant 0 is 202.0.114.x of tenant 1, and so on. */
static void public_text(int tenant, char ret_text[16])
{
	snprintf(ret_text, 16, "%u.0.%u.", (uint8_t)(203 - tenant), (uint8_t)(113 + tenant));
}

static json_t *rename_text(const char *s, int tenant)
{
	char name[ID_LEN], own[16];

	public_text(tenant, own);
	if (is_own_id(s))
		snprintf(name, sizeof(name), "%s-t%02d", s, tenant);
	else if (!strncmp(s, PUBLIC_TEXT, strlen(PUBLIC_TEXT)))
		snprintf(name, sizeof(name), "%s%s", own, s + strlen(PUBLIC_TEXT));
	else
		return json_string(s);
	return json_string(name);
}

/* A copy of the object for one tenant. */
static json_t *rename_all(json_t *o, int tenant)
{
	json_t *value, *copy;
	char name[ID_LEN];
	const char *key;
	size_t i;

	if (json_is_array(o)) {
		copy = json_array();
		json_array_foreach (o, i, value)
			json_array_append_new(copy, rename_all(value, tenant));
		return copy;
	}
	if (json_is_object(o)) {
		copy = json_object();
		json_object_foreach (o, key, value) {
			if (!strcmp(key, "Device")) {
				snprintf(name, sizeof(name), "%s-%02d", json_string_value(value), tenant);
				json_object_set_new(copy, key, json_string(name));
				continue;
			}
			json_object_set_new(copy, key, rename_all(value, tenant));
		}
		return copy;
	}
	return json_is_string(o) ? rename_text(json_string_value(o), tenant) : json_incref(o);
}

static void append_renamed(json_t *list, json_t *from, int tenants)
{
	for (int t = 0; t < tenants; t++) {
		json_t *copy = rename_all(from, t);

		json_array_extend(list, copy);
		json_decref(copy);
	}
}

/* The state of so many tenants. Prefix lists and the host are everybody's. */
static json_t *crowd_state(json_t *base, int tenants)
{
	json_t *root = json_object(), *host, *list;
	const char *key;

	json_object_foreach (base, key, list) {
		if (!strcmp(key, "PrefixLists") || !strcmp(key, "ManagedPrefixListEntries")) {
			json_object_set(root, key, list);
			continue;
		}
		if (strcmp(key, "Hosts")) {
			json_object_set_new(root, key, json_array());
			append_renamed(json_object_get(root, key), list, tenants);
			continue;
		}
		host = json_copy(json_array_get(list, 0));
		json_object_set_new(host, "Ports", json_array());
		json_object_set_new(host, "Uplinks", json_array());
		append_renamed(json_object_get(host, "Ports"), json_object_get(json_array_get(list, 0), "Ports"),
			       tenants);
		append_renamed(json_object_get(host, "Uplinks"), json_object_get(json_array_get(list, 0), "Uplinks"),
			       tenants);
		json_object_set_new(root, key, json_pack("[o]", host));
	}
	return root;
}

/* ---- what differs in frames, in words whose sum is the same for every tenant, so no checksum changes with it */

/* Tenant `from`'s public addresses become tenant `to`'s, wherever they stand. */
static void put_public(uint8_t *frame, int n, int from, int to)
{
	for (int i = 14; i + 3 < n; i += 2) {
		if (frame[i] != 203 - from || frame[i + 1] || frame[i + 2] != 113 + from)
			continue;
		frame[i] = (uint8_t)(203 - to);
		frame[i + 2] = (uint8_t)(113 + to);
	}
}

static void put_tag(uint8_t *at, int tenant)
{
	put16(at, TAG + (unsigned)tenant);
	put16(at + 2, 0xffff - (TAG + (unsigned)tenant));
}

/* The last bytes of the packet, where they are payload. Returns the offset, 0 for none. */
static int plant_tag(struct line *l)
{
	bool sealed = !pkt_bad_checksum(l->frame, l->n);
	int head, at;
	struct pkt p;

	pkt_parse(l->frame, l->n, &p);
	if (!p.fam || p.err || is_neighbour_message(&p))
		return 0;
	head = p.foff             ? p.l4
	       : p.proto == P_UDP ? p.l4 + 8
	       : p.proto == P_TCP ? p.l4 + (l->frame[p.l4 + 12] >> 4) * 4
				  : p.l4;
	if (!p.foff && (p.proto == P_ICMP || p.proto == P_ICMP6))
		head = p.has_inner
			       ? p.inner.l4 +
					 (p.inner.proto == P_TCP ? 20 : 8) /* behind its sum, which gateways follow */
			       : p.l4 + 8;
	at = p.end - 4 - ((p.end - p.l4) & 1);
	if (at < head)
		return 0;
	put_tag(l->frame + at, 0);
	if (sealed)
		gen_seal(l->frame, l->n);
	return at;
}

/* ---- the script of one tenant */

static bool add_edit(struct crowd *c, struct rnd *r, json_t **current, struct line *l)
{
	int k = c->all.nr_state;
	const char *what;
	bool broken;
	json_t *next = gen_edit(r, *current, &what, &broken);

	if (k == MAX_STATES || !strcmp(what, "nothing")) {
		json_decref(next);
		return false;
	}
	memset(l, 0, offsetof(struct line, frame));
	l->n = 0;
	snprintf(l->state, sizeof(l->state), "state%d.json", k);
	l->broken = broken;
	c->all.state[k] = crowd_state(next, c->tenants);
	c->all.what[k] = what;
	c->alone[k] = crowd_state(next, 1);
	c->all.nr_state++;
	if (broken) {
		json_decref(next);
	} else {
		json_decref(*current);
		*current = next;
	}
	return true;
}

static int make_script(struct crowd *c, struct rnd *r, int nr)
{
	struct traffic *t = malloc(sizeof(*t));
	json_t *current = gen_state(r);
	struct script *s = &c->script;
	struct world *w;

	c->all.state[0] = crowd_state(current, c->tenants);
	c->alone[0] = crowd_state(current, 1);
	c->all.nr_state = 1;
	w = case_world(c->alone[0]);
	if (!t || !w)
		return -ENOMEM;
	traffic_init(t, r);
	for (s->nr = 0; s->nr < nr; s->nr++) {
		struct line *l = &s->line[s->nr];

		if (rnd_chance(r, 1) && !t->nr_pending && add_edit(c, r, &current, l)) {
			l->at = t->now;
			if (!l->broken) {
				world_free(w);
				w = case_world(c->alone[c->all.nr_state - 1]);
			}
			continue;
		}
		traffic_line(t, w, l);
		s->tag_at[s->nr] = plant_tag(l);
	}
	world_free(w);
	json_decref(current);
	free(t);
	return 0;
}

/* ---- all tenants' scripts, interleaved */

static void add_copy(struct crowd *c, int base, int tenant)
{
	const struct script *s = &c->script;
	struct line *l = &c->all.line[c->all.nr_line];
	size_t end = strlen(s->line[base].port);

	*l = s->line[base];
	if (tenant > 0 && end > SUFFIX && !memcmp(l->port + end - SUFFIX, "-t00", SUFFIX)) {
		l->port[end - 2] = (char)('0' + tenant / 10);
		l->port[end - 1] = (char)('0' + tenant % 10);
	}
	if (tenant > 0 && s->tag_at[base])
		put_tag(l->frame + s->tag_at[base], tenant);
	if (tenant > 0)
		put_public(l->frame, l->n, 0, tenant);
	c->copy[c->all.nr_line].base = base;
	c->copy[c->all.nr_line].tenant = tenant;
	c->all.nr_line++;
}

/* One moment for the whole window; within it every tenant keeps its order, and they meet at random, packet by packet in
 * turn, or one after another. */
static void add_window(struct crowd *c, struct rnd *r, int from, int to)
{
	int next[100], nr = to - from, how = rnd_below(r, 3), left = nr * c->tenants;

	for (int i = from; i < to; i++)
		c->script.line[i].at = c->script.line[to - 1].at;
	for (int t = 0; t < c->tenants; t++)
		next[t] = 0;
	for (int turn = rnd_below(r, c->tenants); left > 0; left--) {
		int t = how == 0 ? rnd_below(r, c->tenants) : turn;

		while (next[t] == nr)
			t = (t + 1) % c->tenants;
		add_copy(c, from + next[t]++, t);
		turn = how == 1 || next[t] == nr ? (t + 1) % c->tenants : t;
	}
}

static void interleave(struct crowd *c, struct rnd *r)
{
	const struct script *s = &c->script;

	for (int from = 0, to; from < s->nr; from = to) {
		int most = rnd_between(r, 1, WINDOW);

		to = from + 1;
		if (*s->line[from].state) {
			add_copy(c, from, -1);
			continue;
		}
		while (to < s->nr && to - from < most && !*s->line[to].state &&
		       s->line[to].at - s->line[to - 1].at < NS)
			to++;
		add_window(c, r, from, to);
	}
}

/* ---- answers */

/* Put the second word in the place of each first; both are equally long. */
static void replace_all(char *text, const char *old, const char *new)
{
	while ((text = strstr(text, old))) {
		memcpy(text, new, strlen(new));
		text += strlen(new);
	}
}

/* The same for words that may differ in length. */
static void replace_words(char *text, size_t room, const char *old, const char *new)
{
	size_t a = strlen(old), b = strlen(new);

	for (char *at = text; (at = strstr(at, old)) && strlen(text) + b < room; at += b) {
		memmove(at + b, at + a, strlen(at + a) + 1);
		memcpy(at, new, b);
	}
}

static void blank(uint8_t *frame, int n, int at)
{
	if (at + 2 <= n)
		frame[at] = frame[at + 1] = 0;
}

static int sum_at(int proto)
{
	return proto == P_TCP ? 16 : proto == P_UDP ? 6 : 2;
}

/* A port or an identifier that changed on the way was chosen by a gateway, for this tenant alone. */
static void hide_chosen(const struct line *sent, uint8_t *frame, int n)
{
	struct pkt was, is;

	pkt_parse(sent->frame, sent->n, &was);
	pkt_parse(frame, n, &is);
	if (!was.fam || was.err || is.fam != was.fam || is.proto != was.proto || is.foff)
		return;
	if (is.has_inner && was.has_inner && is.inner.dport != was.inner.dport) {
		blank(frame, n, is.inner.l4 + (is.inner.qtype >= 0 ? 4 : 2));
		blank(frame, n, is.inner.l4 + sum_at(is.inner.proto));
		blank(frame, n, is.l4 + 2);
	} else if (!is.has_inner && is.sport != was.sport) {
		blank(frame, n, is.l4 + (is.qtype >= 0 ? 4 : 0));
		blank(frame, n, is.l4 + sum_at(is.proto));
	}
}

/* One frame of an answer, in its place. */
static void normalise_frame(const struct line *sent, int tenant, char *hex)
{
	static uint8_t frame[ANSWER_MAX / 2];
	int n = (int)strspn(hex, "0123456789abcdef") / 2;
	uint8_t tag[4], first[4];
	char end = hex[2 * n];

	hex[2 * n] = 0;
	if (hex_read(hex, 2 * (size_t)n, frame, sizeof(frame)) == n) {
		put_tag(tag, tenant);
		put_tag(first, 0);
		put_public(frame, n, tenant, 0);
		for (int i = 14; i + 4 <= n; i += 2)
			if (!memcmp(frame + i, tag, 4))
				memcpy(frame + i, first, 4);
		hide_chosen(sent, frame, n);
		hex_write(frame, n, hex);
	}
	hex[2 * n] = end;
}

/* An answer in tenant 0's words: without its number, its ids, its public addresses and its payload's number. */
static void normalise(const struct crowd *c, const struct copy *k, const char *text, char *ret_said)
{
	char own[16];

	text += strcspn(text, ",");
	snprintf(ret_said, ANSWER_MAX, "%s", text);
	if (k->tenant < 0)
		return;
	snprintf(own, sizeof(own), "-t%02d", k->tenant % 100);
	replace_all(ret_said, own, "-t00");
	public_text(k->tenant, own);
	replace_words(ret_said, ANSWER_MAX, own, PUBLIC_TEXT);
	for (char *at = ret_said; (at = strstr(at, "\"packet\":\""));) {
		at += strlen("\"packet\":\"");
		normalise_frame(&c->script.line[k->base], k->tenant, at);
	}
}

/* What is wrong with the answer to one line, or NULL. */
static const char *judge_answer(struct crowd *c, struct model *m, int i, const char *text, struct tally *tally,
				struct difference *d)
{
	static char said[ANSWER_MAX];
	const struct copy *k = &c->copy[i];
	const struct line *l = &c->all.line[i];
	char **before = &c->script.said[k->base];

	if (k->tenant <= 0) {
		const char *what;

		answer_read(text, &d->got);
		what = case_step(m, c->alone, l, &d->got, tally, &d->want);
		if (what)
			return what;
	} else {
		tally->packets++;
	}
	normalise(c, k, text, said);
	if (!*before) {
		*before = strdup(said);
		return *before ? NULL : "no memory";
	}
	if (strcmp(*before, said)) {
		printf("tenant %d of line %d is told\n    %s    in the words of tenant 0; another one was told\n    %s",
		       k->tenant, i, said, *before);
		return "tenants with equal packets are answered differently";
	}
	return NULL;
}

static void judge_answers(struct crowd *c, FILE *out, struct tally *tally, struct difference *d)
{
	struct model m = {.host = HOST, .world = case_world(c->alone[0])};
	char *text = NULL;
	size_t room = 0;

	for (int i = 0; i < c->all.nr_line && d->line < 0; i++) {
		if (getline(&text, &room, out) <= 0)
			d->what = "no answer: enid replay ended early";
		else
			d->what = judge_answer(c, &m, i, text, tally, d);
		if (d->what)
			d->line = i;
	}
	free(text);
	model_done(&m);
}

/* ---- a case */

static void crowd_free(struct crowd *c)
{
	for (int i = 0; i < c->script.nr; i++)
		free(c->script.said[i]);
	for (int i = 0; i < MAX_STATES; i++)
		json_decref(c->alone[i]);
	free(c->script.line);
	free(c->script.tag_at);
	free(c->script.said);
	free(c->copy);
	case_free(&c->all);
}

static int crowd_make(struct crowd *c, uint64_t seed, int packets, int tenants)
{
	struct rnd r = {seed * 0x9e3779b97f4a7c15ULL | 1};
	size_t nr = (size_t)(packets + tenants - 1) / (size_t)tenants, room = nr * (size_t)tenants + MAX_STATES;
	int e;

	for (int i = 0; i < 8; i++)
		(void)rnd_next(&r);
	memset(c, 0, sizeof(*c));
	c->tenants = tenants;
	c->all.seed = seed;
	c->all.line = calloc(room, sizeof(*c->all.line));
	c->copy = calloc(room, sizeof(*c->copy));
	c->script.line = calloc(nr, sizeof(*c->script.line));
	c->script.tag_at = calloc(nr, sizeof(*c->script.tag_at));
	c->script.said = calloc(nr, sizeof(*c->script.said));
	if (!c->all.line || !c->copy || !c->script.line || !c->script.tag_at || !c->script.said)
		return -ENOMEM;
	e = make_script(c, &r, (int)nr);
	if (!e)
		interleave(c, &r);
	return e;
}

/* As one_case of differ.c: 1 for a difference, 0 for none, -errno. */
int tenants_case(uint64_t seed, int packets, int tenants, const struct runner *run, struct tally *tally)
{
	struct difference d = {.line = -1};
	struct crowd c;
	FILE *out = NULL;
	int r = crowd_make(&c, seed, packets, tenants);

	if (!r)
		r = case_answers(&c.all, NULL, c.all.nr_line, run, &out);
	if (!r) {
		tally->states++;
		judge_answers(&c, out, tally, &d);
		r = d.line >= 0;
		fclose(out);
	}
	if (r == 1)
		case_report(&c.all, &d);
	crowd_free(&c);
	return r;
}
