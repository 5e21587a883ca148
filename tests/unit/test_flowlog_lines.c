/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Flow log records byte for byte (FL-04 to FL-24): from records and tallies, by way of windows, to the text of a
 * format. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "datapath/datapath.h"
#include "enid/flow_hash.h"
#include "enid/policy.h"
#include "enid/reasons.h"
#include "flowlog/flush.h"
#include "flowlog/harvest.h"
#include "flowlog/vantage.h"

#define NS     1000000000ull
#define T0     1760000040u
#define BOOT_S 1759990000u
#define PORTS  24u
#define FLOWS  4u

enum who { CLIENT = 1, NAT, NAT2, IGW, SERVER, TGW_A, TGW_B, PCX, VGW, FAR, EDGE, ATT_A, ATT_B, PEER_A, PEER_B };

#define SIDES 64

struct world {
	struct log_enis enis;
	struct log_eni *by_port[PORTS];
	struct log_eni eni[PORTS];
	struct log_place place[PORTS_MAX];
	struct log_transit transit[8];
	struct flow_record records[FLOWS];
	struct limbo limbo[FLOWS];
	struct trace traces[2 * FLOWS];
	struct side sides[SIDES];
	struct window window, next;
	struct books books;
	struct harvest harvest;
	struct format format;
	struct settlement settlement[PORTS_MAX];
	bool json;
	bool doors; /* lines are for a FlowLogs object of the attachments */
	char text[65536];
	char line[LINE_MAX_BYTES];
};

static union addr ip(const char *text)
{
	union addr addr = {0};

	if (inet_pton(AF_INET6, text, addr.bytes) != 1)
		assert_int_equal(inet_pton(AF_INET, text, &addr.ip4), 1);
	return addr;
}

static struct tuple tuple_of(const char *src, const char *dst, uint16_t sport, uint16_t dport)
{
	return (struct tuple){.saddr = ip(src),
			      .daddr = ip(dst),
			      .sport = htons(sport),
			      .dport = htons(dport),
			      .proto = 6,
			      .family = strchr(src, ':') ? 6 : 4};
}

static void put_eni(struct world *w, uint32_t port, const char *id, const char *primary, uint32_t zone, uint32_t az)
{
	struct log_eni *eni = &w->eni[port];

	strcpy(eni->id, id);
	strcpy(eni->account, "111122223333");
	eni->primary4 = ip(primary).ip4;
	eni->what = LOG_ACCEPT | LOG_REJECT;
	eni->interval_s = 60;
	w->by_port[port] = eni;
	w->place[port] = (struct log_place){.kind = PORT_ENI, .zone = zone, .az = az};
}

static void put_uplink(struct world *w, uint32_t port, uint32_t zone, uint8_t gateway)
{
	w->place[port] = (struct log_place){.kind = PORT_UPLINK, .zone = zone, .gateway = gateway};
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w || books_open(NULL, "", 1, &w->books) || window_open(NULL, "", 1, 1000, &w->window) ||
	    window_open(NULL, "", 1, 1000, &w->next))
		return -1;
	w->enis = (struct log_enis){
		.users = 1, .nr = PORTS, .by_port = w->by_port, .place = w->place, .transit = w->transit};
	w->harvest = (struct harvest){
		.enis = &w->enis,
		.window = &w->window,
		.books = &w->books,
		.wall_ns = (int64_t)(BOOT_S * NS),
		.open_s = T0,
		.beside = {.limbo = w->limbo, .traces = w->traces, .sides = w->sides, .nr_sides = SIDES}};
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	rulebook_close(&w->enis.rules);
	window_close(&w->window);
	window_close(&w->next);
	books_close(&w->books);
	free(w);
	return 0;
}

/* What stands beside record 0. */
static struct side *nat_side(struct world *w)
{
	return &w->sides[side_place(0, 0, SIDES)];
}

/* The decisions of a half. */
static uint32_t *trace_of(struct world *w, uint32_t index, int half)
{
	uint32_t number = 2 * index + (uint32_t)half + 1;

	w->limbo[index].trace[half] = number;
	return w->traces[number - 1].decisions;
}

static uint64_t none(void *arg, uint32_t port)
{
	(void)arg;
	(void)port;
	return 0;
}

static void collect(void *arg, const struct log_line *line)
{
	struct world *w = arg;
	size_t len = w->json ? line_json(&w->format, line, w->line) : line_text(&w->format, line, w->line),
	       at = strlen(w->text);

	assert_true(at + len < sizeof(w->text));
	memcpy(w->text + at, w->line, len);
	w->text[at + len] = 0;
}

/* All lines of the window, in this format. */
static const char *lines(struct world *w, const char *format)
{
	const struct flush_ask ask = {
		.log = FLUSH_ALL, .pending = none, .line = collect, .arg = w, .settlement = w->settlement};
	struct flush_ask by;
	char *why = NULL;

	assert_int_equal(format_parse(format, &w->format, &why), 0);
	by = ask;
	by.log = w->doors ? 0 : FLUSH_ALL;
	by.by = w->format.by;
	if (window_header(&w->window)->state != WINDOW_CLOSED)
		assert_int_equal(window_hand_over(&w->window, &w->next, T0, T0 + 60, true), 0);
	w->text[0] = 0;
	memset(w->settlement, 0, sizeof(w->settlement));
	assert_int_equal(flush_lines(&w->window, &w->enis, &w->books, &by), 0);
	return w->text;
}

static struct flow_record *flow(struct world *w, uint32_t index, uint32_t in, uint32_t exit, const struct tuple *there,
				const struct tuple *back)
{
	struct flow_record *record = &w->records[index];
	uint32_t gs = GS_MAKE(7, RECORD_LIVE);

	record->half[0] = (struct flow_half){.tuple = *there, .in = in, .exit = exit, .gs = gs};
	record->half[1] = (struct flow_half){.tuple = *back, .in = exit, .exit = in, .gs = gs};
	return record;
}

static void packets(struct flow_record *record, int side, uint64_t nr, uint64_t bytes, uint32_t at_s)
{
	record->half[side].own += OWN_MAKE(nr, bytes);
	record->half[side].last_ns = (at_s - BOOT_S) * NS;
}

static void harvest(struct world *w)
{
	assert_int_equal(harvest_walk(&w->harvest, w->records, 0, FLOWS, FLOWS + 1), FLOWS);
}

static void tally(struct world *w, uint32_t port, bool egress, bool reject, const struct tuple *tuple, uint64_t nr,
		  uint64_t bytes, uint32_t first_s, uint32_t last_s)
{
	struct tally_key key = {.tuple = *tuple,
				.port = port,
				.egress = egress,
				.reject = reject,
				.reason = egress ? REASON_NACL_EGRESS : REASON_SG_INGRESS};
	struct tally value = {
		.packets = nr, .bytes = bytes, .first_ns = (first_s - BOOT_S) * NS, .last_ns = (last_s - BOOT_S) * NS};

	harvest_tally(&w->harvest, &key, &value);
}

