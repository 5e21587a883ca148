/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* CIDRs nest or are disjoint, never half: one pass over them in address order with a stack of the blocks that cover the
 * current address finds every interval and its rules. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "compile/classify.h"
#include "compile/hash.h"

#define PREFIXES_DEEP_MAX 129

struct sweep {
	struct rows *rows;
	key128 *keys; /* intervals found so far */
	uint32_t *values;
	size_t n;
	struct {
		key128 last; /* of the block */
		uint32_t row;
	} stack[PREFIXES_DEEP_MAX];
	size_t deep;
};

struct service_range service_range_of(int family, int protocol, int from, int to)
{
	uint32_t lo = 0, hi = 0xffff;

	if (protocol == PROTOCOL_ANY)
		return (struct service_range){SERVICE_KEY(family, 0, 0), SERVICE_KEY(family, 0xff, 0xffff)};
	if (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP) {
		lo = (uint32_t)from;
		hi = (uint32_t)to;
	} else if (protocol == (family == 6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) && from >= 0) {
		lo = (uint32_t)from << 8 | (to < 0 ? 0 : (uint32_t)to);
		hi = (uint32_t)from << 8 | (to < 0 ? 0xff : (uint32_t)to);
	}
	return (struct service_range){SERVICE_KEY(family, protocol, lo), SERVICE_KEY(family, protocol, hi)};
}

