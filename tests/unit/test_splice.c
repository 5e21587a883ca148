/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Route tables whose text is edited as people and tools edit it: blanks, escapes, keys that nobody knows, words in
 * other case, routes twice, broken text. What was followed is what loading anew gives, in the state, its image, the
 * revision, the weight and what is written down; what was undone or refused leaves a state that goes on following. */
#include <errno.h>
#include <jansson.h>

#include "lib/image_text.h"
#include "lib/world.h"
#include "agent/saved.h"
#include "compile/image.h"
#include "state/change.h"
#include "test_state.h"

#define FILE_NAME "s.json"
#define TEXT_MAX_ (1u << 20)

struct force {
	struct state *state;
	struct sources *sources;
	struct image *image;
	uint64_t revision;
};

struct run {
	struct force force;
	uint64_t dice;
	char *text, *good; /* of the file; that is in force */
	size_t tried, followed, spliced, undone, refused, broken;
};

static uint32_t roll(struct run *run, size_t sides)
{
	run->dice = run->dice * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((run->dice >> 33) % sides);
}

/* ---- texts */

static void put_route(struct run *run, char *to, size_t room)
{
	static const char *const forms[] = {
		"{\"DestinationCidrBlock\":\"%u.%u.0.0/16\",\"GatewayId\":\"igw-1\"}",
		"{ \"GatewayId\" : \"igw-1\",\n \"DestinationCidrBlock\" : \"%u.%u.0.0/16\" }",
		"{\"DestinationCidrBlock\":\"%u.%u.7.9/16\",\"GatewayId\":\"igw-1\",\"State\":\"Active\"}",
		"{\"DestinationCidrBlock\":\"%u.%u.0.0\\/16\",\"GatewayId\":\"igw\\u002d1\",\"State\":\"blackhole\"}",
		"{\"DestinationCidrBlock\":\"%u.%u.0.0/16\",\"GatewayId\":\"igw-2\",\"Note\":\"a ] } \\\" , { [ "
		"\\\\\"}",
		"{\"DestinationCidrBlock\":\"%u.%u.0.0/"
		"16\",\"GatewayId\":\"igw-1\",\"Origin\":\"CreateRoute\",\"X\":[{},[]]}",
		"{\"DestinationIpv6CidrBlock\":\"2600:%x:%x::/48\",\"GatewayId\":\"igw-1\"}",
		"{\"DestinationIpv6CidrBlock\":\"2600:0%x:%x:0::1/48\",\"GatewayId\":\"igw-1\",\"N\":\"\xc3\xa9\"}",
		"{\"DestinationCidrBlock\":\"%u.%u.0.0/"
		"16\",\"State\":\"filtered\",\"GatewayId\":\"igw-1\",\"NatGatewayId\":\"\"}",
		"{\"DestinationCidrBlock\":\"%u.%u.0.0/16\",\"NetworkInterfaceId\":\"eni-7\",\"GatewayId\":null}",
		"{\"DestinationCidrBlock\":\"%u.%u.0.0/15\",\"TransitGatewayId\":\"tgw-1\"}",
		"{\"DestinationPrefixListId\":\"pl-%u\",\"GatewayId\":\"igw-1\",\"N\":%u}",
	};
	static const char *const odd[] = {
		"{\"DestinationCidrBlock\":\"%u.%u.0.0/16\",\"GatewayId\":\"VpcLattice\"}",
		"{\"DestinationCidrBlock\":\"%u.%u.0.0/16\",\"GatewayId\":\"vgw-1\"}",
		"{\"DestinationCidrBlock\":\"%u.%u.0.0/"
		"16\",\"GatewayId\":\"igw-1\",\"Origin\":\"EnableVgwRoutePropagation\"}",
		"{\"destinationcidrblock\":\"%u.%u.0.0/16\",\"GatewayId\":\"igw-1\"}",
		"{\"DestinationCidrBlock\":\"%u.%u.0.0/16\",\"GatewayId\":\"igw-1\",\"GatewayId\":\"igw-2\"}",
		"{\"DestinationCidrBlock\":\"10.0.%u.0/2%u\",\"GatewayId\":\"igw-1\"}",
		"{\"DestinationCidrBlock\":\"10.0.0.0/16\",\"GatewayId\":\"Local\",\"N\":[%u,%u]}",
		"null",
		"7",
		"[]",
		"{}",
		"{\"x\":\"]\"",
		"}",
		"\"",
		"\\\"",
		"],\"X\":[",
	};
	unsigned int a = 20 + roll(run, 6), b = roll(run, 8);

	if (roll(run, 25))
		snprintf(to, room, forms[roll(run, sizeof(forms) / sizeof(*forms))], a, b);
	else
		snprintf(to, room, odd[roll(run, sizeof(odd) / sizeof(*odd))], a, b);
}