/* FL-20. The window of the guide begins between two minutes: its lines are made directly. */
static void lines_read_as_the_guide_prints_them(void **state)
{
	struct world *w = *state;
	struct tuple ssh = tuple_of("10.0.1.25", "10.0.2.40", 51514, 22),
		     probe = tuple_of("198.51.100.7", "10.0.2.40", 40112, 3389);
	struct window_key key = {.src = ssh.saddr, .dst = ssh.daddr, .sport = ssh.sport, .dport = ssh.dport};
	struct window_count count = {.packets = 17, .bytes = 3284};
	struct log_line line = {
		.eni = &w->eni[SERVER], .key = &key, .count = &count, .start_s = 1760000000, .end_s = 1760000055};
	char *why = NULL;

	put_eni(w, SERVER, "eni-0aa11bb22cc33dd44", "10.0.2.40", 1, 1);
	assert_int_equal(format_parse(LOG_FORMAT_DEFAULT, &w->format, &why), 0);
	key.proto = 6;
	key.family = 4;
	collect(w, &line);
	key.src = probe.saddr;
	key.sport = probe.sport;
	key.dport = probe.dport;
	key.reject = 1;
	count = (struct window_count){.packets = 1, .bytes = 40};
	collect(w, &line);
	line = (struct log_line){.eni = line.eni, .start_s = 1760000060, .end_s = 1760000115, .status = LINE_NODATA};
	collect(w, &line);
	assert_string_equal(w->text,
			    "2 111122223333 eni-0aa11bb22cc33dd44 10.0.1.25 10.0.2.40 51514 22 6 17 3284 "
			    "1760000000 1760000055 ACCEPT OK\n"
			    "2 111122223333 eni-0aa11bb22cc33dd44 198.51.100.7 10.0.2.40 40112 3389 6 1 40 "
			    "1760000000 1760000055 REJECT OK\n"
			    "2 111122223333 eni-0aa11bb22cc33dd44 - - - - - - - 1760000060 1760000115 - NODATA\n");
}

static void ping(struct world *w, bool in_allowed, bool out_allowed)
{
	struct tuple there = tuple_of("198.51.100.7", "10.0.2.40", 77, 0),
		     back = tuple_of("10.0.2.40", "198.51.100.7", 77, 0);

	there.proto = back.proto = 1;
	there.dport = 8;
	put_eni(w, SERVER, "eni-web", "10.0.2.40", 1, 1);
	tally(w, SERVER, false, !in_allowed, &there, 4, 336, T0, T0 + 50);
	if (in_allowed)
		tally(w, SERVER, true, !out_allowed, &back, 4, 336, T0, T0 + 50);
}

#define PING_IN  "2 111122223333 eni-web 198.51.100.7 10.0.2.40 0 0 1 4 336 1760000040 1760000090 "
#define PING_OUT "2 111122223333 eni-web 10.0.2.40 198.51.100.7 0 0 1 4 336 1760000040 1760000090 "

/* FL-21, FL-09: the group lets the ping in, the network ACL not the reply out. */
static void stateless_denial_is_accept_and_reject(void **state)
{
	ping(*state, true, false);
	assert_string_equal(lines(*state, LOG_FORMAT_DEFAULT), PING_OUT "REJECT OK\n" PING_IN "ACCEPT OK\n");
}

static void open_acl_is_two_accepts(void **state)
{
	ping(*state, true, true);
	assert_string_equal(lines(*state, LOG_FORMAT_DEFAULT), PING_OUT "ACCEPT OK\n" PING_IN "ACCEPT OK\n");
}

static void closed_group_is_one_reject(void **state)
{
	ping(*state, false, false);
	assert_string_equal(lines(*state, LOG_FORMAT_DEFAULT), PING_IN "REJECT OK\n");
}

static struct flow_record *nat_flow(struct world *w)
{
	struct tuple there = tuple_of("10.40.2.101", "198.51.100.80", 40000, 443),
		     back = tuple_of("198.51.100.80", "203.0.113.9", 443, 2000);
	struct flow_record *record = flow(w, 0, CLIENT, IGW, &there, &back);

	put_eni(w, CLIENT, "eni-client", "10.40.2.101", 1, 1);
	put_eni(w, NAT, "eni-nat", "10.40.1.100", 1, 1);
	w->place[NAT].kind = PORT_NAT;
	put_uplink(w, IGW, 1, ROUTE_IGW);
	for (int side = 0; side < 2; side++)
		record->half[side].flags = HALF_REWRITE | HALF_MAPPED;
	record->half[0].shared = RECORD_GATED | RECORD_MAPPED | RECORD_SIDE;
	nat_side(w)->owner = 1;
	nat_side(w)->mapping =
		(struct gate_mapping){.gateway = NAT, .addr = ip("10.40.1.100").ip4, .port = htons(2000)};
	return record;
}

#define FL22 "${interface-id} ${srcaddr} ${dstaddr} ${pkt-srcaddr} ${pkt-dstaddr}"

/* FL-22: six lines, and the public address in none. */
static void nat_gateway_logs_at_its_own_eni(void **state)
{
	struct world *w = *state;
	struct flow_record *record = nat_flow(w);

	packets(record, 0, 3, 180, T0 + 5);
	packets(record, 1, 2, 2000, T0 + 6);
	harvest(w);
	assert_string_equal(lines(w, FL22 " ${flow-direction} ${traffic-path} ${srcport} ${dstport}"),
			    "eni-client 10.40.2.101 198.51.100.80 10.40.2.101 198.51.100.80 egress 1 40000 443\n"
			    "eni-client 198.51.100.80 10.40.2.101 198.51.100.80 10.40.2.101 ingress - 443 40000\n"
			    "eni-nat 10.40.1.100 198.51.100.80 10.40.1.100 198.51.100.80 egress 8 2000 443\n"
			    "eni-nat 10.40.2.101 10.40.1.100 10.40.2.101 198.51.100.80 ingress - 40000 443\n"
			    "eni-nat 198.51.100.80 10.40.1.100 198.51.100.80 10.40.1.100 ingress - 443 2000\n"
			    "eni-nat 10.40.1.100 10.40.2.101 198.51.100.80 10.40.2.101 egress 1 443 40000\n");
	assert_null(strstr(lines(w, LOG_FORMAT_DEFAULT), "203.0.113.9"));
	assert_non_null(
		strstr(w->text, "eni-nat 10.40.2.101 10.40.1.100 40000 443 6 3 180 1760000040 1760000045 ACCEPT"));
	assert_non_null(
		strstr(w->text, "eni-nat 10.40.1.100 10.40.2.101 443 40000 6 2 2000 1760000040 1760000046 ACCEPT"));
}

