/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Route table -> one route for each destination (RT-02..RT-13, RT-28).
 *
 * Every route, entry of a prefix list and CIDR of the VPC becomes a candidate; candidates are sorted by destination and
 * rank, and the first of each destination is installed. What is left to the data path is the longest prefix.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "compile/hash.h"
#include "compile/objects.h"

/* RT-03, RT-06: best first. The implied local route of a CIDR yields to the route that re-targets it. */
enum rank { RANK_STATIC, RANK_IMPLIED, RANK_PREFIX_LIST, RANK_PROPAGATED };

#define FEW_CANDIDATES 8 /* the CIDRs of a VPC, mostly, and the reserved ones */

struct candidate {
	struct cidr cidr;
	enum rank rank;
	bool local;      /* a local route of the VPC, re-targeted or not: no propagated one inside it (RT-04) */
	const char *tie; /* prefix list id (RT-08), else target id */
	const char *text;
	uint32_t kind, target;
	uint32_t source; /* candidates of one route share a rule */
};

struct table_work {
	const struct route_table *table;
	const struct vpc *vpc;
	const struct route_targets *targets;
	struct candidate *candidates;
	size_t nr;
	uint32_t nr_sources;
	bool covers_reserved[2];
};

/* RT-09: never forwarded. */
static const struct {
	struct cidr cidr;
	const char *text;
} reserved[2] = {
	{{.family = 4, .prefixlen = 22, .addr.bytes = {[12] = 169, 254, 168, 0}}, "169.254.168.0/22"},
	{{.family = 6, .prefixlen = 32, .addr.bytes = {0xfd, 0x00, 0x0e, 0xc2}}, "fd00:ec2::/32"},
};

static const uint8_t *address_of(const struct cidr *cidr)
{
	return cidr->addr.bytes + (cidr->family == 4 ? 12 : 0);
}

/* Is `inner` equal to `outer` or inside it? */
static bool contains(const struct cidr *outer, const struct cidr *inner)
{
	const uint8_t *a = address_of(outer), *b = address_of(inner);
	uint8_t bytes = outer->prefixlen / 8, bits = outer->prefixlen % 8;

	if (outer->family != inner->family || outer->prefixlen > inner->prefixlen || memcmp(a, b, bytes) != 0)
		return false;
	return !bits || (a[bytes] ^ b[bytes]) >> (8 - bits) == 0;
}

static void resolve_igw(const struct table_work *work, const struct vpc_route *route, struct candidate *candidate)
{
	candidate->kind = ROUTE_BLACKHOLE; /* IGW-08 */
	if (!route->gateway || !route->gateway->vpc || route->gateway->vpc != work->vpc)
		return;
	candidate->target = work->targets->uplink(work->targets->context, route->gateway);
	candidate->kind = candidate->target == IMAGE_NONE ? ROUTE_NOT_SERVED : ROUTE_IGW;
}

static void resolve_eni(const struct table_work *work, const struct vpc_route *route, struct candidate *candidate)
{
	candidate->kind = ROUTE_BLACKHOLE; /* RT-16, RT-28 */
	if (!route->eni || !route->eni->live || !route->eni->vpc || route->eni->vpc != work->vpc)
		return;
	candidate->target = work->targets->eni(work->targets->context, route->eni);
	if (candidate->target != IMAGE_NONE)
		candidate->kind = ROUTE_ENI;
}

static void resolve(const struct table_work *work, const struct vpc_route *route, struct candidate *candidate)
{
	candidate->kind = ROUTE_BLACKHOLE;
	candidate->target = IMAGE_NONE;
	if (route->blackhole)
		return;
	switch (route->target) {
	case TARGET_LOCAL:
		candidate->kind = ROUTE_LOCAL;
		break;
	case TARGET_IGW:
		resolve_igw(work, route, candidate);
		break;
	case TARGET_ENI:
		resolve_eni(work, route, candidate);
		break;
	case TARGET_EIGW:
	case TARGET_VGW:
		if (!route->gateway || !route->gateway->vpc || route->gateway->vpc != work->vpc)
			break;
		/* fallthrough */
	case TARGET_VPCE:
	case TARGET_NAT:
	case TARGET_PEERING:
	case TARGET_TGW:
		candidate->kind = work->targets->gateway(work->targets->context, work->vpc, route, &candidate->target);
		break;
	case TARGET_OTHER:
	case TARGET_NONE:
		break;
	}
}

static void add_candidate(struct table_work *work, const struct candidate *candidate)
{
	for (int i = 0; i < 2; i++) {
		if (contains(&reserved[i].cidr, &candidate->cidr))
			return;
		work->covers_reserved[i] |= contains(&candidate->cidr, &reserved[i].cidr);
	}
	work->candidates[work->nr++] = *candidate;
}

static void add_prefix_list(struct table_work *work, const struct prefix_list *list, struct candidate candidate)
{
	if (candidate.rank == RANK_STATIC)
		candidate.rank = RANK_PREFIX_LIST;
	candidate.tie = list->id;
	for (size_t i = 0; i < list->nr_entries; i++) {
		candidate.cidr = list->entries[i];
		add_candidate(work, &candidate);
	}
}

