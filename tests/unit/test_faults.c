/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* No memory at the n-th allocation, for every n: loading, compiling and planning end with -ENOMEM, leave nothing behind
 * and change nothing. ENID_HOSTILE_ROUNDS=0 tries every n, else some of each thousand. Run it with SAN=1, too. */
#include "lib/faults.h"

#include "compile/image.h"
#include "lib/image_text.h"
#include "lib/world.h"
#include "plan/plan.h"
#include "state/change.h"
#include "test_state.h"

#define LINES 65536u

static unsigned long step_of(unsigned long nr_allocations)
{
	const char *rounds = getenv("ENID_HOSTILE_ROUNDS");
	unsigned long points = 400 * (rounds && *rounds ? strtoul(rounds, NULL, 10) : 1);

	return points && nr_allocations > points ? nr_allocations / points : 1;
}

/* What can fail: ret -ENOMEM, or 0 with its result taken away again. */
struct attempt {
	const char *name;
	int (*run)(void *data);
	void *data;
};

static unsigned long count_allocations(const struct attempt *attempt)
{
	faults_begin((unsigned long)-1, false);
	assert_int_equal(attempt->run(attempt->data), 0);
	faults_end();
	return faults.count;
}

/* At every n, once and from then on. */
static void fail_everywhere(const struct attempt *attempt)
{
	unsigned long nr = count_allocations(attempt), step = step_of(nr), tried = 0;
	uint64_t seed = test_seed(attempt->name);

	for (unsigned long at = 1 + seed % step; at <= nr; at += step, tried++) {
		for (int lasting = 0; lasting < 2; lasting++) {
			size_t before = faults_in_use(), after;
			int r;

			faults_begin(at, lasting);
			r = attempt->run(attempt->data);
			assert_true(faults_end());
			after = faults_in_use();
			if (r != -ENOMEM || after != before)
				print_error("%s: allocation %lu of %lu fails%s: %d, %zd bytes left behind\n",
					    attempt->name, at, nr, lasting ? ", and all after it" : "", r,
					    (ssize_t)(after - before));
			assert_int_equal(r, -ENOMEM);
			assert_int_equal(after, before);
		}
	}
	print_message("%s: %lu of %lu allocations failed, one by one\n", attempt->name, tried, nr);
	assert_true(nr > 20);
	assert_int_equal(attempt->run(attempt->data), 0);
}

/* ---- load */

static int load(void *data)
{
	const char *const *paths = data;
	struct loaded loaded = {};

	loaded.r = state_load(paths, 2, &loaded.state, &loaded.messages);
	if (loaded.r == -ENOMEM)
		assert_true(!loaded.state && !loaded.messages.nr_errors);
	if (!loaded.r)
		assert_int_equal(loaded.state->nr_enis, 6);
	state_free(&loaded.state);
	state_messages_done(&loaded.messages);
	return loaded.r;
}

/* Two files, so that objects are merged; the second says some of the first again. */
static void e4_state_is_loaded_whole_or_not_at_all(void **context)
{
	const char *paths[] = {full_path(), full_path()};

	(void)context;
	fail_everywhere(&(struct attempt){"load", load, paths});
}

static int load_broken(void *data)
{
	const char *path = data;
	struct loaded loaded = {};

	loaded.r = state_load(&path, 1, &loaded.state, &loaded.messages);
	assert_null(loaded.state);
	if (loaded.r == -ENOMEM)
		assert_int_equal(loaded.messages.nr_errors, 0);
	else
		assert_int_equal(loaded.messages.nr_errors, 5); /* the entry alone has three faults */
	state_messages_done(&loaded.messages);
	return loaded.r == -EINVAL ? 0 : loaded.r;
}

/* A state with errors: without memory they are not half told, and no conflict passes for agreement. */
static void e18_errors_are_told_whole_or_not_at_all(void **context)
{
	(void)context;
	write_text("broken.json", "{" VPC ",'Subnets':[{'SubnetId':'s1','VpcId':'v1','CidrBlock':'10.0.1.0/33'}],"
				  "'NetworkAcls':[{'NetworkAclId':'a1','Entries':[{'RuleNumber':0,'Protocol':'6'}]}],"
				  "'PrefixLists':[{'PrefixListId':'p1','Cidrs':['1.0.0.0/8','2.0.0.0/8']},"
				  "{'PrefixListId':'p1','Cidrs':['1.0.0.0/8','3.0.0.0/8']}]}");
	fail_everywhere(&(struct attempt){"load a state with errors", load_broken, (void *)"broken.json"});
}

/* ---- compile */

struct compiling {
	const struct state *state;
	const char *text; /* of the image */
};

