/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The lines of `enid replay`: reading its answers, comparing them with a verdict, and the model answering by itself
 * (`differ replay`, so that any check of enid can be run against the model).
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "oracle.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int hex_read(const char *text, size_t len, uint8_t *ret_bytes, int size)
{
	int n = (int)(len / 2);

	if (len & 1 || n > size)
		return -EINVAL;
	for (int i = 0; i < n; i++) {
		int hi = hex_digit(text[2 * i]), lo = hex_digit(text[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return -EINVAL;
		ret_bytes[i] = (uint8_t)(hi << 4 | lo);
	}
	return n;
}

void hex_write(const uint8_t *b, int n, char *ret_text)
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < n; i++) {
		*ret_text++ = digits[b[i] >> 4];
		*ret_text++ = digits[b[i] & 15];
	}
	*ret_text = 0;
}

/* ---- answers: one flat scan, a JSON library would take most of the time */

static const char *skip_string(const char *s)
{
	for (s++; *s && *s != '"'; s++)
		if (*s == '\\' && s[1])
			s++;
	return *s ? s + 1 : s;
}

static const char *skip_value(const char *s)
{
	int depth = 0;

	if (*s == '"')
		return skip_string(s);
	for (; *s; s++) {
		if (*s == '"') {
			s = skip_string(s) - 1;
			continue;
		}
		if (*s == '{' || *s == '[')
			depth++;
		if ((*s == '}' || *s == ']') && depth-- == 0)
			break;
		if (*s == ',' && !depth)
			break;
	}
	return s;
}

static bool key_is(const char *key, size_t len, const char *wanted)
{
	return strlen(wanted) == len && !memcmp(key, wanted, len);
}

static void copy_value(const char *s, size_t len, char *to, size_t size)
{
	if (len >= size)
		len = size - 1;
	memcpy(to, s, len);
	to[len] = 0;
}

static int read_member(const char *key, size_t klen, const char *val, size_t vlen, struct answer_line *a)
{
	char action[ID_LEN];

	if (*val != '"' || vlen < 2)
		return 0;
	val++;
	vlen -= 2;
	if (key_is(key, klen, "to")) {
		copy_value(val, vlen, a->to, sizeof(a->to));
	} else if (key_is(key, klen, "reason")) {
		copy_value(val, vlen, a->reason, sizeof(a->reason));
	} else if (key_is(key, klen, "packet")) {
		a->n = hex_read(val, vlen, a->frame, sizeof(a->frame));
	} else if (key_is(key, klen, "action")) {
		copy_value(val, vlen, action, sizeof(action));
		a->applied = !strcmp(action, "applied");
		a->refused = !strcmp(action, "refused");
		for (int i = 0; i < ACT_MAX; i++)
			if (!strcmp(action, act_name[i]))
				a->act = (enum act)i;
	}
	return 0;
}

int answer_read(const char *text, struct answer_line *ret_answer)
{
	const char *s = strchr(text, '{');

	memset(ret_answer, 0, offsetof(struct answer_line, frame));
	ret_answer->act = ACT_MAX;
	ret_answer->n = -1;
	if (!s)
		return -EINVAL;
	for (s++; *s && *s != '}';) {
		const char *key, *val;
		size_t klen;

		s += strspn(s, " ,\t\n");
		if (*s != '"')
			break;
		key = s + 1;
		s = skip_string(s);
		klen = (size_t)(s - key - 1);
		s += strspn(s, " :");
		val = s;
		s = skip_value(s);
		read_member(key, klen, val, (size_t)(s - val), ret_answer);
	}
	return 0;
}

/* ---- comparison */

static bool mac_fits(const struct model *m, const struct pkt *p, const struct verdict *v, const uint8_t *mac)
{
	bool router = !memcmp(mac, m->world->router_mac, 6), sender = !memcmp(mac, p->raw + 6, 6);

	if (v->smac == MAC_ROUTER)
		return router;
	return v->smac == MAC_SENDER ? sender : router || sender;
}

/* An ICMP error of the data path: from whom, to whom, what it says, and the head of what it quotes. */
static const char *compare_error(const struct pkt *p, const struct verdict *v, const struct answer_line *a,
				 const struct pkt *g)
{
	bool v4 = p->fam == 4, big = v->answer == ANSWER_TOO_BIG, known = !v->nr_answer_src;

	if (g->itype != (v4    ? (big ? 3 : 11)
			 : big ? 2
			       : 3) ||
	    g->icode != (v4 && big ? 4 : 0) || !ip_eq(&g->dst, &p->src))
		return "not the ICMP error that was due";
	for (int i = 0; i < v->nr_answer_src; i++)
		known |= ip_eq(&g->src, &v->answer_src[i]);
	if (!known)
		return "the ICMP error has another source";
	if (big && get16(a->frame + g->l4 + 6) != v->answer_mtu)
		return "the ICMP error names another MTU";
	if (!g->has_inner && p->proto != 47 && p->l4 - 14 == (v4 ? 20 : 40))
		return "the ICMP error quotes nothing";
	if (g->has_inner && (!ip_eq(&g->inner.src, &p->src) || !ip_eq(&g->inner.dst, &p->dst) ||
			     g->inner.sport != p->sport || g->inner.dport != p->dport))
		return "the ICMP error quotes another packet";
	return NULL;
}

