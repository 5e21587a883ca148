/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whose traffic is logged, and how. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "flowlog/enis.h"
#include "flowlog/transit.h"
#include "state/extra.h"

/* One record is one line whatever an id holds (E32): blanks, controls and bytes beyond ASCII become \xHH. */
void log_escape(const char *name, char *ret)
{
	size_t at = 0;

	for (; *name && at + 4 < LOG_NAME_MAX; name++) {
		unsigned char c = (unsigned char)*name;

		if (c > ' ' && c < 0x7f && c != '\\')
			ret[at++] = (char)c;
		else
			at += (size_t)sprintf(ret + at, "\\x%02x", c);
	}
	ret[at] = 0;
}

static bool log_covers(const struct flow_log *log, const char *const ids[LOG_RESOURCES])
{
	for (int i = 0; i < LOG_RESOURCES; i++)
		if (ids[i] && !strcmp(log->resource, ids[i]))
			return true;
	return false;
}

/* Transit gateways know no verdict. */
static uint32_t log_traffic(const struct flow_log *log, const struct log_eni *eni)
{
	if (eni->transit)
		return LOG_ACCEPT | LOG_REJECT;
	if (!strcasecmp(log->traffic, "ACCEPT"))
		return LOG_ACCEPT;
	return strcasecmp(log->traffic, "REJECT") ? LOG_ACCEPT | LOG_REJECT : LOG_REJECT;
}

static int add_want(struct log_eni *eni, uint32_t log, uint32_t what)
{
	struct log_want *wants = realloc(eni->wants, (eni->nr_wants + 1) * sizeof(*wants));

	if (!wants)
		return -ENOMEM;
	eni->wants = wants;
	eni->wants[eni->nr_wants++] = (struct log_want){log, what};
	return 0;
}

/* The index of a FlowLogs object in the set; -1 = it is not active, or not written. */
static int log_index(const struct log_enis *enis, const char *id)
{
	for (size_t i = 0; id && i < enis->nr_logs; i++)
		if (!strcmp(enis->logs[i].id, id))
			return (int)i;
	return -1;
}

/* FL-01 to FL-03: several logs of one ENI add up, the shortest window holds. Without any log all ENIs are logged. */
int log_eni_choose(const struct state *state, const struct log_enis *enis, struct log_eni *eni,
		   const char *const ids[LOG_RESOURCES])
{
	int r = 0;

	eni->what = state->nr_flow_logs || eni->transit ? 0 : LOG_ACCEPT | LOG_REJECT;
	eni->interval_s = state->nr_flow_logs ? 0 : LOG_INTERVAL_S;
	for (size_t i = 0; !r && i < state->nr_flow_logs; i++) {
		const struct flow_log *log = &state->flow_logs[i];
		int index = log_index(enis, log->id);

		if (!log->active || !log_covers(log, ids))
			continue;
		if (index >= 0)
			r = add_want(eni, (uint32_t)index, log_traffic(log, eni));
		eni->what |= log_traffic(log, eni);
		if (!eni->interval_s || log->interval_s < eni->interval_s)
			eni->interval_s = log->interval_s;
	}
	if (!r && eni->what & LOG_REJECT && !eni->transit)
		r = add_want(eni, (uint32_t)log_index(enis, LOG_REJECTS), LOG_REJECT);
	if (!eni->interval_s)
		eni->interval_s = LOG_INTERVAL_S;
	return r;
}

static int copy_six(struct log_eni *eni, const struct eni *from)
{
	eni->six = calloc(from->nr_addresses + 1, sizeof(*eni->six));
	if (!eni->six)
		return -ENOMEM;
	for (size_t i = 0; i < from->nr_addresses; i++) {
		const struct eni_address *address = &from->addresses[i];

		if (address->family != 6)
			continue;
		eni->six[eni->nr_six++] = *address;
		if (!eni->has6 && address->prefixlen == 128) {
			eni->first6 = address->addr;
			eni->has6 = true;
		}
	}
	return 0;
}

static void eni_free(struct log_eni *eni)
{
	if (eni) {
		free(eni->six);
		free(eni->names);
		free(eni->wants);
	}
	free(eni);
}

/* FL-07, version 11: the kinds of managed interfaces that it names. */
static const char *printed_type(const char *type)
{
	static const char *const types[] = {"nat_gateway", "network_load_balancer", "transit_gateway", "vpc_endpoint"};

	if (type && !strcasecmp(type, "natGateway"))
		return types[0];
	for (size_t i = 0; type && i < sizeof(types) / sizeof(*types); i++)
		if (!strcasecmp(type, types[i]))
			return types[i];
	return "";
}

int log_eni_set_names(struct log_eni *eni, const char *const names[LOG_NAMES_MAX])
{
	char escaped[LOG_NAMES_MAX][LOG_NAME_MAX], *at;

	for (int i = 0; i < LOG_NAMES_MAX; i++) {
		log_escape(names[i] ? names[i] : "", escaped[i]);
		eni->names_bytes += strlen(escaped[i]) + 1;
	}
	at = eni->names = malloc(eni->names_bytes);
	for (int i = 0; at && i < LOG_NAMES_MAX; i++)
		at = stpcpy(at, escaped[i]) + 1;
	return at ? 0 : -ENOMEM;
}

