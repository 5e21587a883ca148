/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Security-group objects against a linear reading of SG-01..SG-20: random states, questions at every border. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "compile/image.h"
#include "lib/naive.h"
#include "lib/world.h"

#define QUESTIONS         1200000
#define QUESTIONS_A_STATE 12000

/* CT-03 b, CT-04: is there one rule that lets everything of this protocol through? */
static bool naive_open(const struct eni *eni, bool egress, int family, int protocol)
{
	const struct security_group *groups[8];
	size_t nr = own_groups(eni, groups);
	bool open = false;

	for (size_t g = 0; g < nr; g++) {
		const struct sg_permission *permissions = egress ? groups[g]->out : groups[g]->in;

		for (size_t i = 0; i < (egress ? groups[g]->nr_out : groups[g]->nr_in); i++) {
			const struct sg_permission *one = permissions + i;
			bool all = one->protocol == PROTOCOL_ANY ||
				   (one->protocol == protocol && one->from == 0 && one->to == 65535);

			for (size_t k = 0; all && k < one->nr_peers; k++) {
				const struct sg_peer *peer = one->peers + k;
				const struct prefix_list *list =
					peer->kind == PEER_PREFIX_LIST ? peer->prefix_list : NULL;

				open |= peer->kind == PEER_CIDR && peer->cidr.family == family && !peer->cidr.prefixlen;
				for (size_t e = 0; list && e < list->nr_entries; e++)
					open |= list->entries[e].family == family && !list->entries[e].prefixlen;
			}
		}
	}
	return open;
}

static const struct sg_permission *any_permission(struct dice *dice, const struct eni *eni, bool egress)
{
	const struct security_group *group;
	size_t nr;

	if (!eni->nr_groups)
		return NULL;
	group = eni->groups[dice_below(dice, (uint32_t)eni->nr_groups)];
	nr = egress ? group->nr_out : group->nr_in;
	return nr ? (egress ? group->out : group->in) + dice_below(dice, (uint32_t)nr) : NULL;
}

/* Services near those of a rule, addresses near those of a peer: most differences hide at borders. */
static struct question random_question(struct dice *dice, const struct world *world, const struct eni *eni, bool egress)
{
	static const int protocols[] = {6, 17, 1, 58, 50, 132, 0, 255, 47};
	const struct sg_permission *permission = any_permission(dice, eni, egress);
	const struct prefix_list *list =
		world->state.prefix_lists + dice_below(dice, (uint32_t)world->state.nr_prefix_lists);
	struct question question = {.protocol = protocols[dice_below(dice, 9)]};
	struct cidr near = random_cidr(dice, dice_hit(dice, 50) ? 6 : 4);

	if (permission && dice_hit(dice, 80)) {
		question.protocol = permission->protocol == PROTOCOL_ANY ? question.protocol : permission->protocol;
		question.port = (dice_hit(dice, 50) ? permission->from : permission->to) + (int)dice_below(dice, 3) - 1;
	}
	if (list->nr_entries && dice_hit(dice, 30))
		near = list->entries[dice_below(dice, (uint32_t)list->nr_entries)];
	if (permission && permission->nr_peers && dice_hit(dice, 70)) {
		const struct sg_peer *peer = permission->peers + dice_below(dice, (uint32_t)permission->nr_peers);

		if (peer->kind == PEER_CIDR)
			near = peer->cidr;
	}
	question.family = near.family;
	question.peer = border_address(dice, &near);
	if (question.protocol == (question.family == 6 ? 58 : 1)) {
		question.port = (int)dice_below(dice, 4) * 85 << 8 | (int)dice_below(dice, 4) * 85;
		if (dice_hit(dice, 30))
			question.port = (int)dice_below(dice, 65536);
	} else if (question.protocol != 6 && question.protocol != 17) {
		question.port = 0;
	}
	question.port &= 0xffff;
	if (dice_hit(dice, 40))
		question.member = world->state.enis + dice_below(dice, (uint32_t)world->state.nr_enis);
	return question;
}

static uint32_t identity_of(const struct image *image, const struct eni *eni)
{
	for (size_t i = 0; eni && i < image->nr_ports; i++)
		if (image->ports[i].eni == eni)
			return image->ports[i].identity;
	return 0;
}