static char *first_text(struct run *run)
{
	char *text = malloc(TEXT_MAX_), route[512];
	size_t at = 0;

	assert_non_null(text);
	at += (size_t)snprintf(
		text + at, TEXT_MAX_ - at,
		"{\"Vpcs\":[{\"VpcId\":\"vpc-1\",\"CidrBlock\":\"10.0.0.0/"
		"16\"}],\"Subnets\":[{\"SubnetId\":\"subnet-1\","
		"\"VpcId\":\"vpc-1\",\"CidrBlock\":\"10.0.1.0/24\"},{\"SubnetId\":\"subnet-2\",\"VpcId\":\"vpc-1\","
		"\"CidrBlock\":\"10.0.2.0/"
		"24\"}],\"InternetGateways\":[{\"InternetGatewayId\":\"igw-1\",\"Attachments\":"
		"[{\"VpcId\":\"vpc-1\",\"State\":\"available\"}]},{\"InternetGatewayId\":\"igw-2\"}],\"PrefixLists\":["
		"{\"PrefixListId\":\"pl-20\",\"Entries\":[{\"Cidr\":\"20.0.0.0/16\"},{\"Cidr\":\"99.0.0.0/8\"}]},"
		"{\"PrefixListId\":\"pl-21\",\"Entries\":[{\"Cidr\":\"21.0.0.0/15\"}]}],\n\"RouteTables\": [");
	for (unsigned int t = 1; t <= 3; t++) {
		at += (size_t)snprintf(
			text + at, TEXT_MAX_ - at,
			"%s{\"RouteTableId\":\"rtb-%u\",\"Tags\":[{\"Key\":\"Routes\",\"Value\":\"[{]\"}],"
			"\"VpcId\":\"vpc-1\",\"Routes\":[",
			t > 1 ? ",\n" : "", t);
		for (unsigned int i = 0; i < 12; i++) {
			snprintf(route, sizeof(route),
				 "{\"DestinationCidrBlock\":\"%u.%u.0.0/16\",\"GatewayId\":\"igw-1\"}",
				 40 + roll(run, 100), i);
			at += (size_t)snprintf(text + at, TEXT_MAX_ - at, "%s%s", i ? ", " : "", route);
		}
		at += (size_t)snprintf(text + at, TEXT_MAX_ - at,
				       "],\"Associations\":[{\"SubnetId\":\"subnet-%u\"}],\"Z\":\"]}\"}", t);
		if (t == 3) /* serves none */
			at = (size_t)(strstr(text, "subnet-3") - text), strcpy(text + at, "\"}],\"Z\":\"]}\"}"),
			at += strlen(text + at);
	}
	snprintf(text + at, TEXT_MAX_ - at,
		 "],\"NetworkAcls\":[{\"NetworkAclId\":\"acl-1\",\"VpcId\":\"vpc-1\",\"Entries\":[{\"RuleNumber\":1,"
		 "\"Protocol\":\"-1\",\"RuleAction\":\"allow\",\"Egress\":true,\"CidrBlock\":\"10.0.0.0/8\"}]}]}\n");
	return text;
}

/* ---- edits of the text */

static void replace(struct run *run, size_t from, size_t to, const char *with)
{
	size_t length = strlen(run->text), more = strlen(with);
	char *text = malloc(length + more + 1);

	assert_non_null(text);
	memcpy(text, run->text, from);
	memcpy(text + from, with, more);
	memcpy(text + from + more, run->text + to, length - to + 1);
	free(run->text);
	run->text = text;
}

struct span {
	size_t from, to;
};

