/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A state and its image that follow edits of the files are what loading and compiling anew gives, byte for byte. The
 * states are those of the golden cases, all gateways among them; the edits are random, so many are refused, and some
 * are nothing that can be followed. So is the plan of what an update touched the plan that looks at everything. */
#include <errno.h>
#include <glob.h>
#include <jansson.h>
#include <libgen.h>

#include "lib/image_text.h"
#include "lib/world.h"
#include "agent/saved.h"
#include "compile/image.h"
#include "datapath/decisions.h"
#include "plan/plan.h"
#include "state/change.h"
#include "test_state.h"

#define FILE_NAME "s.json"

/* What is in force, and the document that it was made of. */
struct follower {
	struct state *state;
	struct sources *sources;
	struct image *image;
	json_t *document;
	uint64_t revision;
	uint64_t dice;
	size_t tried, followed, refused, undone, spliced;
	size_t indent;
	bool saved;                 /* what the changes write down is read again */
	struct placement placement; /* what the kernel holds */
	struct decisions decisions;
	size_t narrow; /* plans of touched ports only */
	void (*edit)(struct follower *f);
};

static uint32_t roll(struct follower *f, size_t sides)
{
	f->dice = f->dice * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((f->dice >> 33) % sides);
}

static void write_document(const json_t *document, size_t indent)
{
	char *text = json_dumps(document, JSON_INDENT(indent) | JSON_PRESERVE_ORDER);

	assert_non_null(text);
	write_bytes(FILE_NAME, text, strlen(text));
	free(text);
}

static uint64_t revision_of(const json_t *document)
{
	uint64_t revision = 0;
	const char *name;
	json_t *list, *element;
	size_t index;

	json_object_foreach ((json_t *)document, name, list)
		json_array_foreach (list, index, element)
			revision += state_element_revision(name, element);
	return revision;
}

/* ret: whether the file is a state */
static bool load_whole(struct state **ret_state, struct sources **ret_sources, struct image **ret_image)
{
	const char *const paths[] = {FILE_NAME};
	struct state_messages messages;
	char *why = NULL;
	int r = state_load_sources(paths, 1, ret_state, &messages, ret_sources);

	state_messages_done(&messages);
	if (r)
		return false;
	r = compile_image(*ret_state, (*ret_state)->nr_hosts ? (*ret_state)->hosts : NULL, ret_image, &why);
	free(why);
	assert_int_equal(r, 0);
	return true;
}

static void free_whole(struct state **state, struct sources **sources, struct image **image)
{
	image_free(image);
	state_free(state);
	sources_free(sources);
}

/* ---- edits */

static json_t *some_element(struct follower *f, const char *list)
{
	json_t *array = json_object_get(f->document, list);

	return json_array_size(array) ? json_array_get(array, roll(f, json_array_size(array))) : NULL;
}

static json_t *some_member(struct follower *f, json_t *object, const char *key)
{
	json_t *array = json_object_get(object, key);

	return json_array_size(array) ? json_array_get(array, roll(f, json_array_size(array))) : NULL;
}

/* Another element's list, whole or one of it, or one less, or one twice. */
static void edit_list(struct follower *f, const char *list, json_t *object, const char *key)
{
	json_t *own = json_object_get(object, key), *other = some_element(f, list), *one;

	if (!json_is_array(own)) {
		json_object_set_new(object, key, json_array());
		own = json_object_get(object, key);
	}
	switch (roll(f, 4)) {
	case 0:
		json_object_set_new(object, key, json_deep_copy(json_object_get(other, key)));
		if (!json_object_get(object, key))
			json_object_set_new(object, key, json_array());
		break;
	case 1:
		one = some_member(f, other, key);
		if (one)
			json_array_append_new(own, json_deep_copy(one));
		break;
	case 2:
		if (json_array_size(own))
			json_array_remove(own, roll(f, json_array_size(own)));
		break;
	default:
		one = some_member(f, object, key);
		if (one)
			json_array_insert_new(own, roll(f, json_array_size(own) + 1), json_deep_copy(one));
	}
}

