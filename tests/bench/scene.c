/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/scene.h"

static const struct {
	const char *id, *device, *peer, *subnet, *address;
	uint8_t mac[6];
	const char *group, *public; /* what the world knows it by */
} enis[ENI_MAX] = {
	{"eni-a", "bench0", "guest0", "subnet-1", "10.0.1.10", {2, 0, 0, 0, 0, 0xa}, "sg-1", NULL},
	{"eni-b", "bench1", "guest1", "subnet-1", "10.0.1.11", {2, 0, 0, 0, 0, 0xb}, "sg-1", NULL},
	{"eni-c", "bench2", "guest2", "subnet-2", "10.0.2.12", {2, 0, 0, 0, 0, 0xc}, "sg-1", NULL},
	{"eni-d", "bench3", "guest3", "subnet-4", "10.0.4.13", {2, 0, 0, 0, 0, 0xd}, "sg-2", "203.0.113.9"},
	{"eni-e", "bench4", "guest4", "subnet-3", "10.0.3.14", {2, 0, 0, 0, 0, 0xe}, "sg-2", "203.0.113.14"},
	{"igw-1", "bench5", "guest5", "world", "198.51.100.7", {2, 0, 0, 0, 0, 0xf}, NULL, NULL},
};

static const uint8_t router_mac[6] = {0x02, 0x65, 0x6e, 0x69, 0x64, 0x01};

int scene_devices(uint32_t ret_ifindex[ENI_MAX])
{
	char command[128];

	if (unshare(CLONE_NEWNET))
		return -errno;
	for (int i = 0; i < ENI_MAX; i++) {
		snprintf(command, sizeof(command), "ip link add %s up type veth peer name %s", enis[i].device,
			 enis[i].peer);
		if (system(command))
			return -EIO;
		ret_ifindex[i] = if_nametoindex(enis[i].device);
	}
	return 0;
}

static void draw_cidr(uint32_t *seed, char ret[32])
{
	unsigned prefixlen = 16 + scene_draw(seed) % 17;
	uint32_t addr = (10u << 24 | (scene_draw(seed) & 0xffffff)) & (~0u << (32 - prefixlen));

	snprintf(ret, 32, "%u.%u.%u.%u/%u", addr >> 24, addr >> 16 & 255, addr >> 8 & 255, addr & 255, prefixlen);
}

static void draw_ports(uint32_t *seed, int *from, int *to)
{
	*from = (int)(scene_draw(seed) % 60000);
	*to = *from + (int)(scene_draw(seed) % 1000);
}

static json_t *permission(const char *cidr, int from, int to)
{
	return json_pack("{s:s s:i s:i s:[{s:s}]}", "IpProtocol", "tcp", "FromPort", from, "ToPort", to, "IpRanges",
			 "CidrIp", cidr);
}

static json_t *permissions(unsigned rules, uint32_t seed, const char *peers)
{
	json_t *list = json_array();
	char cidr[32];
	int from, to;

	for (unsigned i = 0; i + 1 < rules; i++) {
		draw_cidr(&seed, cidr);
		draw_ports(&seed, &from, &to);
		json_array_append_new(list, permission(cidr, from, to));
	}
	json_array_append_new(list, permission(peers, DRIVE_PORT_FIRST, 65535));
	return list;
}

static json_t *nacl_entry(unsigned number, bool egress, const char *cidr, const char *action, int from, int to)
{
	return json_pack("{s:i s:s s:s s:b s:s s:{s:i s:i}}", "RuleNumber", (int)number, "Protocol", "6", "RuleAction",
			 action, "Egress", egress, "CidrBlock", cidr, "PortRange", "From", from, "To", to);
}

