/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "explain/ask.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "explain/report.h"
#include "state/cidr.h"

#define TCP_SYN 2
#define TCP_ACK 16

/* ---- words */

static const struct {
	const char *name;
	int number;
} protocols[] = {{"tcp", IPPROTO_TCP}, {"udp", IPPROTO_UDP}, {"icmp", IPPROTO_ICMP}, {"icmpv6", IPPROTO_ICMPV6},
		 {"gre", IPPROTO_GRE}, {"esp", IPPROTO_ESP}, {"sctp", IPPROTO_SCTP}};

int protocol_number(const char *word)
{
	char *end;
	long number = strtol(word, &end, 10);

	if (end != word && !*end)
		return number >= 0 && number <= 255 ? (int)number : -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
		if (!strcmp(word, protocols[i].name))
			return protocols[i].number == IPPROTO_ICMP || protocols[i].number == IPPROTO_ICMPV6
				       ? PROTOCOL_ICMP
				       : protocols[i].number;
	return -EINVAL;
}

const char *protocol_name(int protocol, char text[16])
{
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
		if (protocols[i].number == protocol)
			return protocols[i].name;
	(void)snprintf(text, 16, "protocol %d", protocol);
	return text;
}

/* ---- ends */

struct end {
	const struct eni *eni; /* NULL = outside, or nobody's address */
	bool internet;         /* no address is said */
	int family;            /* of the address that is said; 0 = none is */
	union addr addr;
};

static bool owns(const struct eni *eni, int family, const union addr *addr)
{
	for (size_t i = 0; i < eni->nr_addresses; i++) {
		const struct eni_address *own = eni->addresses + i;
		const struct cidr block = {own->family, own->prefixlen, own->addr};
		const struct cidr point = {(uint8_t)family, family == 6 ? 128 : 32, *addr};

		if (own->family == family &&
		    (cidr_contains(&block, &point) || (family == 4 && own->public_ip && own->public_ip == addr->ip4)))
			return true;
	}
	return false;
}

static int end_of_address(const struct asked *asked, const char *word, const char *vpc, struct end *end, char **ret_why)
{
	const struct state *state = asked->state;

	for (size_t i = 0; i < state->nr_enis; i++) {
		const struct eni *eni = state->enis + i;

		if (!owns(eni, end->family, &end->addr) || (vpc && (!eni->vpc || strcmp(eni->vpc->id, vpc) != 0)))
			continue;
		if (end->eni)
			return refuse(ret_why, -EINVAL, "%s is an address of %s and of %s: say which by --vpc", word,
				      end->eni->id, eni->id);
		end->eni = eni;
	}
	return 0;
}

static int end_of_name(const struct asked *asked, const char *word, const char *vpc, struct end *end, char **ret_why)
{
	const struct state *state = asked->state;

	for (size_t i = 0; i < state->nr_enis; i++) {
		const struct eni *eni = state->enis + i;

		if (!strcmp(eni->id, word)) {
			end->eni = eni;
			return 0;
		}
	}
	for (size_t i = 0; i < state->nr_enis; i++) {
		const struct eni *eni = state->enis + i;

		if ((strcmp(eni->name, word) != 0 && strcmp(eni->instance, word) != 0) ||
		    (vpc && (!eni->vpc || strcmp(eni->vpc->id, vpc) != 0)))
			continue;
		if (end->eni)
			return refuse(ret_why, -EINVAL, "'%s' is a name of %s and of %s: say which by its id", word,
				      end->eni->id, eni->id);
		end->eni = eni;
	}
	return end->eni ? 0 : refuse(ret_why, -EINVAL, "'%s' is no network interface of the state", word);
}

static int end_of(const struct asked *asked, const char *word, const char *vpc, struct end *ret, char **ret_why)
{
	int family = address_parse(word, &ret->addr);

	if (!strcmp(word, "internet")) {
		ret->internet = true;
		return 0;
	}
	if (family < 0)
		return end_of_name(asked, word, vpc, ret, ret_why);
	ret->family = family;
	return end_of_address(asked, word, vpc, ret, ret_why);
}

static bool own_address(const struct eni *eni, int family, bool public, union addr *ret)
{
	for (size_t i = 0; i < eni->nr_addresses; i++) {
		const struct eni_address *own = eni->addresses + i;
		bool whole = own->prefixlen == (own->family == 6 ? 128 : 32);

		if (own->family != family || !whole || (public && family == 4 && !own->public_ip))
			continue;
		*ret = own->addr;
		if (public && family == 4)
			*ret = (union addr){.ip4 = own->public_ip};
		return true;
	}
	return false;
}