/* FL-24: inside leg client and server, outside leg the gateway's address and the server. */
static void regional_nat_gateway_has_no_eni(void **state)
{
	struct world *w = *state;
	struct flow_record *record = nat_flow(w);
	char names[] = "vpc-1\0\0\0\0\0regional_nat_gateway\0nat-1";

	strcpy(w->eni[NAT].id, "-");
	w->eni[NAT].regional = true;
	w->eni[NAT].names = names;
	packets(record, 0, 3, 180, T0 + 5);
	harvest(w);
	assert_string_equal(
		lines(w, FL22 " ${resource-id} ${subnet-id} ${instance-id} ${interface-type} ${vpc-id}"),
		"eni-client 10.40.2.101 198.51.100.80 10.40.2.101 198.51.100.80 - - - - -\n"
		"- 10.40.1.100 198.51.100.80 10.40.1.100 198.51.100.80 nat-1 - - regional_nat_gateway vpc-1\n"
		"- 10.40.2.101 198.51.100.80 10.40.2.101 198.51.100.80 nat-1 - - regional_nat_gateway vpc-1\n");
}

/* Two gateways: each has its own lines, and the inner address is seen between them. */
static void nat_behind_nat_logs_at_both(void **state)
{
	struct world *w = *state;
	struct flow_record *record = nat_flow(w);

	put_eni(w, NAT2, "eni-nat2", "10.50.1.9", 2, 1);
	w->place[NAT2].kind = PORT_NAT;
	w->place[IGW].zone = 2;
	nat_side(w)->mapping.gateway = NAT2;
	nat_side(w)->mapping.addr = ip("10.50.1.9").ip4;
	nat_side(w)->mapping.inner = NAT;
	nat_side(w)->mapping.inner_addr = ip("10.40.1.100").ip4;
	packets(record, 0, 1, 60, T0 + 5);
	packets(record, 1, 1, 61, T0 + 5);
	harvest(w);
	assert_string_equal(lines(w, FL22), "eni-client 10.40.2.101 198.51.100.80 10.40.2.101 198.51.100.80\n"
					    "eni-client 198.51.100.80 10.40.2.101 198.51.100.80 10.40.2.101\n"
					    "eni-nat 10.40.1.100 198.51.100.80 10.40.1.100 198.51.100.80\n"
					    "eni-nat 10.40.2.101 10.40.1.100 10.40.2.101 198.51.100.80\n"
					    "eni-nat 198.51.100.80 10.40.1.100 198.51.100.80 10.40.1.100\n"
					    "eni-nat 10.40.1.100 10.40.2.101 198.51.100.80 10.40.2.101\n"
					    "eni-nat2 10.40.1.100 10.50.1.9 10.40.1.100 198.51.100.80\n"
					    "eni-nat2 10.50.1.9 198.51.100.80 10.50.1.9 198.51.100.80\n"
					    "eni-nat2 10.50.1.9 10.40.1.100 198.51.100.80 10.40.1.100\n"
					    "eni-nat2 198.51.100.80 10.50.1.9 198.51.100.80 10.50.1.9\n");
}

/* FL-23: the remote client's request leaves the attachment's ENI of its zone, the reply enters that of the server's. */
static void transit_gateway_logs_at_attachment_enis(void **state)
{
	struct world *w = *state;
	struct tuple there = tuple_of("10.5.0.9", "10.9.2.8", 40000, 80),
		     back = tuple_of("10.9.2.8", "10.5.0.9", 80, 40000);
	struct flow_record *record = flow(w, 0, CLIENT, SERVER, &there, &back);

	put_eni(w, CLIENT, "eni-client", "10.5.0.9", 1, 1);
	put_eni(w, SERVER, "eni-server", "10.9.2.8", 2, 2);
	put_eni(w, TGW_A, "eni-tgw-1", "10.9.1.7", 2, 1);
	put_eni(w, TGW_B, "eni-tgw-2", "10.9.2.31", 2, 2);
	w->transit[0] = (struct log_transit){.tgw = 1, .attachment = ATT_B, .zone = 2, .az = 1, .port = TGW_A};
	w->transit[1] = (struct log_transit){.tgw = 1, .attachment = ATT_B, .zone = 2, .az = 2, .port = TGW_B};
	w->enis.nr_transit = 2;
	for (int side = 0; side < 2; side++) {
		record->half[side].nr_trace = 1;
		trace_of(w, 0, side)[0] = DECISION(STAGE_TGW_ROUTE, 5);
	}
	packets(record, 0, 1, 60, T0 + 5);
	packets(record, 1, 1, 60, T0 + 5);
	harvest(w);
	assert_string_equal(lines(w, FL22 " ${flow-direction}"),
			    "eni-client 10.5.0.9 10.9.2.8 10.5.0.9 10.9.2.8 egress\n"
			    "eni-client 10.9.2.8 10.5.0.9 10.9.2.8 10.5.0.9 ingress\n"
			    "eni-server 10.5.0.9 10.9.2.8 10.5.0.9 10.9.2.8 ingress\n"
			    "eni-server 10.9.2.8 10.5.0.9 10.9.2.8 10.5.0.9 egress\n"
			    "eni-tgw-1 10.9.1.7 10.9.2.8 10.5.0.9 10.9.2.8 egress\n"
			    "eni-tgw-2 10.9.2.8 10.9.2.31 10.9.2.8 10.5.0.9 ingress\n");
}

static bool tables(void *arg, uint32_t decision, struct decision_text *ret)
{
	(void)arg;
	*ret = (struct decision_text){.id = DECISION_NUMBER(decision) == 5 ? "rtb-red" : "rtb-blue",
				      .rule = "10.9.0.0/16"};
	return true;
}

/* names: VPC, subnet, AZ, owner of the VPC */
static void put_attachment(struct world *w, uint32_t port, const char *id, const char *tgw, const char *const names[4])
{
	static struct log_want all = {.log = 0, .what = LOG_ACCEPT | LOG_REJECT};
	static char text[PORTS][128];
	struct log_eni *eni = &w->eni[port];

	put_eni(w, port, id, "0.0.0.0", 0, 0);
	w->place[port].kind = PORT_GATEWAY;
	strcpy(eni->account, "999900001111");
	eni->regional = eni->transit = w->doors = true;
	eni->wants = &all;
	eni->nr_wants = 1;
	/* VPC, subnet, instance, Region, AZ, type, resource, transit gateway, owner of the VPC */
	eni->names_bytes = (size_t)snprintf(text[port], sizeof(text[port]), "%s%c%s%c%c%s%c%s%c%c%c%s%c%s", names[0], 0,
					    names[1], 0, 0, "eu-west-1", 0, names[2], 0, 0, 0, tgw, 0, names[3]);
	eni->names = text[port];
}