static void edit_group(struct follower *f, json_t *group)
{
	const char *key = roll(f, 2) ? "IpPermissions" : "IpPermissionsEgress";
	json_t *permission = some_member(f, group, key), *range;
	char cidr[32];

	snprintf(cidr, sizeof(cidr), "10.%u.0.0/16", roll(f, 4));
	range = json_pack("{s:s}", "CidrIp", cidr);
	switch (permission ? roll(f, 4) : 3) {
	case 0:
		json_object_set_new(permission, "IpRanges", json_pack("[o]", range));
		return;
	case 1:
		json_object_set_new(permission, "FromPort", json_integer(roll(f, 100)));
		break;
	case 2:
		json_object_set_new(
			permission, "UserIdGroupPairs",
			json_pack("[{s:O}]", "GroupId", json_object_get(some_element(f, "SecurityGroups"), "GroupId")));
		break;
	default:
		edit_list(f, "SecurityGroups", group, key);
	}
	json_decref(range);
}

static void edit_nacl(struct follower *f, json_t *nacl)
{
	json_t *entry = some_member(f, nacl, "Entries");

	if (entry && roll(f, 2))
		json_object_set_new(entry, "RuleAction", json_string(roll(f, 2) ? "allow" : "deny"));
	else if (entry && roll(f, 2))
		json_object_set_new(entry, "RuleNumber", json_integer(1 + roll(f, 300)));
	else
		edit_list(f, "NetworkAcls", nacl, "Entries");
}

static void edit_table(struct follower *f, json_t *table)
{
	json_t *route = some_member(f, table, "Routes");
	char cidr[32];

	snprintf(cidr, sizeof(cidr), "172.%u.0.0/16", 16 + roll(f, 8));
	if (route && json_object_get(route, "DestinationCidrBlock") && roll(f, 2))
		json_object_set_new(route, "DestinationCidrBlock", json_string(cidr));
	else if (route && roll(f, 3) == 0)
		json_object_set_new(route, "State", json_string(roll(f, 2) ? "active" : "blackhole"));
	else
		edit_list(f, "RouteTables", table, "Routes");
}

static void edit_eni(struct follower *f, json_t *eni)
{
	switch (roll(f, 4)) {
	case 0:
		json_object_set_new(eni, "SourceDestCheck", json_boolean(roll(f, 2)));
		break;
	case 1:
		json_object_set_new(eni, "ConnectionTrackingConfiguration",
				    json_pack("{s:i}", "TcpEstablishedTimeout", 60 + (int)roll(f, 1000)));
		break;
	default:
		edit_list(f, "NetworkInterfaces", eni, "Groups");
	}
}

/* What cannot be followed, or means nothing. */
static void edit_else(struct follower *f)
{
	json_t *eni = some_element(f, "NetworkInterfaces"), *subnets = json_object_get(f->document, "Subnets");

	switch (roll(f, 4)) {
	case 0:
		json_object_set_new(eni, "Description", json_integer(roll(f, 1000)));
		break;
	case 1:
		json_object_set_new(eni, "Status", json_string(roll(f, 2) ? "in-use" : "available"));
		break;
	case 2:
		json_object_set_new(eni, "DenyAllIgwTraffic", json_boolean(roll(f, 2)));
		break;
	default:
		if (json_array_size(subnets) > 1 && roll(f, 8) == 0)
			json_array_remove(subnets, json_array_size(subnets) - 1);
	}
}

static void edit(struct follower *f)
{
	static const struct {
		const char *list;
		void (*edit)(struct follower *f, json_t *object);
	} edits[] = {{"SecurityGroups", edit_group},
		     {"NetworkAcls", edit_nacl},
		     {"RouteTables", edit_table},
		     {"NetworkInterfaces", edit_eni}};

	for (uint32_t i = 0, nr = 1 + (roll(f, 4) == 0) * roll(f, 3); i < nr; i++) {
		uint32_t which = roll(f, 5);
		json_t *object = which < 4 ? some_element(f, edits[which].list) : NULL;

		if (object)
			edits[which].edit(f, object);
		else if (json_object_get(f->document, "NetworkInterfaces"))
			edit_else(f);
	}
}

/* ---- following */

static void same_image(const struct image *a, const struct image *b)
{
	char *text_a = image_text(a), *text_b = image_text(b);

	assert_string_equal(text_a, text_b);
	free(text_a);
	free(text_b);
}

/* ---- plans */