static bool speaks(const struct end *end, int family)
{
	union addr any;

	if (end->family)
		return end->family == family;
	return end->internet || (end->eni && own_address(end->eni, family, false, &any));
}

static int choose_family(const struct question *question, const struct end *from, const struct end *to, char **ret_why)
{
	static const int families[] = {4, 6};

	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		if ((!question->family || question->family == families[i]) && speaks(from, families[i]) &&
		    speaks(to, families[i]))
			return families[i];
	return refuse(ret_why, -EINVAL, "%s and %s have no address of one family%s", question->from, question->to,
		      question->family == 4 ? " (IPv4)"
		      : question->family    ? " (IPv6)"
					    : "");
}

/* ---- the question as a packet */

static uint32_t port_at(const struct image *image, const struct eni *eni)
{
	return eni ? way_find_port(image, eni->id) : IMAGE_NONE;
}

/* The uplink by which packets for `to` come from outside. */
static uint32_t entrance(const struct asked *asked, const struct question *question, const struct end *to,
			 char **ret_why)
{
	const struct image *image = asked->image;
	uint32_t port = question->via ? way_find_port(image, question->via) : IMAGE_NONE;

	if (question->via) {
		if (port != IMAGE_NONE && image->ports[port].kind == PORT_UPLINK)
			return port;
		(void)refuse(ret_why, 0, "'%s' is no uplink of this host", question->via);
		return IMAGE_NONE;
	}
	for (uint32_t i = 0; i < image->nr_ports; i++)
		if (image->ports[i].kind == PORT_UPLINK && image->ports[i].gateway == ROUTE_IGW &&
		    (!to->eni || (to->eni->vpc && to->eni->vpc->zone == image->ports[i].zone)))
			return i;
	(void)refuse(ret_why, 0, "no internet gateway's uplink leads to %s: name another one by --via", question->to);
	return IMAGE_NONE;
}

static int fill_ports(const struct question *question, struct way *way, char **ret_why)
{
	int family = way->tuple.family, type = question->icmp_type,
	    code = question->icmp_code < 0 ? 0 : question->icmp_code;
	int source = question->source_port < 0 ? ASK_SOURCE_PORT : question->source_port;

	way->tuple.proto = question->protocol != PROTOCOL_ICMP ? (uint8_t)question->protocol
			   : family == 6                       ? IPPROTO_ICMPV6
							       : IPPROTO_ICMP;
	if (way_is_query(family, way->tuple.proto)) {
		if (question->port >= 0)
			return refuse(ret_why, -EINVAL, "only TCP and UDP have ports");
		type = type < 0 ? family == 6 ? 128 : 8 : type;
		if (family == 6 ? (type > 0 && type < 5) || (type >= 130 && type <= 137) || type == 143
				: type == 3 || type == 4 || type == 5 || type == 11 || type == 12)
			return refuse(ret_why, -EINVAL, "ICMP type %d belongs to a flow or a link: ask for that", type);
		way->icmp = (uint32_t)(type << 8 | code);
		if (way_plain(way)) {
			way->tuple.sport = htons((uint16_t)source);
			way->tuple.dport = (uint16_t)type;
		}
		return 0;
	}
	if (type >= 0)
		return refuse(ret_why, -EINVAL, "an ICMP type needs the protocol %s", family == 6 ? "icmpv6" : "icmp");
	if (question->protocol != IPPROTO_TCP && question->protocol != IPPROTO_UDP)
		return question->port < 0 ? 0 : refuse(ret_why, -EINVAL, "only TCP and UDP have ports");
	if (question->port < 0)
		return refuse(ret_why, -EINVAL, "which port? (--port)");
	way->tuple.sport = htons((uint16_t)source);
	way->tuple.dport = htons((uint16_t)question->port);
	way->opens = question->protocol == IPPROTO_TCP;
	return 0;
}