/* A client in VPC 1 and a server in VPC 2, which two transit gateways join. */
static struct flow_record *two_gateways(struct world *w, uint32_t decision)
{
	struct tuple there = tuple_of("10.5.0.9", "10.9.2.8", 40000, 80),
		     back = tuple_of("10.9.2.8", "10.5.0.9", 80, 40000);
	struct flow_record *record = flow(w, 0, CLIENT, SERVER, &there, &back);

	put_eni(w, CLIENT, "eni-client", "10.5.0.9", 1, 1);
	put_eni(w, SERVER, "eni-server", "10.9.2.8", 2, 2);
	put_eni(w, TGW_A, "eni-red", "10.9.1.7", 2, 1);
	put_eni(w, TGW_B, "eni-blue", "10.9.1.8", 2, 1);
	w->transit[0] = (struct log_transit){.tgw = 1, .attachment = ATT_A, .zone = 1, .az = 1};
	w->transit[1] = (struct log_transit){.tgw = 1, .attachment = ATT_B, .zone = 2, .az = 1, .port = TGW_A};
	w->transit[2] = (struct log_transit){.tgw = 2, .attachment = FAR, .zone = 1, .az = 1};
	w->transit[3] = (struct log_transit){.tgw = 2, .attachment = EDGE, .zone = 2, .az = 1, .port = TGW_B};
	w->enis.nr_transit = 4;
	w->harvest.decide = tables;
	for (int side = 0; side < 2; side++) {
		record->half[side].nr_trace = decision != 0;
		trace_of(w, 0, side)[0] = decision;
	}
	packets(record, 0, 3, 180, T0 + 5);
	packets(record, 1, 2, 120, T0 + 6);
	return record;
}

/* FL-23, of a VPC that is attached to several: the table that routed says whose ENI it was. */
static void the_table_that_routed_says_which_gateway(void **state)
{
	static struct log_tgw_table known[] = {{"rtb-red", 1}, {"rtb-blue", 2}};
	struct world *w = *state;

	w->enis.tgw_tables = known;
	w->enis.nr_tgw_tables = 2;
	two_gateways(w, DECISION(STAGE_TGW_ROUTE, 6));
	harvest(w);
	assert_string_equal(lines(w, FL22 " ${flow-direction}"),
			    "eni-client 10.5.0.9 10.9.2.8 10.5.0.9 10.9.2.8 egress\n"
			    "eni-client 10.9.2.8 10.5.0.9 10.9.2.8 10.5.0.9 ingress\n"
			    "eni-server 10.5.0.9 10.9.2.8 10.5.0.9 10.9.2.8 ingress\n"
			    "eni-server 10.9.2.8 10.5.0.9 10.9.2.8 10.5.0.9 egress\n"
			    "eni-blue 10.9.1.8 10.9.2.8 10.5.0.9 10.9.2.8 egress\n"
			    "eni-blue 10.9.2.8 10.9.1.8 10.9.2.8 10.5.0.9 ingress\n");
}

/* ... and where nobody says, no line is better than a wrong one. */
static void an_unknown_gateway_has_no_line(void **state)
{
	struct world *w = *state;

	two_gateways(w, DECISION(STAGE_TGW_ROUTE, 7));
	harvest(w);
	assert_null(strstr(lines(w, FL22), "eni-red"));
	assert_null(strstr(w->text, "eni-blue"));
	assert_non_null(strstr(w->text, "eni-server"));
}

/* FL-27, in the default format: each packet comes in by one attachment and goes out by another. */
static void transit_gateways_have_flow_logs_of_their_own(void **state)
{
	static struct log_tgw_table known[] = {{"rtb-red", 1}};
	struct world *w = *state;

	two_gateways(w, DECISION(STAGE_TGW_ROUTE, 5));
	w->enis.tgw_tables = known;
	w->enis.nr_tgw_tables = 1;
	w->enis.nr_transit = 2;
	put_attachment(w, ATT_A, "tgw-attach-a", "tgw-red",
		       (const char *[]){"vpc-1", "subnet-1", "euw1-az1", "111122223333"});
	put_attachment(w, ATT_B, "tgw-attach-b", "tgw-red", (const char *[]){"vpc-2", "", "", "444455556666"});
	w->eni[TGW_A].names = "vpc-2\0subnet-2\0\0eu-west-1\0euw1-az2\0\0\0\0";
	w->records[0].half[0].tcp_flags = 2;
	w->records[0].half[1].tcp_flags = 18;
	for (uint32_t port = CLIENT; port <= TGW_B; port++)
		w->eni[port].what = 0;
	harvest(w);
	assert_string_equal(
		lines(w, LOG_FORMAT_TRANSIT),
		"6 TransitGateway 999900001111 tgw-red tgw-attach-a 111122223333 444455556666 vpc-1 vpc-2 subnet-1 "
		"subnet-2 - eni-red euw1-az1 euw1-az2 tgw-attach-b 10.5.0.9 10.9.2.8 40000 80 6 3 180 1760000040 "
		"1760000045 "
		"OK IPv4 0 0 0 0 2 eu-west-1 ingress - -\n"
		"6 TransitGateway 999900001111 tgw-red tgw-attach-a 444455556666 111122223333 vpc-2 vpc-1 subnet-2 "
		"subnet-1 eni-red - euw1-az2 euw1-az1 tgw-attach-b 10.9.2.8 10.5.0.9 80 40000 6 2 120 1760000040 "
		"1760000046 "
		"OK IPv4 0 0 0 0 18 eu-west-1 egress - -\n"
		"6 TransitGateway 999900001111 tgw-red tgw-attach-b 111122223333 444455556666 vpc-1 vpc-2 subnet-1 "
		"subnet-2 - eni-red euw1-az1 euw1-az2 tgw-attach-a 10.5.0.9 10.9.2.8 40000 80 6 3 180 1760000040 "
		"1760000045 "
		"OK IPv4 0 0 0 0 2 eu-west-1 egress - -\n"
		"6 TransitGateway 999900001111 tgw-red tgw-attach-b 444455556666 111122223333 vpc-2 vpc-1 subnet-2 "
		"subnet-1 eni-red - euw1-az2 euw1-az1 tgw-attach-a 10.9.2.8 10.5.0.9 80 40000 6 2 120 1760000040 "
		"1760000046 "
		"OK IPv4 0 0 0 0 18 eu-west-1 ingress - -\n");
}