static int name_eni(struct log_eni *eni, const struct eni *from)
{
	const char *zone = from->subnet && from->subnet->az ? from->subnet->az : "";
	char region[ID_MAX];

	log_region(zone, region);
	return log_eni_set_names(eni, (const char *const[LOG_NAMES_MAX]){
					      [LOG_NAME_VPC] = from->vpc ? from->vpc->id : "",
					      [LOG_NAME_SUBNET] = from->subnet ? from->subnet->id : "",
					      [LOG_NAME_INSTANCE] = from->instance,
					      [LOG_NAME_REGION] = region,
					      [LOG_NAME_AZ] = from->subnet ? from->subnet->az_id : "",
					      [LOG_NAME_TYPE] = printed_type(from->type),
				      });
}

const char *log_eni_name(const struct log_eni *eni, enum log_name which)
{
	const char *name = eni->names;

	for (int i = 0; name && i < (int)which; i++)
		name += strlen(name) + 1;
	return name ? name : "";
}

uint32_t log_eni_wants(const struct log_eni *eni, uint32_t log)
{
	for (size_t i = 0; i < eni->nr_wants; i++)
		if (eni->wants[i].log == log)
			return eni->wants[i].what;
	return 0;
}

static const char *account_of(const struct eni *eni)
{
	if (eni->owner && *eni->owner)
		return eni->owner;
	return eni->vpc && *eni->vpc->owner ? eni->vpc->owner : "unknown";
}

static int make_eni(const struct state *state, const struct log_enis *enis, const struct image_port *port,
		    struct log_eni **ret)
{
	struct log_eni *eni = calloc(1, sizeof(*eni));

	*ret = eni;
	if (!eni || copy_six(eni, port->eni))
		return -ENOMEM;
	log_escape(port->id, eni->id);
	log_escape(account_of(port->eni), eni->account);
	eni->primary4 = port->primary4;
	eni->side_instance = port->flags & PORT_SIDE_INSTANCE;
	return log_eni_choose(state, enis, eni,
			      (const char *[LOG_RESOURCES]){port->eni->id,
							    port->eni->subnet ? port->eni->subnet->id : NULL,
							    port->eni->vpc ? port->eni->vpc->id : NULL})
		       ?: name_eni(eni, port->eni);
}

/* FL-24: a regional NAT gateway has no ENI; its lines name the gateway itself. */
static int make_regional(const struct state *state, const struct log_enis *enis, const struct image_port *port,
			 struct log_eni **ret)
{
	const struct nat_gateway *nat = NULL;
	struct log_eni *eni;

	for (size_t i = 0; state->extra && !nat && i < state->extra->nr_nat_gateways; i++)
		if (!strcmp(state->extra->nat_gateways[i].id, port->id))
			nat = &state->extra->nat_gateways[i];
	if (!nat || !nat->regional)
		return 0;
	eni = *ret = calloc(1, sizeof(*eni));
	if (!eni)
		return -ENOMEM;
	strcpy(eni->id, "-");
	log_escape(nat->vpc && *nat->vpc->owner ? nat->vpc->owner : "unknown", eni->account);
	eni->regional = true;
	return log_eni_choose(state, enis, eni, (const char *[LOG_RESOURCES]){nat->id, nat->vpc ? nat->vpc->id : NULL})
		       ?: log_eni_set_names(eni, (const char *const[LOG_NAMES_MAX]){
							 [LOG_NAME_VPC] = nat->vpc ? nat->vpc->id : "",
							 [LOG_NAME_TYPE] = "regional_nat_gateway",
							 [LOG_NAME_RESOURCE] = nat->id,
						 });
}

static int copy_gone(const struct log_enis *before, const struct log_enis *enis, const struct log_eni *from,
		     struct log_eni **ret)
{
	struct log_eni *eni = malloc(sizeof(*eni));
	int r = 0;

	*ret = eni;
	if (!eni)
		return -ENOMEM;
	*eni = *from;
	eni->gone = true;
	eni->wants = NULL;
	eni->nr_wants = 0;
	eni->six = calloc(from->nr_six + 1, sizeof(*eni->six));
	eni->names = malloc(from->names_bytes + 1);
	if (!eni->six || !eni->names)
		return -ENOMEM;
	memcpy(eni->six, from->six, from->nr_six * sizeof(*eni->six));
	memcpy(eni->names, from->names, from->names_bytes);
	for (size_t i = 0; !r && i < from->nr_wants; i++) {
		int index = log_index(enis, before->logs[from->wants[i].log].id);

		if (index >= 0)
			r = add_want(eni, (uint32_t)index, from->wants[i].what);
	}
	return r;
}