static const char *compare_reset(const struct pkt *p, const struct pkt *g)
{
	uint8_t want[FRAME_MAX];
	struct pkt r;

	struct verdict v = {.act = ACT_REPLY, .answer = ANSWER_RESET};

	pkt_parse(want, verdict_packet(NULL, p, &v, want), &r);
	if (g->proto != P_TCP || !ip_eq(&g->src, &r.src) || !ip_eq(&g->dst, &r.dst) || g->sport != r.sport ||
	    g->dport != r.dport)
		return "the reset is for another flow";
	if (!(g->flags & TCP_RST) || g->seq != r.seq ||
	    (r.flags & TCP_ACK && (!(g->flags & TCP_ACK) || g->ack != r.ack)))
		return "the reset's numbers are not those of RFC 9293";
	return NULL;
}

static const char *compare_answer(const struct pkt *p, const struct verdict *v, const struct answer_line *a)
{
	uint8_t want[FRAME_MAX], got[FRAME_MAX];
	struct pkt g;

	pkt_parse(a->frame, a->n, &g);
	if (v->answer == ANSWER_RA)
		return g.itype == 134 ? NULL : "no router advertisement";
	if (v->answer >= ANSWER_TOO_BIG && pkt_bad_checksum(a->frame, a->n))
		return pkt_bad_checksum(a->frame, a->n);
	if (v->answer >= ANSWER_TOO_BIG)
		return v->answer == ANSWER_RESET ? compare_reset(p, &g) : compare_error(p, v, a, &g);
	int n = verdict_packet(NULL, p, v, want);

	if (a->n < n)
		return "the answer is too short";
	memcpy(got, a->frame, (size_t)n);
	if (v->answer == ANSWER_ARP) {
		int skip = v->any_mac ? 28 : 22;

		if (memcmp(want, got, 6) || memcmp(want + 12, got + 12, 10) ||
		    memcmp(want + skip, got + skip, (size_t)(42 - skip)))
			return "the ARP answer differs";
		return NULL;
	}
	if (pkt_bad_checksum(a->frame, a->n))
		return pkt_bad_checksum(a->frame, a->n);
	if (v->answer == ANSWER_ND)
		return g.itype == 136 && ip_eq(&g.src, &(struct ip){0}) == false && !memcmp(want + 38, got + 38, 16) &&
				       !memcmp(want + 62, got + 62, 18) &&
				       (v->any_mac || !memcmp(want + 80, got + 80, 6))
			       ? NULL
			       : "the neighbour advertisement differs";
	if (g.qtype != p->qtype || !g.qreply || g.sport != p->sport || !ip_eq(&g.src, &p->dst) ||
	    !ip_eq(&g.dst, &p->src))
		return "the echo reply differs";
	return memcmp(want, got, 12) ? "MACs of the echo reply differ" : NULL;
}

/* NAT-03: the port is enid's to choose, and was taken over by the model if it fits. */
static const char *check_port(const struct model *m, const struct verdict *v, const struct answer_line *a)
{
	const struct map_change *c = &v->map;
	struct pkt g;

	if (c->kind != CHANGE_OPEN || !c->port_free)
		return NULL;
	pkt_parse(a->frame, a->n, &g);
	return map_port_fits(m, c, g.sport);
}

static const char *compare_frame(const struct model *m, const struct pkt *p, struct verdict *v,
				 const struct answer_line *a)
{
	uint8_t want[FRAME_MAX], got[FRAME_MAX];
	const char *bad;
	int n;

	if (v->act == ACT_PASS && a->n < 0)
		return NULL; /* left to the host as it is */
	if (a->n < 0)
		return "no packet in the answer";
	if (v->act == ACT_REPLY)
		return compare_answer(p, v, a);
	bad = check_port(m, v, a);
	if (bad)
		return bad;
	n = verdict_packet(m, p, v, want);
	if (v->act == ACT_PASS && p->fam)
		n = p->end; /* Ethernet padding may go */
	if (a->n < n || a->n > p->n)
		return "the packet's length differs";
	memcpy(got, a->frame, (size_t)n);
	if (v->act == ACT_DELIVER && (memcmp(got, want, 6) || !mac_fits(m, p, v, got + 6)))
		return "MACs differ";
	bad = pkt_bad_checksum(p->raw, p->n) ? NULL : pkt_bad_checksum(a->frame, a->n);
	if (bad)
		return bad;
	pkt_mask_checksums(want, n);
	pkt_mask_checksums(got, n);
	return memcmp(want + 12, got + 12, (size_t)(n - 12)) ? "the packet differs" : NULL;
}

