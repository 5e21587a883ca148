/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What stands in an image: ports, addresses, subnets, identities; and the states that are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "compile/image.h"
#include "lib/world.h"

static struct image *compile(const struct state *state)
{
	struct image *image = NULL;
	char *why = NULL;

	assert_int_equal(compile_image(state, state->nr_hosts ? state->hosts : NULL, &image, &why), 0);
	return image;
}

/* ---- one small account */

struct account {
	struct world *world;
	struct state state;
	struct vpc vpcs[2];
	struct vpc_subnet subnets[2];
	struct security_group groups[2];
	struct sg_permission permission;
	struct sg_peer peer;
	struct eni enis[4];
	struct gateway gateways[2];
	struct eni_address addresses[4][4];
	struct security_group *group_of[2][1];
	struct host_port ports[2], ports_there[1];
	struct host_uplink uplinks[2];
	struct host hosts[2];
};

static void fill_eni(struct account *account, int i, const char *id, int subnet)
{
	struct eni *eni = account->enis + i;

	*eni = (struct eni){
		.id = id,
		.vpc = &account->vpcs[0],
		.subnet = &account->subnets[subnet],
		.mac = {2, 0, 0, 0, 0, (uint8_t)i},
		.live = true,
		.check = true,
		.addresses = account->addresses[i],
		.nr_addresses = 1,
		.tcp_established_s = 3600,
		.udp_s = 40,
		.udp_stream_s = 120,
	};
	account->addresses[i][0] = (struct eni_address){world_cidr("10.0.1.10/32").addr, 4, 32, true, 0};
	account->addresses[i][0].addr.bytes[15] = (uint8_t)(10 + i);
}

static void fill_network(struct account *account)
{
	account->vpcs[0] = (struct vpc){.id = "vpc-1", .zone = 1, .dns_support = true, .nr_cidrs = 1};
	account->vpcs[0].primary = world_cidr("10.0.0.0/16");
	account->vpcs[0].cidrs = &account->vpcs[0].primary;
	account->vpcs[1] = (struct vpc){.id = "vpc-2", .zone = 2};
	account->subnets[0] = (struct vpc_subnet){.id = "subnet-b", .vpc = &account->vpcs[0]};
	account->subnets[0].cidr4 = world_cidr("10.0.1.0/24");
	account->subnets[0].cidrs6[0] = world_cidr("2001:db8:1::/64");
	account->subnets[0].nr_cidrs6 = 1;
	account->subnets[0].bpa = BPA_INGRESS;
	account->subnets[1] = (struct vpc_subnet){.id = "subnet-a", .vpc = &account->vpcs[0]};
	account->peer = (struct sg_peer){
		.kind = PEER_GROUP,
		.group = &account->groups[1],
		.peering = "",
		.rule_id = "",
	};
	account->permission = (struct sg_permission){6, 80, 80, &account->peer, 1, "IpPermissions[0]"};
	account->groups[0] = (struct security_group){.id = "sg-1", .vpc = &account->vpcs[0]};
	account->groups[0].in = &account->permission;
	account->groups[0].nr_in = 1;
	account->groups[1] = (struct security_group){.id = "sg-2", .vpc = &account->vpcs[0]};
	account->gateways[0] = (struct gateway){"igw-1", TARGET_IGW, &account->vpcs[0], NULL, NULL};
	account->gateways[1] = (struct gateway){"igw-2", TARGET_IGW, NULL, NULL, NULL};
}

/* eni-0 here, with sg-1; eni-1 here as a guard, routing; eni-2 on the other host, with sg-2; eni-3 nowhere, with sg-2.
 */
static struct account *account_make(void)
{
	struct world *world = world_empty(1);
	struct account *account = world_alloc(world, 1, sizeof(*account));