static void check_question(const struct image *image, const struct image_port *port, bool egress,
			   const struct question *question)
{
	const struct image_object *object = image->objects + (egress ? port->sg_out : port->sg_in);
	struct answer wanted = naive_groups(port->eni, egress, question);
	uint32_t service =
		(question->family == 6 ? 1u << 24 : 0) | (uint32_t)question->protocol << 16 | (uint32_t)question->port;
	bool any = !wanted.any;
	uint32_t value = policy_ask(object->lines, question->family, &question->peer,
				    identity_of(image, question->member), service, &any);

	if (value != wanted.rule || any != wanted.any)
		print_error("%s %s: family %d protocol %d port %#x: rule %u any %d, wanted %u any %d\n", port->id,
			    egress ? "egress" : "ingress", question->family, question->protocol,
			    (unsigned)question->port, value, any, wanted.rule, wanted.any);
	assert_int_equal(value, wanted.rule);
	assert_int_equal(any, wanted.any);
	if (object->lines[0].w[question->family == 6 ? POLICY_W_ALL6 : POLICY_W_ALL4])
		assert_int_equal(value, object->lines[0].w[question->family == 6 ? POLICY_W_ALL6 : POLICY_W_ALL4]);
	if (value) {
		assert_string_equal(object->rules[value - 1].id, wanted.id);
		assert_string_equal(object->rules[value - 1].text, wanted.text);
	}
}

static void check_flags(const struct image *image, const struct image_port *port, bool egress)
{
	uint32_t flags = image->objects[egress ? port->sg_out : port->sg_in].lines[0].w[POLICY_W_FLAGS];

	assert_int_equal((flags & POLICY_OPEN_TCP4) != 0, naive_open(port->eni, egress, 4, 6));
	assert_int_equal((flags & POLICY_OPEN_UDP4) != 0, naive_open(port->eni, egress, 4, 17));
	assert_int_equal((flags & POLICY_OPEN_TCP6) != 0, naive_open(port->eni, egress, 6, 6));
	assert_int_equal((flags & POLICY_OPEN_UDP6) != 0, naive_open(port->eni, egress, 6, 17));
}

static unsigned ask_world(struct world *world, struct dice *dice)
{
	struct image *image = NULL;
	char *why = NULL;
	unsigned admitted = 0;

	assert_int_equal(compile_image(&world->state, world->state.hosts, &image, &why), 0);
	for (int i = 0; i < QUESTIONS_A_STATE;) {
		const struct image_port *port = image->ports + dice_below(dice, (uint32_t)image->nr_ports);
		bool egress = dice_hit(dice, 50);

		if (port->kind != PORT_ENI || port->eni->routing)
			continue;
		check_flags(image, port, egress);
		for (int k = 0; k < 40; k++, i++) {
			struct question question = random_question(dice, world, port->eni, egress);

			check_question(image, port, egress, &question);
			admitted += naive_groups(port->eni, egress, &question).rule != 0;
		}
	}
	image_free(&image);
	return admitted;
}

static void groups_answer_as_their_rules_read(void **state)
{
	struct dice dice = {test_seed("security groups")};
	unsigned admitted = 0;

	(void)state;
	for (int i = 0; i < QUESTIONS / QUESTIONS_A_STATE; i++) {
		struct world *world = world_make(dice.at + (uint64_t)i, dice.at);

		admitted += ask_world(world, &dice);
		world_free(world);
	}
	/* The questions must hit rules and miss them. */
	assert_in_range(admitted, QUESTIONS / 20, QUESTIONS - QUESTIONS / 20);
}

/* ---- single cases */

struct one_rule {
	struct world *world;
	struct vpc vpc;
	struct security_group group;
	struct sg_permission permission;
	struct sg_peer peer;
	struct image_object object;
};

static void compile_one(struct one_rule *one, int protocol, int from, int to, const char *cidr)
{
	*one = (struct one_rule){.world = world_empty(1)};
	one->vpc = (struct vpc){.id = "vpc-1", .zone = 1};
	one->peer = (struct sg_peer){.cidr = world_cidr(cidr), .peering = "", .rule_id = ""};
	one->permission = (struct sg_permission){protocol, from, to, &one->peer, 1, "IpPermissions[0]"};
	one->group = (struct security_group){.id = "sg-1", .vpc = &one->vpc, .in = &one->permission, .nr_in = 1};
	assert_int_equal(compile_sg_object((const struct security_group *const[]){&one->group}, 1, false, &one->vpc,
					   &one->object),
			 0);
}

