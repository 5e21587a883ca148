/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which doors transit gateways have here, and what their flow logs say of each. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flowlog/transit.h"
#include "state/extra.h"

struct making {
	const struct state *state;
	const struct image *image;
	port_number_fn number;
	const void *arg;
	struct log_enis *enis;
};

static uint32_t tgw_number(const struct making *making, const struct tgw *tgw)
{
	return (uint32_t)(tgw - making->state->extra->tgws) + 1;
}

static uint32_t port_of(const struct making *making, const char *id)
{
	uint32_t port = making->number(making->arg, id);

	return port < PORTS_MAX ? port : 0;
}

static bool usable(const struct tgw_vpc_attachment *attachment)
{
	return attachment->available && attachment->tgw && attachment->tgw->available && attachment->vpc;
}

static bool stands_in(const struct tgw_vpc_attachment *attachment, const struct vpc_subnet *subnet)
{
	for (size_t i = 0; i < attachment->nr_subnets; i++)
		if (attachment->subnets[i] == subnet)
			return true;
	return false;
}

/* An ENI's Description names its attachment. Where it has none, it is the only one of its subnet's: where there are two
 * nobody says whose it is, and no lines are better than wrong ones. */
static bool is_of(const struct making *making, const struct eni *eni, const struct tgw_vpc_attachment *attachment)
{
	const struct state_extra *extra = making->state->extra;
	size_t nr = 0;

	if (eni->transit && *eni->transit)
		return !strcmp(eni->transit, attachment->id);
	for (size_t i = 0; i < extra->nr_tgw_vpc_attachments; i++)
		nr += usable(&extra->tgw_vpc_attachments[i]) && stands_in(&extra->tgw_vpc_attachments[i], eni->subnet);
	return nr == 1;
}

bool log_is_door(const struct image *image, const struct eni *eni)
{
	if (!eni || !eni->type || strcmp(eni->type, "transit_gateway") != 0)
		return false;
	for (size_t i = 0; image->host && i < image->host->nr_ports; i++)
		if (image->host->ports[i].eni == eni)
			return true;
	return false;
}

static uint32_t eni_of(const struct making *making, const struct tgw_vpc_attachment *attachment,
		       const struct vpc_subnet *subnet)
{
	for (size_t i = 0; i < making->image->nr_ports; i++) {
		const struct eni *eni = making->image->ports[i].eni;

		if (eni && eni->subnet == subnet && log_is_door(making->image, eni) && is_of(making, eni, attachment))
			return port_of(making, eni->id);
	}
	return 0;
}

static const struct image_subnet *image_subnet(const struct making *making, const char *id)
{
	for (size_t i = 0; i < making->image->nr_subnets; i++)
		if (!strcmp(making->image->subnets[i].id, id))
			return &making->image->subnets[i];
	return NULL;
}

static int add_door(const struct making *making, const struct log_transit *door)
{
	struct log_enis *enis = making->enis;
	struct log_transit *transit = realloc(enis->transit, (enis->nr_transit + 1) * sizeof(*transit));

	if (!transit)
		return -ENOMEM;
	enis->transit = transit;
	enis->transit[enis->nr_transit++] = *door;
	return 0;
}

/* ---- attachments as what is logged */

struct naming {
	const char *id; /* of the attachment */
	const struct tgw *tgw;
	const struct vpc *vpc;           /* NULL = none */
	const struct vpc_subnet *subnet; /* the only one; NULL = none, or several */
	const char *owner;               /* of what is attached, where that is no VPC */
};

void log_tgw_region(const struct state *state, const struct tgw *tgw, char ret[ID_MAX])
{
	const struct state_extra *extra = state->extra;

	ret[0] = 0;
	for (size_t i = 0; !*ret && i < extra->nr_tgw_vpc_attachments; i++) {
		const struct tgw_vpc_attachment *attachment = &extra->tgw_vpc_attachments[i];

		for (size_t k = 0; attachment->tgw == tgw && !*ret && k < attachment->nr_subnets; k++)
			log_region(attachment->subnets[k]->az ?: "", ret);
	}
}

static int name_attachment(const struct making *making, struct log_eni *eni, const struct naming *naming)
{
	const struct vpc_subnet *subnet = naming->subnet;
	char region[ID_MAX];

	log_tgw_region(making->state, naming->tgw, region);
	return log_eni_set_names(eni, (const char *const[LOG_NAMES_MAX]){
					      [LOG_NAME_VPC] = naming->vpc ? naming->vpc->id : "",
					      [LOG_NAME_SUBNET] = subnet ? subnet->id : "",
					      [LOG_NAME_AZ] = subnet ? subnet->az_id : "",
					      [LOG_NAME_REGION] = region,
					      [LOG_NAME_TGW] = naming->tgw->id,
					      [LOG_NAME_VPC_ACCOUNT] = naming->vpc ? naming->vpc->owner : naming->owner,
				      });
}

static int make_attachment(const struct making *making, uint32_t port, const struct naming *naming)
{
	struct log_eni **at = &making->enis->by_port[port], *eni;

	if (!port || *at)
		return 0;
	eni = *at = calloc(1, sizeof(*eni));
	if (!eni)
		return -ENOMEM;
	log_escape(naming->id, eni->id);
	log_escape(*naming->tgw->owner ? naming->tgw->owner : "unknown", eni->account);
	eni->regional = eni->transit = true;
	return log_eni_choose(making->state, making->enis, eni,
			      (const char *[LOG_RESOURCES]){naming->id, naming->tgw->id})
		       ?: name_attachment(making, eni, naming);
}

