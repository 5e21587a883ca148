/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Carry out a plan: the only code that writes policy into maps.
 *
 * Until the flip nothing that packets use is touched, so a failure is undone by writing the old values back. After the
 * flip the new state is in force whatever happens; what is left over then is found and removed by the next adoption.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/base.h"
#include "datapath/internal.h"
#include "datapath/records.h"

struct work {
	struct datapath *datapath;
	const struct plan *plan;
	const struct placement *next; /* the plan's, which the flip makes the datapath's */
	const struct image *image;
	uint32_t in_force; /* slot */
	uint32_t writes;
};

/* A state that is in force, and what is left to do when no packet is under way in the one before. */
struct unsettled {
	struct plan *plan;
	struct placement before; /* the plan points into it */
	uint32_t in_force;       /* slot, before */
	pthread_t waiter;
};

struct policy_line object_head(const struct image_object *object, uint32_t rule_base)
{
	struct policy_line head = object->lines[0];

	head.w[POLICY_W_LINES] = object->nr_lines;
	head.w[POLICY_W_RULES] = object->nr_rules;
	head.w[POLICY_W_RULE_BASE] = rule_base;
	memcpy(&head.w[POLICY_W_HASH], object->hash.w, sizeof(object->hash.w));
	return head;
}

static int place_objects(struct work *work)
{
	struct policy_line *lines = work->datapath->policy.at;

	for (size_t i = 0; i < work->plan->nr_objects; i++) {
		const struct plan_object *new = &work->plan->objects[i];
		const struct image_object *object = &work->image->objects[new->image];

		memcpy(lines + new->line, object->lines, object->nr_lines * sizeof(*lines));
		lines[new->line] = object_head(object, new->rule_base);
		work->writes++;
	}
	return 0;
}

void route_key(const struct cidr *cidr, uint32_t table, struct route_key *ret)
{
	struct route4_key key4 = {.prefixlen = 32u + cidr->prefixlen, .table = table, .addr = cidr->addr.ip4};
	struct route6_key key6 = {.prefixlen = 32u + cidr->prefixlen, .table = table};

	memcpy(key6.addr, cidr->addr.bytes, sizeof(key6.addr));
	if (cidr->family == 4)
		memcpy(ret->bytes, &key4, sizeof(key4));
	else
		memcpy(ret->bytes, &key6, sizeof(key6));
}

int route_map(const struct datapath *datapath, const struct cidr *cidr, uint32_t table, struct route_key *ret_key)
{
	route_key(cidr, table, ret_key);
	return datapath_map_fd(datapath, cidr->family == 4 ? "routes4" : "routes6");
}

static int start_batches(const struct datapath *datapath, struct batch *batch4, struct batch *batch6)
{
	int r = batch_init(batch4, datapath_map_fd(datapath, "routes4"), sizeof(struct route4_key),
			   sizeof(struct route));

	return r ? r
		 : batch_init(batch6, datapath_map_fd(datapath, "routes6"), sizeof(struct route6_key),
			      sizeof(struct route));
}

static int write_routes(struct work *work, const struct plan_table *new, struct batch *batch4, struct batch *batch6)
{
	const struct image_table *table = &work->image->tables[new->image];
	int r = 0;

	for (size_t i = 0; i < table->nr_routes && !r; i++) {
		struct route route = plan_route(work->plan, table, i, new->rule_base);
		struct route_key key;

		route_key(&table->routes[i].cidr, new->number, &key);
		r = batch_add(table->routes[i].cidr.family == 4 ? batch4 : batch6, key.bytes, &route);
		work->writes++;
	}
	if (!r)
		r = batch_flush(batch4);
	if (!r)
		r = batch_flush(batch6);
	return r;
}

/* The entry in `tables` comes last: a table that has one is complete. */
static int write_table(struct work *work, const struct plan_table *new)
{
	const struct image_table *table = &work->image->tables[new->image];
	struct table_version version = {.rule_base = new->rule_base, .nr_rules = table->nr_rules};

	version.nr_routes = (uint32_t)table->nr_routes;
	memcpy(version.hash, table->hash.w, sizeof(version.hash));
	work->writes++;
	return bpf_map_update_elem(datapath_map_fd(work->datapath, "tables"), &new->number, &version, BPF_ANY);
}

static int place_tables(struct work *work)
{
	struct batch batch4 = {}, batch6 = {};
	int r;

	if (!work->plan->nr_tables)
		return 0;
	r = start_batches(work->datapath, &batch4, &batch6);
	for (size_t i = 0; i < work->plan->nr_tables && !r; i++) {
		r = write_routes(work, &work->plan->tables[i], &batch4, &batch6);
		if (!r)
			r = write_table(work, &work->plan->tables[i]);
	}
	batch_done(&batch4);
	batch_done(&batch6);
	return r;
}