static int fill_addresses(const struct asked *asked, const struct question *question, const struct end *from,
			  const struct end *to, struct way *way, char **ret_why)
{
	int family = choose_family(question, from, to, ret_why);
	bool outside = !from->eni;

	if (family < 0)
		return family;
	way->tuple.family = (uint8_t)family;
	way->tuple.saddr = from->family ? from->addr : outside_address(asked->state, family);
	way->tuple.daddr = to->family ? to->addr : outside_address(asked->state, family);
	way->in = outside ? entrance(asked, question, to, ret_why) : port_at(asked->image, from->eni);
	if (way->in == IMAGE_NONE)
		return *ret_why ? -EINVAL : refuse(ret_why, -EINVAL, "%s is not served", question->from);
	if (from->eni && !from->family)
		(void)own_address(from->eni, family, false, &way->tuple.saddr);
	if (from->eni && from->family) /* by its public address: what it sends has the private one */
		for (size_t i = 0; i < from->eni->nr_addresses; i++)
			if (family == 4 && from->eni->addresses[i].public_ip &&
			    from->eni->addresses[i].public_ip == from->addr.ip4)
				way->tuple.saddr = from->eni->addresses[i].addr;
	/* who comes by an internet gateway knows public addresses only */
	if (to->eni && !to->family &&
	    !(outside && asked->image->ports[way->in].gateway == ROUTE_IGW &&
	      own_address(to->eni, family, true, &way->tuple.daddr)))
		(void)own_address(to->eni, family, false, &way->tuple.daddr);
	return 0;
}

/* ---- the two that are asked */

static void wish_of(const struct asked *asked, const struct way *way, struct frame_wish *ret)
{
	const struct image_port *in = asked->image->ports + way->in;

	*ret = (struct frame_wish){.tuple = way->tuple, .icmp = way->icmp};
	ret->tcp_flags = way->opens ? TCP_SYN : TCP_SYN | TCP_ACK;
	memcpy(ret->target_mac, asked->image->router_mac, 6);
	if (in->kind == PORT_UPLINK)
		memcpy(ret->source_mac, (const uint8_t[]){0x02, 0, 0, 0, 0xff, 0xfe}, 6);
	else
		memcpy(ret->source_mac, in->mac, 6);
}

static bool same_out(const struct way *way, const struct program_answer *program)
{
	struct tuple model = way->out, other = program->tuple;

	if (!program->has_tuple)
		return false;
	if (way->port_free)
		model.sport = other.sport = 0;
	return !memcmp(&model, &other, sizeof(model));
}

static const char *exit_id(const struct asked *asked, const struct way *way)
{
	return way->action == ACTION_DELIVER || way->action == ACTION_UPLINK ? asked->image->ports[way->exit].id : "";
}

static bool wrapped(const struct asked *asked, const struct way *way)
{
	return way->action == ACTION_UPLINK && asked->image->ports[way->exit].gateway == ROUTE_GWLBE;
}

#define DIFFER(way, ...) ((void)snprintf((way)->differs, sizeof((way)->differs), __VA_ARGS__))

static void compare_steps(struct ask_way *way)
{
	const struct way *model = &way->way;
	const struct program_answer *program = &way->program;

	for (size_t i = 0; i < model->nr_steps && i < program->nr_steps; i++) {
		const struct way_step *a = model->step + i;
		const struct program_step *b = program->step + i;

		if (a->stage == b->stage && !strcmp(a->id, b->id) && !strcmp(a->rule, b->rule))
			continue;
		DIFFER(way, "decision %zu: the model says %s %s, the program %s %s", i + 1, a->id, a->rule, b->id,
		       b->rule);
		return;
	}
	if (model->reason && program->action != ACTION_DROP && program->nr_steps > model->nr_steps)
		return; /* the sender is told, and that answer's own way stands behind */
	if (model->nr_steps != program->nr_steps)
		DIFFER(way, "the model has %zu decisions, the program %zu", model->nr_steps, program->nr_steps);
}

static void compare(const struct asked *asked, struct ask_way *way)
{
	const struct way *model = &way->way;
	const struct program_answer *program = &way->program;
	const char *to = exit_id(asked, model);

	if (model->reason != program->reason)
		DIFFER(way, "the model says %s, the program %s",
		       model->reason ? reason_name(model->reason) : action_name(model->action),
		       program->reason ? reason_name(program->reason) : action_name(program->action));
	else if (!model->reason && model->action != program->action)
		DIFFER(way, "the model says %s, the program %s", action_name(model->action),
		       action_name(program->action));
	else if (!model->reason && strcmp(to, program->to) != 0)
		DIFFER(way, "the model lets it go to %s, the program to %s", to, program->to);
	else if (!model->reason && *to && !wrapped(asked, model) && !same_out(model, program))
		DIFFER(way, "the packet leaves with other addresses or ports");
	else
		compare_steps(way);
}

/* A port that a NAT gateway chose: only the program knows which. What came behind the gateway was shown that one. */
static void settle_port(struct ask_way *asked)
{
	struct way *way = &asked->way;
	uint16_t wished = way->out.sport;

	if (!way->port_free)
		return;
	way->out.sport =
		asked->by_program && asked->program.has_tuple ? asked->program.tuple.sport : htons(NAT_PORT_FIRST);
	for (size_t i = 0; i < way->nr_steps; i++) {
		struct tuple *at = &way->step[i].at;

		if (at->sport == wished && !memcmp(&at->saddr, &way->out.saddr, sizeof(at->saddr)))
			at->sport = way->out.sport;
	}
}