	account->world = world;
	fill_network(account);
	for (int i = 0; i < 4; i++)
		fill_eni(account, i, world_text(world, "eni-%d", i), 0);
	account->group_of[0][0] = &account->groups[0];
	account->group_of[1][0] = &account->groups[1];
	account->enis[0].groups = account->group_of[0];
	account->enis[0].nr_groups = 1;
	account->enis[1].routing = true;
	account->enis[1].check = false;
	for (int i = 2; i < 4; i++) {
		account->enis[i].groups = account->group_of[1];
		account->enis[i].nr_groups = 1;
	}
	account->ports[0] = (struct host_port){&account->enis[0], "tap0", false, false, HOOK_XDP, ENI_MTU};
	account->ports[1] = (struct host_port){&account->enis[1], "eth0", true, true, HOOK_AUTO, ENI_MTU};
	account->ports_there[0] = (struct host_port){&account->enis[2], "tap2", false, false, HOOK_AUTO, ENI_MTU};
	account->uplinks[0] =
		(struct host_uplink){.gateway_id = "igw-1", .gateway = &account->gateways[0], .device = "up0"};
	account->uplinks[0].answer_neighbours = true;
	account->uplinks[1] = (struct host_uplink){.gateway_id = "vgw-9", .device = "up1"};
	account->hosts[0] = (struct host){.id = "host-a", .ports = account->ports, .nr_ports = 2};
	account->hosts[0].uplinks = account->uplinks;
	account->hosts[0].nr_uplinks = 2;
	account->hosts[1] = (struct host){.id = "host-b", .ports = account->ports_there, .nr_ports = 1};
	account->state = (struct state){
		.vpcs = account->vpcs,
		.nr_vpcs = 2,
		.subnets = account->subnets,
		.nr_subnets = 2,
		.groups = account->groups,
		.nr_groups = 2,
		.enis = account->enis,
		.nr_enis = 4,
		.gateways = account->gateways,
		.nr_gateways = 2,
		.hosts = account->hosts,
		.nr_hosts = 2,
	};
	return account;
}

static const struct image_port *port_by(const struct image *image, const char *id)
{
	for (size_t i = 0; i < image->nr_ports; i++)
		if (!strcmp(image->ports[i].id, id))
			return image->ports + i;
	fail_msg("no port %s", id);
	return NULL;
}

static uint32_t owner_of(const struct image *image, uint32_t zone, const char *cidr)
{
	struct cidr wanted = world_cidr(cidr);

	for (size_t i = 0; i < image->nr_addresses; i++)
		if (image->addresses[i].key.zone == zone && image->addresses[i].key.prefixlen == wanted.prefixlen &&
		    !memcmp(&image->addresses[i].key.addr, &wanted.addr, sizeof(wanted.addr)))
			return image->addresses[i].port;
	return IMAGE_NONE;
}

static void ports_say_where_and_what_an_eni_is(void **state)
{
	struct account *account = account_make();
	struct image *image = compile(&account->state);
	const struct image_port *web = port_by(image, "eni-0"), *nat = port_by(image, "eni-1");
	const struct image_port *there = port_by(image, "eni-2"), *nowhere = port_by(image, "eni-3");

	(void)state;
	assert_int_equal(image->nr_ports, 6);
	assert_int_equal(web->kind, PORT_ENI);
	assert_int_equal(web->mode, MODE_ROUTER);
	assert_int_equal(web->hook, HOOK_XDP);
	assert_int_equal(web->flags, PORT_LIVE | PORT_CHECK | PORT_BPA_IN);
	assert_string_equal(web->device, "tap0");
	assert_int_equal(web->zone, 1);
	assert_string_equal(image->subnets[web->subnet].id, "subnet-b");
	assert_int_equal(web->tcp_established_s, 3600);
	assert_int_equal(web->udp_s, 40);
	assert_int_equal(web->udp_stream_s, 120);
	assert_int_equal(web->primary4, htonl(0x0a00010a));
	assert_int_not_equal(web->identity, 0);
	assert_true(web->sg_in < image->nr_objects && web->sg_out < image->nr_objects);
	assert_int_equal(nat->mode, MODE_GUARD);
	assert_int_equal(nat->flags, PORT_LIVE | PORT_NO_SG | PORT_SIDE_INSTANCE | PORT_BPA_IN);
	assert_int_equal(nat->identity, 0);
	assert_int_equal(nat->sg_in, IMAGE_NONE);
	assert_int_equal(there->kind, PORT_REMOTE);
	assert_int_equal(there->flags & PORT_LIVE, PORT_LIVE);
	assert_int_equal(nowhere->kind, PORT_REMOTE);
	assert_int_equal(nowhere->flags & PORT_LIVE, 0);
	assert_int_equal(nowhere->identity, there->identity);
	assert_int_not_equal(nowhere->identity, web->identity);
	image_free(&image);
	world_free(account->world);
}