static int by_number(const void *a, const void *b)
{
	const struct plan_port *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

static void same_plan(struct plan *a, struct plan *b)
{
	assert_int_equal(a->nr_objects, b->nr_objects);
	assert_int_equal(a->nr_tables, b->nr_tables);
	assert_int_equal(a->nr_subnets, b->nr_subnets);
	assert_int_equal(a->nr_gateways, b->nr_gateways);
	assert_int_equal(a->nr_old_objects, b->nr_old_objects);
	assert_int_equal(a->changed, b->changed);
	assert_int_equal(a->other_kinds, b->other_kinds);
	assert_int_equal(a->nr_ports, b->nr_ports);
	qsort(a->ports, a->nr_ports, sizeof(*a->ports), by_number);
	qsort(b->ports, b->nr_ports, sizeof(*b->ports), by_number);
	for (size_t i = 0; i < a->nr_ports; i++) {
		assert_int_equal(a->ports[i].number, b->ports[i].number);
		assert_int_equal(a->ports[i].fell, b->ports[i].fell);
		assert_int_equal(a->ports[i].epoch_only, b->ports[i].epoch_only);
	}
	assert_int_equal(a->next.nr_ports, b->next.nr_ports);
	for (uint32_t i = 0; i < a->next.nr_ports; i++)
		assert_memory_equal(&a->next.ports[i].policy, &b->next.ports[i].policy,
				    sizeof(a->next.ports[i].policy));
}

static void same_decisions(const struct decisions *a, const struct decisions *b)
{
	assert_int_equal(a->nr, b->nr);
	for (size_t i = 0; i < a->nr; i++) {
		assert_int_equal(a->blocks[i].base, b->blocks[i].base);
		assert_int_equal(a->blocks[i].nr, b->blocks[i].nr);
		assert_string_equal(a->blocks[i].texts, b->blocks[i].texts);
	}
}

/* What the kernel gets of the image, as the data path would do it. */
static void put_in_force(struct follower *f)
{
	uint64_t before = f->image->before;
	bool narrow = before && before == f->placement.version;
	struct decisions anew = {};
	struct plan *plan, *wide;
	char *why = NULL;

	assert_int_equal(plan_make(&f->placement, f->image, &plan, &why), 0);
	f->image->before = 0;
	assert_int_equal(plan_make(&f->placement, f->image, &wide, &why), 0);
	f->image->before = before;
	same_plan(plan, wide);
	f->narrow += narrow;
	if (narrow)
		assert_int_equal(decisions_change(&f->decisions, plan, f->image), 0);
	else
		assert_int_equal(decisions_bind(&f->decisions, &plan->next, f->image), 0);
	assert_int_equal(decisions_bind(&anew, &plan->next, f->image), 0);
	same_decisions(&f->decisions, &anew);
	decisions_done(&anew);
	plan_commit(&f->placement, plan);
	plan_free(&plan);
	plan_free(&wide);
}

/* Over what was in force before, the changes that were written down are the document. */
static void same_when_saved(struct follower *f, const struct state_change *change)
{
	json_t *documents = NULL;

	if (change->documents)
		assert_int_equal(saved_append(".", change->documents, change->documents_length, &(size_t){0}), 0);
	assert_int_equal(saved_read(".", &documents), 0);
	assert_true(json_equal(documents, f->document));
	json_decref(documents);
}

static void save_document(const struct follower *f)
{
	char *text = json_dumps(f->document, JSON_COMPACT | JSON_PRESERVE_ORDER);

	assert_int_equal(saved_write(".", text, strlen(text)), 0);
	free(text);
}

/* ret: whether the state and its image are those of the file now */
static bool follow(struct follower *f)
{
	const char *const paths[] = {FILE_NAME};
	struct state_change *change = NULL;
	char *before = image_text(f->image), *after;
	int r = state_follow(f->state, f->sources, paths, 1, &change);

	f->spliced += !r && change->documents && strstr(change->documents, "\"Splice\"");
	if (r)
		assert_int_equal(r, -EAGAIN);
	else if (roll(f, 4) == 0 || (r = image_update(f->image, change))) {
		state_change_undo(f->state, change);
		state_change_free(&change);
		r = -EAGAIN;
	} else if (roll(f, 4) == 0) { /* the kernel does not take it */
		state_change_undo(f->state, change);
		assert_int_equal(image_update(f->image, change), 0);
		state_change_free(&change);
		f->undone++;
		r = -EAGAIN;
	}
	if (r) {
		after = image_text(f->image);
		assert_string_equal(before, after);
		free(after);
	} else {
		if (f->saved)
			same_when_saved(f, change);
		f->revision += change->revision;
		assert_int_equal(f->revision, revision_of(f->document));
		state_change_keep(f->state, &change);
	}
	free(before);
	return !r;
}

static void step(struct follower *f)
{
	json_t *before = json_deep_copy(f->document);
	struct state *state = NULL;
	struct sources *sources = NULL;
	struct image *image = NULL;

	f->edit(f);
	write_document(f->document, f->indent);
	f->tried++;
	if (follow(f)) {
		f->followed++;
		assert_true(load_whole(&state, &sources, &image));
		same_image(f->image, image);
		if (roll(f, 4)) /* else it comes with the next one */
			put_in_force(f);
		free_whole(&state, &sources, &image);
		json_decref(before);
	} else if (load_whole(&state, &sources, &image)) {
		free_whole(&f->state, &f->sources, &f->image);
		f->state = state;
		f->sources = sources;
		f->image = image;
		f->revision = revision_of(f->document);
		if (f->saved)
			save_document(f);
		put_in_force(f);
		json_decref(before);
	} else {
		f->refused++;
		json_decref(f->document);
		f->document = before;
		write_document(f->document, f->indent);
	}
}

/* Takes the document. */
static void follow_document(struct follower *f, unsigned int steps)
{
	assert_non_null(f->document);
	write_document(f->document, f->indent);
	if (f->saved)
		save_document(f);
	if (load_whole(&f->state, &f->sources, &f->image)) {
		f->revision = revision_of(f->document);
		assert_int_equal(placement_init(&f->placement, 1 << 16), 0);
		put_in_force(f);
		for (unsigned int i = 0; i < steps; i++)
			step(f);
		placement_done(&f->placement);
		decisions_done(&f->decisions);
		free_whole(&f->state, &f->sources, &f->image);
	}
	json_decref(f->document);
}

static void following_is_loading_anew(void **state)
{
	struct follower f = {.dice = test_seed("follow"), .edit = edit, .indent = 1};
	const char *rounds = getenv("ENID_ROUNDS");
	char pattern[4200];
	glob_t states;

	(void)state;
	snprintf(pattern, sizeof(pattern), "%s/tests/golden/*/state.json", source_folder);
	assert_int_equal(glob(pattern, 0, NULL, &states), 0);
	for (size_t i = 0; i < states.gl_pathc; i++) {
		f.document = json_load_file(states.gl_pathv[i], 0, NULL);
		follow_document(&f, rounds ? (unsigned int)atoi(rounds) : 4);
	}
	globfree(&states);
	printf("%zu edits, %zu followed, %zu undone, %zu refused, %zu plans of what was touched\n", f.tried, f.followed,
	       f.undone, f.refused, f.narrow);
	assert_true(f.followed * 4 > f.tried); /* or the test says nothing */
	assert_true(f.undone > 0 && f.refused > 0 && f.narrow * 4 > f.followed);
}

/* ---- routes, of tables that have many of them */

#define MANY_ROUTES 150

static json_t *some_route(struct follower *f)
{
	static const char *const targets[] = {"igw-1", "igw-2", "local", "vpce-9"};
	char cidr[64];
	json_t *route;

	if (roll(f, 10) == 0)
		snprintf(cidr, sizeof(cidr), "2600:%x::/32", roll(f, 40));
	else
		snprintf(cidr, sizeof(cidr), "%u.%u.0.0/%u", 20 + roll(f, 30), roll(f, 2) ? 0 : roll(f, 256),
			 roll(f, 4) ? 16 : 17 + roll(f, 8));
	route = json_pack("{s:s,s:s}", strchr(cidr, ':') ? "DestinationIpv6CidrBlock" : "DestinationCidrBlock", cidr,
			  "GatewayId", targets[roll(f, 8) ? 0 : roll(f, 4)]);
	if (roll(f, 20) == 0)
		json_object_set_new(route, "State", json_string("blackhole"));
	return route;
}

static json_t *table_of_many(struct follower *f, const char *id)
{
	json_t *routes = json_array();

	for (int i = 0; i < MANY_ROUTES; i++) {
		char cidr[32];

		snprintf(cidr, sizeof(cidr), "%u.%u.0.0/16", 60 + roll(f, 100), i);
		json_array_append_new(routes,
				      json_pack("{s:s,s:s}", "DestinationCidrBlock", cidr, "GatewayId", "igw-1"));
	}
	return json_pack("{s:s,s:s,s:o,s:[{s:s}]}", "RouteTableId", id, "VpcId", "vpc-1", "Routes", routes,
			 "Associations", "SubnetId", !strcmp(id, "rtb-1") ? "subnet-1" : "subnet-2");
}

static json_t *document_of_many(struct follower *f)
{
	return json_pack("{s:[{s:s,s:s}],s:[{s:s,s:s,s:s},{s:s,s:s,s:s}],s:[{s:s,s:[{s:s,s:s}]},{s:s}],s:[o,o]}",
			 "Vpcs", "VpcId", "vpc-1", "CidrBlock", "10.0.0.0/16", "Subnets", "SubnetId", "subnet-1",
			 "VpcId", "vpc-1", "CidrBlock", "10.0.1.0/24", "SubnetId", "subnet-2", "VpcId", "vpc-1",
			 "CidrBlock", "10.0.2.0/24", "InternetGateways", "InternetGatewayId", "igw-1", "Attachments",
			 "VpcId", "vpc-1", "State", "available", "InternetGatewayId", "igw-2", "RouteTables",
			 table_of_many(f, "rtb-1"), table_of_many(f, "rtb-2"));
}

/* At the ends more often than elsewhere. */
static size_t some_index(struct follower *f, size_t nr)
{
	switch (roll(f, 5)) {
	case 0:
		return 0;
	case 1:
		return nr - 1;
	default:
		return roll(f, nr);
	}
}

static void edit_routes(struct follower *f)
{
	json_t *routes = json_object_get(some_element(f, "RouteTables"), "Routes");
	size_t nr = json_array_size(routes);

	for (uint32_t i = 0, times = 1 + (roll(f, 3) == 0) * roll(f, 4); i < times; i++, nr = json_array_size(routes)) {
		switch (roll(f, 50)) {
		case 0:
			if (nr) /* one twice */
				json_array_insert_new(routes, roll(f, nr),
						      json_deep_copy(json_array_get(routes, roll(f, nr))));
			break;
		case 1:
			if (roll(f, 4) == 0)
				json_array_clear(routes);
			break;
		case 2 ... 18:
			json_array_insert_new(routes, nr - roll(f, 2) * roll(f, nr + 1), some_route(f));
			break;
		case 19 ... 35:
			if (nr)
				json_array_remove(routes, some_index(f, nr));
			break;
		default:
			if (nr)
				json_array_set_new(routes, some_index(f, nr), some_route(f));
		}
	}
}

/* What is spliced is what loading anew gives: state, image, revision, and what is written down. With so many edits a
 * table is made anew as a whole now and then, too. */
static void routes_are_spliced(void **state)
{
	const char *rounds = getenv("ENID_ROUNDS");
	struct follower f = {.dice = test_seed("splice"), .saved = true, .edit = edit_routes};

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		f.indent = i % 2;
		f.document = document_of_many(&f);
		follow_document(&f, rounds ? (unsigned int)atoi(rounds) * 20 : 60);
	}
	printf("%zu edits, %zu followed, %zu spliced, %zu undone, %zu refused\n", f.tried, f.followed, f.spliced,
	       f.undone, f.refused);
	assert_true(f.spliced * 4 > f.tried && f.undone > 0);
}