#define FL27 \
	"${tgw-id} ${tgw-attachment-id} ${tgw-pair-attachment-id} ${srcaddr} ${dstaddr} ${packets} ${flow-direction} " \
	"${packets-lost-no-route} ${packets-lost-blackhole} ${packets-lost-mtu-exceeded} " \
	"${packets-lost-ttl-expired} ${interface-id} ${vpc-id} ${action}"

/* Two gateways that peer: each has its own two doors. */
static void peered_transit_gateways_log_at_four_doors(void **state)
{
	static struct log_tgw_table known[] = {{"rtb-red", 1}};
	struct world *w = *state;
	static const char *const none[4] = {"", "", "", ""};

	two_gateways(w, DECISION(STAGE_TGW_ROUTE, 5));
	w->enis.tgw_tables = known;
	w->enis.nr_tgw_tables = 1;
	w->transit[1].tgw = 2;
	w->transit[2] = (struct log_transit){.tgw = 1, .attachment = PEER_A, .far = 2};
	w->transit[3] = (struct log_transit){.tgw = 2, .attachment = PEER_B, .far = 1};
	put_attachment(w, ATT_A, "att-a", "tgw-red", none);
	put_attachment(w, ATT_B, "att-b", "tgw-blue", none);
	put_attachment(w, PEER_A, "att-p", "tgw-red", none);
	put_attachment(w, PEER_B, "att-p", "tgw-blue", none);
	for (uint32_t port = CLIENT; port <= TGW_B; port++)
		w->eni[port].what = 0;
	w->records[0].half[1].own = 0;
	harvest(w);
	assert_string_equal(lines(w, FL27), "tgw-red att-a att-p 10.5.0.9 10.9.2.8 3 ingress 0 0 0 0 - - -\n"
					    "tgw-blue att-b att-p 10.5.0.9 10.9.2.8 3 egress 0 0 0 0 - - -\n"
					    "tgw-red att-p att-a 10.5.0.9 10.9.2.8 3 egress 0 0 0 0 - - -\n"
					    "tgw-blue att-p att-b 10.5.0.9 10.9.2.8 3 ingress 0 0 0 0 - - -\n");
}

/* What a transit gateway loses is a line of the attachment by which it came, with the reason's count. */
static void transit_gateways_count_what_they_lose(void **state)
{
	static const uint8_t reasons[] = {REASON_TGW_NO_ROUTE, REASON_TGW_BLACKHOLE, REASON_TTL, REASON_MTU};
	struct tuple to = tuple_of("10.5.0.9", "10.77.0.1", 40000, 80);
	struct world *w = *state;

	put_attachment(w, ATT_A, "att-a", "tgw-red", (const char *[]){"", "", "", ""});
	for (int i = 0; i < 4; i++) {
		struct tally_key key = {.tuple = to, .port = ATT_A, .reject = 1, .reason = reasons[i]};
		struct tally value = {
			.packets = i + 2u, .bytes = 60, .first_ns = (T0 - BOOT_S) * NS, .last_ns = (T0 - BOOT_S) * NS};

		harvest_tally(&w->harvest, &key, &value);
	}
	assert_string_equal(lines(w, FL27), "tgw-red att-a - 10.5.0.9 10.77.0.1 2 ingress 2 0 0 0 - - -\n"
					    "tgw-red att-a - 10.5.0.9 10.77.0.1 3 ingress 0 3 0 0 - - -\n"
					    "tgw-red att-a - 10.5.0.9 10.77.0.1 4 ingress 0 0 0 4 - - -\n"
					    "tgw-red att-a - 10.5.0.9 10.77.0.1 5 ingress 0 0 5 0 - - -\n");
}

/* TGW-10: the data path's choice, by the flow, of the door by which it enters a VPC in appliance mode. */
static void doors_in_appliance_mode(void **state)
{
	static struct log_tgw_table known[] = {{"rtb-red", 1}};
	struct world *w = *state;
	unsigned seen[2] = {0, 0};

	for (uint16_t sport = 40000; sport < 40032; sport++) {
		struct tuple there = tuple_of("10.5.0.9", "10.9.2.8", sport, 80), back = {0};
		struct sight sights[SIGHTS_MAX];
		struct way way = {.trace = {{DECISION(STAGE_TGW_ROUTE, 5)}}, .tgw = {1}};
		struct flow_record *record;
		uint32_t chosen;
		int nr;

		two_gateways(w, DECISION(STAGE_TGW_ROUTE, 5));
		w->enis.tgw_tables = known;
		w->enis.nr_tgw_tables = 1;
		for (int i = 1; i < 3; i++) /* the sender's zone is among them, and the order here is not theirs */
			w->transit[i] = (struct log_transit){.tgw = 1,
							     .attachment = ATT_B,
							     .zone = 2,
							     .az = i == 1 ? 2 : 1,
							     .port = i == 1 ? TGW_B : TGW_A,
							     .appliance = true};
		w->enis.nr_transit = 3;
		for (int i = 0; i < 4; i++)
			w->enis.secrets[i] = 0x1234567u * (uint64_t)(i + 1);
		record = flow(w, 1, CLIENT, SERVER, &there, &back);
		record->half[0].nr_trace = 1;
		nr = vantage_sights(&w->enis, record, &way, 0, sights);
		chosen = flow_choice_of((const __u64 *)w->enis.secrets, &there, 2);
		seen[chosen]++;
		for (int i = 0; i < nr; i++) {
			if (sights[i].port == ATT_B)
				assert_int_equal(sights[i].to, chosen ? TGW_B : TGW_A);
			assert_int_not_equal(sights[i].port, chosen ? TGW_A : TGW_B);
		}
		assert_true(nr >= 4);
	}
	assert_true(seen[0] && seen[1]);
}