static void uplinks_lead_out_only_by_an_attached_igw(void **state)
{
	struct account *account = account_make();
	struct image *image = compile(&account->state);
	const struct image_port *igw = port_by(image, "igw-1"), *vgw = port_by(image, "vgw-9");

	(void)state;
	assert_int_equal(igw->kind, PORT_UPLINK);
	assert_int_equal(igw->gateway, ROUTE_IGW);
	assert_int_equal(igw->zone, 1);
	assert_int_equal(igw->flags, PORT_LIVE | PORT_NO_SG | PORT_ANSWER);
	assert_null(igw->eni);
	assert_int_equal(vgw->gateway, ROUTE_NOT_SERVED);
	assert_int_equal(vgw->flags & PORT_ANSWER, 0);
	image_free(&image);
	account->gateways[0].vpc = NULL;
	image = compile(&account->state);
	assert_int_equal(port_by(image, "igw-1")->gateway, ROUTE_NOT_SERVED);
	image_free(&image);
	world_free(account->world);
}

/* SG-14, SG-16: a member that is served nowhere counts, its address leads to its identity. */
static void reference_matches_members_wherever_they_are(void **state)
{
	struct account *account = account_make();
	struct image *image = compile(&account->state);
	const struct image_port *web = port_by(image, "eni-0");
	const struct policy_line *object = image->objects[web->sg_in].lines;
	uint32_t owner = owner_of(image, 1, "10.0.1.13/32");
	union addr peer = {};
	bool any;

	(void)state;
	assert_int_not_equal(owner, IMAGE_NONE);
	assert_string_equal(image->ports[owner].id, "eni-3");
	assert_int_equal(policy_ask(object, 4, &peer, image->ports[owner].identity, SERVICE_KEY(4, 6, 80), &any), 1);
	assert_int_equal(policy_ask(object, 4, &peer, image->ports[owner].identity, SERVICE_KEY(4, 6, 81), &any), 0);
	assert_int_equal(policy_ask(object, 4, &peer, web->identity, SERVICE_KEY(4, 6, 80), &any), 0);
	image_free(&image);
	world_free(account->world);
}

/* SG-17: the same group on an ENI of an unrelated VPC is no member; a peering to the group's VPC makes none of it
 * either. */
static void reference_stays_within_its_vpc(void **state)
{
	struct account *account = account_make();
	struct image *image;
	union addr peer = {};
	bool any;

	(void)state;
	account->enis[3].vpc = &account->vpcs[1];
	image = compile(&account->state);
	assert_int_not_equal(port_by(image, "eni-3")->identity, port_by(image, "eni-2")->identity);
	assert_int_equal(policy_ask(image->objects[port_by(image, "eni-0")->sg_in].lines, 4, &peer,
				    port_by(image, "eni-3")->identity, SERVICE_KEY(4, 6, 80), &any),
			 0);
	image_free(&image);
	account->peer.peering = "pcx-1";
	account->groups[1].vpc = &account->vpcs[1];
	image = compile(&account->state);
	assert_int_equal(policy_ask(image->objects[port_by(image, "eni-0")->sg_in].lines, 4, &peer,
				    port_by(image, "eni-3")->identity, SERVICE_KEY(4, 6, 80), &any),
			 1);
	image_free(&image);
	world_free(account->world);
}