static void add_route(struct table_work *work, const struct vpc_route *route)
{
	struct candidate candidate = {
		.cidr = route->cidr,
		.rank = route->origin == ORIGIN_PROPAGATED ? RANK_PROPAGATED : RANK_STATIC,
		.local = route->target == TARGET_LOCAL || route->origin == ORIGIN_LOCAL,
		.tie = route->target_id ? route->target_id : "",
		.text = route->destination,
		.source = work->nr_sources++,
	};

	if (route->filtered || !strcasecmp(candidate.tie, "VpcLattice"))
		return;
	resolve(work, route, &candidate);
	if (route->prefix_list)
		add_prefix_list(work, route->prefix_list, candidate);
	else if (route->cidr.family)
		add_candidate(work, &candidate);
}

static void write_cidr(const struct cidr *cidr, char text[INET6_ADDRSTRLEN + 4])
{
	(void)inet_ntop(cidr->family == 6 ? AF_INET6 : AF_INET, address_of(cidr), text, INET6_ADDRSTRLEN);
	snprintf(text + strlen(text), 5, "/%u", cidr->prefixlen);
}

/* VPC-05. texts: room for each CIDR's text */
static void add_implied(struct table_work *work, char (*texts)[INET6_ADDRSTRLEN + 4])
{
	for (size_t i = 0; work->vpc && i < work->vpc->nr_cidrs; i++) {
		const struct cidr *cidr = work->vpc->cidrs + i;
		struct candidate candidate = {
			.cidr = *cidr,
			.rank = RANK_IMPLIED,
			.local = true,
			.tie = "",
			.text = texts[i],
			.kind = ROUTE_LOCAL,
			.target = IMAGE_NONE,
			.source = work->nr_sources++,
		};

		write_cidr(cidr, texts[i]);
		add_candidate(work, &candidate);
	}
}

/* A wider route does not reach the reserved blocks (RT-09). */
static void add_reserved(struct table_work *work)
{
	for (int i = 0; i < 2; i++) {
		if (work->covers_reserved[i])
			work->candidates[work->nr++] = (struct candidate){
				.cidr = reserved[i].cidr,
				.rank = RANK_STATIC,
				.tie = "",
				.text = reserved[i].text,
				.kind = ROUTE_BLACKHOLE,
				.target = IMAGE_NONE,
				.source = work->nr_sources,
			};
		work->nr_sources++;
	}
}

static int compare_cidrs(const struct cidr *a, const struct cidr *b)
{
	int order;

	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	order = memcmp(a->addr.bytes, b->addr.bytes, sizeof(a->addr.bytes));
	return order ? order : a->prefixlen - b->prefixlen;
}

static int compare_candidates(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	int order = compare_cidrs(&x->cidr, &y->cidr);

	if (!order)
		order = (int)x->rank - (int)y->rank;
	if (!order)
		order = strcmp(x->tie, y->tie);
	/* Only a state that says one thing twice comes here: let nothing depend on its order. */
	if (!order)
		order = strcmp(x->text, y->text);
	return order ? order : (int)x->kind - (int)y->kind;
}

/* Those of the state come in order, unless prefix lists are among them; each of the few others goes to its place. */
static void sort_candidates(struct table_work *work)
{
	struct candidate *candidates = work->candidates, one;
	size_t sorted = work->nr > 0;

	while (sorted < work->nr && compare_candidates(&candidates[sorted - 1], &candidates[sorted]) <= 0)
		sorted++;
	if (work->nr - sorted > FEW_CANDIDATES) {
		qsort(candidates, work->nr, sizeof(*candidates), compare_candidates);
		return;
	}
	for (; sorted < work->nr; sorted++) {
		size_t low = 0, high = sorted;

		while (low < high) {
			size_t middle = low + (high - low) / 2;

			if (compare_candidates(&candidates[middle], &candidates[sorted]) <= 0)
				low = middle + 1;
			else
				high = middle;
		}
		one = candidates[sorted];
		memmove(candidates + low + 1, candidates + low, (sorted - low) * sizeof(one));
		candidates[low] = one;
	}
}

/* Is the candidate beaten by another one? Outer blocks come before inner ones, so one pass sees every local route
 * before what lies inside it. `cover`: the outermost local route seen last. */
static bool beaten(const struct table_work *work, size_t i, const struct candidate **cover)
{
	const struct candidate *candidate = work->candidates + i;
	bool inside = *cover && contains(&(*cover)->cidr, &candidate->cidr);

	if (candidate->local && !inside)
		*cover = candidate;
	if (candidate->rank == RANK_PROPAGATED && inside)
		return true;
	return i && !compare_cidrs(&candidate->cidr, &candidate[-1].cidr);
}