static uint32_t ask_one(const struct one_rule *one, const char *address, int protocol, int port)
{
	int family;
	union addr addr = world_addr(address, &family);
	bool any;

	return policy_ask(one->object.lines, family, &addr, 0, SERVICE_KEY(family, protocol, port), &any);
}

static void done_one(struct one_rule *one)
{
	image_object_done(&one->object);
	world_free(one->world);
}

static void e14_no_groups_admit_nothing(void **state)
{
	struct image_object object;
	union addr addr = {};
	bool any = true;

	(void)state;
	assert_int_equal(compile_sg_object(NULL, 0, false, NULL, &object), 0);
	assert_int_equal(object.nr_lines, 1);
	assert_int_equal(object.lines[0].w[POLICY_W_KIND], POLICY_SG);
	assert_int_equal(policy_ask(object.lines, 4, &addr, 5, SERVICE_KEY(4, 6, 80), &any), 0);
	assert_false(any);
	image_object_done(&object);
}

/* SG-08: 8 / -1 is an echo request with any code, and never a range from 8 down to -1. */
static void icmp_type_without_code_covers_its_codes(void **state)
{
	struct one_rule one;

	(void)state;
	compile_one(&one, 1, 8, -1, "0.0.0.0/0");
	assert_int_equal(ask_one(&one, "192.0.2.1", 1, 8 << 8), 1);
	assert_int_equal(ask_one(&one, "192.0.2.1", 1, 8 << 8 | 255), 1);
	assert_int_equal(ask_one(&one, "192.0.2.1", 1, 9 << 8), 0);
	assert_int_equal(ask_one(&one, "192.0.2.1", 1, (7 << 8) | 255), 0);
	assert_int_equal(ask_one(&one, "192.0.2.1", 1, 13 << 8), 0);
	done_one(&one);
}

static void families_do_not_cover_each_other(void **state)
{
	struct one_rule one;

	(void)state;
	compile_one(&one, PROTOCOL_ANY, 0, 65535, "0.0.0.0/0");
	assert_int_equal(ask_one(&one, "192.0.2.1", 6, 80), 1);
	assert_int_equal(ask_one(&one, "2001:db8::1", 6, 80), 0);
	assert_int_equal(one.object.lines[0].w[POLICY_W_FLAGS], POLICY_OPEN_TCP4 | POLICY_OPEN_UDP4);
	done_one(&one);
	compile_one(&one, 58, -1, -1, "0.0.0.0/0");
	assert_int_equal(ask_one(&one, "192.0.2.1", 58, 0), 0);
	done_one(&one);
	compile_one(&one, 1, -1, -1, "::/0");
	assert_int_equal(ask_one(&one, "2001:db8::1", 1, 0), 0);
	done_one(&one);
}

/* What nests must not multiply where rule sets are equal: one list of many blocks has one service tree. */
static void equal_rule_sets_share_a_service_tree(void **state)
{
	struct one_rule one;
	struct prefix_list list = {.id = "pl-1", .nr_entries = 4096};
	struct image_object object;

	(void)state;
	compile_one(&one, 6, 443, 443, "10.0.0.0/8");
	list.entries = world_alloc(one.world, list.nr_entries, sizeof(*list.entries));
	for (size_t i = 0; i < list.nr_entries; i++) {
		list.entries[i] = world_cidr("198.18.0.0/32");
		list.entries[i].addr.bytes[14] = (uint8_t)(i >> 7);
		list.entries[i].addr.bytes[15] = (uint8_t)(i << 1);
	}
	one.peer.kind = PEER_PREFIX_LIST;
	one.peer.prefix_list = &list;
	assert_int_equal(
		compile_sg_object((const struct security_group *const[]){&one.group}, 1, false, &one.vpc, &object), 0);
	/* 8193 intervals: 513 lines of keys, their index, 513 lines of values, one service tree, the head. */
	assert_in_range(object.nr_lines, 1026, 1026 + 45);
	image_object_done(&object);
	done_one(&one);
}