static void addresses_and_associations_lead_both_ways(void **state)
{
	struct account *account = account_make();
	struct image *image;

	(void)state;
	account->enis[0].nr_addresses = 4;
	account->addresses[0][0].public_ip = htonl(0xcb00710a);
	account->addresses[0][1] = (struct eni_address){world_cidr("10.0.1.99/32").addr, 4, 28, false, 0};
	account->addresses[0][2] = (struct eni_address){world_cidr("2001:db8:1::9/128").addr, 6, 128, false, 0};
	account->addresses[0][3] = (struct eni_address){world_cidr("2001:db8:1::a:0:7:8/128").addr, 6, 80, false, 0};
	image = compile(&account->state);
	assert_int_equal(image->nr_addresses, 7);
	assert_string_equal(image->ports[owner_of(image, 1, "10.0.1.96/28")].id, "eni-0");
	assert_string_equal(image->ports[owner_of(image, 1, "2001:db8:1::9/128")].id, "eni-0");
	assert_string_equal(image->ports[owner_of(image, 1, "2001:db8:1:0:a::/80")].id, "eni-0");
	assert_int_equal(owner_of(image, 2, "10.0.1.10/32"), IMAGE_NONE);
	assert_int_equal(image->nr_associations, 2);
	assert_int_equal(image->associations[0].key.zone, ZONE_INTERNET);
	assert_int_equal(image->associations[0].key.addr, htonl(0xcb00710a));
	assert_int_equal(image->associations[0].other, htonl(0x0a00010a));
	assert_int_equal(image->associations[1].key.zone, 1);
	assert_int_equal(image->associations[1].key.addr, htonl(0x0a00010a));
	assert_int_equal(image->associations[1].other, htonl(0xcb00710a));
	image_free(&image);
	world_free(account->world);
}

/* Tenants may use the same addresses: every key carries its VPC's zone. */
static void equal_addresses_of_two_vpcs_stay_apart(void **state)
{
	struct account *account = account_make();
	struct image *image;

	(void)state;
	account->subnets[1].vpc = &account->vpcs[1];
	account->subnets[1].cidr4 = world_cidr("10.0.1.0/24");
	account->enis[2].vpc = &account->vpcs[1];
	account->enis[2].subnet = &account->subnets[1];
	account->addresses[2][0].addr = account->addresses[0][0].addr;
	account->addresses[0][0].public_ip = htonl(0xcb00710a);
	account->addresses[2][0].public_ip = htonl(0xcb00710b);
	image = compile(&account->state);
	assert_string_equal(image->ports[owner_of(image, 1, "10.0.1.10/32")].id, "eni-0");
	assert_string_equal(image->ports[owner_of(image, 2, "10.0.1.10/32")].id, "eni-2");
	assert_int_equal(port_by(image, "eni-2")->zone, 2);
	assert_int_equal(image->subnets[port_by(image, "eni-2")->subnet].zone, 2);
	assert_int_equal(image->nr_associations, 4);
	for (int i = 2; i < 4; i++) {
		assert_int_equal(image->associations[i].key.zone, i - 1);
		assert_int_equal(image->associations[i].other, htonl(0xcb00710a + (uint32_t)i - 2));
	}
	image_free(&image);
	world_free(account->world);
}

/* The state's last word on a shared address: who is live. */
static void live_eni_owns_a_contested_address(void **state)
{
	struct account *account = account_make();
	struct image *image;

	(void)state;
	account->addresses[2][0].addr = account->addresses[0][0].addr;
	account->enis[0].live = false;
	image = compile(&account->state);
	assert_string_equal(image->ports[owner_of(image, 1, "10.0.1.10/32")].id, "eni-2");
	image_free(&image);
	world_free(account->world);
}

static void subnets_know_router_and_resolver(void **state)
{
	struct account *account = account_make();
	struct image *image = compile(&account->state);
	const struct image_subnet *first = image->subnets, *second = first + 1;
	struct cidr net6 = world_cidr("2001:db8:1::/64");

	(void)state;
	assert_string_equal(first->id, "subnet-a");
	assert_int_equal(first->mask4, 0);
	assert_int_equal(first->router4, 0);
	assert_int_equal(second->net4, htonl(0x0a000100));
	assert_int_equal(second->mask4, htonl(0xffffff00));
	assert_int_equal(second->router4, htonl(0x0a000101));
	assert_int_equal(second->resolver4, htonl(0x0a000002));
	assert_int_equal(second->nr_cidrs6, 1);
	assert_memory_equal(&second->cidrs6[0].net, &net6.addr, 16);
	assert_int_equal(second->cidrs6[0].mask.bytes[7], 0xff);
	assert_int_equal(second->cidrs6[0].mask.bytes[8], 0);
	assert_int_equal(first->table, second->table);
	image_free(&image);
	account->vpcs[0].dns_support = false;
	account->subnets[0].cidrs6[0] = world_cidr("2001:db8::/44");
	image = compile(&account->state);
	assert_int_equal(image->subnets[1].resolver4, 0);
	assert_int_equal(image->subnets[1].cidrs6[0].mask.bytes[5], 0xf0);
	image_free(&image);
	world_free(account->world);
}