/* Entries that miss our addresses (10.128.0.0/9), then the one that admits all. */
static json_t *nacl_entries(unsigned rules, uint32_t seed)
{
	json_t *list = json_array();
	char cidr[32];
	int from, to;

	for (int egress = 0; egress < 2; egress++) {
		for (unsigned i = 1; i < rules; i++) {
			uint32_t addr = 10u << 24 | 1u << 23 | (scene_draw(&seed) & 0x7fffff);

			snprintf(cidr, sizeof(cidr), "%u.%u.%u.%u/32", addr >> 24, addr >> 16 & 255, addr >> 8 & 255,
				 addr & 255);
			draw_ports(&seed, &from, &to);
			json_array_append_new(list, nacl_entry(i, egress, cidr, i % 2 ? "deny" : "allow", from, to));
		}
		json_array_append_new(list, nacl_entry(rules, egress, "10.0.0.0/16", "allow", 0, 65535));
	}
	return list;
}

static json_t *groups_of(enum scene_eni i, bool many)
{
	json_t *list = json_pack("[{s:s}]", "GroupId", enis[i].group);
	char id[16];

	for (int n = 1; many && !strcmp(enis[i].group, "sg-1") && n < SCENE_GROUPS; n++) {
		snprintf(id, sizeof(id), "sg-1-%d", n);
		json_array_append_new(list, json_pack("{s:s}", "GroupId", id));
	}
	return list;
}

static void eni_json(enum scene_eni i, bool many_groups, json_t *interfaces, json_t *ports)
{
	char mac[18];

	snprintf(mac, sizeof(mac), "02:00:00:00:00:%02x", enis[i].mac[5]);
	json_array_append_new(interfaces,
			      json_pack("{s:s s:s s:s s:s s:s s:s s:o s:s s:[{s:b s:s s:{s:s*}}]}",
					"NetworkInterfaceId", enis[i].id, "VpcId", "vpc-1", "SubnetId", enis[i].subnet,
					"MacAddress", mac, "Status", "in-use", "InterfaceType", "interface", "Groups",
					groups_of(i, many_groups), "PrivateIpAddress", enis[i].address,
					"PrivateIpAddresses", "Primary", 1, "PrivateIpAddress", enis[i].address,
					"Association", "PublicIp", i == ENI_E ? enis[i].public : NULL));
	json_array_append_new(ports, json_pack("{s:s s:s s:s}", "NetworkInterfaceId", enis[i].id, "Device",
					       enis[i].device, "Hook", "tc"));
}

/* eni-d reaches the world by a NAT gateway, eni-e by its own public address. */
static const char gateways[] =
	"{\"RouteTables\":["
	"{\"RouteTableId\":\"rtb-2\",\"VpcId\":\"vpc-1\",\"Associations\":[{\"SubnetId\":\"subnet-4\"}],\"Routes\":["
	"{\"DestinationCidrBlock\":\"10.0.0.0/16\",\"GatewayId\":\"local\"},"
	"{\"DestinationCidrBlock\":\"0.0.0.0/0\",\"NatGatewayId\":\"nat-1\"}]}],"
	"\"InternetGateways\":[{\"InternetGatewayId\":\"igw-1\",\"Attachments\":[{\"VpcId\":\"vpc-1\"}]}],"
	"\"NatGateways\":[{\"NatGatewayId\":\"nat-1\",\"VpcId\":\"vpc-1\",\"SubnetId\":\"subnet-3\","
	"\"NatGatewayAddresses\":["
	"{\"NetworkInterfaceId\":\"eni-nat\",\"PrivateIp\":\"10.0.3.9\",\"PublicIp\":\"203.0.113.9\",\"IsPrimary\":"
	"true}]}]}";
static const char nat_eni[] = "{\"NetworkInterfaceId\":\"eni-nat\",\"VpcId\":\"vpc-1\",\"SubnetId\":\"subnet-3\","
			      "\"MacAddress\":\"02:00:00:00:00:99\",\"InterfaceType\":\"nat_gateway\","
			      "\"SourceDestCheck\":false,\"Groups\":[],"
			      "\"PrivateIpAddresses\":[{\"Primary\":true,\"PrivateIpAddress\":\"10.0.3.9\","
			      "\"Association\":{\"PublicIp\":\"203.0.113.9\"}}]}";