/* The routes of one table as they stand there; *list: all between the brackets. ret: how many */
static size_t spans_of(const char *text, unsigned int table, struct span *spans, size_t room, struct span *list)
{
	char id[32];
	const char *c = text;
	size_t nr = 0, depth = 0;

	*list = (struct span){};
	snprintf(id, sizeof(id), "\"rtb-%u\"", table);
	c = strstr(text, id);
	c = c ? strstr(c, "\"Routes\":[") : NULL;
	if (!c)
		return 0;
	c += strlen("\"Routes\":[");
	list->from = (size_t)(c - text);
	for (; *c; c++) {
		if (*c == '"') {
			for (c++; *c && *c != '"'; c++)
				c += *c == '\\' && c[1];
			if (!*c)
				break;
		} else if (*c == '{' || *c == '[') {
			if (!depth++ && nr < room)
				spans[nr].from = (size_t)(c - text);
		} else if (*c == '}' || *c == ']') {
			if (!depth)
				break;
			if (!--depth && nr < room)
				spans[nr++].to = (size_t)(c - text) + 1;
		}
	}
	list->to = (size_t)(c - text);
	return nr;
}

static void edit_one(struct run *run)
{
	struct span spans[256], list, *one, *two;
	size_t nr = spans_of(run->text, 1 + roll(run, 3), spans, 256, &list);
	char route[1024] = "", two_routes[2048];
	uint32_t what = roll(run, 100);

	if (!list.from)
		return;
	put_route(run, route, sizeof(route));
	if (!nr) {
		replace(run, list.from, list.to, route);
		return;
	}
	one = &spans[roll(run, 4) ? roll(run, nr) : roll(run, 2) * (nr - 1)];
	two = &spans[roll(run, nr)];
	if (what < 30) {
		replace(run, one->from, one->to, route);
	} else if (what < 50) {
		snprintf(two_routes, sizeof(two_routes), roll(run, 2) ? "%s," : "%s ,\n\t", route);
		replace(run, one->from, one->from, two_routes);
	} else if (what < 60) {
		snprintf(two_routes, sizeof(two_routes), roll(run, 2) ? ",%s" : " , %s ", route);
		replace(run, one->to, one->to, two_routes);
	} else if (what < 75) { /* one less, with the comma on one side */
		size_t from = one->from, to = one->to;

		if (one > spans)
			from = one[-1].to;
		else if (nr > 1)
			to = one[1].from;
		replace(run, from, to, "");
	} else if (what < 80) { /* two change places */
		struct span *a = one < two ? one : two, *b = one < two ? two : one;
		char first[1024], second[1024];

		if (a == b || a->to - a->from >= 1024 || b->to - b->from >= 1024)
			return;
		snprintf(first, sizeof(first), "%.*s", (int)(a->to - a->from), run->text + a->from);
		snprintf(second, sizeof(second), "%.*s", (int)(b->to - b->from), run->text + b->from);
		replace(run, b->from, b->to, first);
		replace(run, a->from, a->to, second);
	} else if (what < 86) { /* one twice, or what would be one */
		if (two->to - two->from < 1024) {
			snprintf(two_routes, sizeof(two_routes), "%.*s,", (int)(two->to - two->from),
				 run->text + two->from);
			replace(run, one->from, one->from, two_routes);
		}
	} else if (what < 91) { /* blanks */
		size_t at = roll(run, 2) ? one->to : one->from;

		replace(run, at, at, roll(run, 2) ? " " : "\n\t");
	} else if (what < 94) { /* some bytes */
		size_t at = list.from + roll(run, list.to - list.from);
		static const char *const bytes[] = {"", "\"", "]", "}", ",", "\\", "{", "9", " ", "[]", ",,"};

		replace(run, at, at + roll(run, 2), bytes[roll(run, sizeof(bytes) / sizeof(*bytes))]);
	} else if (what < 95) {
		replace(run, list.from, list.to, "");
	} else if (what < 96) {
		replace(run, list.from - 1, list.to + 1, roll(run, 2) ? "null" : "{}");
	} else if (what < 97) { /* what stands before the list */
		static const char *const members[] = {"\"routes\":[],", "\"X\":1,", "\"Routes\":[],",
						      "\"PropagatingVgws\":[],"};

		replace(run, list.from - strlen("\"Routes\":["), list.from - strlen("\"Routes\":["),
			members[roll(run, 4)]);
	} else if (what < 98) { /* what stands behind it, and in it */
		replace(run, list.to + 1, list.to + 1, ",\"Y\":2");
		replace(run, one->from, one->to, route);
	} else if (what < 99) {
		char *id = strstr(run->text, "\"RuleNumber\":");

		if (id)
			replace(run, (size_t)(id - run->text) + 13, (size_t)(id - run->text) + 13, "1");
	} else {
		char *id = strstr(run->text, "\"igw-2\"}]");

		if (id)
			replace(run, (size_t)(id - run->text), (size_t)(id - run->text) + 7, "\"igw-3\"");
	}
}