static void macs_stand_once_per_subnet(void **state)
{
	struct account *account = account_make();
	struct image *image;

	(void)state;
	account->enis[3].subnet = &account->subnets[1];
	memcpy(account->enis[3].mac, account->enis[0].mac, 6);
	memset(account->enis[1].mac, 0, 6);
	memset(account->enis[0].mac, 7, 6);
	memset(account->enis[2].mac, 7, 6);
	account->enis[0].live = false;
	image = compile(&account->state);
	assert_int_equal(image->nr_macs, 2);
	assert_string_equal(image->subnets[image->macs[0].subnet].id, "subnet-a");
	assert_string_equal(image->ports[image->macs[1].port].id, "eni-2");
	image_free(&image);
	world_free(account->world);
}

/* Half an ENI gets no policy at all. */
static void eni_without_vpc_or_subnet_is_shut(void **state)
{
	struct account *account = account_make();
	struct image *image;

	(void)state;
	account->enis[0].vpc = NULL;
	account->enis[1].subnet = NULL;
	image = compile(&account->state);
	assert_int_equal(port_by(image, "eni-0")->sg_in, IMAGE_NONE);
	assert_int_equal(port_by(image, "eni-0")->sg_out, IMAGE_NONE);
	assert_int_equal(port_by(image, "eni-0")->flags & PORT_LIVE, 0);
	assert_int_equal(port_by(image, "eni-1")->flags & (PORT_LIVE | PORT_NO_SG), 0);
	assert_int_equal(owner_of(image, ZONE_INTERNET, "10.0.1.10/32"), IMAGE_NONE);
	image_free(&image);
	world_free(account->world);
}

static void equal_policies_share_one_object(void **state)
{
	struct account *account = account_make();
	struct image *image;

	(void)state;
	account->enis[1].routing = false;
	account->enis[1].groups = account->group_of[0];
	account->enis[1].nr_groups = 1;
	image = compile(&account->state);
	assert_int_equal(port_by(image, "eni-0")->sg_in, port_by(image, "eni-1")->sg_in);
	/* sg-1 in, the empty object, and the default NACL: in = out */
	assert_int_equal(image->nr_objects, 3);
	image_free(&image);
	world_free(account->world);
}

static void each_host_serves_its_own(void **state)
{
	struct account *account = account_make();
	struct image *image = NULL;
	char *why = NULL;

	(void)state;
	assert_int_equal(compile_image(&account->state, account->hosts + 1, &image, &why), 0);
	assert_int_equal(port_by(image, "eni-0")->kind, PORT_REMOTE);
	assert_int_equal(port_by(image, "eni-0")->flags & PORT_LIVE, PORT_LIVE);
	assert_string_equal(port_by(image, "eni-0")->device, "");
	assert_int_equal(port_by(image, "eni-0")->sg_in, IMAGE_NONE);
	assert_int_equal(port_by(image, "eni-2")->kind, PORT_ENI);
	assert_string_equal(port_by(image, "eni-2")->device, "tap2");
	assert_int_equal(image->nr_ports, 4);
	image_free(&image);
	world_free(account->world);
}

static void no_host_means_nothing_is_served(void **state)
{
	struct account *account = account_make();
	struct image *image;

	(void)state;
	account->state.nr_hosts = 0;
	image = compile(&account->state);
	assert_int_equal(image->nr_ports, 4);
	assert_int_equal(port_by(image, "eni-0")->kind, PORT_REMOTE);
	assert_int_equal(image->router_mac[1], 0x65);
	image_free(&image);
	world_free(account->world);
}

/* ---- identities */

struct hashed {
	uint32_t hash, number;
};

static int compare_hashed(const void *a, const void *b)
{
	const struct hashed *x = a, *y = b;

	return x->hash != y->hash ? (x->hash < y->hash ? -1 : 1) : (x->number > y->number) - (x->number < y->number);
}

