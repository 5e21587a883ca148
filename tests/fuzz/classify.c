/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Rules from the input, compiled by the real compiler, asked as the data path asks (bpf/classify.h) and as user space
 * does, and held against the rules read one by one. An input is rules of eight bytes; the questions lie at the borders
 * of each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "compile/image.h"
#include "datapath/datapath.h"
#include "enid/policy.h"
#include "host/host.h"
#include "lib/naive.h"
#include "lib/world.h"

#define RULES_MAX  32
#define GROUPS     4
#define LINES_MAX  (1u << 16)
#define OBJECT_AT  1u
#define QUESTIONS  6 /* a rule */
#define RULE_BYTES 8

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
	struct nacl_entry entries[RULES_MAX];
	struct sg_peer peers[RULES_MAX];
	struct sg_permission permissions[RULES_MAX];
	size_t nr;
	struct dice dice;
} rules;

/* Two VPCs; an ENI with groups 0 and 1; others with one group each, who are asked about. */
static struct vpc vpcs[2] = {{.id = "vpc-1", .zone = 1}, {.id = "vpc-2", .zone = 2}};
static struct security_group groups[GROUPS] = {{.id = "sg-1", .vpc = &vpcs[0]},
					       {.id = "sg-2", .vpc = &vpcs[0]},
					       {.id = "sg-3", .vpc = &vpcs[0]},
					       {.id = "sg-4", .vpc = &vpcs[1]}};
static struct security_group *own[2] = {&groups[1], &groups[0]},
			     *each_one[GROUPS] = {&groups[0], &groups[1], &groups[2], &groups[3]};
static struct eni self = {.id = "eni-1", .vpc = &vpcs[0], .groups = own, .nr_groups = 2};
static struct eni others[GROUPS] = {{.id = "eni-2", .vpc = &vpcs[0], .groups = &each_one[0], .nr_groups = 1},
				    {.id = "eni-3", .vpc = &vpcs[0], .groups = &each_one[1], .nr_groups = 1},
				    {.id = "eni-4", .vpc = &vpcs[0], .groups = &each_one[2], .nr_groups = 1},
				    {.id = "eni-5", .vpc = &vpcs[1], .groups = &each_one[3], .nr_groups = 1}};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const struct datapath_options options = {.replay = true, .flows_max = 1, .policy_lines = LINES_MAX};
	static struct datapath *datapath;
	char *why = NULL;

	(void)argc, (void)argv;
	MUST(!datapath_open(&options, &datapath, &why), "%s", why ? why : "no memory");
	return 0;
}

static struct cidr cidr_of(const uint8_t *bytes)
{
	static const uint8_t lengths4[8] = {0, 1, 8, 16, 24, 31, 32, 28},
			     lengths6[8] = {0, 1, 32, 56, 64, 65, 127, 128};
	struct cidr cidr = {.family = bytes[0] & 8 ? 6 : 4};
	unsigned first = cidr.family == 4 ? 12 : 0;

	cidr.prefixlen = (cidr.family == 4 ? lengths4 : lengths6)[bytes[0] & 7];
	for (unsigned i = first, k = 0; i < 16; i++, k++)
		cidr.addr.bytes[i] = k < 2 ? bytes[1 + k] : k >= 14 - first ? bytes[1 + (k & 1)] & 3 : 0;
	for (unsigned bit = cidr.prefixlen; bit < (16 - first) * 8; bit++)
		cidr.addr.bytes[first + bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	return cidr;
}

/* Ports or types as the state's reader leaves them. */
static void set_service(const uint8_t *bytes, int *protocol, int *from, int *to)
{
	static const int protocols[8] = {6, 6, 17, 1, 58, 50, PROTOCOL_ANY, 0};
	int a = bytes[1] << 8 | bytes[2], b = bytes[3] & 1 ? a : a | bytes[3] << 4;

	*protocol = protocols[bytes[0] & 7];
	*from = 0;
	*to = 65535;
	if (*protocol == 6 || *protocol == 17) {
		*from = bytes[0] & 8 ? 0 : a;
		*to = bytes[0] & 16 ? 65535 : b;
	} else if (*protocol == 1 || *protocol == 58) {
		*from = bytes[0] & 8 ? -1 : bytes[1];
		*to = bytes[0] & 24 ? -1 : bytes[2];
	}
}

static void read_rules(const uint8_t *data, size_t size)
{
	memset(&rules, 0, sizeof(rules));
	for (; rules.nr < RULES_MAX && size >= RULE_BYTES; rules.nr++, data += RULE_BYTES, size -= RULE_BYTES) {
		struct nacl_entry *entry = &rules.entries[rules.nr];
		struct sg_peer *peer = &rules.peers[rules.nr];
		struct sg_permission *permission = &rules.permissions[rules.nr];

		entry->number = (int)(1 + (data[0] >> 5) * 100 + rules.nr * 7 % 64 + (data[0] & 16) * 64);
		entry->allow = data[0] & 16;
		entry->cidr = cidr_of(data);
		set_service(data + 3, &entry->protocol, &entry->from, &entry->to);
		*peer = (struct sg_peer){.kind = data[7] & 64 ? PEER_GROUP : PEER_CIDR,
					 .cidr = entry->cidr,
					 .id = "",
					 .peering = "",
					 .rule_id = ""};
		if (peer->kind == PEER_GROUP)
			peer->group = &groups[data[7] & 3];
		*permission =
			(struct sg_permission){entry->protocol, entry->from, entry->to, peer, 1, "IpPermissions[0]"};
		for (unsigned i = 0; i < RULE_BYTES; i++)
			rules.dice.at = (rules.dice.at ^ data[i]) * 1099511628211ull;
	}
	/* two entries of one number are refused by the reader */
	for (size_t i = 0; i < rules.nr; i++)
		rules.entries[i].number =
			rules.entries[i].number * (int)RULES_MAX % 32768 / RULES_MAX * RULES_MAX + (int)i + 1;
}

static struct question question_near(size_t i)
{
	static const int protocols[8] = {6, 17, 1, 58, 50, 0, 255, 47};
	const struct nacl_entry *entry = &rules.entries[i];
	struct question question = {.family = entry->cidr.family, .protocol = entry->protocol};

