/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "audit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datapath/beside.h"
#include "enid/names.h"
#include "scene.h"

#define RECORDS_MAX 64

struct books {
	uint64_t halves, accepts, rejects, skipped, events, port_drops;
	uint64_t drops[REASON_MAX];
};

#define USES_MAX 256 /* counters of mappings that an input ever touched */

static struct { /* found once an input */
	struct host_map *spilled, *nat_uses, *nat_stats, *tallies, *drops, *port_drops, *fragments, *due;
} maps;

static struct {
	struct flow_record records[RECORDS_MAX];
	struct limbo limbo[RECORDS_MAX];
	uint64_t sides;
	uint32_t used, names;
	struct books books;
	bool mapping_over; /* the next packet may be the one that ends it */
} before;

static uint32_t uses[USES_MAX], nr_uses;

void audit_breach(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "audit: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	fflush(NULL); /* $ENID_FUZZ_LINES shows how it came to this */
	abort();
}

void audit_begin(void)
{
	maps.spilled = host_map_find("names_spilled");
	maps.nat_uses = host_map_find("nat_uses");
	maps.nat_stats = host_map_find("nat_stats");
	nr_uses = 0;
	maps.tallies = host_map_find("tallies");
	maps.drops = host_map_find("drops");
	maps.port_drops = host_map_find("port_drops");
	maps.fragments = host_map_find("fragments");
	maps.due = host_map_find("fragments_due");
}

/* But those that make the table tight. */
static uint32_t count_names(const struct scene *stage)
{
	const struct name_bucket *buckets = datapath_names(stage->datapath);
	uint32_t nr = maps.spilled->nr;

	for (uint32_t i = 0; i < datapath_control(stage->datapath)->nr_buckets; i++)
		for (unsigned j = 0; j < BUCKET_NAMES; j++)
			nr += buckets[i].word[j] && buckets[i].slot[j].ref != SCENE_NOBODY;
	return nr;
}

static uint32_t used_records(const struct scene *stage)
{
	uint32_t fresh = datapath_control(stage->datapath)->flows_fresh;

	MUST(fresh <= datapath_flows_max(stage->datapath) && fresh <= RECORDS_MAX, "%u records were used", fresh);
	return fresh;
}

/* Sum over the entries of a hash: `add` gets key and value. */
static void each(struct host_map *host, void (*add)(struct books *, const void *, const void *), struct books *books)
{
	uint8_t key[64];

	for (int r = host_map_next(host, NULL, key); !r; r = host_map_next(host, key, key))
		add(books, key, host_map_lookup(host, key));
}

static void add_tally(struct books *books, const void *key, const void *value)
{
	uint64_t *to = ((const struct tally_key *)key)->reject ? &books->rejects : &books->accepts;

	*to += ((const struct tally *)value)->packets;
}

static void add_port_drop(struct books *books, const void *key, const void *value)
{
	(void)key;
	books->port_drops += ((const struct counter *)value)->packets;
}

static struct books books_of(const struct scene *stage)
{
	const struct flow_record *records = datapath_records(stage->datapath);
	const struct port_stats *stats = datapath_port_stats(stage->datapath);
	struct books books = {.events = host_effects.events};

	for (uint32_t i = 0; i < used_records(stage); i++)
		if (GS_STATE(records[i].half[0].gs) != RECORD_FREE)
			books.halves += half_packets(&records[i].half[0]) + half_packets(&records[i].half[1]);
	for (unsigned i = 0; i < SCENE_PORTS; i++)
		books.skipped += stats[stage->numbers[i]].skipped_accepts + stats[stage->numbers[i]].skipped_rejects;
	for (uint32_t reason = 0; reason < REASON_MAX; reason++)
		books.drops[reason] = ((const struct counter *)host_map_lookup(maps.drops, &reason))->packets;
	each(maps.tallies, add_tally, &books);
	each(maps.port_drops, add_port_drop, &books);
	return books;
}