static int compile(void *data)
{
	const struct compiling *compiling = data;
	struct image *image = NULL;
	char *why = NULL;
	int r = compile_image(compiling->state, compiling->state->hosts, &image, &why);
	bool on = faults.on;

	assert_null(why);
	assert_true(!r == (image != NULL));
	faults.on = false;
	if (!r && compiling->text) {
		char *text = image_text(image);

		assert_string_equal(text, compiling->text);
		free(text);
	}
	image_free(&image);
	faults.on = on;
	return r;
}

static void e4_image_is_compiled_whole_or_not_at_all(void **context)
{
	struct loaded loaded = load_full();
	struct world *world = world_make(7, 7);
	struct compiling compiling = {.state = loaded.state};
	struct image *image = NULL;
	char *why = NULL, *text;

	(void)context;
	assert_int_equal(compile_image(loaded.state, loaded.state->hosts, &image, &why), 0);
	text = image_text(image);
	compiling.text = text;
	fail_everywhere(&(struct attempt){"compile the state with every list", compile, &compiling});
	compiling = (struct compiling){.state = &world->state};
	fail_everywhere(&(struct attempt){"compile a random state", compile, &compiling});
	free(text);
	image_free(&image);
	world_free(world);
	unload(&loaded);
}

/* ---- follow an edit */

#define GROUPS(port) \
	"{'SecurityGroups':[{'GroupId':'g1','VpcId':'v1','IpPermissions':[{'IpProtocol':'tcp','FromPort':" port \
	",'ToPort':99,'IpRanges':[{'CidrIp':'10.0.0.0/8'}],'UserIdGroupPairs':[{'GroupId':'g2'}]}]}," \
	"{'GroupId':'g2','VpcId':'v1'}]}"
#define ACLS(action) \
	"{'NetworkAcls':[{'NetworkAclId':'a1','VpcId':'v1','Associations':[{'SubnetId':'s1'}],'Entries':[" \
	"{'RuleNumber':10,'Protocol':'-1','Egress':false,'CidrBlock':'10.0.0.0/8','RuleAction':'" action "'}]}]}"
#define TABLES(third) \
	"{'RouteTables':[{'RouteTableId':'r1','VpcId':'v1','Associations':[{'SubnetId':'s1'}],'Routes':[" \
	"{'DestinationCidrBlock':'172.16." third ".0/24','NetworkInterfaceId':'e2'}]}]}"
#define AN_ENI(number, group) \
	"{'NetworkInterfaceId':'e" number "','VpcId':'v1','SubnetId':'s1','MacAddress':'02:00:00:00:00:0" number \
	"','PrivateIpAddress':'10.0.1.1" number "','Groups':[{'GroupId':'" group "'}]}"
#define ENIS(group) "{'NetworkInterfaces':[" AN_ENI("1", "g1") "," AN_ENI("2", group) "]}"
#define OTHERS \
	"{'Vpcs':[{'VpcId':'v1','CidrBlock':'10.0.0.0/16'}]," \
	"'Subnets':[{'SubnetId':'s1','VpcId':'v1','CidrBlock':'10.0.1.0/24'}],'Hosts':[{'HostId':'h','Ports':[" \
	"{'NetworkInterfaceId':'e1','Device':'d1'},{'NetworkInterfaceId':'e2','Device':'d2'}]}]}"

static const char *const followed_paths[] = {"groups.json", "acls.json", "tables.json", "enis.json", "others.json"};

static const char *const texts_before[] = {GROUPS("80"), ACLS("allow"), TABLES("1"), ENIS("g2")};
static const char *const texts_now[] = {GROUPS("81"), ACLS("deny"), TABLES("2"), ENIS("g1")};

struct following {
	struct state *state;
	struct sources *sources;
	struct image *image;
	char *text; /* of the image */
};

/* The image of the state as it is, made anew. */
static void expect_image(struct following *following)
{
	struct image *image = NULL;
	char *why = NULL, *text, *anew;

	assert_int_equal(compile_image(following->state, following->state->hosts, &image, &why), 0);
	anew = image_text(image);
	text = image_text(following->image);
	assert_string_equal(text, anew);
	free(text);
	free(anew);
	image_free(&image);
}

/* Whatever happened, it is taken back. */
static int follow(void *data)
{
	struct following *following = data;
	struct state_change *change = NULL;
	int r = state_follow(following->state, following->sources, followed_paths, 4, &change);
	int updated = r ? r : image_update(following->image, change);
	bool on = faults.on;
	char *text;

	faults.on = false;
	if (!r)
		assert_int_equal(change->nr, 4);
	if (!r)
		state_change_undo(following->state, change);
	if (!updated)
		assert_int_equal(image_update(following->image, change), 0);
	state_change_free(&change);
	text = image_text(following->image);
	assert_string_equal(text, following->text);
	free(text);
	faults.on = on;
	return updated;
}

/* The texts of the paths but the last. */
static void write_followed(const char *const *texts)
{
	for (size_t i = 0; i < 4; i++)
		write_text(followed_paths[i], texts[i]);
}

