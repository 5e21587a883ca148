/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A state and its image that follow edits of the files are what loading and compiling anew gives, byte for byte. The
 * states are those of the golden cases, all gateways among them; the edits are random, so many are refused, and some
 * are nothing that can be followed. */
#include <errno.h>
#include <glob.h>
#include <jansson.h>
#include <libgen.h>

#include "lib/image_text.h"
#include "lib/world.h"
#include "compile/image.h"
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
	size_t tried, followed, refused, undone;
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
	uint64_t revision = 0, one;
	const char *name;
	json_t *list, *element;
	size_t index;

	json_object_foreach ((json_t *)document, name, list)
		json_array_foreach (list, index, element) {
			assert_int_equal(state_element_revision(name, element, &one), 0);
			revision += one;
		}
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

/* ret: whether the state and its image are those of the file now */
static bool follow(struct follower *f)
{
	const char *const paths[] = {FILE_NAME};
	struct state_change *change = NULL;
	char *before = image_text(f->image), *after;
	int r = state_follow(f->state, f->sources, paths, 1, &change);

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

	edit(f);
	write_document(f->document, 1);
	f->tried++;
	if (follow(f)) {
		f->followed++;
		assert_true(load_whole(&state, &sources, &image));
		same_image(f->image, image);
		free_whole(&state, &sources, &image);
		json_decref(before);
	} else if (load_whole(&state, &sources, &image)) {
		free_whole(&f->state, &f->sources, &f->image);
		f->state = state;
		f->sources = sources;
		f->image = image;
		f->revision = revision_of(f->document);
		json_decref(before);
	} else {
		f->refused++;
		json_decref(f->document);
		f->document = before;
		write_document(f->document, 1);
	}
}

static void follow_one_state(struct follower *f, const char *path, unsigned int steps)
{
	f->document = json_load_file(path, 0, NULL);
	assert_non_null(f->document);
	write_document(f->document, 1);
	if (load_whole(&f->state, &f->sources, &f->image)) {
		f->revision = revision_of(f->document);
		for (unsigned int i = 0; i < steps; i++)
			step(f);
		free_whole(&f->state, &f->sources, &f->image);
	}
	json_decref(f->document);
}

static void following_is_loading_anew(void **state)
{
	struct follower f = {.dice = test_seed("follow")};
	const char *rounds = getenv("ENID_ROUNDS");
	char pattern[4200];
	glob_t states;

	(void)state;
	snprintf(pattern, sizeof(pattern), "%s/tests/golden/*/state.json", source_folder);
	assert_int_equal(glob(pattern, 0, NULL, &states), 0);
	for (size_t i = 0; i < states.gl_pathc; i++)
		follow_one_state(&f, states.gl_pathv[i], rounds ? (unsigned int)atoi(rounds) : 4);
	globfree(&states);
	printf("%zu edits, %zu followed, %zu undone, %zu refused\n", f.tried, f.followed, f.undone, f.refused);
	assert_true(f.followed * 4 > f.tried); /* or the test says nothing */
	assert_true(f.undone > 0 && f.refused > 0);
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
		cmocka_unit_test(texts_that_can_be_followed),
		cmocka_unit_test(texts_that_cannot),
		cmocka_unit_test(joined_objects_are_not_followed),
		cmocka_unit_test(groups_with_flat_rules_are_not_followed),
	};

	return cmocka_run_group_tests_name("follow", tests, enter_folder, leave_folder);
}