/* B10: ids that read alike when they are strung together name different sets, ENIs and policies. */
static void b10_ids_are_not_joined(void **state)
{
	static const char *const pairs[][4] = {{"sg-a", "bsg-c", "sg-ab", "sg-c"},
					       {"sg-a", "sg-b", "sg-asg-", "b"},
					       {"sg-1", "sg-11", "sg-11sg-", "1"}};
	const struct vpc vpcs[] = {{.id = "vpc-1"}, {.id = "vpc-"}};
	struct security_group groups[4] = {};
	const struct security_group *one[] = {&groups[0], &groups[1]}, *other[] = {&groups[2], &groups[3]};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		for (int g = 0; g < 4; g++)
			groups[g].id = pairs[i][g];
		assert_int_not_equal(sg_identity(vpcs, one, 2), sg_identity(vpcs, other, 2));
		assert_int_not_equal(sg_identity(vpcs, one, 1), sg_identity(vpcs, one, 2));
	}
	groups[0].id = "sg-12345"; /* ends where a word of the hash does */
	groups[1].id = "sg-6";
	groups[2].id = "sg-12345sg-6";
	assert_int_not_equal(sg_identity(vpcs, one, 2), sg_identity(vpcs, other, 1));
	groups[0].id = "sg-1";
	groups[1].id = "1sg-1"; /* the end of the VPC's id, at the head of the group's */
	assert_int_not_equal(sg_identity(&vpcs[0], &one[0], 1), sg_identity(&vpcs[1], &one[1], 1));
}

/* Two group ids whose hashes collide exist among some 200,000; both ENIs must still be told apart. */
static void b10_colliding_sets_get_distinct_identities(void **state)
{
	enum { TRIED = 300000 };
	struct account *account = account_make();
	struct hashed *hashed = world_alloc(account->world, TRIED, sizeof(*hashed));
	const struct security_group *group = &account->groups[1];
	struct image *image;
	char id[32];
	size_t at = 1;

	(void)state;
	for (uint32_t i = 0; i < TRIED; i++) {
		snprintf(id, sizeof(id), "sg-%u", i);
		account->groups[1].id = id;
		hashed[i] = (struct hashed){sg_identity(&account->vpcs[0], &group, 1), i};
	}
	qsort(hashed, TRIED, sizeof(*hashed), compare_hashed);
	while (at < TRIED && hashed[at].hash != hashed[at - 1].hash)
		at++;
	assert_true(at < TRIED);
	account->groups[0].id = world_text(account->world, "sg-%u", hashed[at].number);
	account->groups[1].id = world_text(account->world, "sg-%u", hashed[at - 1].number);
	image = compile(&account->state);
	assert_int_not_equal(port_by(image, "eni-0")->identity, port_by(image, "eni-2")->identity);
	assert_true(port_by(image, "eni-0")->identity == hashed[at].hash ||
		    port_by(image, "eni-2")->identity == hashed[at].hash);
	image_free(&image);
	world_free(account->world);
}

/* ---- limits */

static void assert_refused(const struct state *state, const char *what)
{
	struct image *image = (struct image *)8;
	char *why = NULL;

	assert_int_equal(compile_image(state, state->hosts, &image, &why), -E2BIG);
	assert_ptr_equal(image, 8);
	assert_non_null(why);
	assert_non_null(strstr(why, what));
	free(why);
}

static void states_beyond_the_limits_are_refused(void **state)
{
	struct account *account = account_make();
	struct eni *enis = world_alloc(account->world, PORTS_MAX, sizeof(*enis));
	struct vpc_subnet *subnets = world_alloc(account->world, SUBNETS_MAX, sizeof(*subnets));
	struct image *image;

	(void)state;
	for (int i = 0; i < PORTS_MAX; i++) {
		enis[i] = account->enis[i % 4];
		enis[i].id = world_text(account->world, "eni-%06d", i);
	}
	account->hosts[0].nr_ports = 0;
	account->hosts[1].nr_ports = 0;
	account->state.enis = enis;
	account->state.nr_enis = PORTS_MAX - 1 - 2 - 1; /* two uplinks, and the internet gateway's own number */
	image = compile(&account->state);
	assert_int_equal(image->nr_ports, PORTS_MAX - 1 - 1);
	image_free(&image);
	account->state.nr_enis++;
	assert_refused(&account->state, "network interfaces, uplinks and gateways: more than 32767");
	account->state.nr_enis = 0;
	for (int i = 0; i < SUBNETS_MAX; i++) {
		subnets[i] = account->subnets[0];
		subnets[i].id = world_text(account->world, "subnet-%06d", i);
	}
	account->state.subnets = subnets;
	account->state.nr_subnets = SUBNETS_MAX;
	assert_refused(&account->state, "subnets: more than 16383");
	world_free(account->world);
}