	if (entry->protocol == PROTOCOL_ANY || dice_hit(&rules.dice, 20))
		question.protocol = protocols[dice_below(&rules.dice, 8)];
	question.peer = border_address(&rules.dice, &entry->cidr);
	if (question.protocol == 6 || question.protocol == 17)
		question.port =
			((dice_hit(&rules.dice, 50) ? entry->from : entry->to) + (int)dice_below(&rules.dice, 3) - 1) &
			0xffff;
	else if (question.protocol == (question.family == 6 ? 58 : 1))
		question.port = ((entry->from + (int)dice_below(&rules.dice, 2)) & 0xff) << 8 |
				((entry->to + (int)dice_below(&rules.dice, 2)) & 0xff);
	if (dice_hit(&rules.dice, 50))
		question.member = &others[dice_below(&rules.dice, GROUPS)];
	return question;
}

static uint32_t identity_of(const struct eni *member)
{
	return member ? sg_identity(member->vpc, (const struct security_group *const *)member->groups,
				    member->nr_groups)
		      : 0;
}

/* Both answers, which must be one. ret: rule index + 1, POLICY_DENY; 0 = none */
static uint32_t ask(const struct image_object *object, const struct question *question, bool *ret_any)
{
	uint32_t service = SERVICE_KEY(question->family, question->protocol, question->port),
		 identity = identity_of(question->member);
	uint32_t user = policy_ask(object->lines, question->family, &question->peer, identity, service, ret_any);
	uint64_t bpf = host_policy_ask(OBJECT_AT, &question->peer, identity, service);

	MUST((uint32_t)bpf == user, "the data path says %#x, user space %#x", (uint32_t)bpf, user);
	return user;
}

static bool place(const struct image_object *object)
{
	if (object->nr_lines + OBJECT_AT > LINES_MAX)
		return false;
	memcpy(host_map_find("policy")->values + OBJECT_AT * sizeof(struct policy_line), object->lines,
	       object->nr_lines * sizeof(struct policy_line));
	return true;
}

static void check_nacl(void)
{
	const struct nacl nacl = {.id = "acl-1", .in = rules.entries, .nr_in = rules.nr};
	struct image_object object;
	bool any;

	MUST(!compile_nacl_object(&nacl, false, &object), "%zu entries do not compile", rules.nr);
	for (size_t i = 0; place(&object) && i < rules.nr * QUESTIONS; i++) {
		struct question question = question_near(i / QUESTIONS);
		const struct nacl_entry *wanted;
		uint32_t value;

		question.member = NULL;
		wanted = naive_nacl(rules.entries, rules.nr, &question);
		value = ask(&object, &question, &any);
		MUST(!value == !wanted, "network ACL: %#x, wanted %d", value, wanted ? wanted->number : 0);
		if (!wanted)
			continue;
		MUST(!(value & POLICY_DENY) == wanted->allow &&
			     atoi(object.rules[(value & ~POLICY_DENY) - 1].text) == wanted->number,
		     "network ACL: %#x, wanted %d", value, wanted->number);
	}
	image_object_done(&object);
}

static void check_groups(void)
{
	struct image_object object;

	groups[0].in = rules.permissions;
	groups[0].nr_in = rules.nr / 2;
	groups[1].in = rules.permissions + rules.nr / 2;
	groups[1].nr_in = rules.nr - rules.nr / 2;
	MUST(!compile_sg_object((const struct security_group *const *)own, 2, false, &vpcs[0], &object),
	     "%zu rules do not compile", rules.nr);
	for (size_t i = 0; place(&object) && i < rules.nr * QUESTIONS; i++) {
		struct question question = question_near(i / QUESTIONS);
		struct answer wanted;
		uint32_t value;
		bool any;

		if (question.member == &others[3]) /* compile_sg_object knows ENIs of one VPC */
			question.member = NULL;
		wanted = naive_groups(&self, false, &question);
		value = ask(&object, &question, &any);
		MUST(value == wanted.rule && any == wanted.any, "security groups: rule %u any %d, wanted %u %d", value,
		     any, wanted.rule, wanted.any);
	}
	image_object_done(&object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	read_rules(data, size);
	check_nacl();
	check_groups();
	return 0;
}