/* Keep the best candidate of each destination; rules are numbered as their routes come up. */
static int install(struct table_work *work, const char *id, struct image_table *table)
{
	const struct candidate *cover = NULL;
	uint32_t *rule_of = calloc(work->nr_sources + 1, sizeof(*rule_of));

	if (!rule_of)
		return -ENOMEM;
	sort_candidates(work);
	for (size_t i = 0; i < work->nr; i++) {
		const struct candidate *candidate = work->candidates + i;
		uint32_t *rule = rule_of + candidate->source; /* number + 1, 0 = none yet */

		if (beaten(work, i, &cover))
			continue;
		if (!*rule) {
			table->rules[table->nr_rules] = (struct image_rule){.id = id, .text = candidate->text};
			*rule = ++table->nr_rules;
		}
		table->routes[table->nr_routes++] = (struct image_route){
			.cidr = candidate->cidr,
			.kind = candidate->kind,
			.target = candidate->target,
			.rule = *rule - 1,
		};
	}
	free(rule_of);
	return 0;
}

static struct content_hash hash_table(const struct image_table *table, const struct route_targets *targets)
{
	struct hasher hasher = HASHER_INIT;

	for (size_t i = 0; i < table->nr_routes; i++) {
		const struct image_route *route = table->routes + i;

		hasher_add_u32(&hasher, (uint32_t)route->cidr.family << 8 | route->cidr.prefixlen);
		hasher_add(&hasher, route->cidr.addr.bytes, sizeof(route->cidr.addr.bytes));
		hasher_add_u32(&hasher, route->kind);
		if (route->target != IMAGE_NONE)
			hasher_add_text(&hasher, targets->port_id(targets->context, route->target));
		hasher_add_u32(&hasher, route->rule);
	}
	hasher_add_rules(&hasher, table->rules, table->nr_rules);
	return hasher_result(&hasher);
}

static size_t count_candidates(const struct table_work *work)
{
	size_t nr = 2 + (work->vpc ? work->vpc->nr_cidrs : 0);

	for (size_t i = 0; work->table && i < work->table->nr_routes; i++) {
		const struct prefix_list *list = work->table->routes[i].prefix_list;

		nr += list ? list->nr_entries : 1;
	}
	return nr;
}

int route_table_compile(const struct route_table *table, const struct vpc *vpc, const struct route_targets *targets,
			struct image_table *ret)
{
	struct table_work work = {.table = table, .vpc = vpc, .targets = targets};
	size_t nr = count_candidates(&work), nr_texts = vpc ? vpc->nr_cidrs : 0;
	const char *id = table ? table->id : vpc ? vpc->id : "default";
	size_t nr_rules = (table ? table->nr_routes : 0) + nr_texts + 2;
	struct image_table made = {};
	int r = -ENOMEM;

	work.candidates = calloc(nr, sizeof(*work.candidates));
	made.routes = calloc(nr, sizeof(*made.routes));
	/* Texts of implied routes lie behind the rules, in the same block. */
	made.rules = calloc(1, nr_rules * sizeof(*made.rules) + nr_texts * (INET6_ADDRSTRLEN + 4));
	if (work.candidates && made.routes && made.rules) {
		for (size_t i = 0; table && i < table->nr_routes; i++)
			add_route(&work, table->routes + i);
		add_implied(&work, (char(*)[INET6_ADDRSTRLEN + 4])(made.rules + nr_rules));
		add_reserved(&work);
		r = install(&work, id, &made);
	}
	free(work.candidates);
	if (r < 0) {
		image_table_done(&made);
		return r;
	}
	made.hash = hash_table(&made, targets);
	*ret = made;
	return 0;
}

int routes_compile(const char *id, const struct route_entry *entries, size_t nr, const struct route_targets *targets,
		   struct image_table *ret)
{
	struct table_work work = {.targets = targets, .nr_sources = (uint32_t)nr};
	struct image_table made = {};
	char(*texts)[INET6_ADDRSTRLEN + 4];
	int r = -ENOMEM;

	work.candidates = calloc(nr + 1, sizeof(*work.candidates));
	made.routes = calloc(nr + 1, sizeof(*made.routes));
	made.rules = calloc(nr + 1, sizeof(*made.rules) + sizeof(*texts));
	if (work.candidates && made.routes && made.rules) {
		texts = (void *)(made.rules + nr + 1);
		for (size_t i = 0; i < nr; i++) {
			write_cidr(&entries[i].cidr, texts[i]);
			work.candidates[work.nr++] = (struct candidate){
				.cidr = entries[i].cidr,
				.rank = (enum rank)entries[i].rank,
				.tie = entries[i].tie,
				.text = texts[i],
				.kind = entries[i].kind,
				.target = entries[i].target,
				.source = (uint32_t)i,
			};
		}
		r = install(&work, id, &made);
	}
	free(work.candidates);
	if (r < 0) {
		image_table_done(&made);
		return r;
	}
	made.hash = hash_table(&made, targets);
	*ret = made;
	return 0;
}

void image_table_done(struct image_table *table)
{
	free(table->routes);
	free(table->rules);
	*table = (struct image_table){};
}