static json_t *group_json(const char *id, unsigned rules, const char *peers)
{
	return json_pack("{s:s s:s s:s s:o s:o}", "GroupId", id, "GroupName", id, "VpcId", "vpc-1", "IpPermissions",
			 permissions(rules, 1, peers), "IpPermissionsEgress", permissions(rules, 2, peers));
}

static json_t *subnets_json(void)
{
	json_t *list = json_array();
	char id[16], cidr[32];

	for (int i = 1; i <= 4; i++) {
		snprintf(id, sizeof(id), "subnet-%d", i);
		snprintf(cidr, sizeof(cidr), "10.0.%d.0/24", i);
		json_array_append_new(list,
				      json_pack("{s:s s:s s:s}", "SubnetId", id, "VpcId", "vpc-1", "CidrBlock", cidr));
	}
	return list;
}

static void more_ports(unsigned nr, json_t *ports)
{
	char id[16];

	for (unsigned i = 0; i < nr; i++) {
		snprintf(id, sizeof(id), "eni-x%u", i);
		json_array_append_new(ports, json_pack("{s:s s:s}", "NetworkInterfaceId", id, "Device", id + 4));
	}
}

static json_t *scene_json(const struct scene_size *size)
{
	unsigned rules = size->rules > SCENE_RULES_OF_ALL ? 10 : size->rules;
	json_t *interfaces = json_array(), *ports = json_array(), *all, *more = json_loads(gateways, 0, NULL);

	for (int i = 0; i < ENI_MAX; i++)
		if (i != ENI_WORLD)
			eni_json(i, size->rules > SCENE_RULES_OF_ALL, interfaces, ports);
	json_array_append_new(interfaces, json_loads(nat_eni, 0, NULL));
	json_array_append_new(ports, json_pack("{s:s}", "NetworkInterfaceId", "eni-nat"));
	more_ports(size->enis, ports);
	all = json_pack("{s:[{s:s s:s}] s:o s:[o o] s:[{s:s s:s s:[{s:s} {s:s}] s:o}] s:o s:[{s:s s:o s:[{s:s s:s}]}]}",
			"Vpcs", "VpcId", "vpc-1", "CidrBlock", "10.0.0.0/16", "Subnets", subnets_json(),
			"SecurityGroups", group_json("sg-1", rules, "10.0.0.0/16"),
			group_json("sg-2", rules, size->anywhere ? "0.0.0.0/0" : "198.51.100.0/24"), "NetworkAcls",
			"NetworkAclId", "acl-1", "VpcId", "vpc-1", "Associations", "SubnetId", "subnet-1", "SubnetId",
			"subnet-2", "Entries", nacl_entries(rules, 3), "NetworkInterfaces", interfaces, "Hosts",
			"HostId", "bench", "Ports", ports, "Uplinks", "GatewayId", "igw-1", "Device",
			enis[ENI_WORLD].device);
	if (all && more)
		json_object_update(all, more);
	json_decref(more);
	return all;
}

void scene_remove_files(const char *folder)
{
	char path[400];
	const struct dirent *entry;
	DIR *files = opendir(folder);

	while (files && (entry = readdir(files))) {
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		(void)unlink(path);
	}
	if (files)
		closedir(files);
	(void)rmdir(folder);
}

static int scene_state(const struct scene_size *size, struct state **ret)
{
	char folder[] = "/tmp/enid-bench-XXXXXX", path[64];
	const char *paths[] = {folder};
	struct state_messages messages = {};
	json_t *json = scene_json(size);
	int r = -ENOMEM;

	if (json && mkdtemp(folder)) {
		snprintf(path, sizeof(path), "%s/scene.json", folder);
		r = json_dump_file(json, path, JSON_COMPACT) ? -EIO : scene_print_more(folder, size);
		if (!r)
			r = state_load(paths, 1, ret, &messages);
		for (size_t i = 0; i < messages.nr_errors; i++)
			fprintf(stderr, "bench: %s\n", messages.errors[i].text);
		state_messages_done(&messages);
		scene_remove_files(folder);
	}
	json_decref(json);
	return r;
}