/* ---- texts: what looks like an element and is none */

static bool follows(const char *before, const char *after)
{
	const char *const paths[] = {FILE_NAME};
	struct state_change *change = NULL;
	struct state_messages messages;
	struct sources *sources;
	struct state *state;
	int r;

	write_text(FILE_NAME, before);
	assert_int_equal(state_load_sources(paths, 1, &state, &messages, &sources), 0);
	state_messages_done(&messages);
	write_text(FILE_NAME, after);
	r = state_follow(state, sources, paths, 1, &change);
	if (!r)
		state_change_keep(state, &change);
	state_free(&state);
	sources_free(&sources);
	return !r;
}

#define ACL(id, entries) "{'NetworkAclId':'" id "','Entries':[" entries "]}"
#define ENTRY(nr)        "{'RuleNumber':" nr ",'Protocol':'-1','RuleAction':'allow','Egress':true,'CidrBlock':'10.0.0.0/8'}"
#define ACLS(acls)       "{'NetworkAcls': [" acls "] }"

static void texts_that_can_be_followed(void **state)
{
	(void)state;
	assert_true(follows(ACLS(ACL("a", ENTRY("1"))), ACLS(ACL("a", ENTRY("2")))));
	assert_true(follows(ACLS(ACL("a", ENTRY("1"))), ACLS(ACL("a", ""))));
	assert_true(
		follows(ACLS(ACL("a", "") "," ACL("b", "")), ACLS(ACL("a", ENTRY("1")) " ,\n" ACL("b", ENTRY("2")))));
	assert_true(follows(ACLS(ACL("a", "")), ACLS(ACL("a", ""))));
	assert_true(follows(ACLS(ACL("a\\u0031", "")), ACLS(ACL("a1", ENTRY("3")))));
}