/* Centralised egress (NAT-27): the client's transit gateway lies before the NAT gateway of another VPC. */
static void a_transit_gateway_before_a_nat_gateway(void **state)
{
	struct world *w = *state;
	struct tuple there = tuple_of("10.40.2.101", "198.51.100.80", 40000, 443),
		     back = tuple_of("198.51.100.80", "203.0.113.9", 443, 1024);
	struct flow_record *record = flow(w, 0, CLIENT, IGW, &there, &back);

	put_eni(w, CLIENT, "eni-client", "10.40.2.101", 1, 1);
	put_eni(w, NAT, "eni-nat", "10.50.1.100", 2, 1);
	put_eni(w, TGW_A, "eni-tgw", "10.50.9.7", 2, 1);
	put_uplink(w, IGW, 2, ROUTE_IGW);
	w->transit[0] = (struct log_transit){.tgw = 1, .attachment = ATT_A, .zone = 1, .az = 1};
	w->transit[1] = (struct log_transit){.tgw = 1, .attachment = ATT_B, .zone = 2, .az = 1, .port = TGW_A};
	w->enis.nr_transit = 2;
	for (int side = 0; side < 2; side++) {
		record->half[side].nr_trace = 1;
		record->half[side].flags = HALF_MAPPED | HALF_REWRITE;
		trace_of(w, 0, side)[0] = DECISION(STAGE_TGW_ROUTE, 5);
	}
	record->half[0].shared = RECORD_GATED | RECORD_SIDE;
	nat_side(w)->owner = 1;
	nat_side(w)->mapping =
		(struct gate_mapping){.gateway = NAT, .addr = ip("10.50.1.100").ip4, .port = htons(1024)};
	packets(record, 0, 1, 60, T0 + 5);
	packets(record, 1, 1, 61, T0 + 5);
	harvest(w);
	lines(w, FL22 " ${flow-direction}");
	assert_non_null(strstr(w->text, "eni-tgw 10.50.9.7 198.51.100.80 10.40.2.101 198.51.100.80 egress\n"));
	assert_non_null(strstr(w->text, "eni-tgw 198.51.100.80 10.50.9.7 198.51.100.80 10.40.2.101 ingress\n"));
	assert_null(strstr(strstr(strstr(w->text, "eni-tgw") + 1, "eni-tgw") + 1, "eni-tgw"));
}

static uint8_t path_to(struct world *w, uint32_t exit, uint32_t decision)
{
	struct tuple there = tuple_of("10.40.2.101", "198.51.100.80", 40000, 443), back = {0};
	struct flow_record *record = flow(w, 1, CLIENT, exit, &there, &back);
	struct sight sights[SIGHTS_MAX];
	struct way way = {.trace = {{decision}}};

	record->half[0].nr_trace = decision != 0;
	assert_true(vantage_sights(&w->enis, record, &way, 0, sights) >= 1);
	assert_int_equal(sights[0].port, CLIENT);
	return sights[0].path;
}

/* FL-14. */
static void traffic_path_tells_the_kind_of_way(void **state)
{
	struct world *w = *state;

	put_eni(w, CLIENT, "eni-client", "10.40.2.101", 1, 1);
	put_eni(w, SERVER, "eni-server", "10.40.2.9", 1, 1);
	put_eni(w, FAR, "eni-far", "10.50.2.9", 2, 1);
	put_uplink(w, IGW, 1, ROUTE_IGW);
	put_uplink(w, VGW, 1, ROUTE_VGW);
	put_uplink(w, EDGE, 1, ROUTE_ENDPOINT);
	assert_int_equal(path_to(w, SERVER, 0), 1);
	assert_int_equal(path_to(w, IGW, 0), 8);
	assert_int_equal(path_to(w, VGW, 0), 3);
	assert_int_equal(path_to(w, EDGE, 0), 7);
	assert_int_equal(path_to(w, FAR, DECISION(STAGE_PEERING, PCX)), 4);
	w->place[PCX].far = true;
	assert_int_equal(path_to(w, FAR, DECISION(STAGE_PEERING, PCX)), 5);
	assert_int_equal(path_to(w, FAR, DECISION(STAGE_TGW_ROUTE, 1)), 1);
	put_uplink(w, EDGE, 1, ROUTE_EIGW);
	assert_int_equal(path_to(w, EDGE, 0), 8);
	assert_int_equal(path_to(w, 0, 0), 0);
}

/* FL-03, FL-10: two addresses of an ENI are one line, until somebody asks for the packet's. */
static void lines_are_summed_by_what_is_asked(void **state)
{
	struct world *w = *state;
	struct tuple one = tuple_of("198.51.100.7", "10.0.2.40", 7, 8),
		     two = tuple_of("198.51.100.7", "10.0.2.99", 7, 8);

	put_eni(w, SERVER, "eni-web", "10.0.2.40", 1, 1);
	tally(w, SERVER, false, false, &one, 1, 40, T0 + 10, T0 + 10);
	tally(w, SERVER, false, false, &two, 2, 90, T0 + 5, T0 + 20);
	assert_string_equal(lines(w, LOG_FORMAT_DEFAULT), "2 111122223333 eni-web 198.51.100.7 10.0.2.40 7 8 6 3 130 "
							  "1760000045 1760000060 ACCEPT OK\n");
	assert_string_equal(lines(w, "${dstaddr} ${pkt-dstaddr} ${packets}"),
			    "10.0.2.40 10.0.2.40 1\n10.0.2.40 10.0.2.99 2\n");
}

/* FL-04, FL-06, FL-07: every field of every version, in the order asked for; the version is the highest. */
static void every_known_field_has_its_value(void **state)
{
	static char names[] = "vpc-1\0subnet-1\0i-1\0eu-west-1\0euw1-az2\0vpc_endpoint\0";
	struct world *w = *state;
	struct tuple probe = tuple_of("198.51.100.7", "10.0.2.99", 7, 8);

	put_eni(w, SERVER, "eni-web", "10.0.2.40", 3, 1);
	w->eni[SERVER].names = names;
	tally(w, SERVER, false, true, &probe, 1, 40, T0 + 10, T0 + 10);
	assert_string_equal(lines(w, "${version} ${vpc-id} ${subnet-id} ${instance-id} ${tcp-flags} ${type} "
				     "${pkt-srcaddr} ${pkt-dstaddr}"),
			    "3 vpc-1 subnet-1 i-1 0 IPv4 198.51.100.7 10.0.2.99\n");
	assert_string_equal(lines(w, "${region} ${az-id} ${sublocation-type} ${sublocation-id} ${version}"),
			    "eu-west-1 euw1-az2 - - 4\n");
	assert_string_equal(lines(w, "${pkt-src-aws-service} ${pkt-dst-aws-service} ${flow-direction} ${traffic-path} "
				     "${version}"),
			    "- - ingress - 5\n");
	assert_string_equal(lines(w, "${version} ${ecs-cluster-arn} ${ecs-task-id}"), "7 - -\n");
	assert_string_equal(lines(w, "${version} ${reject-reason} ${action}"), "8 - REJECT\n");
	assert_string_equal(lines(w, "${version} ${resource-id}"), "9 -\n");
	assert_string_equal(lines(w, "${version} ${encryption-status}"), "10 -\n");
	assert_string_equal(lines(w, "${version} ${interface-type} ${next-hop-vpc-id}"), "11 vpc_endpoint -\n");
	assert_string_equal(lines(w, "${version} ${x-reason} ${x-zone} ${x-flow-id} ${x-rule-id} ${x-stage}"),
			    "2 sg-ingress vpc-1 - - sg-ingress\n");
	assert_string_equal(lines(w, "${new-in-2031} ${srcport}"), "- 7\n");
	assert_int_equal(w->format.nr_unknown, 1);
}