/* ---- comparing */

static bool load_anew(struct force *ret)
{
	const char *const paths[] = {FILE_NAME};
	struct state_messages messages;
	char *why = NULL;
	int r = state_load_sources(paths, 1, &ret->state, &messages, &ret->sources);

	state_messages_done(&messages);
	if (r)
		return false;
	assert_int_equal(compile_image(ret->state, NULL, &ret->image, &why), 0);
	free(why);
	ret->revision = ret->sources->revision;
	return true;
}

static void free_force(struct force *force)
{
	image_free(&force->image);
	state_free(&force->state);
	sources_free(&force->sources);
}

static char *tables_text(const struct state *state)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	assert_non_null(out);
	for (size_t t = 0; t < state->nr_tables; t++) {
		const struct route_table *table = &state->tables[t];

		fprintf(out, "%s %s %d %zu\n", table->id, table->vpc ? table->vpc->id : "", table->main,
			table->nr_propagating);
		for (size_t i = 0; i < table->nr_routes; i++) {
			const struct vpc_route *route = &table->routes[i];

			fprintf(out, " %s/%d/%d %s %s kind %d %s %s %s origin %d %d %d\n", route->destination,
				route->cidr.family, route->cidr.prefixlen, route->prefix_list ? "list" : "-",
				route->target_id, route->target, route->eni ? "eni" : "-",
				route->gateway ? route->gateway->id : "-", route->target_id, route->origin,
				route->blackhole, route->filtered);
		}
	}
	assert_int_equal(fclose(out), 0);
	return text;
}

static void same_tables(const struct state *a, const struct state *b)
{
	char *text_a = tables_text(a), *text_b = tables_text(b);

	assert_string_equal(text_a, text_b);
	free(text_a);
	free(text_b);
}

static void same_image(const struct image *a, const struct image *b)
{
	char *text_a = image_text(a), *text_b = image_text(b);

	assert_string_equal(text_a, text_b);
	free(text_a);
	free(text_b);
}

static void same_sources(const struct sources *a, const struct sources *b)
{
	assert_int_equal(a->bytes, b->bytes);
	assert_int_equal(a->nr, b->nr);
	assert_int_equal(a->source[0].weight, b->source[0].weight);
	assert_int_equal(a->source[0].nr, b->source[0].nr);
	for (size_t i = 0; i < a->source[0].nr; i++) {
		assert_int_equal(a->source[0].elements[i].start, b->source[0].elements[i].start);
		assert_int_equal(a->source[0].elements[i].end, b->source[0].elements[i].end);
	}
}

static void save_all(const struct force *force)
{
	char *text;
	size_t length;

	assert_int_equal(sources_document(force->sources, &text, &length), 0);
	assert_int_equal(saved_write(".", text, length), 0);
	free(text);
}

/* What an agent reads after it was started again: the file, list by list. */
static void same_when_saved(const struct run *run, const struct state_change *change)
{
	json_t *documents = NULL, *file = json_loads(run->text, 0, NULL), *list;
	const char *name;

	assert_non_null(file);
	/* a list under each name: whoever does not know the name finds an element in it, and refuses */
	assert_null(change->documents ? strstr(change->documents, "\"Splice\":{") : NULL);
	if (change->documents)
		assert_int_equal(saved_append(".", change->documents, change->documents_length, &(size_t){0}), 0);
	assert_int_equal(saved_read(".", &documents), 0);
	json_object_foreach (file, name, list)
		if (json_array_size(list) && !json_equal(list, json_object_get(documents, name))) {
			print_error("%s: what was written down is not what the file says: %s\n", name,
				    change->documents);
			fail();
		}
	json_decref(documents);
	json_decref(file);
}

/* ---- steps */

static void take_text(struct run *run, char *text)
{
	free(run->text);
	run->text = strdup(text);
	assert_non_null(run->text);
}