static void start_following(struct following *following)
{
	struct state_messages messages;
	char *why = NULL;

	write_followed(texts_before);
	write_text(followed_paths[4], OTHERS);
	assert_int_equal(state_load_sources(followed_paths, 5, &following->state, &messages, &following->sources), 0);
	state_messages_done(&messages);
	assert_int_equal(compile_image(following->state, following->state->hosts, &following->image, &why), 0);
	following->text = image_text(following->image);
}

static void stop_following(struct following *following)
{
	free(following->text);
	image_free(&following->image);
	state_free(&following->state);
	sources_free(&following->sources);
}

static void e4_edit_is_followed_whole_or_not_at_all(void **context)
{
	struct following following = {};

	(void)context;
	start_following(&following);
	write_followed(texts_now);
	fail_everywhere(&(struct attempt){"follow an edit", follow, &following});
	stop_following(&following);
}

static struct state_change *follow_turn(struct following *following, unsigned int turn)
{
	struct state_change *change = NULL;

	write_followed(turn % 2 ? texts_now : texts_before);
	assert_int_equal(state_follow(following->state, following->sources, followed_paths, 4, &change), 0);
	assert_int_equal(image_update(following->image, change), 0);
	return change;
}

/* Followed, then to be taken back: without memory the image stays that of the new state, which is kept then. */
static void e4_edit_that_cannot_be_taken_back_is_kept_whole(void **context)
{
	struct following following = {};
	unsigned long at = 0;
	bool failed = true;

	(void)context;
	start_following(&following);
	for (unsigned int turn = 1; failed; turn++) {
		struct state_change *change = follow_turn(&following, turn);

		state_change_undo(following.state, change);
		faults_begin(++at, true);
		failed = image_update(following.image, change) != 0;
		(void)faults_end();
		if (failed) {
			state_change_redo(following.state, change);
			state_change_keep(following.state, &change);
		} else {
			state_change_free(&change);
		}
		expect_image(&following);
	}
	print_message("%lu allocations of taking back failed, one by one\n", at - 1);
	assert_true(at > 20);
	stop_following(&following);
}

/* What is kept in error: it does not stand in the state, and what stands there is not freed. */
static void e4_what_was_taken_back_is_not_kept(void **context)
{
	struct following following = {};

	(void)context;
	start_following(&following);
	for (unsigned int turn = 1; turn < 8; turn++) {
		struct state_change *change = follow_turn(&following, turn);

		if (turn % 3 == 2) {
			state_change_undo(following.state, change);
			assert_int_equal(image_update(following.image, change), 0);
		}
		state_change_keep(following.state, &change);
		expect_image(&following);
	}
	stop_following(&following);
}

/* ---- plan */

struct planning {
	struct placement current;
	const struct image *image;
};

static int plan(void *data)
{
	struct planning *planning = data;
	struct plan *plan = NULL;
	char *why = NULL;
	int r = plan_make(&planning->current, planning->image, &plan, &why);

	assert_null(why);
	assert_true(!r == (plan != NULL));
	plan_free(&plan);
	return r;
}

/* A plan that was not made leaves the placement as it was: the same plan comes out afterwards. */
static void e4_plan_is_made_whole_or_not_at_all(void **context)
{
	struct world *first = world_make(11, 1), *second = world_make(12, 1);
	struct image *images[2] = {};
	struct planning planning = {};
	struct plan *made = NULL;
	char *why = NULL;

	(void)context;
	assert_int_equal(placement_init(&planning.current, LINES), 0);
	assert_int_equal(compile_image(&first->state, first->state.hosts, &images[0], &why), 0);
	assert_int_equal(compile_image(&second->state, second->state.hosts, &images[1], &why), 0);
	planning.image = images[0];
	fail_everywhere(&(struct attempt){"plan from nothing", plan, &planning});
	assert_int_equal(plan_make(&planning.current, images[0], &made, &why), 0);
	plan_commit(&planning.current, made);
	plan_free(&made);
	planning.image = images[1];
	fail_everywhere(&(struct attempt){"plan a change", plan, &planning});
	assert_int_equal(plan_make(&planning.current, images[0], &made, &why), 0);
	assert_true(plan_is_empty(made));
	plan_free(&made);
	placement_done(&planning.current);
	image_free(&images[0]);
	image_free(&images[1]);
	world_free(first);
	world_free(second);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(e4_state_is_loaded_whole_or_not_at_all),
		cmocka_unit_test(e18_errors_are_told_whole_or_not_at_all),
		cmocka_unit_test(e4_image_is_compiled_whole_or_not_at_all),
		cmocka_unit_test(e4_edit_is_followed_whole_or_not_at_all),
		cmocka_unit_test(e4_edit_that_cannot_be_taken_back_is_kept_whole),
		cmocka_unit_test(e4_what_was_taken_back_is_not_kept),
		cmocka_unit_test(e4_plan_is_made_whole_or_not_at_all),
	};

	(void)argc;
	faults_without_cache(argv);
	return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