/* ---- the kinds of doors */

static int add_vpc(const struct making *making, const struct tgw_vpc_attachment *attachment)
{
	struct log_transit door = {.tgw = tgw_number(making, attachment->tgw),
				   .attachment = port_of(making, attachment->id),
				   .appliance = attachment->appliance_mode};
	int r = make_attachment(
		making, door.attachment,
		&(struct naming){.id = attachment->id,
				 .tgw = attachment->tgw,
				 .vpc = attachment->vpc,
				 .subnet = attachment->nr_subnets == 1 ? attachment->subnets[0] : NULL});

	for (size_t i = 0; !r && door.attachment && i < attachment->nr_subnets; i++) {
		const struct image_subnet *subnet = image_subnet(making, attachment->subnets[i]->id);

		if (!subnet)
			continue;
		door.zone = subnet->zone;
		door.az = subnet->az;
		door.port = eni_of(making, attachment, attachment->subnets[i]);
		r = add_door(making, &door);
	}
	return r;
}

static const struct tgw *far_end(const struct making *making, const struct tgw_attachment *attachment)
{
	const struct state_extra *extra = making->state->extra;

	for (size_t i = 0; i < extra->nr_tgw_attachments; i++) {
		const struct tgw_attachment *other = &extra->tgw_attachments[i];

		if (other->tgw && other->tgw != attachment->tgw && !strcmp(other->id, attachment->id))
			return other->tgw;
	}
	return NULL;
}

/* The ports are named as compile/transit.c names them. */
static uint32_t door_port(const struct making *making, const struct tgw_attachment *attachment, const struct tgw *far)
{
	char end[ID_MAX];
	uint32_t port;

	(void)snprintf(end, sizeof(end), "%.31s@%.31s", attachment->id, attachment->tgw_id);
	if (far)
		return port_of(making, end);
	port = port_of(making, attachment->id);
	return port || !*attachment->resource ? port : port_of(making, attachment->resource);
}

static int add_other(const struct making *making, const struct tgw_attachment *attachment)
{
	const struct tgw *far = strcmp(attachment->type, "peering") != 0 ? NULL : far_end(making, attachment);
	struct log_transit door = {.tgw = tgw_number(making, attachment->tgw),
				   .attachment = door_port(making, attachment, far),
				   .far = far ? tgw_number(making, far) : 0};
	int r;

	if (!door.attachment)
		return 0;
	r = make_attachment(making, door.attachment,
			    &(struct naming){.id = attachment->id, .tgw = attachment->tgw, .owner = attachment->owner});
	return r ? r : add_door(making, &door);
}

static int add_table(const struct making *making, const struct tgw_table *table)
{
	struct log_enis *enis = making->enis;
	struct log_tgw_table *tables = realloc(enis->tgw_tables, (enis->nr_tgw_tables + 1) * sizeof(*tables));

	if (!tables)
		return -ENOMEM;
	enis->tgw_tables = tables;
	tables += enis->nr_tgw_tables++;
	tables->tgw = tgw_number(making, table->tgw);
	snprintf(tables->id, sizeof(tables->id), "%s", table->id);
	return 0;
}

int log_transits_make(const struct state *state, const struct image *image, port_number_fn number, const void *arg,
		      struct log_enis *enis)
{
	const struct making making = {.state = state, .image = image, .number = number, .arg = arg, .enis = enis};
	const struct state_extra *extra = state->extra;
	int r = 0;

	for (size_t i = 0; extra && !r && i < extra->nr_tgw_vpc_attachments; i++)
		if (usable(&extra->tgw_vpc_attachments[i]))
			r = add_vpc(&making, &extra->tgw_vpc_attachments[i]);
	for (size_t i = 0; extra && !r && i < extra->nr_tgw_attachments; i++)
		if (extra->tgw_attachments[i].tgw && extra->tgw_attachments[i].available &&
		    strcmp(extra->tgw_attachments[i].type, "vpc") != 0)
			r = add_other(&making, &extra->tgw_attachments[i]);
	for (size_t i = 0; extra && !r && i < extra->nr_tgw_tables; i++)
		if (extra->tgw_tables[i].tgw)
			r = add_table(&making, &extra->tgw_tables[i]);
	return r;
}

const struct tgw *log_tgw_called(const struct state *state, const char *resource)
{
	const struct state_extra *extra = log_is_transit(resource) ? state->extra : NULL;

	for (size_t i = 0; extra && i < extra->nr_tgws; i++)
		if (!strcmp(extra->tgws[i].id, resource))
			return &extra->tgws[i];
	for (size_t i = 0; extra && i < extra->nr_tgw_vpc_attachments; i++)
		if (!strcmp(extra->tgw_vpc_attachments[i].id, resource))
			return extra->tgw_vpc_attachments[i].tgw;
	for (size_t i = 0; extra && i < extra->nr_tgw_attachments; i++)
		if (!strcmp(extra->tgw_attachments[i].id, resource))
			return extra->tgw_attachments[i].tgw;
	return NULL;
}

uint32_t log_enis_tgw(const struct log_enis *enis, const char *table)
{
	for (size_t i = 0; i < enis->nr_tgw_tables; i++)
		if (!strcmp(enis->tgw_tables[i].id, table))
			return enis->tgw_tables[i].tgw;
	return 0;
}