/* A print of all that stands beside records. */
static uint64_t sum_of_sides(const struct scene *stage)
{
	const struct beside beside = datapath_beside(stage->datapath);
	const uint8_t *bytes = (const uint8_t *)beside.sides;
	uint64_t sum = 0;

	for (size_t i = 0; i < beside.nr_sides * sizeof(struct side); i++)
		sum = (sum ^ bytes[i]) * 0x100000001b3ull;
	return sum;
}

void audit_before(const struct scene *stage)
{
	before.used = used_records(stage);
	memcpy(before.records, datapath_records(stage->datapath), before.used * sizeof(*before.records));
	memcpy(before.limbo, datapath_limbo(stage->datapath), before.used * sizeof(*before.limbo));
	before.sides = sum_of_sides(stage);
	before.names = count_names(stage);
	before.books = books_of(stage);
	before.mapping_over = false;
	for (uint32_t i = 0; i < before.used; i++) {
		const struct beside beside = datapath_beside(stage->datapath);
		const struct side *side = beside_side(&beside, &before.records[i], i);
		uint64_t end = side ? mapping_end(&before.records[i], &side->mapping) : 0;

		before.mapping_over |= end && datapath_control(stage->datapath)->now_ns >= end;
	}
}

static void check_untouched(const struct scene *stage, uint32_t reason)
{
	bool same;

	if (before.mapping_over || reason == REASON_NAT_NO_MAPPING) /* that resets the client's connection (NAT-09) */
		return;
	same = used_records(stage) == before.used && count_names(stage) == before.names;

	same = same &&
	       !memcmp(before.records, datapath_records(stage->datapath), before.used * sizeof(*before.records)) &&
	       !memcmp(before.limbo, datapath_limbo(stage->datapath), before.used * sizeof(*before.limbo)) &&
	       before.sides == sum_of_sides(stage);
	MUST(same, "a packet that changes nothing (reason %u) changed a record", reason);
}

/* A packet is counted once: by its record's half, or by a tally at each end that has an ENI; when it dies, by one
 * reason. */
static void check_books(const struct scene *stage, uint32_t reason, uint64_t segments)
{
	struct books now = books_of(stage), *old = &before.books;
	uint64_t halves = now.halves - old->halves, drops = 0;
	uint64_t tallies = now.accepts - old->accepts + now.rejects - old->rejects + now.skipped - old->skipped +
			   (now.events - old->events) * segments;

	for (uint32_t i = 0; i < REASON_MAX; i++)
		drops += now.drops[i] - old->drops[i];
	MUST(drops == (reason ? segments : 0), "%lu packets dropped for reason %u, counted %lu", (long)segments, reason,
	     (long)drops);
	MUST(!reason || now.drops[reason] - old->drops[reason] == segments, "reason %u was not counted", reason);
	if (stage->mode & SCENE_FULL)
		return;
	MUST(now.port_drops - old->port_drops == drops, "the ports' drops differ from the reasons'");
	MUST(!halves || (halves == segments && !tallies && !reason),
	     "records count %lu and tallies %lu of %lu packets, reason %u", (long)halves, (long)tallies, (long)segments,
	     reason);
	MUST(tallies <= 2 * segments && tallies % segments == 0, "%lu tallies of %lu packets", (long)tallies,
	     (long)segments);
}

void audit_after(const struct scene *stage, bool untouched, uint32_t reason)
{
	if (stage->mode & SCENE_BROKEN)
		return;
	if (untouched)
		check_untouched(stage, reason);
	if (!(stage->mode & SCENE_WIRE))
		check_books(stage, reason, 1);
	audit_records(stage);
}

void audit_wire(const struct scene *stage, bool dropped, bool replied)
{
	struct books now;
	uint64_t drops = 0;

	if (stage->mode & SCENE_BROKEN)
		return;
	now = books_of(stage);
	for (uint32_t i = 0; i < REASON_MAX; i++)
		drops += now.drops[i] - before.books.drops[i];
	MUST(replied || dropped == (drops > 0), "%s, but %lu drops were counted", dropped ? "dropped" : "passed",
	     (long)drops);
	audit_records(stage);
}

