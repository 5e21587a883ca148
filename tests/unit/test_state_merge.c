/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where objects come from: outputs of several calls and files, the same object twice (JSON-04..JSON-06), any order, and
 * captures of others. */
#include <dirent.h>
#include <jansson.h>

#include "test_state.h"

/* ---- prefix lists (JSON-04, JSON-05) */

static void prefix_list_entries_come_three_ways(void **context)
{
	const char *folder = "lists";
	struct loaded loaded;

	(void)context;
	assert_int_equal(mkdir("lists", 0700), 0);
	assert_int_equal(mkdir("lists/prefix-list-entries", 0700), 0);
	write_text("lists/a.json", "{'PrefixLists':[{'PrefixListId':'pl-1','Cidrs':['10.0.0.0/8','10.0.0.0/8']},"
				   "{'PrefixListId':'pl-2','State':'create-in-progress'},{'PrefixListId':'pl-3'}]}");
	write_text("lists/b.json",
		   "{'ManagedPrefixListEntries':[{'PrefixListId':'pl-2','Entries':[{'Cidr':'::/0'}]}]}");
	write_text("lists/prefix-list-entries/pl-3.json", "{'Entries':[{'Cidr':'192.0.2.0/24'},null]}");
	write_text("lists/.hidden.json", "not JSON");
	write_text("lists/notes.txt", "not JSON");
	loaded = load_paths(&folder, 1);
	print_messages(&loaded.messages);
	assert_int_equal(loaded.r, 0);
	assert_int_equal(loaded.state->nr_prefix_lists, 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(loaded.state->prefix_lists[i].nr_entries, 1);
	assert_true(is_cidr(&loaded.state->prefix_lists[2].entries[0], "192.0.2.0/24"));
	unload(&loaded);
}

static void outputs_may_be_wrapped(void **context)
{
	struct loaded loaded = load_clean("{'status_code':200,'data':{" VPC "}}");

	(void)context;
	assert_int_equal(loaded.state->nr_vpcs, 1);
	unload(&loaded);
	write_text("v.json", "{" VPC "}");
	write_text("w.json", "{'VpcId':'v1','EnableDnsSupport':{'Value':false}}");
	loaded = load_paths((const char *const[]){"w.json", "v.json"}, 2);
	assert_int_equal(loaded.r, 0);
	assert_false(loaded.state->vpcs[0].dns_support);
	unload(&loaded);
}

/* ---- merging (JSON-06) */

static int load_two(const char *first, const char *second, struct loaded *ret)
{
	write_text("a.json", first);
	write_text("b.json", second);
	*ret = load_paths((const char *const[]){"a.json", "b.json"}, 2);
	return ret->r;
}

static void the_same_object_twice_counts_once(void **context)
{
	struct loaded loaded;

	(void)context;
	/* differs in presence, in order, in keys that do not matter and in spelling */
	assert_int_equal(
		load_two("{'Vpcs':[{'VpcId':'v1','CidrBlock':'10.0.0.0/16','State':'Available','Tags':[1]}],"
			 "'VpcPeeringConnections':[{'VpcPeeringConnectionId':'p','Status':{'Code':'active'}}]}",
			 "{'Vpcs':[{'VpcId':'v1','OwnerId':'1','State':'available','Tags':[],'DhcpOptionsId':null}],"
			 "'VpcPeeringConnections':[{'VpcPeeringConnectionId':'p','Status':{'Message':'x'},"
			 "'AccepterVpcInfo':{'VpcId':'v1'}}]}",
			 &loaded),
		0);
	assert_int_equal(loaded.messages.nr_warnings, 0);
	assert_int_equal(loaded.state->nr_vpcs, 1);
	assert_string_equal(loaded.state->vpcs[0].owner, "1");
	assert_int_equal(loaded.state->vpcs[0].nr_cidrs, 1);
	assert_true(loaded.state->extra->peerings[0].active);
	assert_string_equal(loaded.state->extra->peerings[0].accepter.vpc_id, "v1");
	unload(&loaded);
	assert_int_equal(load_two("{'PrefixLists':[{'PrefixListId':'pl','Cidrs':['10.0.0.0/8','11.0.0.0/8']}]}",
				  "{'PrefixLists':[{'PrefixListId':'pl','Cidrs':['11.0.0.0/8','10.0.0.0/8']}]}",
				  &loaded),
			 0);
	unload(&loaded);
	/* JSON-04: one list by two calls, under one key */
	assert_int_equal(
		load_two("{'PrefixLists':[{'PrefixListId':'pl','PrefixListName':'s3','Cidrs':['10.0.0.0/8']}]}",
			 "{'PrefixLists':[{'PrefixListId':'pl','PrefixListName':'s3','AddressFamily':'IPv4',"
			 "'State':'create-complete','Version':1}]}",
			 &loaded),
		0);
	assert_int_equal(loaded.state->prefix_lists[0].nr_entries, 1);
	assert_int_equal(loaded.messages.nr_warnings, 0);
	unload(&loaded);
}

static void a_conflict_is_refused_naming_both_places(void **context)
{
	struct loaded loaded;

	(void)context;
	assert_int_equal(load_two("{'SecurityGroups':[{'GroupId':'sg-0'},{'GroupId':'sg-1','IpPermissions':[]}]}",
				  "{'SecurityGroups':[{'GroupId':'sg-1','IpPermissions':[{'IpProtocol':'-1'}]}]}",
				  &loaded),
			 -EINVAL);
	assert_int_equal(loaded.messages.nr_errors, 1);
	assert_string_equal(loaded.messages.errors[0].text,
			    "b.json: SecurityGroups[0] sg-1: IpPermissions differs from the "
			    "one in a.json: SecurityGroups[1]");
	unload(&loaded);
	assert_int_equal(load_two("{'NetworkInterfaces':[{'NetworkInterfaceId':'e','SourceDestCheck':true}]}",
				  "{'NetworkInterfaces':[{'NetworkInterfaceId':'e','SourceDestCheck':false}]}",
				  &loaded),
			 -EINVAL);
	unload(&loaded);
}

static void a_peering_attachment_is_listed_by_both_gateways(void **context)
{
	struct loaded loaded;

	(void)context;
	assert_int_equal(
		load_two("{'TransitGatewayAttachments':[{'TransitGatewayAttachmentId':'a','TransitGatewayId':'t1',"
			 "'ResourceId':'t2'}]}",
			 "{'TransitGatewayAttachments':[{'TransitGatewayAttachmentId':'a','TransitGatewayId':'t2',"
			 "'ResourceId':'t1'}]}",
			 &loaded),
		0);
	assert_int_equal(loaded.state->extra->nr_tgw_attachments, 2);
	unload(&loaded);
}

/* ---- order independence: everything that the core of a state says, as text */

static void render_peers(FILE *out, const struct sg_permission *permissions, size_t nr)
{
	char text[CIDR_TEXT_MAX];

	for (size_t i = 0; i < nr; i++) {
		fprintf(out, "  %d %d %d %s\n", permissions[i].protocol, permissions[i].from, permissions[i].to,
			permissions[i].place);
		for (size_t j = 0; j < permissions[i].nr_peers; j++) {
			const struct sg_peer *peer = &permissions[i].peers[j];

			fprintf(out, "    %d %s %s %s %s %d\n", peer->kind,
				peer->kind == PEER_CIDR ? cidr_format(&peer->cidr, text) : "", peer->id, peer->peering,
				peer->rule_id, peer->group != NULL);
		}
	}
}

static void render_tables(FILE *out, const struct state *state)
{
	for (size_t i = 0; i < state->nr_tables; i++) {
		const struct route_table *table = &state->tables[i];

		fprintf(out, "%s %s %d\n", table->id, table->vpc->id, table->main);
		for (size_t j = 0; j < table->nr_routes; j++)
			fprintf(out, "  %s %d %s %d %d %d\n", table->routes[j].destination, table->routes[j].target,
				table->routes[j].target_id, table->routes[j].origin, table->routes[j].blackhole,
				table->routes[j].eni ? (int)(table->routes[j].eni - state->enis) : -1);
	}
	for (size_t i = 0; i < state->nr_nacls; i++) {
		const struct nacl *nacl = &state->nacls[i];

		fprintf(out, "%s %d\n", nacl->id, nacl->is_default);
		for (size_t j = 0; j < nacl->nr_in; j++)
			fprintf(out, "  in %d %d\n", nacl->in[j].number, nacl->in[j].allow);
		for (size_t j = 0; j < nacl->nr_out; j++)
			fprintf(out, "  out %d %d\n", nacl->out[j].number, nacl->out[j].allow);
	}
}

static void render_enis(FILE *out, const struct state *state)
{
	char text[CIDR_TEXT_MAX];

	for (size_t i = 0; i < state->nr_enis; i++) {
		const struct eni *eni = &state->enis[i];

		fprintf(out, "%s %s %s %d%d%d%d", eni->id, eni->vpc->id, eni->subnet->id, eni->live, eni->routing,
			eni->check, eni->deny_igw);
		for (size_t j = 0; j < eni->nr_groups; j++)
			fprintf(out, " %s", eni->groups[j]->id);
		for (size_t j = 0; j < eni->nr_addresses; j++)
			fprintf(out, " %s/%d=%x",
				address_format(eni->addresses[j].family, &eni->addresses[j].addr, text),
				eni->addresses[j].prefixlen, eni->addresses[j].public_ip);
		fprintf(out, "\n");
	}
}

static char *render(const struct state *state)
{
	char *text = NULL, cidr[CIDR_TEXT_MAX];
	size_t length;
	FILE *out = open_memstream(&text, &length);

	for (size_t i = 0; i < state->nr_vpcs; i++) {
		fprintf(out, "%s %u %u %d", state->vpcs[i].id, state->vpcs[i].zone, state->vpcs[i].vni,
			state->vpcs[i].bpa);
		for (size_t j = 0; j < state->vpcs[i].nr_cidrs; j++)
			fprintf(out, " %s", cidr_format(&state->vpcs[i].cidrs[j], cidr));
		fprintf(out, "\n");
	}
	for (size_t i = 0; i < state->nr_subnets; i++)
		fprintf(out, "%s %s %s %d\n", state->subnets[i].id,
			state->subnets[i].nacl ? state->subnets[i].nacl->id : "",
			state->subnets[i].table ? state->subnets[i].table->id : "", state->subnets[i].bpa);
	for (size_t i = 0; i < state->nr_groups; i++) {
		fprintf(out, "%s\n", state->groups[i].id);
		render_peers(out, state->groups[i].in, state->groups[i].nr_in);
		render_peers(out, state->groups[i].out, state->groups[i].nr_out);
	}
	render_tables(out, state);
	render_enis(out, state);
	for (size_t i = 0; i < state->nr_hosts; i++)
		for (size_t j = 0; j < state->hosts[i].nr_ports; j++)
			fprintf(out, "%s %s\n", state->hosts[i].id, state->hosts[i].ports[j].eni->id);
	fclose(out);
	return text;
}

/* Lists whose position is a rule's name (IpPermissions[2]) keep their order. */
static void shuffle(json_t *value)
{
	const char *key;
	json_t *member;
	size_t index;

	if (json_is_object(value))
		json_object_foreach (value, key, member) {
			shuffle(member);
			for (size_t i = json_array_size(member); i > 1 && strncmp(key, "IpPermissions", 13); i--) {
				size_t other = (size_t)rand() % i;
				json_t *a = json_incref(json_array_get(member, i - 1));

				json_array_set(member, i - 1, json_array_get(member, other));
				json_array_set_new(member, other, a);
			}
		}
	json_array_foreach (value, index, member)
		shuffle(member);
}

static void the_order_of_lists_and_files_does_not_matter(void **context)
{
	struct loaded loaded = load_full();
	char *wanted = render(loaded.state);

	(void)context;
	unload(&loaded);
	assert_true(strlen(wanted) > 1000);
	srand(7);
	for (int round = 0; round < 50; round++) {
		json_t *document = json_load_file(full_path(), 0, NULL), *parts[2] = {json_object(), json_object()};
		const char *const paths[][2] = {{"p0.json", "p1.json"}, {"p1.json", "p0.json"}};
		const char *key;
		json_t *list;
		char *got;

		shuffle(document);
		json_object_foreach (document, key, list)
			json_object_set(parts[rand() & 1], key, list);
		assert_int_equal(json_dump_file(parts[0], "p0.json", 0), 0);
		assert_int_equal(json_dump_file(parts[1], "p1.json", 0), 0);
		loaded = load_paths(paths[round & 1], 2);
		if (loaded.r)
			print_messages(&loaded.messages);
		assert_int_equal(loaded.r, 0);
		got = render(loaded.state);
		assert_string_equal(got, wanted);
		free(got);
		unload(&loaded);
		json_decref(document);
		json_decref(parts[0]);
		json_decref(parts[1]);
	}
	free(wanted);
}

/* ---- captures of others, kept beside the repo */

/* ret: the folder, or NULL after saying that the test is skipped */
static const char *captures(const char *name)
{
	static const char *const places[] = {"../shared/data", "../../shared/data"};
	static char path[sizeof(source_folder) + 256];

	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		snprintf(path, sizeof(path), "%s/%s/aws-describe/%s", source_folder, places[i], name);
		if (!access(path, R_OK))
			return path;
	}
	print_message("SKIPPED: no ../shared/data/aws-describe/%s beside the repo\n", name);
	return NULL;
}