static int copy_logs(const struct state *state, struct log_enis *enis)
{
	enis->logs = calloc(state->nr_flow_logs + 2, sizeof(*enis->logs));
	if (!enis->logs)
		return -ENOMEM;
	for (size_t i = 0; i < state->nr_flow_logs; i++) {
		int r = state->flow_logs[i].active
				? log_spec_make(state, &state->flow_logs[i], &enis->logs[enis->nr_logs])
				: -EINVAL;

		if (r == -ENOMEM)
			return r;
		enis->nr_logs += !r;
	}
	return log_spec_rejects(&enis->logs[enis->nr_logs++]);
}

static void place_port(const struct image *image, const struct image_port *port, struct log_place *ret)
{
	const struct image_gateway *gateway =
		port->hop && port->hop <= image->nr_gateways ? &image->gateways[port->hop - 1] : NULL;

	*ret = (struct log_place){.kind = (uint8_t)port->kind,
				  .gateway = (uint8_t)port->gateway,
				  .far = gateway && gateway->flags & GATEWAY_FAR,
				  .zone = port->zone,
				  .az = port->subnet < image->nr_subnets ? image->subnets[port->subnet].az : 0};
}

static int add_port(const struct state *state, const struct image *image, const struct image_port *port,
		    uint32_t number, struct log_enis *enis)
{
	int r = 0;

	place_port(image, port, &enis->place[number]);
	if (port->kind == PORT_REMOTE && !log_is_door(image, port->eni))
		return 0;
	if (port->eni)
		r = make_eni(state, enis, port, &enis->by_port[number]);
	else if (port->kind == PORT_NAT)
		r = make_regional(state, enis, port, &enis->by_port[number]);
	return r;
}

static int fill(const struct state *state, const struct image *image, port_number_fn number, const void *arg,
		const struct log_enis *before, struct log_enis *enis)
{
	for (size_t i = 0; i < image->nr_ports; i++) {
		uint32_t port = number(arg, image->ports[i].id);

		if (port && port < PORTS_MAX && add_port(state, image, &image->ports[i], port, enis))
			return -ENOMEM;
	}
	if (log_transits_make(state, image, number, arg, enis))
		return -ENOMEM;
	for (uint32_t port = 0; before && port < before->nr; port++)
		if (before->by_port[port] && !enis->by_port[port] &&
		    copy_gone(before, enis, before->by_port[port], &enis->by_port[port]))
			return -ENOMEM;
	return 0;
}

int log_enis_make(const struct state *state, const struct image *image, port_number_fn number, const void *arg,
		  const struct log_enis *before, struct log_enis **ret)
{
	struct log_enis *enis = calloc(1, sizeof(*enis));

	if (!enis)
		return -ENOMEM;
	enis->users = 1;
	enis->nr = PORTS_MAX;
	enis->by_port = calloc(PORTS_MAX, sizeof(*enis->by_port));
	enis->place = calloc(PORTS_MAX, sizeof(*enis->place));
	if (!enis->by_port || !enis->place || copy_logs(state, enis) || fill(state, image, number, arg, before, enis)) {
		log_enis_drop(&enis);
		return -ENOMEM;
	}
	while (enis->nr && !enis->by_port[enis->nr - 1])
		enis->nr--;
	*ret = enis;
	return 0;
}

struct log_enis *log_enis_use(struct log_enis *enis)
{
	__atomic_fetch_add(&enis->users, 1, __ATOMIC_RELAXED);
	return enis;
}

void log_enis_drop(struct log_enis **enis)
{
	struct log_enis *set = *enis;

	*enis = NULL;
	if (!set || __atomic_sub_fetch(&set->users, 1, __ATOMIC_ACQ_REL))
		return;
	for (uint32_t port = 0; set->by_port && port < set->nr; port++)
		eni_free(set->by_port[port]);
	for (size_t i = 0; i < set->nr_logs; i++)
		log_spec_done(&set->logs[i]);
	free(set->logs);
	free(set->place);
	free(set->transit);
	free(set->tgw_tables);
	free(set->by_port);
	free(set);
}

static bool is_inside(const union addr *addr, const struct eni_address *own)
{
	uint8_t bits = own->prefixlen;

	if (memcmp(addr->bytes, own->addr.bytes, bits / 8) != 0)
		return false;
	return bits % 8 == 0 || !((addr->bytes[bits / 8] ^ own->addr.bytes[bits / 8]) >> (8 - bits % 8));
}

void log_eni_own(const struct log_eni *eni, int family, const union addr *in_packet, union addr *ret)
{
	*ret = *in_packet;
	if (family == 4 || eni->regional) {
		if (eni->primary4 && !eni->regional)
			*ret = (union addr){.ip4 = eni->primary4};
		return;
	}
	for (size_t i = 0; i < eni->nr_six; i++)
		if (is_inside(in_packet, &eni->six[i]))
			return;
	if (eni->has6)
		*ret = eni->first6;
}