/* ret: whether what the file says is in force now */
static bool follow(struct run *run, const struct force *anew, bool loads)
{
	const char *const paths[] = {FILE_NAME};
	struct state_change *change = NULL;
	char *tables = tables_text(run->force.state), *image = image_text(run->force.image), *after;
	int r = state_follow(run->force.state, run->force.sources, paths, 1, &change);
	bool spliced = !r && change->documents && strstr(change->documents, "{\"Splice\"");

	if (!r) {
		assert_true(loads);
		same_tables(run->force.state, anew->state);
		same_sources(run->force.sources, anew->sources);
		assert_int_equal(run->force.revision + change->revision, anew->revision);
	} else {
		assert_int_equal(r, -EAGAIN);
	}
	if (!r && (roll(run, 6) == 0 || (r = image_update(run->force.image, change)))) {
		state_change_undo(run->force.state, change);
		state_change_free(&change);
		run->undone++;
		r = -EAGAIN;
	} else if (!r && roll(run, 5) == 0) { /* the kernel does not take it */
		state_change_undo(run->force.state, change);
		assert_int_equal(image_update(run->force.image, change), 0);
		state_change_free(&change);
		run->undone++;
		r = -EAGAIN;
	}
	if (r) {
		after = tables_text(run->force.state);
		assert_string_equal(tables, after);
		free(after);
		after = image_text(run->force.image);
		assert_string_equal(image, after);
		free(after);
	} else {
		same_image(run->force.image, anew->image);
		same_when_saved(run, change);
		run->force.revision += change->revision;
		state_change_keep(run->force.state, &change);
		same_tables(run->force.state, anew->state);
		run->followed++;
		run->spliced += spliced;
	}
	free(tables);
	free(image);
	return !r;
}

static void step(struct run *run)
{
	struct force anew = {};
	bool loads;

	for (uint32_t i = 0, nr = 1 + (roll(run, 3) == 0) * roll(run, 4); i < nr; i++)
		edit_one(run);
	write_bytes(FILE_NAME, run->text, strlen(run->text));
	loads = load_anew(&anew);
	run->tried++;
	run->broken += !loads;
	if (follow(run, &anew, loads)) {
		free(run->good);
		run->good = strdup(run->text);
	} else if (loads && roll(run, 2)) { /* as an agent does it */
		struct force old = run->force;

		run->force = anew;
		anew = old;
		free(run->good);
		run->good = strdup(run->text);
		save_all(&run->force);
	} else if (roll(run, 3) || strlen(run->text) > 20000) {
		run->refused++;
		take_text(run, run->good); /* else the next edit comes on top of this one */
	}
	free_force(&anew);
}

static void edited_texts_are_loading_anew(void **state)
{
	struct run run = {.dice = test_seed("texts")};
	const char *rounds = getenv("ENID_ROUNDS");

	(void)state;
	for (unsigned int i = 0; i < (rounds ? (unsigned int)atoi(rounds) : 8);
	     i++) { /* odd routes stay: begin again */
		run.text = first_text(&run);
		write_bytes(FILE_NAME, run.text, strlen(run.text));
		assert_true(load_anew(&run.force));
		run.good = strdup(run.text);
		save_all(&run.force);
		for (unsigned int k = 0; k < 50; k++)
			step(&run);
		free_force(&run.force);
		free(run.text);
		free(run.good);
	}
	printf("%zu edits, %zu followed, %zu spliced, %zu undone, %zu refused, %zu no state\n", run.tried, run.followed,
	       run.spliced, run.undone, run.refused, run.broken);
	assert_true(run.spliced * 6 > run.tried && run.undone && run.refused && run.broken);
}

/* A warning names the route by its place in the file, though only some were looked at. */
static void warnings_say_where(void **state)
{
	static const char *const paths[] = {FILE_NAME};
	struct run run = {.dice = test_seed("warnings")};
	struct span spans[256], list;
	struct state_change *change = NULL;

	(void)state;
	run.text = first_text(&run);
	write_bytes(FILE_NAME, run.text, strlen(run.text));
	assert_true(load_anew(&run.force));
	assert_int_equal(spans_of(run.text, 1, spans, 256, &list), 12);
	replace(&run, spans[9].from, spans[9].to, "{\"DestinationCidrBlock\":\"99.9.9.9/16\",\"GatewayId\":\"igw-1\"}");
	write_bytes(FILE_NAME, run.text, strlen(run.text));
	assert_int_equal(state_follow(run.force.state, run.force.sources, paths, 1, &change), 0);
	assert_non_null(change->first_warning);
	assert_non_null(strstr(change->first_warning, "Routes[9]"));
	state_change_keep(run.force.state, &change);
	free_force(&run.force);
	free(run.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(edited_texts_are_loading_anew),
		cmocka_unit_test(warnings_say_where),
	};

	return cmocka_run_group_tests_name("splice", tests, enter_folder, leave_folder);
}