/* `reason`: one name, or several with | between them, as the model answers. */
static bool reason_fits(uint64_t allowed, const char *reason)
{
	if (allowed == WHY_ANY)
		return true;
	for (size_t n; *reason; reason += n + (reason[n] == '|')) {
		n = strcspn(reason, "|");
		for (int i = 0; i < WHY_MAX; i++)
			if (allowed & BIT(i) && strlen(why_name[i]) == n && !strncmp(reason, why_name[i], n))
				return true;
	}
	return false;
}

/* What is wrong with an answer, or NULL. */
const char *compare(const struct model *m, const struct line *l, const struct pkt *p, struct verdict *v,
		    const struct answer_line *a)
{
	if (*l->state) {
		if (l->broken)
			return a->refused ? NULL : "a broken state was not refused";
		return a->applied ? NULL : "the state was not applied";
	}
	if (a->act == ACT_MAX)
		return "no known action";
	if (a->act != v->act && !(v->others & 1u << a->act))
		return "the action differs";
	if (a->act == ACT_DROP)
		return reason_fits(v->reasons, a->reason) ? NULL : "the reason differs";
	if (a->act != v->act)
		return a->act == ACT_REPLY && v->answer == ANSWER_TTL ? compare_answer(p, v, a) : NULL;
	if (v->act != ACT_PASS && strcmp(a->to, v->to))
		return "the target differs";
	return compare_frame(m, p, v, a);
}

/* ---- differ replay: the model answers */

/* All that the contract allows. */
static void print_reasons(const struct verdict *v)
{
	const char *between = "";

	for (int i = 0; i < WHY_MAX; i++) {
		if (v->act == ACT_DROP ? !(v->reasons & BIT(i)) : i != WHY_ACCEPTED)
			continue;
		printf("%s%s", between, why_name[i]);
		between = "|";
	}
}

static void print_verdict(const struct model *m, long n, const struct pkt *p, const struct verdict *v)
{
	static char hex[2 * FRAME_MAX + 1];
	uint8_t out[FRAME_MAX];

	printf("{\"n\":%ld,\"action\":\"%s\"", n, act_name[v->act]);
	if (*v->to)
		printf(",\"to\":\"%s\"", v->to);
	fputs(",\"reason\":\"", stdout);
	print_reasons(v);
	putchar('"');
	if (v->act != ACT_DROP) {
		hex_write(out, verdict_packet(m, p, v, out), hex);
		printf(",\"packet\":\"%s\"", hex);
	}
	puts("}");
}

static struct world *load_world(const char *path, const char *host)
{
	struct world *w = NULL;
	json_t *root = json_load_file(path, 0, NULL);

	if (root)
		(void)world_read(root, host, &w);
	json_decref(root);
	return w;
}

static void replay_line(struct model *m, long n, json_t *o)
{
	const char *state = json_string_value(json_object_get(o, "state"));
	const char *dir = json_string_value(json_object_get(o, "dir")), *hex;
	const char *port = json_string_value(json_object_get(o, "port"));
	uint8_t frame[FRAME_MAX];
	json_t *at = json_object_get(o, "at");
	struct verdict v;
	struct pkt p;

	if (json_is_number(at))
		m->now = llround(json_number_value(at) * 1e9);
	if (state) {
		struct world *w = load_world(state, m->host);

		if (w)
			model_apply(m, w);
		printf("{\"n\":%ld,\"action\":\"%s\"}\n", n, w ? "applied" : "refused");
		return;
	}
	hex = json_string_value(json_object_get(o, "packet"));
	int len = hex ? hex_read(hex, strlen(hex), frame, sizeof(frame)) : -1;
	bool tx = dir && !strcmp(dir, "tx");

	if (len < 0 || !port) {
		printf("{\"n\":%ld,\"action\":\"error\"}\n", n);
		return;
	}
	pkt_parse(frame, len, &p);
	model_judge(m, port, tx, &p, &v);
	model_commit(m, port, tx, &p, &v, v.act == ACT_DROP);
	print_verdict(m, n, &p, &v);
}

/* differ replay --state STATE [--host HOST] [FILE]; options that it does not know are those of the hook, ignored. */
int oracle_replay(int argc, char **argv)
{
	const char *state = NULL, *file = NULL;
	struct model m = {.host = "host-a", .seen_port = -1};
	char *text = NULL;
	size_t room = 0;
	long n = 0;

	for (int i = 1; i < argc; i++) {
		bool more = i + 1 < argc;

		if (!strcmp(argv[i], "--state") && more)
			state = argv[++i];
		else if (!strcmp(argv[i], "--host") && more)
			m.host = argv[++i];
		else if (!strcmp(argv[i], "--hook") && more)
			i++;
		else
			file = argv[i];
	}
	FILE *in = file && strcmp(file, "-") ? fopen(file, "r") : stdin;

	m.world = state ? load_world(state, m.host) : NULL;
	if (!in || !m.world) {
		fprintf(stderr, "differ replay: cannot read %s\n", in ? "the state" : file);
		return 1;
	}
	while (getline(&text, &room, in) > 0) {
		json_t *o = json_loads(text, 0, NULL);

		if (o)
			replay_line(&m, n++, o);
		json_decref(o);
	}
	free(text);
	if (in != stdin)
		fclose(in);
	model_done(&m);
	return 0;
}
