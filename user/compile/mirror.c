/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Traffic mirror sessions of an ENI of this host -> policy object (TM-01..TM-05, TM-11; format: enid/mirror.h).
 *
 * A session that can send nothing (its target is no ENI with an IPv4 address, or has no filter) is left out: state/
 * says so. What its rules do not accept goes to the next session, so leaving it out changes nothing for the others. */
#include "compile/mirror.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compile/hash.h"
#include "compile/work.h"
#include "enid/mirror.h"

struct sessions {
	const struct mirror_session *list[MIRROR_SESSIONS_MAX];
	size_t nr;
};

static int compare_sessions(const void *a, const void *b)
{
	const struct mirror_session *x = *(const struct mirror_session *const *)a;
	const struct mirror_session *y = *(const struct mirror_session *const *)b;

	return x->number != y->number ? (x->number > y->number) - (x->number < y->number) : strcmp(x->id, y->id);
}

/* A number that AWS would have drawn (TM-09): from the id, so it stays. */
static uint32_t vni_of(const struct mirror_session *session)
{
	struct hasher hasher = HASHER_INIT;

	if (session->vni >= 0)
		return (uint32_t)session->vni;
	hasher_add_text(&hasher, session->id);
	return hasher_result(&hasher).w[0] & 0xffffff;
}

/* An IPv4 address stands in the last word. */
static void write_cidr(const struct cidr *cidr, uint32_t *net, uint32_t *mask)
{
	for (int i = 0; i < 4; i++) {
		int bits = cidr->family == 6 ? cidr->prefixlen - 32 * i : i == 3 ? cidr->prefixlen : 0;

		mask[i] = bits <= 0 ? 0 : htobe32(bits >= 32 ? ~0u : ~0u << (32 - bits));
		net[i] = cidr->addr.w[i] & mask[i];
	}
}

static uint32_t range(uint16_t from, uint16_t to)
{
	return (uint32_t)from << 16 | to;
}

static void write_rule(const struct mirror_rule *rule, struct policy_line *lines)
{
	uint32_t *w = lines[0].w, *nets = lines[1].w;

	w[RULE_W_ACCEPT] = rule->accept;
	w[RULE_W_FAMILY] = rule->source.family;
	w[RULE_W_PROTOCOL] = rule->protocol == PROTOCOL_ANY ? MIRROR_ANY : (uint32_t)rule->protocol;
	w[RULE_W_SPORTS] = range(rule->source_from, rule->source_to);
	w[RULE_W_DPORTS] = range(rule->destination_from, rule->destination_to);
	write_cidr(&rule->source, nets, nets + 4);
	write_cidr(&rule->destination, nets + 8, nets + 12);
}

static uint32_t write_session(const struct mirror_session *session, struct policy_line *lines, size_t at, uint32_t line)
{
	const struct mirror_filter *filter = session->filter;
	const struct mirror_rule *rules[] = {filter->in, filter->out};
	const size_t nr[] = {filter->nr_in, filter->nr_out};
	uint32_t *w = lines[at].w;

	w[MIRROR_W_NUMBER] = (uint32_t)session->number;
	w[MIRROR_W_FLAGS] = (filter->amazon_dns ? MIRROR_DNS : 0) | (session->dropped ? MIRROR_DROPPED : 0);
	w[MIRROR_W_VNI] = vni_of(session);
	w[MIRROR_W_LENGTH] = session->packet_length;
	w[MIRROR_W_SOURCE] = eni_primary4(session->eni);
	w[MIRROR_W_TARGET] = eni_primary4(session->target->eni);
	w[MIRROR_W_ZONE] = vpc_zone(session->target->eni->vpc);
	for (int direction = 0; direction < 2; direction++) {
		w[MIRROR_W_RULES + direction] = (uint32_t)nr[direction];
		w[MIRROR_W_FIRST + direction] = line;
		for (size_t i = 0; i < nr[direction]; i++, line += 2)
			write_rule(&rules[direction][i], lines + line);
	}
	return line;
}

static int write_object(const struct sessions *sessions, struct image_object *ret)
{
	struct hasher hasher = HASHER_INIT;
	uint32_t nr = 1 + (uint32_t)sessions->nr, line = nr;
	struct policy_line *lines;

	for (size_t i = 0; i < sessions->nr; i++)
		nr += 2 * (uint32_t)(sessions->list[i]->filter->nr_in + sessions->list[i]->filter->nr_out);
	lines = calloc(nr, sizeof(*lines));
	if (!lines)
		return -ENOMEM;
	lines[0].w[POLICY_W_KIND] = POLICY_MIRROR;
	lines[0].w[POLICY_W_LINES] = nr;
	lines[0].w[POLICY_W_SESSIONS] = (uint32_t)sessions->nr;
	for (size_t i = 0; i < sessions->nr; i++)
		lines[0].w[POLICY_W_DROPPED] |= sessions->list[i]->dropped;
	for (size_t i = 0; i < sessions->nr; i++)
		line = write_session(sessions->list[i], lines, 1 + i, line);
	hasher_add(&hasher, lines, nr * sizeof(*lines));
	*ret = (struct image_object){.hash = hasher_result(&hasher), .nr_lines = nr, .lines = lines};
	return 0;
}

bool mirror_session_works(const struct mirror_session *session)
{
	return session->eni && session->target && session->filter && session->target->eni &&
	       session->target->eni != session->eni && !session->eni->routing && eni_primary4(session->eni) &&
	       eni_primary4(session->target->eni);
}

static int add_session(struct image_work *work, struct sessions *sessions, const struct mirror_session *session)
{
	const struct mirror_filter *filter = session->filter;

	if (filter->nr_in > MIRROR_RULES_MAX || filter->nr_out > MIRROR_RULES_MAX)
		return work_refuse(work, "%s: rules of one direction: more than %u", filter->id, MIRROR_RULES_MAX);
	if (sessions->nr == MIRROR_SESSIONS_MAX)
		return work_refuse(work, "traffic mirror sessions of %s: more than %u (TM-01)", session->eni->id,
				   MIRROR_SESSIONS_MAX);
	sessions->list[sessions->nr++] = session;
	return 0;
}

static int compile_port(struct image_work *work, struct image_port *port)
{
	const struct state_extra *extra = work_extra(work);
	struct sessions sessions = {};
	struct image_object object;
	int r = 0;

	for (size_t i = 0; i < extra->nr_mirror_sessions && !r; i++)
		if (extra->mirror_sessions[i].eni == port->eni && mirror_session_works(&extra->mirror_sessions[i]))
			r = add_session(work, &sessions, &extra->mirror_sessions[i]);
	if (r || !sessions.nr)
		return r;
	qsort(sessions.list, sessions.nr, sizeof(*sessions.list), compare_sessions);
	r = write_object(&sessions, &object);
	return r ? r : work_add_object(work, &object, &port->mirror);
}

int mirrors_compile(struct image_work *work)
{
	const struct state_extra *extra = work_extra(work);
	struct image *image = work->image;
	int r = 0;

	for (size_t i = 0; i < extra->nr_mirror_sessions && !r; i++) {
		const struct eni *eni = extra->mirror_sessions[i].eni;
		struct image_port *port = eni ? &image->ports[work->notes[eni - work->state->enis].port] : NULL;

		if (port && port->kind == PORT_ENI && port->mirror == IMAGE_NONE)
			r = compile_port(work, port);
	}
	return r;
}