static void too_many_addresses_are_refused(void **state)
{
	struct account *account = account_make();
	struct eni_address *addresses = world_alloc(account->world, ADDRESSES_MAX, sizeof(*addresses));
	struct image *image;

	(void)state;
	for (uint32_t i = 0; i < ADDRESSES_MAX; i++) {
		addresses[i] = (struct eni_address){.family = 4, .prefixlen = 32};
		addresses[i].addr.ip4 = htonl(0x0b000000 + i);
	}
	account->enis[0].addresses = addresses;
	account->enis[0].nr_addresses = ADDRESSES_MAX;
	assert_refused(&account->state, "private addresses: more than 1048576");
	account->enis[0].nr_addresses = ADDRESSES_MAX - 3;
	image = compile(&account->state);
	assert_int_equal(image->nr_addresses, ADDRESSES_MAX);
	image_free(&image);
	for (uint32_t i = 0; i < ASSOCIATIONS_MAX / 2 + 1; i++)
		addresses[i].public_ip = htonl(0x2b000000 + i);
	assert_refused(&account->state, "associations: more than 131072");
	world_free(account->world);
}

/* Every /32 repeats the 4000 services of the /8 around it: 40 million steps. The refusal says whose groups these are.
 */
static void oversized_groups_are_refused_by_name(void **state)
{
	enum { OUTER = 4000, INNER = 5000 };
	struct account *account = account_make();
	struct sg_permission *permissions = world_alloc(account->world, OUTER + INNER, sizeof(*permissions));
	struct sg_peer *peers = world_alloc(account->world, OUTER + INNER, sizeof(*peers));

	(void)state;
	for (int i = 0; i < OUTER + INNER; i++) {
		int port = i < OUTER ? i * 8 : i;

		peers[i] = (struct sg_peer){.kind = PEER_CIDR, .peering = "", .rule_id = ""};
		peers[i].cidr = world_cidr(i < OUTER ? "10.0.0.0/8" : "10.0.0.0/32");
		if (i >= OUTER) {
			peers[i].cidr.addr.bytes[14] = (uint8_t)(i >> 8);
			peers[i].cidr.addr.bytes[15] = (uint8_t)i;
		}
		permissions[i] = (struct sg_permission){6, port, port, peers + i, 1, "IpPermissions[0]"};
	}
	account->groups[0].in = permissions;
	account->groups[0].nr_in = OUTER + INNER;
	assert_refused(&account->state, "security groups of eni-0: too large for one policy object");
	world_free(account->world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ports_say_where_and_what_an_eni_is),
		cmocka_unit_test(uplinks_lead_out_only_by_an_attached_igw),
		cmocka_unit_test(reference_matches_members_wherever_they_are),
		cmocka_unit_test(reference_stays_within_its_vpc),
		cmocka_unit_test(addresses_and_associations_lead_both_ways),
		cmocka_unit_test(equal_addresses_of_two_vpcs_stay_apart),
		cmocka_unit_test(live_eni_owns_a_contested_address),
		cmocka_unit_test(subnets_know_router_and_resolver),
		cmocka_unit_test(macs_stand_once_per_subnet),
		cmocka_unit_test(eni_without_vpc_or_subnet_is_shut),
		cmocka_unit_test(equal_policies_share_one_object),
		cmocka_unit_test(each_host_serves_its_own),
		cmocka_unit_test(no_host_means_nothing_is_served),
		cmocka_unit_test(b10_ids_are_not_joined),
		cmocka_unit_test(b10_colliding_sets_get_distinct_identities),
		cmocka_unit_test(states_beyond_the_limits_are_refused),
		cmocka_unit_test(too_many_addresses_are_refused),
		cmocka_unit_test(oversized_groups_are_refused_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