static void texts_that_cannot(void **state)
{
	(void)state;
	assert_false(follows(ACLS(ACL("a", "")), ACLS(ACL("b", ""))));
	assert_false(follows(ACLS(ACL("a", "")), ACLS(ACL("a", "") "," ACL("b", ""))));
	assert_false(follows(ACLS(ACL("a", "") "," ACL("b", "")), ACLS(ACL("a", ""))));
	assert_false(follows(ACLS(ACL("a", "")), ACLS("")));
	assert_false(follows(ACLS(ACL("a", "")), ACLS(ACL("a", ENTRY("1")) "x")));
	assert_false(follows(ACLS(ACL("a", "")), ACLS(ACL("a", "") ",")));
	assert_false(follows(ACLS(ACL("a", "")), ACLS(ACL("a", ENTRY("1"))) "x"));
	assert_false(follows(ACLS(ACL("a", "")), "x" ACLS(ACL("a", ENTRY("1")))));
	assert_false(follows(ACLS(ACL("a", "")), ACLS(ACL("a", "]},{'NetworkAclId':'b','Entries':["))));
	assert_false(follows(ACLS(ACL("a", "")), ACLS(ACL("a", "") "]}{['a':" ACL("a", ""))));
	assert_false(follows(ACLS(ACL("a", ENTRY("1"))), ACLS(ACL("a", ENTRY("1, 'RuleNumber':2")))));
	assert_false(follows(ACLS(ACL("a", ENTRY("1"))), ACLS(ACL("a", ENTRY("1e400")))));
	assert_false(follows(ACLS(ACL("a", "") "," ACL("b", "")), ACLS(ACL("a", "") ",," ACL("b", ""))));
	assert_false(follows(ACLS(ACL("a", "") "," ACL("b", "")), ACLS(ACL("a", "") " " ACL("b", ""))));
}

