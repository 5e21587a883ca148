/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of state/ share while a state is being loaded.
 *
 * read.c brings files in, shape.c checks every known key against schema*.c and reduces each object to those keys in one
 * spelling, merge.c joins objects with the same id, and one file for each kind of object turns them into structs. From
 * shape.c on, a key that is there has the right type and range; a list element that was refused is null (its error
 * stands in the messages and the state is not returned), so that indexes stay those of the file.
 */
#ifndef ENID_STATE_LOAD_H
#define ENID_STATE_LOAD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "state/arena.h"
#include "state/extra.h"
#include "state/schema.h"
#include "state/sources.h"
#include "state/state.h"

#define STATE_PATH_MAX 512

/* One object of a list. */
struct item {
	json_t *json;
	const char *file;
	const char *list;
	size_t index;
	const char *id, *id2; /* "" = none */
};

struct items {
	struct item *item;
	size_t nr, room;
};

struct load {
	struct state *state;
	struct arena *arena; /* of the state */
	struct state_messages *messages;
	size_t nr_errors, nr_warnings; /* with those that were not kept */
	struct items lists[LIST_MAX];
	json_t *documents;       /* array: every file read, owner of all items */
	size_t nr_files, bytes;  /* read so far */
	struct sources *sources; /* where to keep the texts, or NULL */
	json_t *document;        /* instead of files, or NULL */
	json_t *objects;         /* where to tell all objects, by list and id, or NULL */
};

/* NULL is for want of memory: give the whole load up, never go on without the value. */
static inline void *need(const struct load *load, void *value)
{
	if (!value)
		longjmp(*load->arena->failed, 1);
	return value;
}

/* ---- state.c: jansson's allocations between these two are watched. ret: whether one failed */
struct library_watch {
	json_malloc_t old_malloc;
	json_free_t old_free;
};
void state_watch_library(struct library_watch *watch);
bool state_unwatch_library(const struct library_watch *watch);

/* ---- messages.c */
#define STATE_MESSAGES_MAX 1000
void state_messages_init(struct load *load, struct arena *arena);
/* path: "" or the way to the member inside the item */
void state_error(struct load *load, const struct item *item, const char *path, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void state_warn(struct load *load, const struct item *item, const char *path, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void state_file_error(struct load *load, const char *file, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void state_messages_finish(struct load *load);

/* ---- read.c, scan.c */
void state_read(struct load *load, const char *path);
void state_read_document(struct load *load, const char *name, json_t *document);
/* A cheap look at JSON text before anything is built from it: depth, size in memory, NUL bytes.
 * ret: NULL = fine, else what is wrong */
const char *state_scan(const char *text, size_t length);
/* The same of a part that stands `depth` levels deep in a text; *weight: of the rest of the text, the part's is added.
 */
const char *state_weigh(const char *text, size_t length, unsigned int depth, unsigned long long *weight);
#define STATE_BYTES_MAX (256ull << 20) /* all files of a state */

/* ---- shape.c: check and reduce item->json; sets item->id, item->id2 */
void state_shape(struct load *load, struct item *item, const struct list_schema *schema);

/* ---- merge.c */
void state_add_item(struct load *load, enum list_kind list, const struct item *item);
void state_merge(struct load *load);

/* ---- getters on reduced objects: the default when the key is absent */
const char *get_text(struct load *load, const json_t *object, const char *key); /* in the arena; "" if absent */
long long get_int(const json_t *object, const char *key, long long absent);
bool get_flag(const json_t *object, const char *key, bool absent);
bool get_is(const json_t *object, const char *key, const char *word); /* present and equal */
bool get_cidr(const json_t *object, const char *key, struct cidr *ret);
__be32 get_ip4(const json_t *object, const char *key); /* 0 if absent */
struct cidr text_cidr(const json_t *string);
/* State of an association: effective if absent or "associated" (VPC-04) */
bool get_associated(const json_t *object, const char *key);

/* ---- resolve by id, in arrays sorted by id; NULL = missing */
#define FIND(load, list, id) \
	((__typeof__((load)->state->list))state_find((load)->state->list, (load)->state->nr_##list, \
						     sizeof(*(load)->state->list), id))
#define FIND_EXTRA(load, list, id) \
	((__typeof__((load)->state->extra->list))state_find( \
		(load)->state->extra->list, (load)->state->extra->nr_##list, sizeof(*(load)->state->extra->list), id))
void *state_find(const void *array, size_t nr, size_t size, const char *id); /* first member is the id */
/* ... and warn with `effect` where it is missing; "" asks for nothing and warns of nothing */
struct vpc *find_vpc(struct load *load, const struct item *item, const char *id, const char *effect);
struct vpc_subnet *find_subnet(struct load *load, const struct item *item, const char *id, const char *effect);
/* The first peering that is active and in one Region between two VPCs; NULL = none */
struct peering *find_peering(struct load *load, const struct vpc *a, const struct vpc *b);

/* ---- parts of groups.c that group_rules.c needs, too */
/* SG-06..SG-09: fill protocol, from and to; false = refused, the error is noted */
bool parse_permission(struct load *load, struct item *item, const char *path, const json_t *json,
		      struct sg_permission *ret);
/* A prefix list or group that a rule of `group` names; warns where it matches nothing */
struct sg_peer prefix_list_peer(struct load *load, struct item *item, const char *path, const json_t *json);
struct sg_peer group_peer(struct load *load, struct item *item, const char *path, const struct security_group *group,
			  bool egress, const json_t *pair);
int compare_peers(const void *a, const void *b);

/* ---- one step for each kind of object, called in this order by state.c */
void load_vpcs(struct load *load);
void load_subnets(struct load *load);
void load_prefix_lists(struct load *load);
void load_peerings(struct load *load);
void load_transit_gateways(struct load *load);
void load_groups(struct load *load);
void load_enis(struct load *load);
void load_gateways(struct load *load);
void load_endpoints(struct load *load);
void load_tables(struct load *load);
void link_tables(struct load *load); /* what endpoints and NAT gateways say of tables */
void load_nacls(struct load *load);
void load_nat_gateways(struct load *load);
void load_vpn(struct load *load);
void load_mirrors(struct load *load);
void load_options(struct load *load);
void load_flow_logs(struct load *load);
void load_hosts(struct load *load);
/* appliances.c: what an uplink says of those behind a Gateway Load Balancer endpoint */
void parse_appliances(struct load *load, struct item *item, const json_t *json, __be32 tunnel_address,
		      struct host_uplink *uplink);
void check_quotas(struct load *load);
void join_group_rules(struct load *load); /* SecurityGroupRules, after load_groups read the permissions */

/* ---- change.c: what is made anew of an object whose item changed, for which `object` is a copy of what it was.
 * ret: false = what others know of it would change, too */
void remake_group(struct load *load, struct item *item, struct security_group *group);
void remake_nacl(struct load *load, struct item *item, struct nacl *nacl);
bool remake_table(struct load *load, struct item *item, struct route_table *table);
/* Some routes become others: each item has all of the table but its other routes. first: index of the first of them,
 * for messages; arena: of the array alone, for texts are load's */
bool splice_table(struct load *load, struct item *before, struct item *now, size_t first, struct arena *arena,
		  struct route_table *table);
bool remake_eni(struct load *load, struct item *item, struct eni *eni);
void state_changes_free(struct state *state);

#define LIST_FOREACH(load, kind, it) \
	for (struct item *it = (load)->lists[kind].item, *it##_end = it + (load)->lists[kind].nr; it < it##_end; it++)

#endif