static int write_name(struct work *work, const char *map, uint32_t number, const char *id)
{
	struct port_name name;

	memset(&name, 0, sizeof(name));
	memcpy(name.id, id, strnlen(id, ID_MAX - 1));
	work->writes++;
	return bpf_map_update_elem(datapath_map_fd(work->datapath, map), &number, &name, BPF_ANY);
}

static int write_names(struct work *work)
{
	const struct plan *plan = work->plan;
	int r = 0;

	for (size_t i = 0; i < plan->nr_ports && !r; i++)
		if (plan->ports[i].named)
			r = write_name(work, "port_names", plan->ports[i].number,
				       plan->next.ports[plan->ports[i].number].id);
	for (size_t i = 0; i < plan->nr_subnets && !r; i++)
		if (plan->subnets[i].named)
			r = write_name(work, "subnet_names", plan->subnets[i].number,
				       plan->next.subnets[plan->subnets[i].number].id);
	return r;
}

static void write_slots(struct work *work, uint32_t slot)
{
	const struct plan *plan = work->plan;
	struct port *ports = work->datapath->ports.at;
	struct subnet *subnets = work->datapath->subnets.at;
	struct gateway_slots *gateways = work->datapath->gateways.at;

	for (size_t i = 0; i < plan->nr_gateways; i++)
		gateways[plan->gateways[i]].slot[slot] = work->next->gateways[plan->gateways[i]];
	for (size_t i = 0; i < plan->nr_ports; i++) {
		uint32_t number = plan->ports[i].number;

		ports[number].slot[slot] = work->next->ports[number].policy;
	}
	for (size_t i = 0; i < plan->nr_subnets; i++) {
		uint32_t number = plan->subnets[i].number;

		subnets[number].slot[slot] = work->next->subnets[number].policy;
	}
	work->writes += (uint32_t)(plan->nr_ports + plan->nr_subnets + plan->nr_gateways);
}

/* Write entries with the value `old` or `new` in either parity; `[parity]` picks: true = new. Entries that would be of
 * nobody in both are deleted. */
static int write_entries(struct work *work, int kind, const bool new_in[2])
{
	const struct entry_class *class = &entry_classes[kind];
	int fd = datapath_map_fd(work->datapath, class->map), r;
	struct batch batch = {};

	if (!work->plan->nr_entries[kind])
		return 0;
	r = batch_init(&batch, fd, class->key_size, 2 * class->value_size);
	for (size_t i = 0; i < work->plan->nr_entries[kind] && !r; i++) {
		const struct plan_entry *change = &work->plan->entries[kind][i];
		const uint8_t *key = change->old ? change->old->key : change->new->key;
		uint8_t value[2 * ENTRY_VALUE_MAX] = {};
		bool owned = false;

		for (int parity = 0; parity < 2; parity++) {
			const struct entry *source = new_in[parity] ? change->new : change->old;

			if (source)
				memcpy(value + (size_t)parity * class->value_size, source->value, class->value_size);
			owned = owned || source;
		}
		if (owned)
			r = batch_add(&batch, key, value);
		else if (bpf_map_delete_elem(fd, key) < 0 && errno != ENOENT)
			r = -errno;
		work->writes++;
	}
	if (!r)
		r = batch_flush(&batch);
	batch_done(&batch);
	return r;
}

static int write_all_entries(struct work *work, bool new_in_0, bool new_in_1)
{
	const bool new_in[2] = {new_in_0, new_in_1};
	int r = 0;

	for (int kind = 0; kind < ENTRY_KINDS && !r; kind++)
		r = write_entries(work, kind, new_in);
	return r;
}