static void order_of_groups_does_not_matter(void **state)
{
	struct world *world = world_make(7, 7);
	const struct security_group *ab[] = {world->state.groups, world->state.groups + 1, world->state.groups};
	const struct security_group *ba[] = {world->state.groups + 1, world->state.groups};
	struct image_object one, two;

	(void)state;
	assert_int_equal(compile_sg_object(ab, 3, true, world->state.vpcs, &one), 0);
	assert_int_equal(compile_sg_object(ba, 2, true, world->state.vpcs, &two), 0);
	assert_int_equal(one.nr_lines, two.nr_lines);
	assert_memory_equal(one.lines, two.lines, one.nr_lines * sizeof(*one.lines));
	assert_memory_equal(&one.hash, &two.hash, sizeof(one.hash));
	image_object_done(&one);
	image_object_done(&two);
	world_free(world);
}

/* A reference compiled without a state is for members that carry just that group. */
static void lone_object_knows_identities_of_references(void **state)
{
	struct one_rule one;
	struct image_object object;
	const struct security_group *self;
	union addr addr = {};
	bool any;

	(void)state;
	compile_one(&one, 6, 80, 80, "10.0.0.0/8");
	self = &one.group;
	one.peer.kind = PEER_GROUP;
	one.peer.group = &one.group;
	assert_int_equal(compile_sg_object(&self, 1, false, &one.vpc, &object), 0);
	assert_int_equal(
		policy_ask(object.lines, 4, &addr, sg_identity(&one.vpc, &self, 1), SERVICE_KEY(4, 6, 80), &any), 1);
	assert_int_equal(
		policy_ask(object.lines, 6, &addr, sg_identity(&one.vpc, &self, 1), SERVICE_KEY(6, 6, 80), &any), 1);
	assert_int_equal(
		policy_ask(object.lines, 4, &addr, sg_identity(&one.vpc, &self, 1) + 1, SERVICE_KEY(4, 6, 80), &any),
		0);
	image_object_done(&object);
	done_one(&one);
}

/* Nested blocks with many services each would need a tree of all outer rules per block: refused, not attempted. */
static void object_out_of_bounds_is_refused(void **state)
{
	enum { PORTS = 2000, BLOCKS = 20000 };
	struct one_rule one;
	struct security_group group;
	struct sg_permission *permissions;
	struct sg_peer *peers;
	struct image_object object = {.nr_rules = 77};
	const struct security_group *groups = &group;

	(void)state;
	compile_one(&one, 6, 80, 80, "10.0.0.0/8");
	permissions = world_alloc(one.world, PORTS + BLOCKS, sizeof(*permissions));
	peers = world_alloc(one.world, PORTS + BLOCKS, sizeof(*peers));
	for (int i = 0; i < PORTS + BLOCKS; i++) {
		int port = i < PORTS ? i * 4 : i;

		peers[i] = one.peer;
		if (i >= PORTS) {
			peers[i].cidr = world_cidr("10.0.0.0/32");
			peers[i].cidr.addr.bytes[14] = (uint8_t)(i >> 8);
			peers[i].cidr.addr.bytes[15] = (uint8_t)i;
		}
		permissions[i] = (struct sg_permission){6, port, port, peers + i, 1, "IpPermissions[0]"};
	}
	group = one.group;
	group.in = permissions;
	group.nr_in = PORTS + BLOCKS;
	assert_int_equal(compile_sg_object(&groups, 1, false, &one.vpc, &object), -E2BIG);
	assert_int_equal(object.nr_rules, 77);
	done_one(&one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(groups_answer_as_their_rules_read),
		cmocka_unit_test(e14_no_groups_admit_nothing),
		cmocka_unit_test(icmp_type_without_code_covers_its_codes),
		cmocka_unit_test(families_do_not_cover_each_other),
		cmocka_unit_test(equal_rule_sets_share_a_service_tree),
		cmocka_unit_test(order_of_groups_does_not_matter),
		cmocka_unit_test(lone_object_knows_identities_of_references),
		cmocka_unit_test(object_out_of_bounds_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