/* FL-08. */
static void block_public_access_is_a_reject_reason(void **state)
{
	struct world *w = *state;
	struct tally_key key = {.tuple = tuple_of("198.51.100.7", "10.0.2.40", 7, 8),
				.port = SERVER,
				.reject = 1,
				.reason = REASON_BPA};
	struct tally value = {.packets = 1, .bytes = 40};

	put_eni(w, SERVER, "eni-web", "10.0.2.40", 1, 1);
	harvest_tally(&w->harvest, &key, &value);
	assert_string_equal(lines(w, "${action} ${reject-reason} ${x-reason}"), "REJECT BPA bpa\n");
}

static bool decide(void *arg, uint32_t decision, struct decision_text *ret)
{
	(void)arg;
	*ret = (struct decision_text){"", DECISION_STAGE(decision) == STAGE_SG_EGRESS ? "sg-web" : "acl-1",
				      DECISION_STAGE(decision) == STAGE_SG_EGRESS ? "IpPermissionsEgress[0]" : "100"};
	return DECISION_NUMBER(decision) != 99;
}

/* Ours: which rule, and the same flow's lines joined by its id. Rules are counted on the way. */
static void rules_stand_in_lines_and_are_counted(void **state)
{
	struct world *w = *state;
	struct tuple there = tuple_of("10.0.1.25", "10.0.2.40", 1, 2), back = tuple_of("10.0.2.40", "10.0.1.25", 2, 1);
	struct flow_record *record = flow(w, 2, CLIENT, SERVER, &there, &back);
	struct rule_words words;

	put_eni(w, CLIENT, "eni-web", "10.0.1.25", 1, 1);
	put_eni(w, SERVER, "eni-db", "10.0.2.40", 1, 1);
	assert_int_equal(rulebook_open(NULL, &w->enis.rules), 0);
	w->harvest.rules = w->enis.rules;
	w->harvest.decide = decide;
	record->half[0].nr_trace = 3;
	trace_of(w, 2, 0)[0] = DECISION(STAGE_SG_EGRESS, 1);
	trace_of(w, 2, 0)[1] = DECISION(STAGE_NACL_INGRESS, 2);
	trace_of(w, 2, 0)[2] = DECISION(STAGE_SG_INGRESS, 99); /* of a state that is gone */
	packets(record, 0, 3, 180, T0 + 5);
	harvest(w);
	assert_string_equal(lines(w, "${interface-id} ${x-rule-id} ${x-stage} ${x-flow-id}"),
			    "eni-web sg-web/IpPermissionsEgress[0] sg-egress 0000000700000002\n"
			    "eni-db - - 0000000700000002\n");
	assert_true(rulebook_words(w->enis.rules, 1, &words));
	assert_string_equal(words.id, "sg-web");
	assert_true(rulebook_words(w->enis.rules, 2, &words));
	assert_string_equal(words.id, "acl-1");
	assert_false(rulebook_words(w->enis.rules, 3, &words));
}

/* A network ACL's entry refuses; a group does not: no rule of it admits, whatever admitted before. */
static void rejects_name_the_entry_that_refused(void **state)
{
	struct world *w = *state;
	struct tally_key key = {.tuple = tuple_of("198.51.100.7", "10.0.2.40", 7, 8), .port = SERVER, .reject = 1};
	struct tally value = {.packets = 1, .bytes = 40, .decision = DECISION(STAGE_NACL_INGRESS, 4)};

	put_eni(w, SERVER, "eni-db", "10.0.2.40", 1, 1);
	assert_int_equal(rulebook_open(NULL, &w->enis.rules), 0);
	w->harvest.rules = w->enis.rules;
	w->harvest.decide = decide;
	key.reason = REASON_SG_INGRESS;
	harvest_tally(&w->harvest, &key, &value);
	key.reason = REASON_NACL_INGRESS;
	harvest_tally(&w->harvest, &key, &value);
	assert_string_equal(lines(w, "${x-reason} ${x-stage} ${x-rule-id}"),
			    "sg-ingress sg-ingress -\nnacl-ingress nacl-ingress acl-1/100\n");
	assert_string_equal(lines(w, "${x-stage}"), "sg-ingress\nnacl-ingress\n");
	assert_string_equal(lines(w, "${x-rule-id}"), "-\nacl-1/100\n");
}

/* Where a group, a gateway or a table refuses there is no rule to name, but a stage. */
static void rejects_name_the_stage_that_refused(void **state)
{
	static const uint8_t reasons[] = {REASON_MAC_SPOOF, REASON_SG_EGRESS,   REASON_NO_ROUTE,
					  REASON_BPA,       REASON_PEERING,     REASON_TGW_BLACKHOLE,
					  REASON_GENEVE,    REASON_NAT_NO_PORT, REASON_CONNTRACK_FULL,
					  REASON_TTL};
	struct world *w = *state;
	const struct tally value = {.packets = 1, .bytes = 40};

	put_eni(w, SERVER, "eni-db", "10.0.2.40", 1, 1);
	for (size_t i = 0; i < sizeof(reasons); i++)
		harvest_tally(&w->harvest,
			      &(const struct tally_key){.tuple = tuple_of("198.51.100.7", "10.0.2.40", 7, 8),
							.port = SERVER,
							.reject = 1,
							.reason = reasons[i]},
			      &value);
	assert_string_equal(lines(w, "${x-reason} ${x-stage}"),
			    "mac-spoof -\nsg-egress sg-egress\nno-route route\nbpa igw\npeering peering\n"
			    "tgw-blackhole tgw-route\ngeneve endpoint\nnat-no-port nat\n"
			    "conntrack-full conntrack\nttl -\n");
}