static int scene_load(const struct scene_size *size, const uint32_t ifindex[ENI_MAX], struct scene *scene, char **why)
{
	struct datapath_options options = {
		.flows_max = size->flows_max,
		.gated = size->gated,
		.without = "xdp_rx",
		.policy_lines = size->rules > SCENE_RULES_OF_POLICY ? SCENE_POLICY_LINES : 0,
	};
	char id[16];
	struct apply_result applied;
	int r = compile_image(scene->state, state_host(scene->state, "bench"), &scene->image, why);

	if (!r)
		r = datapath_open(&options, &scene->datapath, why);
	if (!r)
		r = datapath_apply(scene->datapath, scene->image, &applied, why);
	for (int i = 0; !r && i < ENI_MAX; i++)
		r = datapath_set_device(scene->datapath, datapath_port_number(scene->datapath, enis[i].id), ifindex[i],
					i == ENI_WORLD ? DELIVER_NEIGH : DELIVER_PEER);
	for (unsigned i = 0; !r && i < size->enis; i++) {
		snprintf(id, sizeof(id), "eni-x%u", i);
		r = datapath_set_device(scene->datapath, datapath_port_number(scene->datapath, id),
					SCENE_FAKE_DEVICE + i, DELIVER_PEER);
	}
	return r;
}

int scene_open(const struct scene_size *size, const uint32_t ifindex[ENI_MAX], struct scene *ret)
{
	struct scene scene = {.prog = -1};
	volatile struct control *control;
	char *why = NULL;
	int r = scene_state(size, &scene.state);

	if (!r)
		r = scene_load(size, ifindex, &scene, &why);
	if (r) {
		fprintf(stderr, "bench: a scene of %u rules, %u ENIs, %u routes: %s\n", size->rules, size->enis,
			size->routes, why ? why : strerror(-r));
		free(why);
		scene_close(&scene);
		return r;
	}
	/* a benchmark opens more flows at once than one ENI may */
	control = datapath_control(scene.datapath);
	if (!size->budgets)
		control->half_open_max = control->flows_guarantee = control->flows_shared = size->flows_max;
	scene.prog = datapath_prog_fd(scene.datapath, "tc_rx");
	*ret = scene;
	return 0;
}

void scene_close(struct scene *scene)
{
	datapath_close(&scene->datapath);
	image_free(&scene->image);
	state_free(&scene->state);
}

void scene_headers(enum scene_eni from, enum scene_eni to, uint8_t tcp_flags, uint8_t ret_headers[DRIVE_HEADERS])
{
	struct ethhdr eth = {.h_proto = htons(ETH_P_IP)};
	struct iphdr ip = {.version = 4,
			   .ihl = 5,
			   .tot_len = htons(sizeof(ip) + sizeof(struct tcphdr)),
			   .ttl = 64,
			   .protocol = IPPROTO_TCP};
	struct tcphdr tcp = {
		.seq = htonl(1), .ack_seq = htonl(tcp_flags & 0x10 ? 1 : 0), .doff = 5, .window = htons(1024)};
	uint32_t sum = 0;
	uint16_t words[sizeof(ip) / 2];

	memcpy(eth.h_source, enis[from].mac, 6);
	memcpy(eth.h_dest, strcmp(enis[from].subnet, enis[to].subnet) ? router_mac : enis[to].mac, 6);
	inet_pton(AF_INET, enis[from].address, &ip.saddr);
	inet_pton(AF_INET, from == ENI_WORLD ? enis[to].public : enis[to].address, &ip.daddr);
	memcpy(words, &ip, sizeof(ip));
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	ip.check = (uint16_t) ~((sum & 0xffff) + (sum >> 16));
	memcpy(ret_headers, &eth, sizeof(eth));
	memcpy(ret_headers + sizeof(eth), &ip, sizeof(ip));
	memcpy(ret_headers + sizeof(eth) + sizeof(ip), &tcp, sizeof(tcp));
	ret_headers[sizeof(eth) + sizeof(ip) + 13] = tcp_flags;
}