static int claims_add(struct claims *claims, const struct claim *claim)
{
	if (claims->nr == claims->room) {
		size_t room = claims->room ? claims->room * 2 : 16;
		struct claim *grown = reallocarray(claims->claim, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		claims->claim = grown;
		claims->room = room;
	}
	claims->claim[claims->nr++] = *claim;
	return 0;
}

int claim_cidr(struct claim_sets *sets, const struct cidr *cidr, struct service_range services, uint32_t value)
{
	enum claim_family family = cidr->family == 6 ? CLAIM6 : CLAIM4;
	struct claim claim = {
		.key = family == CLAIM6 ? key128_of(&cidr->addr) : ntohl(cidr->addr.ip4),
		.prefixlen = cidr->prefixlen,
		.lo = services.lo,
		.hi = services.hi,
		.value = value,
	};

	return claims_add(cidr->prefixlen ? &sets->peers[family] : &sets->any[family], &claim);
}

int claim_identity(struct claim_sets *sets, uint32_t identity, struct service_range services, uint32_t value)
{
	struct claim claim = {
		.key = identity,
		.prefixlen = 32,
		.lo = services.lo,
		.hi = services.hi,
		.value = value,
	};

	return claims_add(&sets->groups, &claim);
}

void claim_sets_done(struct claim_sets *sets)
{
	for (int family = 0; family < CLAIM_FAMILIES; family++) {
		free(sets->any[family].claim);
		free(sets->peers[family].claim);
	}
	free(sets->groups.claim);
	*sets = (struct claim_sets){};
}

/* By block, outer ones first, then by rank. */
static int compare_claims(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	uint32_t rank_x = RULE_RANK(x->value), rank_y = RULE_RANK(y->value);

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	if (x->prefixlen != y->prefixlen)
		return x->prefixlen < y->prefixlen ? -1 : 1;
	if (rank_x != rank_y)
		return rank_x < rank_y ? -1 : 1;
	return (x->lo > y->lo) - (x->lo < y->lo);
}

static key128 last_of(const struct claim *claim, unsigned bits)
{
	return claim->key | (((key128)1 << (bits - claim->prefixlen)) - 1);
}

/* From `key` on, `row` holds. */
static void emit(struct sweep *sweep, key128 key, uint32_t row)
{
	if (sweep->n && sweep->keys[sweep->n - 1] == key)
		sweep->n--;
	if (sweep->n && sweep->values[sweep->n - 1] == row)
		return;
	sweep->keys[sweep->n] = key;
	sweep->values[sweep->n++] = row;
}

static uint32_t row_on_top(const struct sweep *sweep)
{
	return sweep->deep ? sweep->stack[sweep->deep - 1].row : 0;
}

/* Leave the blocks that end before `key`. */
static void leave(struct sweep *sweep, key128 key)
{
	while (sweep->deep && sweep->stack[sweep->deep - 1].last < key) {
		sweep->deep--;
		emit(sweep, sweep->stack[sweep->deep].last + 1, row_on_top(sweep));
	}
}

static int enter(struct sweep *sweep, const struct claim *claims, size_t n, unsigned bits)
{
	uint32_t row;
	int r = rows_paint(sweep->rows, claims, n, &row);

	if (r < 0)
		return r;
	r = rows_combine(sweep->rows, row_on_top(sweep), row, &row);
	if (r < 0)
		return r;
	emit(sweep, claims->key, row);
	sweep->stack[sweep->deep].last = last_of(claims, bits);
	sweep->stack[sweep->deep++].row = row;
	return 0;
}

static int sweep_claims(struct sweep *sweep, struct claims *claims, unsigned bits)
{
	key128 end = bits == 32 ? UINT32_MAX : ~(key128)0;
	size_t next;

	qsort(claims->claim, claims->nr, sizeof(*claims->claim), compare_claims);
	emit(sweep, 0, 0);
	for (size_t i = 0; i < claims->nr; i = next) {
		const struct claim *claim = claims->claim + i;
		int r;

		for (next = i + 1; next < claims->nr; next++)
			if (claims->claim[next].key != claim->key || claims->claim[next].prefixlen != claim->prefixlen)
				break;
		leave(sweep, claim->key);
		r = enter(sweep, claim, next - i, bits);
		if (r < 0)
			return r;
	}
	leave(sweep, end);
	return 0;
}

static int write_tree32(const struct sweep *sweep, struct lines *lines, uint32_t *ret_line)
{
	uint32_t *keys = calloc(sweep->n + 1, sizeof(*keys));
	int r;

	if (!keys)
		return -ENOMEM;
	for (size_t i = 0; i < sweep->n; i++)
		keys[i] = (uint32_t)sweep->keys[i];
	r = tree32_build(lines, keys, sweep->values, (uint32_t)sweep->n, ret_line);
	free(keys);
	return r;
}

/* First the service trees, so that rows become lines; then the tree that leads to them. */
static int write_tree(struct sweep *sweep, unsigned bits, struct lines *lines, uint32_t *ret_line)
{
	if (sweep->n == 1 && !sweep->values[0]) {
		*ret_line = 0;
		return 0;
	}
	for (size_t i = 0; i < sweep->n; i++) {
		int r = rows_place(sweep->rows, sweep->values[i], lines, &sweep->values[i]);

		if (r < 0)
			return r;
	}
	if (bits == 128)
		return tree128_build(lines, sweep->keys, sweep->values, (uint32_t)sweep->n, ret_line);
	return write_tree32(sweep, lines, ret_line);
}

static int classify_addresses(struct rows *rows, struct claims *claims, unsigned bits, struct lines *lines,
			      uint32_t *ret_line)
{
	struct sweep sweep = {.rows = rows};
	int r = -ENOMEM;

	if (!claims->nr)
		return 0;
	/* A block adds two borders at the most. */
	sweep.keys = calloc(claims->nr * 2 + 1, sizeof(*sweep.keys));
	sweep.values = calloc(claims->nr * 2 + 1, sizeof(*sweep.values));
	if (sweep.keys && sweep.values) {
		r = sweep_claims(&sweep, claims, bits);
		if (!r)
			r = write_tree(&sweep, bits, lines, ret_line);
	}
	free(sweep.keys);
	free(sweep.values);
	return r;
}

static int classify_any(struct rows *rows, const struct claims *claims, struct lines *lines, uint32_t *ret_line)
{
	uint32_t row;
	int r = rows_paint(rows, claims->claim, claims->nr, &row);

	return r < 0 ? r : rows_place(rows, row, lines, ret_line);
}

static int build_trees(struct rows *rows, struct claim_sets *sets, struct lines *lines, uint32_t *trees)
{
	int r = classify_any(rows, &sets->any[CLAIM4], lines, &trees[POLICY_W_ANY4]);

	if (!r)
		r = classify_any(rows, &sets->any[CLAIM6], lines, &trees[POLICY_W_ANY6]);
	if (!r)
		r = classify_addresses(rows, &sets->peers[CLAIM4], 32, lines, &trees[POLICY_W_PEERS4]);
	if (!r)
		r = classify_addresses(rows, &sets->peers[CLAIM6], 128, lines, &trees[POLICY_W_PEERS6]);
	if (!r)
		r = classify_addresses(rows, &sets->groups, 32, lines, &trees[POLICY_W_GROUPS]);
	return r;
}

/* The answer to all questions with keys from `first` to `last`, whoever asks; 0 = it depends. What the rules for all
 * addresses say decides alone if there are no others, or if it is the first rule. */
static uint32_t only_answer(const struct lines *lines, uint32_t any, bool others, uint32_t first, uint32_t last)
{
	const uint32_t *w = lines->line[any].w;
	uint32_t at = 0, value;

	if (!any || w[0] > TREE_SMALL_MAX)
		return 0;
	while (at + 1 < w[0] && w[2 + at] <= first)
		at++;
	if (at + 1 < w[0] && w[2 + at] <= last)
		return 0;
	value = w[1 + TREE_SMALL_MAX + at];
	return !others || (value & ~POLICY_DENY) == 1 ? value : 0;
}

static void note_only_answers(const struct lines *lines, uint32_t *head)
{
	head[POLICY_W_ALL4] = only_answer(lines, head[POLICY_W_ANY4], head[POLICY_W_PEERS4] || head[POLICY_W_GROUPS],
					  SERVICE_KEY(4, 0, 0), SERVICE_KEY(4, 255, 65535));
	head[POLICY_W_ALL6] = only_answer(lines, head[POLICY_W_ANY6], head[POLICY_W_PEERS6] || head[POLICY_W_GROUPS],
					  SERVICE_KEY(6, 0, 0), SERVICE_KEY(6, 255, 65535));
}

int classify(enum policy_kind kind, uint32_t flags, struct claim_sets *sets, struct image_object *ret)
{
	struct policy_line head = {.w = {[POLICY_W_KIND] = kind, [POLICY_W_FLAGS] = flags}};
	struct hasher hasher = HASHER_INIT;
	struct lines lines = {};
	struct rows rows;
	uint32_t first;
	int r = rows_init(&rows);

	if (!r)
		r = lines_add(&lines, 1, &first);
	if (!r)
		r = build_trees(&rows, sets, &lines, head.w);
	rows_done(&rows);
	if (r) {
		lines_done(&lines);
		return r;
	}
	note_only_answers(&lines, head.w);
	head.w[POLICY_W_LINES] = lines.nr;
	head.w[POLICY_W_RULES] = ret->nr_rules;
	lines.line[0] = head;
	hasher_add(&hasher, lines.line, lines.nr * sizeof(*lines.line));
	hasher_add_rules(&hasher, ret->rules, ret->nr_rules);
	ret->hash = hasher_result(&hasher);
	ret->lines = lines.line;
	ret->nr_lines = lines.nr;
	return 0;
}