/* Through the batch, if there was memory for it. */
static int delete_route(const struct datapath *datapath, const struct cidr *cidr, uint32_t table, struct batch *batch)
{
	struct route_key key;

	if (batch->keys) {
		route_key(cidr, table, &key);
		return batch_add(batch, key.bytes, NULL);
	}
	if (bpf_map_delete_elem(route_map(datapath, cidr, table, &key), key.bytes) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

/* What cannot be deleted does not hold the rest. ret: the first error */
static int delete_table(struct datapath *datapath, uint32_t number, const struct cidr *cidrs, size_t nr)
{
	struct batch batch4 = {}, batch6 = {};
	int r = 0, deleted;

	if (bpf_map_delete_elem(datapath_map_fd(datapath, "tables"), &number) < 0 && errno != ENOENT)
		return -errno; /* a table that has an entry is complete */
	(void)start_batches(datapath, &batch4, &batch6);
	for (size_t i = 0; i < nr; i++) {
		deleted = delete_route(datapath, &cidrs[i], number, cidrs[i].family == 4 ? &batch4 : &batch6);
		r = r ? r : deleted;
	}
	deleted = batch_delete(&batch4);
	r = r ? r : deleted;
	deleted = batch_delete(&batch6);
	r = r ? r : deleted;
	batch_done(&batch4);
	batch_done(&batch6);
	return r;
}

static int prepare(struct work *work)
{
	int r = place_objects(work);

	if (!r)
		r = place_tables(work);
	if (!r)
		r = write_names(work);
	if (!r) {
		write_slots(work, !work->in_force);
		r = write_all_entries(work, work->in_force != 0, work->in_force != 1);
	}
	return r;
}

/* Back to what is in force. Errors are ignored: the next apply reads the maps again and repairs what is left. */
static void undo(struct work *work)
{
	const struct plan *plan = work->plan;
	struct port *ports = work->datapath->ports.at;
	struct subnet *subnets = work->datapath->subnets.at;
	struct gateway_slots *gateways = work->datapath->gateways.at;

	for (size_t i = 0; i < plan->nr_gateways; i++)
		gateways[plan->gateways[i]].slot[!work->in_force] = gateways[plan->gateways[i]].slot[work->in_force];
	for (size_t i = 0; i < plan->nr_ports; i++)
		ports[plan->ports[i].number].slot[!work->in_force] = ports[plan->ports[i].number].slot[work->in_force];
	for (size_t i = 0; i < plan->nr_subnets; i++)
		subnets[plan->subnets[i].number].slot[!work->in_force] =
			subnets[plan->subnets[i].number].slot[work->in_force];
	(void)write_all_entries(work, false, false);
	for (size_t i = 0; i < plan->nr_tables; i++) {
		const struct placed_table *table =
			placement_table(&plan->next, &work->image->tables[plan->tables[i].image].hash);

		(void)delete_table(work->datapath, table->number, table->routes->cidrs, table->routes->nr);
	}
	work->datapath->stale = true;
}

static void flip(struct work *work)
{
	volatile struct control *control = datapath_control(work->datapath);

	for (size_t i = 0; work->plan->router_mac && i < sizeof(control->router_mac); i++)
		control->router_mac[i] = work->image->router_mac[i];
	__atomic_store_n(&control->generation, control->generation + 1, __ATOMIC_RELEASE);
	work->writes++;
}

/* Before the old slots are written over: has an ENI lost its traffic mirror sessions, or other ones than before? */
static bool mirrors_changed(const struct work *work)
{
	const struct port *ports = work->datapath->ports.at;
	const struct plan *plan = work->plan;

	for (size_t i = 0; i < plan->nr_ports; i++) {
		const struct port *port = &ports[plan->ports[i].number];
		uint32_t old = port->slot[work->in_force].mirror;

		if (old && old != port->slot[!work->in_force].mirror)
			return true;
	}
	return false;
}

/* After the grace period. */
static int settle(struct work *work)
{
	bool mirrors = !work->datapath->mirrors_known || mirrors_changed(work);
	const struct plan *plan = work->plan;
	int r;

	if (mirrors)
		mirrors_forget(work->datapath);
	write_slots(work, work->in_force);
	r = write_all_entries(work, true, true);
	for (size_t i = 0; i < plan->nr_old_tables; i++) {
		const struct placed_table *table = plan->old_tables[i];
		int deleted = delete_table(work->datapath, table->number, table->routes->cidrs, table->routes->nr);

		work->writes += (uint32_t)table->routes->nr + 1;
		r = r < 0 ? r : deleted;
	}
	return r;
}

/* CT-20 */
static int close_fallen(struct work *work)
{
	const struct plan *plan = work->plan;
	_cleanup_free_ bool *fell = calloc(PORTS_MAX, sizeof(*fell));
	bool any = false;

	if (!fell)
		return -ENOMEM;
	for (size_t i = 0; i < plan->nr_ports; i++) {
		fell[plan->ports[i].number] = plan->ports[i].fell;
		any = any || plan->ports[i].fell;
	}
	if (any)
		(void)records_leave_ports(work->datapath, fell, datapath_now_ns(work->datapath));
	return 0;
}

static void divide_flows(struct datapath *datapath)
{
	uint32_t nr = 0;

	for (uint32_t number = 1; number < datapath->placement.nr_ports; number++)
		nr += datapath->placement.ports[number].policy.kind == PORT_ENI;
	flow_limits(datapath_control(datapath), datapath->flows_max, nr);
}

static bool any_fell(const struct plan *plan)
{
	for (size_t i = 0; i < plan->nr_ports; i++)
		if (plan->ports[i].fell)
			return true;
	return false;
}

static int settle_now(struct work *work)
{
	int r;

	if (!work->datapath->replay)
		datapath_grace();
	r = settle(work);
	return r < 0 ? r : close_fallen(work);
}

/* ---- settling later: the grace period is waited out by a thread, which does nothing else */

static void *wait_grace(void *data)
{
	const struct datapath *datapath = data;
	uint64_t one = 1;

	datapath_grace();
	(void)!write(datapath->settled_fd, &one, sizeof(one));
	return NULL;
}

static void unsettled_free(struct unsettled *unsettled)
{
	placement_done(&unsettled->before);
	plan_free(&unsettled->plan);
	free(unsettled);
}

/* Takes the plan, and the placement that it was made from. ret: whether it could */
static bool settle_later(struct work *work, struct plan **plan)
{
	struct datapath *datapath = work->datapath;
	struct unsettled *unsettled = datapath->settled_fd < 0 ? NULL : calloc(1, sizeof(*unsettled));

	if (!unsettled)
		return false;
	if (pthread_create(&unsettled->waiter, NULL, wait_grace, datapath)) {
		free(unsettled);
		return false;
	}
	unsettled->plan = TAKE_PTR(*plan);
	unsettled->before = datapath->placement;
	unsettled->in_force = work->in_force;
	datapath->placement = unsettled->plan->next;
	unsettled->plan->next = (struct placement){};
	datapath->unsettled = unsettled;
	return true;
}

void datapath_settle(struct datapath *datapath)
{
	struct unsettled *unsettled = TAKE_PTR(datapath->unsettled);
	struct work work = {.datapath = datapath, .next = &datapath->placement};
	uint64_t count;

	if (!unsettled)
		return;
	(void)pthread_join(unsettled->waiter, NULL);
	(void)!read(datapath->settled_fd, &count, sizeof(count));
	work.plan = unsettled->plan;
	work.in_force = unsettled->in_force;
	if (settle(&work) < 0)
		datapath->stale = true;
	unsettled_free(unsettled);
}

int datapath_settles_later(struct datapath *datapath)
{
	if (datapath->settled_fd < 0)
		datapath->settled_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return datapath->settled_fd < 0 ? -errno : datapath->settled_fd;
}

/* Before the plan is handed on. What does not fit what is known is had by comparing everything. */
static int bind_decisions(struct work *work)
{
	struct datapath *datapath = work->datapath;
	const struct placement *before = &datapath->placement;

	if (before->version && datapath->decisions_of == before->version) {
		datapath->decisions_of = work->next->version;
		if (!decisions_change(&datapath->decisions, work->plan, work->image))
			return 0;
	}
	datapath->decisions_of = work->next->version;
	return decisions_bind(&datapath->decisions, work->next, work->image);
}

static int carry_out(struct work *work, struct plan **plan, char **ret_why)
{
	struct datapath *datapath = work->datapath;
	bool other_kinds = (*plan)->other_kinds;
	int r = prepare(work);

	if (r < 0) {
		undo(work);
		return refuse(ret_why, r, "cannot write the maps: %s; the old state stays in force", strerror(-r));
	}
	flip(work);
	r = bind_decisions(work);
	if (any_fell(*plan) || !settle_later(work, plan)) {
		if (settle_now(work) < 0)
			datapath->stale =
				true; /* the new state is in force; what is left goes with the next adoption */
		plan_commit(&datapath->placement, *plan);
	}
	if (other_kinds)
		divide_flows(datapath);
	return r;
}

int datapath_apply(struct datapath *datapath, const struct image *image, struct apply_result *ret, char **ret_why)
{
	struct work work = {.datapath = datapath, .image = image};
	struct plan *plan = NULL;
	uint32_t changed;
	int r = 0;

	if (datapath->read_only)
		return refuse(ret_why, -EROFS, "the datapath was opened to be read only");
	datapath_settle(datapath);
	r = programs_ready(datapath, ret_why);
	if (!r && datapath->stale)
		r = adopt_placement(datapath, true, ret_why);
	if (!r)
		r = plan_make(&datapath->placement, image, &plan, ret_why);
	if (r < 0 || !plan)
		return r;
	work.plan = plan;
	work.next = &plan->next;
	work.in_force = datapath_control(datapath)->generation & 1;
	changed = plan->changed;
	if (plan_is_empty(plan)) {
		divide_flows(datapath); /* a start with another --max-flows */
		r = decisions_bind(&datapath->decisions, &datapath->placement, image);
	} else
		r = carry_out(&work, &plan, ret_why);
	plan_free(&plan);
	if (!r)
		*ret = (struct apply_result){.changed = changed, .kernel_writes = work.writes};
	return r;
}

uint32_t datapath_port_number(const struct datapath *datapath, const char *id)
{
	return placement_port(&datapath->placement, id);
}

const char *datapath_port_id(const struct datapath *datapath, uint32_t port)
{
	return port < datapath->placement.nr_ports ? datapath->placement.ports[port].id : "";
}