/* Two elements that are one object: neither stands for it alone. */
static void joined_objects_are_not_followed(void **state)
{
	(void)state;
	assert_false(follows(ACLS(ACL("a", ENTRY("1")) "," ACL("a", ENTRY("1"))),
			     ACLS(ACL("a", ENTRY("1")) "," ACL("a", ENTRY("2")))));
}

/* A group that flat rules speak of, too. */
static void groups_with_flat_rules_are_not_followed(void **state)
{
#define WITH_GROUP(port) \
	"{'SecurityGroups':[{'GroupId':'g','IpPermissions':[{'IpProtocol':'tcp','FromPort':" port ",'ToPort':9}]}]"
#define RULES \
	",'SecurityGroupRules':[{'SecurityGroupRuleId':'r','GroupId':'g','IsEgress':false,'IpProtocol':'-1','" \
	"CidrIpv4':'10.0.0.0/8'}]"
	(void)state;
	assert_true(follows(WITH_GROUP("1") "}", WITH_GROUP("2") "}"));
	assert_false(follows(WITH_GROUP("1") RULES "}", WITH_GROUP("2") RULES "}"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(following_is_loading_anew),
		cmocka_unit_test(routes_are_spliced),
		cmocka_unit_test(texts_that_can_be_followed),
		cmocka_unit_test(texts_that_cannot),
		cmocka_unit_test(joined_objects_are_not_followed),
		cmocka_unit_test(groups_with_flat_rules_are_not_followed),
	};

	return cmocka_run_group_tests_name("follow", tests, enter_folder, leave_folder);
}