/* The VPCs of A and of C are joined by a peering and a transit gateway, whose VPN connections have no zone. What leads
 * out of one VPC only serves that one (PCX-04, IGW-08, EP-03, VGW-04). */
static bool joined(const struct scene *stage, const struct port_policy *from, const struct port_policy *to)
{
	uint32_t slot = datapath_control(stage->datapath)->generation & 1;
	const struct port *ports = datapath_ports(stage->datapath);
	uint32_t a = ports[stage->numbers[SCENE_A]].slot[slot].zone, c = ports[stage->numbers[SCENE_C]].slot[slot].zone;

	if (from->zone == to->zone)
		return true;
	if ((from->kind == PORT_UPLINK && from->zone) || (to->kind == PORT_UPLINK && to->zone))
		return false;
	return (!from->zone || from->zone == a || from->zone == c) && (!to->zone || to->zone == a || to->zone == c);
}

void audit_delivery(const struct scene *stage, uint32_t in, uint32_t out, const uint8_t *frame)
{
	uint32_t slot = datapath_control(stage->datapath)->generation & 1;
	const struct port *ports = datapath_ports(stage->datapath);
	const struct port_policy *from = &ports[IN_PORT(in)].slot[slot], *to = &ports[out].slot[slot];

	MUST(to->kind == PORT_ENI || to->kind == PORT_UPLINK, "delivered to port %u of kind %u", out, to->kind);
	MUST(joined(stage, from, to), "from port %u of zone %u to port %u of zone %u", in, from->zone, out, to->zone);
	if (to->kind == PORT_ENI) {
		MUST(to->flags & PORT_LIVE, "delivered to port %u, which is not live", out);
		/* what the host's own stack sends goes out as it is */
		MUST(in & IN_TX || stage->mode & SCENE_BROKEN || !memcmp(frame, to->mac, 6),
		     "delivered to port %u with another MAC", out);
	}
}

static void check_name(const struct scene *stage, uint32_t index, uint32_t which)
{
	const struct flow_half *half = &datapath_records(stage->datapath)[index].half[which];
	const volatile struct control *control = datapath_control(stage->datapath);
	const struct name_bucket *buckets = datapath_names(stage->datapath);
	uint32_t ref = index << 1 | which, home, found = 0;
	uint64_t secrets[FLOW_SECRETS], print;
	const uint32_t *spilled;

	for (unsigned i = 0; i < FLOW_SECRETS; i++)
		secrets[i] = control->secrets[i];
	print = flow_fingerprint((const __u64 *)secrets, &half->tuple, half->in);
	home = name_home(print, control->nr_buckets);
	spilled = host_map_lookup(maps.spilled, &print);
	for (unsigned i = 0; i < 2 * BUCKET_NAMES; i++)
		found += buckets[home ^ (i & 1)].word[i / 2] == name_word(print, ref);
	found += spilled && *spilled == ref;
	MUST(found == 1, "half %u of record %u has %u names of its own", which, index, found);
}

static void note_use(uint32_t use)
{
	for (uint32_t i = 0; i < nr_uses; i++)
		if (uses[i] == use)
			return;
	if (nr_uses < USES_MAX)
		uses[nr_uses++] = use;
}

