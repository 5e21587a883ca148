/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What makes a scene big, printed as text: a million objects of a JSON library would take a gigabyte. */
#include "bench/scene.h"

#include <errno.h>
#include <stdio.h>

/* Prefix lengths of the Internet's IPv4 table, in thousandths (BGP reports of 2024: 60 % are /24, a tenth each /22 and
 * /23, the rest falls off quickly); what is left over is /24, too. */
static const struct {
	unsigned prefixlen, share;
} lengths[] = {{8, 1},   {12, 1},  {13, 1},  {14, 2},  {15, 3},   {16, 14},  {17, 9},
	       {18, 15}, {19, 26}, {20, 46}, {21, 52}, {22, 112}, {23, 105}, {24, 613}};

/* xorshift: the same in every run, on every machine */
uint32_t scene_draw(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

static int print_file(const char *folder, const char *name, void (*print)(FILE *, const struct scene_size *, unsigned),
		      const struct scene_size *size, unsigned number)
{
	char path[128];
	FILE *out;

	snprintf(path, sizeof(path), "%s/%s-%u.json", folder, name, number);
	out = fopen(path, "we");
	if (!out)
		return -errno;
	print(out, size, number);
	return fclose(out) ? -errno : 0;
}

static void print_cidr(FILE *out, uint32_t addr, unsigned prefixlen)
{
	addr &= ~0u << (32 - prefixlen);
	fprintf(out, "%u.%u.%u.%u/%u", addr >> 24, addr >> 16 & 255, addr >> 8 & 255, addr & 255, prefixlen);
}

/* Addresses from all over the world: ten thousands of rules within one /8 would lie in each other. */
static void print_rules(FILE *out, unsigned rules, uint32_t seed)
{
	for (unsigned i = 0; i < rules; i++) {
		unsigned from = scene_draw(&seed) % 60000, more = scene_draw(&seed) % 1000;

		fprintf(out, "%s{\"IpProtocol\":\"tcp\",\"FromPort\":%u,\"ToPort\":%u,\"IpRanges\":[{\"CidrIp\":\"",
			i ? "," : "", from, from + more);
		print_cidr(out, (16u << 24) + scene_draw(&seed) % (192u << 24), 24 + scene_draw(&seed) % 9);
		fprintf(out, "\"}]}");
	}
}

static void print_group(FILE *out, const struct scene_size *size, unsigned number)
{
	unsigned rules = size->rules / 2 / (SCENE_GROUPS - 1);

	fprintf(out,
		"{\"SecurityGroups\":[{\"GroupId\":\"sg-1-%u\",\"GroupName\":\"%u\",\"VpcId\":\"vpc-1\","
		"\"IpPermissions\":[",
		number, number);
	print_rules(out, rules, number);
	fprintf(out, "],\"IpPermissionsEgress\":[");
	print_rules(out, rules, number + 1000);
	fprintf(out, "]}]}");
}

/* /20 subnets of 2,048 ENIs each, from 10.0.16.0 on: see SCENE_ENIS_FIRST. */
static void print_enis(FILE *out, const struct scene_size *size, unsigned number)
{
	(void)number;
	fprintf(out, "{\"Subnets\":[");
	for (unsigned i = 0; i <= size->enis / 2048; i++)
		fprintf(out, "%s{\"SubnetId\":\"subnet-x%u\",\"VpcId\":\"vpc-1\",\"CidrBlock\":\"10.0.%u.0/20\"}",
			i ? "," : "", i, 16 + 16 * i);
	fprintf(out, "],\"NetworkInterfaces\":[");
	for (unsigned i = 0; i < size->enis; i++) {
		uint32_t at = SCENE_ENIS_FIRST + i + (i & ~2047u);

		fprintf(out,
			"%s{\"NetworkInterfaceId\":\"eni-x%u\",\"VpcId\":\"vpc-1\",\"SubnetId\":\"subnet-x%u\","
			"\"MacAddress\":"
			"\"02:00:01:%02x:%02x:%02x\",\"Groups\":[{\"GroupId\":\"sg-1\"}],\"PrivateIpAddress\":\"%u.%u.%"
			"u.%u\","
			"\"PrivateIpAddresses\":[{\"Primary\":true,\"PrivateIpAddress\":\"%u.%u.%u.%u\"}]}",
			i ? "," : "", i, i / 2048, i >> 16, i >> 8 & 255, i & 255, at >> 24, at >> 16 & 255,
			at >> 8 & 255, at & 255, at >> 24, at >> 16 & 255, at >> 8 & 255, at & 255);
	}
	fprintf(out, "]}");
}

static bool is_reserved(uint32_t addr)
{
	return !(addr >> 24) || addr >> 24 == 10 || addr >> 24 == 127 || addr >> 28 >= 14 ||
	       addr >> 22 == (100u << 2 | 1) || addr >> 16 == (169u << 8 | 254);
}

/* ret: how many there are; out: NULL = count only */
static unsigned each_prefix(const char *path, FILE *out)
{
	unsigned a, b, c, d, prefixlen, nr = 0;
	char line[128];
	FILE *in = fopen(path, "re");

	while (in && fgets(line, sizeof(line), in)) {
		uint32_t addr;

		if (sscanf(line, "%u.%u.%u.%u/%u", &a, &b, &c, &d, &prefixlen) != 5 || prefixlen < 8 || prefixlen > 28)
			continue;
		addr = a << 24 | b << 16 | c << 8 | d;
		if (is_reserved(addr))
			continue;
		nr++;
		if (!out)
			continue;
		fprintf(out, ",{\"DestinationCidrBlock\":\"");
		print_cidr(out, addr, prefixlen);
		fprintf(out, "\",\"GatewayId\":\"igw-1\"}");
	}
	if (in)
		fclose(in);
	return nr;
}

unsigned scene_count_prefixes(const char *path)
{
	return each_prefix(path, NULL);
}

/* The main table. A prefix that is drawn twice is another one the second time: a table holds it once. */
static void print_routes(FILE *out, const struct scene_size *size, unsigned number)
{
	static uint8_t seen[1 << 21]; /* of /24s */
	uint32_t seed = 7;

	(void)number;
	fprintf(out,
		"{\"RouteTables\":[{\"RouteTableId\":\"rtb-1\",\"VpcId\":\"vpc-1\",\"Associations\":[{\"Main\":true}],"
		"\"Routes\":[{\"DestinationCidrBlock\":\"10.0.0.0/16\",\"GatewayId\":\"local\"},"
		"{\"DestinationCidrBlock\":\"0.0.0.0/0\",\"GatewayId\":\"igw-1\"}");
	for (unsigned i = 0; i < sizeof(seen); i++)
		seen[i] = 0;
	if (size->prefixes)
		(void)each_prefix(size->prefixes, out);
	for (unsigned i = 0; i < size->routes && !size->prefixes;) {
		unsigned point = scene_draw(&seed) % 1000, k = 0;
		uint32_t addr = (16u << 24) + scene_draw(&seed) % (192u << 24), slot;

		while (k + 1 < sizeof(lengths) / sizeof(*lengths) && point >= lengths[k].share)
			point -= lengths[k++].share;
		addr &= ~0u << (32 - lengths[k].prefixlen);
		slot = addr >> 8;
		if (seen[slot >> 3] >> (slot & 7) & 1 || addr >> 24 == 127 || addr >> 22 == (100u << 2 | 1) ||
		    addr >> 16 == (169u << 8 | 254))
			continue;
		seen[slot >> 3] |= 1 << (slot & 7);
		fprintf(out, ",{\"DestinationCidrBlock\":\"");
		print_cidr(out, addr, lengths[k].prefixlen);
		fprintf(out, "\",\"GatewayId\":\"igw-1\"}");
		i++;
	}
	fprintf(out, "]}]}");
}

int scene_print_more(const char *folder, const struct scene_size *size)
{
	int r = print_file(folder, "routes", print_routes, size, 0);

	if (!r && size->enis)
		r = print_file(folder, "enis", print_enis, size, 0);
	for (unsigned i = 1; !r && size->rules > SCENE_RULES_OF_ALL && i < SCENE_GROUPS; i++)
		r = print_file(folder, "group", print_group, size, i);
	return r;
}