static void a_captured_account_loads(void **context)
{
	const char *path = captures("cloudmapper");
	struct loaded loaded;

	(void)context;
	if (!path)
		skip();
	loaded = load_paths(&path, 1);
	if (loaded.r)
		print_messages(&loaded.messages);
	assert_int_equal(loaded.r, 0);
	assert_int_equal(loaded.state->nr_groups, 8);
	assert_int_equal(loaded.state->nr_enis, 1);
	assert_string_equal(loaded.state->enis[0].groups[0]->id, "sg-00000008");
	unload(&loaded);
}

static void every_example_output_loads(void **context)
{
	const char *folder = captures("aws-cli-examples/json");
	char path[sizeof(source_folder) + 512];
	const char *const paths[] = {path};
	struct dirent **entries;
	int nr;

	(void)context;
	if (!folder)
		skip();
	nr = scandir(folder, &entries, NULL, alphasort);
	assert_true(nr > 60);
	for (int i = 0; i < nr; i++) {
		struct loaded loaded;

		snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
		free(entries[i]);
		if (!strstr(path, ".json"))
			continue;
		loaded = load_paths(paths, 1);
		if (loaded.r)
			print_messages(&loaded.messages);
		assert_int_equal(loaded.r, 0);
		unload(&loaded);
	}
	free(entries);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prefix_list_entries_come_three_ways),
		cmocka_unit_test(outputs_may_be_wrapped),
		cmocka_unit_test(the_same_object_twice_counts_once),
		cmocka_unit_test(a_conflict_is_refused_naming_both_places),
		cmocka_unit_test(a_peering_attachment_is_listed_by_both_gateways),
		cmocka_unit_test(the_order_of_lists_and_files_does_not_matter),
		cmocka_unit_test(a_captured_account_loads),
		cmocka_unit_test(every_example_output_loads),
	};

	return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