/* What a run folder holds goes on with the next agent. */
static void rulebook_outlives_its_agent(void **state)
{
	char dir[] = "/tmp/flowlog-rules-XXXXXX", path[128];
	struct rulebook *book;
	struct rule_use *uses;
	uint32_t since_s;
	size_t nr;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(rulebook_read(dir, &uses, &nr, &since_s), -ENOENT);
	for (int life = 0; life < 2; life++) {
		assert_int_equal(rulebook_open(dir, &book), 0);
		for (uint32_t i = 0; i < 5000; i++) {
			char rule[32];

			snprintf(rule, sizeof(rule), "%u", i);
			assert_int_equal(rulebook_slot(book, STAGE_ROUTE, "rtb-1", rule), i + 1);
			rulebook_use(book, i + 1, i, 2 * i, i % 2, T0 + i);
		}
		rulebook_close(&book);
	}
	assert_int_equal(rulebook_read(dir, &uses, &nr, &since_s), 0);
	assert_int_equal(nr, 5000);
	for (size_t i = 0; i < nr; i++) {
		assert_int_equal(atoi(uses[i].words.rule), i); /* sorted as people count */
		assert_int_equal(uses[i].packets, 2 * i);
		assert_int_equal(uses[i].rejects, i % 2 ? 2 * i : 0);
		assert_int_equal(uses[i].last_s, T0 + i);
	}
	free(uses);
	snprintf(path, sizeof(path), "%s/" RULEBOOK_FILE, dir);
	unlink(path);
	rmdir(dir);
}

/* FL-16. */
static void services_are_those_of_the_longest_range(void **state)
{
	static const char text[] = "{\"prefixes\":[{\"ip_prefix\":\"52.0.0.0/8\",\"service\":\"AMAZON\"},"
				   "{\"ip_prefix\":\"52.95.128.0/21\",\"service\":\"AMAZON\"},"
				   "{\"ip_prefix\":\"52.95.128.0/21\",\"service\":\"S3\"},{\"ip_prefix\":\"52.95.128.0/"
				   "21\",\"service\":\"EC2\"},"
				   "{\"ip_prefix\":\"52.95.129.4/32\",\"service\":\"DYNAMODB\"}],"
				   "\"ipv6_prefixes\":[{\"ipv6_prefix\":\"2600:1f60::/33\",\"service\":\"S3\"}]}";
	struct world *w = *state;
	struct tuple s3 = tuple_of("52.95.128.179", "10.0.2.40", 80, 9);
	char path[] = "/tmp/flowlog-ranges-XXXXXX";
	struct ranges *ranges = NULL;
	char *why = NULL;
	union addr addr;
	int fd = mkstemp(path);

	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	close(fd);
	assert_int_equal(ranges_open(path, &ranges, &why), 0);
	addr = ip("52.95.128.179");
	assert_string_equal(ranges_find(ranges, 4, &addr), "EC2"); /* AMAZON last, then by name */
	addr = ip("52.95.129.4");
	assert_string_equal(ranges_find(ranges, 4, &addr), "DYNAMODB");
	addr = ip("52.255.255.255");
	assert_string_equal(ranges_find(ranges, 4, &addr), "AMAZON");
	addr = ip("53.0.0.0");
	assert_string_equal(ranges_find(ranges, 4, &addr), "");
	addr = ip("2600:1f60:7fff::1");
	assert_string_equal(ranges_find(ranges, 6, &addr), "S3");
	addr = ip("2600:1f60:8000::1");
	assert_string_equal(ranges_find(ranges, 6, &addr), "");
	put_eni(w, SERVER, "eni-web", "10.0.2.40", 1, 1);
	w->enis.ranges = ranges;
	tally(w, SERVER, false, false, &s3, 1, 40, T0, T0);
	assert_string_equal(lines(w, "${pkt-src-aws-service} ${pkt-dst-aws-service}"), "EC2 -\n");
	ranges_close(&ranges);
	assert_int_equal(truncate(path, 40), 0);
	assert_int_not_equal(ranges_open(path, &ranges, &why), 0);
	assert_non_null(why);
	free(why);
	unlink(path);
}

/* E32: JSON of a hostile id is JSON; absent values are null, numbers are numbers. */
static void json_has_the_same_fields(void **state)
{
	struct world *w = *state;
	struct tuple probe = tuple_of("2001:db8::7", "2001:db8::40", 7, 8);

	put_eni(w, SERVER, "eni-\"x\\x20", "10.0.2.40", 1, 1);
	tally(w, SERVER, true, false, &probe, 1, 40, T0, T0);
	w->json = true;
	assert_string_equal(lines(w, "${interface-id} ${srcport} ${traffic-path} ${pkt-srcaddr} ${action}"),
			    "{\"interface_id\":\"eni-\\\"x\\\\x20\",\"srcport\":7,\"traffic_path\":null,"
			    "\"pkt_srcaddr\":\"2001:db8::7\",\"action\":\"ACCEPT\"}\n");
}

static void refuse(const char *text)
{
	struct format format;
	char *why = NULL;

	assert_int_equal(format_parse(text, &format, &why), -EINVAL);
	assert_non_null(why);
	free(why);
}

static void what_is_no_format_is_refused(void **state)
{
	(void)state;
	refuse("");
	refuse("   ");
	refuse("version");
	refuse("${version");
	refuse("${}");
	refuse("${version}${start}x");
	/* names are keys in JSON, and words in a file's first line */
	refuse("${a\"b\\}");
	refuse("${x}y}");
	refuse("${X-Rule}");
	refuse("${x\x01}");
	refuse("${caf\xc3\xa9}");
}

/* The file's first line (FL-25). */
static void header_names_the_fields(void **state)
{
	struct format format;
	char text[200], *why = NULL;

	(void)state;
	assert_int_equal(format_parse(LOG_FORMAT_DEFAULT, &format, &why), 0);
	format_header(&format, text, sizeof(text));
	assert_string_equal(text, "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets "
				  "bytes start end action log-status");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(lines_read_as_the_guide_prints_them),
		TEST(stateless_denial_is_accept_and_reject),
		TEST(open_acl_is_two_accepts),
		TEST(closed_group_is_one_reject),
		TEST(nat_gateway_logs_at_its_own_eni),
		TEST(regional_nat_gateway_has_no_eni),
		TEST(nat_behind_nat_logs_at_both),
		TEST(transit_gateway_logs_at_attachment_enis),
		TEST(the_table_that_routed_says_which_gateway),
		TEST(an_unknown_gateway_has_no_line),
		TEST(transit_gateways_have_flow_logs_of_their_own),
		TEST(peered_transit_gateways_log_at_four_doors),
		TEST(transit_gateways_count_what_they_lose),
		TEST(doors_in_appliance_mode),
		TEST(a_transit_gateway_before_a_nat_gateway),
		TEST(traffic_path_tells_the_kind_of_way),
		TEST(lines_are_summed_by_what_is_asked),
		TEST(every_known_field_has_its_value),
		TEST(block_public_access_is_a_reject_reason),
		TEST(rules_stand_in_lines_and_are_counted),
		TEST(rejects_name_the_entry_that_refused),
		TEST(rejects_name_the_stage_that_refused),
		TEST(rulebook_outlives_its_agent),
		TEST(services_are_those_of_the_longest_range),
		TEST(json_has_the_same_fields),
		TEST(what_is_no_format_is_refused),
		TEST(header_names_the_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
