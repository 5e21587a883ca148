/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <stdio.h>
#include <string.h>

#include "explain/near.h"
#include "explain/report.h"

#define NEAR_MAX 5 /* near misses that are shown */

struct near_print {
	FILE *out;
	bool egress;
	size_t nr;
};

static void print_near(void *context, const struct rule_found *rule, enum rule_miss miss)
{
	struct near_print *near = context;
	char text[RULE_WORDS_MAX];

	if (near->nr++ < NEAR_MAX)
		fprintf(near->out, "       near: %s %s (%s), %s\n", rule->id, rule->text,
			rule_words(rule, near->egress, text), miss_words(miss));
}

static void print_near_route(void *context, const struct route_found *route)
{
	char text[NEAR_WORDS_MAX];

	fprintf(context, "       near: %s %s%s%s%s, %s\n", route->table, route->prefix, *route->target ? " (" : "",
		route->target, *route->target ? ")" : "", near_words(route, text));
}

static void print_near_misses(const struct way *way, FILE *out)
{
	struct near_print near = {.out = out, .egress = way->asked.egress};
	uint32_t service = SERVICE_KEY(way->out.family, way->out.proto, way->service);
	const struct vpc_subnet *subnet;

	switch (way->reason) {
	case REASON_SG_EGRESS:
	case REASON_SG_INGRESS:
		if (way->asked_eni)
			rules_near_groups(&way->asked, way->asked_eni, service, print_near, &near);
		break;
	case REASON_NACL_EGRESS:
	case REASON_NACL_INGRESS:
		subnet = way_find_subnet(way->state, way->image, way->asked_subnet);
		if (subnet)
			rules_near_nacl(&way->asked, subnet->nacl, service, print_near, &near);
		break;
	}
	near_routes(way, print_near_route, out);
	if (near.nr > NEAR_MAX)
		fprintf(out, "       ... and %zu more\n", near.nr - NEAR_MAX);
}

static void print_step(const struct way_step *step, size_t number, FILE *out)
{
	char text[RULE_WORDS_MAX];
	bool egress = step->stage == STAGE_SG_EGRESS || step->stage == STAGE_NACL_EGRESS;

	fprintf(out, "  %2zu  %-13s %s%s%s", number, stage_name(step->stage), step->id, *step->rule ? " " : "",
		step->rule);
	if (step->what.id)
		fprintf(out, " (%s)", rule_words(&step->what, egress, text));
	if (step->stage == STAGE_CONNTRACK)
		fprintf(out, " remembers the flow: no rule is asked");
	fputc('\n', out);
}

/* The way goes on with other addresses where a gateway changed them. */
static void print_steps(const struct way *way, FILE *out)
{
	struct tuple last = way->tuple;
	char text[RULE_WORDS_MAX];

	for (size_t i = 0; i < way->nr_steps; i++) {
		if (memcmp(&last, &way->step[i].at, sizeof(last)) != 0)
			fprintf(out, "      now %s\n", packet_words(&way->step[i].at, UINT32_MAX, text));
		last = way->step[i].at;
		print_step(way->step + i, i + 1, out);
	}
	if (!way->reason && memcmp(&last, &way->out, sizeof(last)) != 0)
		fprintf(out, "      now %s\n", packet_words(&way->out, UINT32_MAX, text));
}

static void print_where(const struct way *way, FILE *out)
{
	switch (way->action) {
	case ACTION_DELIVER:
		fprintf(out, "  =>  delivered to %s\n", way->image->ports[way->exit].id);
		break;
	case ACTION_UPLINK:
		fprintf(out, "  =>  out by %s\n", way->image->ports[way->exit].id);
		break;
	case ACTION_PASS:
		fprintf(out, "  =>  left to the host\n");
		break;
	case ACTION_REPLY:
		fprintf(out, "  =>  the router answers\n");
		break;
	}
}

static void print_refusal(const struct asked *asked, const struct way *way, FILE *out)
{
	fprintf(out, "   x  %s: %s\n", reason_name(way->reason), reason_meaning(way->reason));
	if (way->reason == REASON_NO_ROUTE && way->asked_table != IMAGE_NONE &&
	    way->image->tables[way->asked_table].nr_rules)
		fprintf(out, "       looked in %s\n", way->image->tables[way->asked_table].rules[0].id);
	if (way->reason == REASON_NO_POLICY && way->image->ports[way->in].kind != PORT_ENI)
		fprintf(out, "       %s is no port of host %s\n", way->image->ports[way->in].id, way->image->host->id);
	print_near_misses(way, out);
	fprintf(out, "       %s\n", explanation_code(asked, way));
}

static void print_way(const struct asked *asked, const char *title, const struct ask_way *way, FILE *out)
{
	char text[RULE_WORDS_MAX];

	fprintf(out, "%s: %s, from %s\n", title, packet_words(&way->way.tuple, way->way.icmp, text),
		asked->image->ports[way->way.in].id);
	print_steps(&way->way, out);
	if (way->way.reason)
		print_refusal(asked, &way->way, out);
	else
		print_where(&way->way, out);
	if (!way->by_program)
		fprintf(out, "      (the model alone)\n");
	else if (way->differs[0])
		fprintf(out, "      DISAGREEMENT: %s\n", way->differs);
	else
		fprintf(out, "      the kernel's program says the same\n");
}

void report_text(const struct asked *asked, const struct answer *answer, FILE *out)
{
	print_way(asked, "there", &answer->there, out);
	if (answer->back.asked)
		print_way(asked, "back", &answer->back, out);
	else
		fprintf(out, "back: not asked: %s\n", answer->no_back);
	if (answer->astray)
		fprintf(out, "   x  the answer does not reach its sender: %s\n", answer->astray);
	fprintf(out, "%s\n", answer->found ? "reachable" : "not reachable");
}