static int ask_both(const struct asked *asked, struct ask_way *way)
{
	const struct image_port *in = asked->image->ports + way->way.in;
	bool tx = in->mode == MODE_GUARD && in->flags & PORT_SIDE_INSTANCE;
	struct frame_wish wish;
	int r;

	way->asked = true;
	wish_of(asked, &way->way, &wish);
	way->nr_frame = frame_build(&wish, way->frame);
	way->way.state = asked->state;
	way->way.image = asked->image;
	way->way.secrets = asked->program ? asked->program->secrets : NULL;
	(void)way_walk(&way->way);
	if (asked->program) {
		r = program_ask(asked->program, in->id, tx, way->frame, way->nr_frame, &way->program);
		if (r)
			return r;
		way->by_program = true;
		compare(asked, way);
	}
	settle_port(way);
	return 0;
}

/* ---- the way back */

static const char *why_no_back(const struct asked *asked, const struct way *there)
{
	const struct image_port *exit = there->exit == IMAGE_NONE ? NULL : asked->image->ports + there->exit;

	if (there->reason)
		return "the way there ends early";
	if (there->action != ACTION_DELIVER && there->action != ACTION_UPLINK)
		return "what comes after is not in the state";
	if (wrapped(asked, there))
		return "an appliance has the packet now";
	if (there->action == ACTION_DELIVER &&
	    way_find_owner(asked->image, exit->zone, there->out.family, &there->out.daddr) != there->exit)
		return "a middlebox has the packet now";
	return way_may_open(there) ? NULL : "nothing answers such a message";
}

static void begin_back(const struct ask_way *there, const struct way_memory *memory, struct way *ret)
{
	const struct tuple *out = &there->way.out;

	*ret = (struct way){.memory = memory, .in = there->way.exit, .tuple = way_answer(out)};
	if (way_is_query(out->family, out->proto))
		ret->icmp = (uint32_t)ret->tuple.dport << 8;
}

static const char *why_astray(const struct answer *answer)
{
	const struct tuple wanted = way_answer(&answer->there.way.tuple);

	if (answer->back.way.reason || answer->back.way.exit != answer->there.way.in)
		return answer->back.way.reason ? NULL : "it goes to somebody else";
	return memcmp(&wanted, &answer->back.way.out, sizeof(wanted)) ? "the sender does not know these addresses"
								      : NULL;
}

/* What the question names and no end of it needs may still be a slip. */
static int check_names(const struct asked *asked, const struct question *question, char **ret_why)
{
	const struct state *state = asked->state;
	bool known = !question->vpc;

	for (size_t i = 0; !known && i < state->nr_vpcs; i++)
		known = !strcmp(state->vpcs[i].id, question->vpc);
	if (!known)
		return refuse(ret_why, -EINVAL, "'%s' is no VPC of the state", question->vpc);
	if (question->via && way_find_port(asked->image, question->via) == IMAGE_NONE)
		return refuse(ret_why, -EINVAL, "'%s' is no uplink of this host", question->via);
	return 0;
}

int ask(const struct asked *asked, const struct question *question, struct answer *ret, char **ret_why)
{
	struct end from = {}, to = {};
	int r = check_names(asked, question, ret_why);

	*ret = (struct answer){.question = *question};
	if (!r)
		r = end_of(asked, question->from, question->vpc, &from, ret_why);
	if (!r)
		r = end_of(asked, question->to, question->vpc, &to, ret_why);
	if (!r)
		r = fill_addresses(asked, question, &from, &to, &ret->there.way, ret_why);
	if (!r)
		r = fill_ports(question, &ret->there.way, ret_why);
	if (r)
		return r;
	ret->from = from.eni;
	ret->to = to.eni;
	if (asked->program)
		program_forget(asked->program);
	r = ask_both(asked, &ret->there);
	if (r)
		return r;
	ret->no_back = why_no_back(asked, &ret->there.way);
	if (ret->no_back) {
		ret->found = !ret->there.way.reason;
		return 0;
	}
	way_remember(&ret->there.way, &ret->memory);
	begin_back(&ret->there, &ret->memory, &ret->back.way);
	r = ask_both(asked, &ret->back);
	ret->astray = why_astray(ret);
	ret->found = !r && !ret->back.way.reason && !ret->astray;
	return r;
}