/* Every mapping is counted once: by its destination, if it has an address, and by its gateway. */
static void check_mappings(const struct scene *stage, const struct flow_record *records)
{
	const struct beside beside = datapath_beside(stage->datapath);
	const struct side *side;
	uint32_t used = used_records(stage), mapped = 0;
	uint64_t active = 0;

	for (uint32_t i = 0; i < used; i++)
		if (records[i].half[0].shared & RECORD_MAPPED) {
			mapped++;
			side = beside_side(&beside, &records[i], i);
			MUST(side, "record %u has a mapping and no side", i);
			if (side->mapping.addr && side->mapping.use != NAT_USE_NONE)
				note_use(side->mapping.use);
		}
	for (uint32_t u = 0; u < nr_uses; u++) {
		uint64_t seen = 0, counted = NAT_USE_COUNT(*(uint64_t *)host_map_lookup(maps.nat_uses, &uses[u]));

		for (uint32_t i = 0; i < used; i++) {
			side = records[i].half[0].shared & RECORD_MAPPED ? beside_side(&beside, &records[i], i) : NULL;
			seen += side && side->mapping.addr && side->mapping.use == uses[u];
		}
		MUST(seen == counted, "%lu mappings to one destination, counted %lu", (long)seen, (long)counted);
	}
	for (uint32_t port = 0; port < maps.nat_stats->max_entries && port < 64; port++)
		active += ((struct nat_stats *)host_map_lookup(maps.nat_stats, &port))->active;
	MUST(active == mapped, "%u mappings, their gateways count %lu", mapped, (long)active);
}

/* Tables of this size have nothing on shelves. */
static uint32_t count_free(const struct scene *stage, uint32_t used)
{
	const struct flow_record *records = datapath_records(stage->datapath);
	uint32_t at = (uint32_t)datapath_control(stage->datapath)->free_list, nr = 0;

	for (; at && at <= used && nr <= used; at = FREE_LINK(&records[at - 1]))
		nr += GS_STATE(records[at - 1].half[0].gs) == RECORD_FREE;
	return nr;
}

void audit_records(const struct scene *stage)
{
	const volatile struct control *control = datapath_control(stage->datapath);
	const struct flow_record *records = datapath_records(stage->datapath);
	const struct port_stats *stats = datapath_port_stats(stage->datapath);
	uint32_t flows[SCENE_PORTS] = {}, half_open[SCENE_PORTS] = {}, fragments = 0, named = 0, busy = 0;
	uint32_t used = used_records(stage);

	for (uint32_t i = 0; i < used; i++) {
		const struct flow_half *half = records[i].half;
		uint32_t state = GS_STATE(half[0].gs);

		MUST(state == RECORD_CLOSING ? GS_STATE(half[1].gs) == RECORD_GONE : half[0].gs == half[1].gs,
		     "the halves of record %u are of two minds", i);
		MUST(state != RECORD_BUSY, "record %u was left unfinished", i);
		for (uint32_t which = 0; which < 2 && state == RECORD_LIVE; which++)
			if (half[which].in) {
				check_name(stage, i, which);
				named++;
			}
		if (state == RECORD_FREE)
			continue;
		busy++;
		for (unsigned port = 0; port < SCENE_PORTS; port++)
			if (stage->numbers[port] == half[1].shared) {
				flows[port]++;
				half_open[port] += half[0].shared & RECORD_HALF_OPEN;
			}
	}
	check_mappings(stage, records);
	MUST(named == count_names(stage), "%u names, %u halves that have one", count_names(stage), named);
	MUST(busy == control->flows_used, "%u records in use, counted %u", busy, control->flows_used);
	MUST(used - busy == count_free(stage, used), "%u free records of %u used, %u in the list", used - busy, used,
	     count_free(stage, used));
	for (unsigned port = 0; port < SCENE_PORTS; port++) {
		const struct port_stats *its = &stats[stage->numbers[port]];

		if (!stage->numbers[port])
			continue;
		MUST(its->flows == flows[port] && its->half_open == half_open[port],
		     "port %u: %u flows, %u half open; charged %u, %u", port, flows[port], half_open[port], its->flows,
		     its->half_open);
		fragments += its->fragments + its->fragments_in;
	}
	MUST(fragments == maps.fragments->nr && fragments == maps.due->nr,
	     "%u datagrams remembered, %u charged, %u due", maps.fragments->nr, fragments, maps.due->nr);
}

void audit_empty(const struct scene *stage)
{
	audit_records(stage);
	MUST(!datapath_control(stage->datapath)->flows_used, "%u records outlive their time",
	     datapath_control(stage->datapath)->flows_used);
	MUST(!(stage->mode & SCENE_WIRE) || !maps.fragments->nr, "%u datagrams are still remembered",
	     maps.fragments->nr);
}
