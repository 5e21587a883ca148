/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The maps after an apply, entry by entry: from random state to random state, restarted, refused, failed and killed at
 * every write (E2, E4). Needs root; says so and skips otherwise.
 *
 * The three functions that write maps are defined here, before libbpf's: they count, and fail or die when told to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <errno.h>
#include <limits.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "compile/image.h"
#include "datapath/internal.h"
#include "lib/world.h"

#define PIN_DIR_FORMAT "/sys/fs/bpf/enid-test-apply-%d"

static char pin_dir[64], other_dir[64];
static struct datapath *subject_datapath; /* of all tests: loading takes a second */
static const struct datapath_options options = {.pin_dir = pin_dir, .flows_max = 1024, .policy_lines = 65536};

/* ---- faults */

enum fault { FAULT_NONE, FAULT_ERROR, FAULT_KILL };

static enum fault fault;
static unsigned int writes_left;

/* From the n-th write on, every one fails: so the attempts to undo fail, too. */
static bool fault_now(void)
{
	if (fault == FAULT_NONE || (writes_left && --writes_left))
		return false;
	if (fault == FAULT_KILL)
		_exit(99);
	errno = EPERM;
	return true;
}

static int bpf_call(int command, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, command, attr, sizeof(*attr)) < 0 ? -errno : 0;
}

int bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags)
{
	union bpf_attr attr = {
		.map_fd = (uint32_t)fd, .key = (uintptr_t)key, .value = (uintptr_t)value, .flags = flags};

	return fault_now() ? -errno : bpf_call(BPF_MAP_UPDATE_ELEM, &attr);
}

static struct {
	bool on;
	int fd;
	struct route_key key; /* of routes4 */
} stuck;                      /* this one cannot be deleted */

int bpf_map_delete_elem(int fd, const void *key)
{
	union bpf_attr attr = {.map_fd = (uint32_t)fd, .key = (uintptr_t)key};

	if (stuck.on && fd == stuck.fd && !memcmp(key, stuck.key.bytes, sizeof(struct route4_key))) {
		errno = EBUSY;
		return -errno;
	}
	return fault_now() ? -errno : bpf_call(BPF_MAP_DELETE_ELEM, &attr);
}

/* One by one: whoever is killed may be so between any two, and so may the kernel stop. */
int bpf_map_delete_batch(int fd, const void *keys, __u32 *count, const struct bpf_map_batch_opts *opts)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info), nr = *count;
	int r = bpf_obj_get_info_by_fd(fd, &info, &size);

	(void)opts;
	for (*count = 0; !r && *count < nr; *count += !r)
		r = bpf_map_delete_elem(fd, (const char *)keys + (size_t)*count * info.key_size);
	if (r < 0)
		errno = -r;
	return r;
}

int bpf_map_update_batch(int fd, const void *keys, const void *values, __u32 *count,
			 const struct bpf_map_batch_opts *opts)
{
	union bpf_attr attr = {
		.batch = {
			.map_fd = (uint32_t)fd, .keys = (uintptr_t)keys, .values = (uintptr_t)values, .count = *count}};
	int r;

	(void)opts;
	if (fault_now())
		return -errno;
	r = bpf_call(BPF_MAP_UPDATE_BATCH, &attr);
	*count = attr.batch.count;
	return r;
}

#define BATCH_KEYS 4096u /* of datapath/batch.c */

static struct {
	bool on;
	unsigned int left; /* the next one fails, and all after it */
} batch_memory;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

/* The test is linked so that our objects' calls come here. */
void *__wrap_malloc(size_t size)
{
	bool keys = size == BATCH_KEYS * sizeof(struct route4_key) || size == BATCH_KEYS * sizeof(struct route6_key);

	if (!batch_memory.on || !keys)
		return __real_malloc(size);
	if (batch_memory.left) {
		batch_memory.left--;
		return __real_malloc(size);
	}
	errno = ENOMEM;
	return NULL;
}

/* ---- states */

struct subject {
	struct world *world;
	struct image *image;
};

static struct subject subject_make(uint64_t seed)
{
	struct subject subject = {.world = world_make(seed, seed)};
	char *why = NULL;

	assert_int_equal(compile_image(&subject.world->state, &subject.world->state.hosts[0], &subject.image, &why), 0);
	return subject;
}

/* The same ENIs under other rules: no port falls on the way from one to the other. */
static struct subject subject_edited(uint64_t seed)
{
	struct subject subject = {.world = world_make(seed, seed)};
	struct state *state = &subject.world->state;
	char *why = NULL;

	for (size_t i = 0; i < state->nr_groups; i++)
		state->groups[i].nr_in /= 2;
	for (size_t i = 0; i < state->nr_nacls; i++)
		state->nacls[i].nr_out /= 2;
	for (size_t i = 0; i < state->nr_tables; i++)
		state->tables[i].nr_routes /= 2;
	for (size_t i = 0; i < state->nr_enis; i++)
		state->enis[i].check = !state->enis[i].check;
	assert_int_equal(compile_image(state, &state->hosts[0], &subject.image, &why), 0);
	return subject;
}

/* One table of many batches. */
static struct subject subject_of_many_routes(uint64_t seed)
{
	struct subject subject = {.world = world_make(seed, seed)};
	struct state *state = &subject.world->state;
	struct route_table *table = NULL;
	char *why = NULL;

	for (size_t i = 0; i < state->nr_subnets && !table; i++)
		table = state->subnets[i].table;
	assert_non_null(table);
	table->nr_routes = 2 * BATCH_KEYS + 7;
	table->routes = world_alloc(subject.world, table->nr_routes, sizeof(*table->routes));
	for (uint32_t i = 0; i < table->nr_routes; i++)
		table->routes[i] = (struct vpc_route){.cidr = {.family = 4, .prefixlen = 28},
						      .destination = "many",
						      .target = TARGET_IGW,
						      .target_id = "igw",
						      .blackhole = true};
	for (uint32_t i = 0; i < table->nr_routes; i++)
		table->routes[i].cidr.addr.ip4 = htobe32(0x64000000u + (i << 4));
	assert_int_equal(compile_image(state, &state->hosts[0], &subject.image, &why), 0);
	return subject;
}

static void subject_done(struct subject *subject)
{
	image_free(&subject->image);
	world_free(subject->world);
}

/* ---- what the maps hold, compared with an image */

static size_t count_keys(const struct datapath *datapath, const char *map)
{
	int fd = datapath_map_fd(datapath, map);
	uint8_t key[64], next[64];
	size_t nr = 0;

	while (!bpf_map_get_next_key(fd, nr ? key : NULL, next)) {
		memcpy(key, next, sizeof(key));
		nr++;
	}
	return nr;
}

static void check_object(const struct datapath *datapath, uint32_t line, const struct image_object *object)
{
	struct policy_line head = ((struct policy_line *)datapath->policy.at)[line];

	assert_int_equal(head.w[POLICY_W_LINES], object->nr_lines);
	assert_memory_equal(&head.w[POLICY_W_HASH], object->hash.w, sizeof(object->hash.w));
	head.w[POLICY_W_RULE_BASE] = 0;
	memset(&head.w[POLICY_W_HASH], 0, sizeof(object->hash.w));
	assert_memory_equal(head.w, object->lines[0].w, 10 * sizeof(head.w[0]));
	assert_memory_equal((struct policy_line *)datapath->policy.at + line + 1, object->lines + 1,
			    (object->nr_lines - 1) * sizeof(head));
}

static void check_decision(const struct datapath *datapath, uint32_t stage, uint32_t number,
			   const struct image_rule *rule)
{
	struct decision_text text;

	assert_true(datapath_decision(datapath, DECISION(stage, number), &text));
	assert_string_equal(text.id, rule->id);
	assert_string_equal(text.rule, rule->text);
}

static void check_ports(struct datapath *datapath, const struct image *image)
{
	const struct port *ports = datapath_ports(datapath);
	uint32_t in_use = 0;

	for (size_t i = 0; i < image->nr_ports; i++) {
		const struct image_port *port = &image->ports[i];
		uint32_t number = datapath_port_number(datapath, port->id);
		const struct port_policy *policy = &ports[number].slot[0];

		assert_int_not_equal(number, 0);
		assert_string_equal(datapath_port_id(datapath, number), port->id);
		assert_int_equal(policy->kind, port->kind);
		assert_int_equal(policy->flags, port->flags);
		assert_int_equal(policy->identity, port->identity);
		assert_memory_equal(policy->mac, port->mac, 6);
		if (port->sg_in != IMAGE_NONE)
			check_object(datapath, policy->sg_in, &image->objects[port->sg_in]);
		if (port->sg_out != IMAGE_NONE)
			check_object(datapath, policy->sg_out, &image->objects[port->sg_out]);
	}
	for (uint32_t number = 0; number < PORTS_MAX; number++) {
		assert_memory_equal(&ports[number].slot[0], &ports[number].slot[1], sizeof(struct port_policy));
		in_use += ports[number].slot[0].kind != PORT_NONE;
	}
	assert_int_equal(in_use, image->nr_ports);
}

static void check_table(const struct datapath *datapath, uint32_t number, const struct image_table *table)
{
	for (size_t i = 0; i < table->nr_routes; i++) {
		const struct image_route *wanted = &table->routes[i];
		struct route_key key;
		struct route route;

		assert_int_equal(
			bpf_map_lookup_elem(route_map(datapath, &wanted->cidr, number, &key), key.bytes, &route), 0);
		assert_int_equal(route.kind, wanted->kind);
		if (wanted->target != IMAGE_NONE)
			assert_int_not_equal(route.target, 0);
		check_decision(datapath, STAGE_ROUTE, route.rule, &table->rules[wanted->rule]);
	}
}

static void check_subnets(struct datapath *datapath, const struct image *image)
{
	const struct subnet *subnets = datapath->subnets.at;
	size_t nr_routes = 0;

	for (size_t i = 0; i < image->nr_tables; i++)
		nr_routes += image->tables[i].nr_routes;
	for (size_t i = 0; i < image->nr_subnets; i++) {
		const struct image_subnet *subnet = &image->subnets[i];
		uint32_t number = placement_subnet(&datapath->placement, subnet->id);

		assert_int_equal(subnets[number].slot[0].net4, subnet->net4);
		if (subnet->nacl_in != IMAGE_NONE)
			check_object(datapath, subnets[number].slot[0].nacl_in, &image->objects[subnet->nacl_in]);
		if (subnet->table != IMAGE_NONE)
			check_table(datapath, subnets[number].slot[0].table, &image->tables[subnet->table]);
	}
	for (uint32_t number = 0; number < SUBNETS_MAX; number++)
		assert_memory_equal(&subnets[number].slot[0], &subnets[number].slot[1], sizeof(struct subnet_policy));
	assert_int_equal(count_keys(datapath, "tables"), image->nr_tables);
	assert_int_equal(count_keys(datapath, "routes4") + count_keys(datapath, "routes6"), nr_routes);
}

static void check_entries(const struct datapath *datapath, const struct image *image)
{
	for (size_t i = 0; i < image->nr_addresses; i++) {
		uint32_t port = datapath_port_number(datapath, image->ports[image->addresses[i].port].id);
		struct address address;

		assert_int_equal(
			bpf_map_lookup_elem(datapath_map_fd(datapath, "addresses"), &image->addresses[i].key, &address),
			0);
		assert_int_equal(address.port[0], port);
		assert_int_equal(address.port[1], port);
	}
	for (size_t i = 0; i < image->nr_associations; i++) {
		uint32_t port = datapath_port_number(datapath, image->ports[image->associations[i].port].id);
		struct association association;

		assert_int_equal(bpf_map_lookup_elem(datapath_map_fd(datapath, "associations"),
						     &image->associations[i].key, &association),
				 0);
		for (int slot = 0; slot < 2; slot++) {
			assert_int_equal(association.slot[slot].port, port);
			assert_int_equal(association.slot[slot].other, image->associations[i].other);
		}
	}
	assert_int_equal(count_keys(datapath, "addresses"), image->nr_addresses);
	assert_int_equal(count_keys(datapath, "associations"), image->nr_associations);
	assert_int_equal(count_keys(datapath, "macs"), image->nr_macs);
}

static void check_maps(struct datapath *datapath, const struct image *image)
{
	check_ports(datapath, image);
	check_subnets(datapath, image);
	check_entries(datapath, image);
}

/* ---- tests */

static struct datapath *open_it(const struct datapath_options *how)
{
	struct datapath *datapath = NULL;
	char *why = NULL;
	int r = datapath_open(how, &datapath, &why);

	if (r < 0)
		fail_msg("%s", why);
	return datapath;
}

static struct apply_result apply(struct datapath *datapath, const struct image *image)
{
	struct apply_result result = {};
	char *why = NULL;
	int r = datapath_apply(datapath, image, &result, &why);

	if (r < 0)
		fail_msg("%s", why);
	return result;
}

static void maps_equal_the_image_and_twice_writes_nothing(void **state)
{
	struct datapath *datapath = subject_datapath;
	uint64_t seed = test_seed("apply");

	(void)state;
	for (uint64_t i = 0; i < 20; i++) {
		struct subject subject = subject_make(seed + i / 2 * 2 + (i % 4 == 3));
		struct apply_result again;

		(void)apply(datapath, subject.image);
		check_maps(datapath, subject.image);
		again = apply(datapath, subject.image);
		assert_int_equal(again.kernel_writes, 0);
		assert_int_equal(again.changed, 0);
		subject_done(&subject);
	}
}

/* Apply `image` in a child with a fault from the n-th write on.
 * ret: exit code; 0 = there was no n-th write, 1 = refused, 2 = done but for what is left over, 99 = killed */
static int apply_in_child(struct datapath *datapath, const struct image *image, enum fault what, unsigned int n)
{
	pid_t child = fork();
	int status;

	if (!child) {
		struct apply_result result;
		char *why = NULL;

		fault = what;
		writes_left = n;
		if (datapath_apply(datapath, image, &result, &why) < 0)
			_exit(1);
		datapath_settle(datapath);
		_exit(writes_left ? 0 : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* One fault at the n-th write: afterwards exactly the old or exactly the new state holds, and the new one can be
 * applied. ret: false = there is no n-th write */
static bool survive(struct datapath *datapath, const struct subject *old, const struct subject *new, enum fault what,
		    unsigned int n)
{
	volatile struct control *control = datapath_control(datapath);
	uint32_t generation;
	bool flipped;
	char *why = NULL;
	int code;

	(void)apply(datapath, old->image);
	datapath_settle(datapath); /* a child has no threads of ours */
	generation = control->generation;
	code = apply_in_child(datapath, new->image, what, n);
	flipped = control->generation != generation;
	if (code == 1)
		assert_false(flipped); /* refused = nothing of it is in force */
	assert_int_equal(adopt_placement(datapath, true, &why), 0);
	assert_int_equal(datapath_bind(datapath, flipped ? new->image : old->image), 0);
	check_maps(datapath, flipped ? new->image : old->image);
	(void)apply(datapath, new->image);
	datapath_settle(datapath);
	check_maps(datapath, new->image);
	return code != 0;
}

static void survive_every_write(struct datapath *datapath, struct subject old, struct subject new, enum fault what)
{
	unsigned int n = 1;

	while (survive(datapath, &old, &new, what, n))
		n++;
	print_message("%u writes\n", n - 1);
	assert_true(n > 10);
	subject_done(&old);
	subject_done(&new);
}

/* From this seed on the first that needs writes that can fail: policy is written through shared memory. */
static uint64_t seed_with_tables(uint64_t seed)
{
	for (;; seed++) {
		struct subject subject = subject_make(seed);
		size_t nr = 0;

		for (size_t i = 0; i < subject.image->nr_tables; i++)
			nr += subject.image->tables[i].nr_routes > 2;
		subject_done(&subject);
		if (nr >= 4)
			return seed;
	}
}

static void failed_at_every_write(void **state)
{
	uint64_t seed = seed_with_tables(test_seed("faults"));

	(void)state;
	survive_every_write(subject_datapath, subject_make(seed), subject_make(seed + 1), FAULT_ERROR);
}

static void killed_at_every_write(void **state)
{
	uint64_t seed = seed_with_tables(test_seed("faults"));

	(void)state;
	survive_every_write(subject_datapath, subject_make(seed), subject_make(seed + 1), FAULT_KILL);
}

/* ---- deleting */

static size_t count_routes(const struct datapath *datapath)
{
	return count_keys(datapath, "routes4") + count_keys(datapath, "routes6");
}

static const struct image_table *largest_table(const struct image *image)
{
	const struct image_table *largest = image->tables;

	for (size_t i = 1; i < image->nr_tables; i++)
		if (image->tables[i].nr_routes > largest->nr_routes)
			largest = &image->tables[i];
	assert_true(largest->nr_routes > 2 * BATCH_KEYS);
	return largest;
}

static void a_route_that_stays_does_not_hold_the_others(void **state)
{
	struct datapath *datapath = subject_datapath;
	uint64_t seed = seed_with_tables(test_seed("stuck"));
	struct subject many = subject_of_many_routes(seed), few = subject_make(seed);
	const struct image_table *table = largest_table(many.image);
	uint32_t number;
	size_t left;

	(void)state;
	(void)apply(datapath, few.image);
	left = count_routes(datapath) + 1;
	(void)apply(datapath, many.image);
	check_maps(datapath, many.image);
	number = placement_table(&datapath->placement, &table->hash)->number;
	stuck.fd = route_map(datapath, &table->routes[0].cidr, number, &stuck.key);
	stuck.on = true;
	(void)apply(datapath, few.image);
	stuck.on = false;
	assert_int_equal(count_routes(datapath), left);
	(void)apply(datapath, few.image);
	check_maps(datapath, few.image);
	subject_done(&many);
	subject_done(&few);
}

/* Refused or done, nothing is left over: where there is no memory for a batch, routes are deleted one by one. */
static void without_memory_for_batches_nothing_is_left_over(void **state)
{
	struct datapath *datapath = subject_datapath;
	uint64_t seed = seed_with_tables(test_seed("memory"));
	struct subject many = subject_of_many_routes(seed), few = subject_make(seed);
	unsigned int nr_refused = 0, nr_done = 0;
	size_t before;

	(void)state;
	for (unsigned int n = 0; !n || !batch_memory.left; n++) {
		struct apply_result result;
		char *why = NULL;
		int r;

		(void)apply(datapath, many.image);
		before = count_routes(datapath);
		batch_memory.on = true;
		batch_memory.left = n;
		r = datapath_apply(datapath, few.image, &result, &why);
		batch_memory.on = false;
		nr_refused += r < 0;
		nr_done += !r;
		if (r < 0)
			assert_int_equal(count_routes(datapath), before);
		else
			check_maps(datapath, few.image);
		free(why);
	}
	print_message("%u refused, %u done\n", nr_refused, nr_done);
	assert_true(nr_refused && nr_done > 2);
	subject_done(&many);
	subject_done(&few);
}

/* ---- settling later */

static int settle_later(void **state)
{
	(void)state;
	assert_true(datapath_settles_later(subject_datapath) >= 0);
	return 0;
}

static int settle_at_once(void **state)
{
	(void)state;
	datapath_settle(subject_datapath);
	close(subject_datapath->settled_fd);
	subject_datapath->settled_fd = -1;
	return 0;
}

/* In force at once, and in one slot only; the other follows after the grace period, or before the next change. */
static void later_settling_ends_in_the_same_maps(void **state)
{
	volatile struct control *control = datapath_control(subject_datapath);
	uint64_t seed = test_seed("later");

	(void)state;
	for (uint64_t i = 0; i < 12; i++) {
		struct subject one = subject_make(seed + i), two = subject_edited(seed + i);
		uint32_t generation;

		(void)apply(subject_datapath, one.image);
		datapath_settle(subject_datapath);
		check_maps(subject_datapath, one.image);
		generation = control->generation;
		(void)apply(subject_datapath, two.image);
		assert_int_equal(control->generation, generation + 1);
		assert_non_null(subject_datapath->unsettled);
		if (i % 2) {
			(void)apply(subject_datapath, one.image);
			assert_int_equal(control->generation, generation + 2);
			assert_non_null(subject_datapath->unsettled);
		}
		datapath_settle(subject_datapath);
		assert_null(subject_datapath->unsettled);
		check_maps(subject_datapath, i % 2 ? one.image : two.image);
		subject_done(&one);
		subject_done(&two);
	}
}

static void failed_at_every_write_but_settled_later(void **state)
{
	uint64_t seed = seed_with_tables(test_seed("faults"));

	(void)state;
	survive_every_write(subject_datapath, subject_make(seed), subject_edited(seed), FAULT_ERROR);
}

static void killed_at_every_write_but_settled_later(void **state)
{
	uint64_t seed = seed_with_tables(test_seed("faults"));

	(void)state;
	survive_every_write(subject_datapath, subject_make(seed), subject_edited(seed), FAULT_KILL);
}

static void restart_adopts_and_writes_nothing(void **state)
{
	struct subject subject = subject_make(test_seed("restart"));
	struct datapath_options any_size = {.pin_dir = pin_dir};
	struct apply_result again;
	uint64_t secret;

	(void)state;
	(void)apply(subject_datapath, subject.image);
	secret = datapath_control(subject_datapath)->secrets[0];
	datapath_close(&subject_datapath);
	subject_datapath = open_it(&any_size);
	assert_int_equal(datapath_flows_max(subject_datapath), options.flows_max);
	assert_int_equal(datapath_control(subject_datapath)->secrets[0], secret);
	again = apply(subject_datapath, subject.image);
	assert_int_equal(again.kernel_writes, 0);
	check_maps(subject_datapath, subject.image);
	subject_done(&subject);
}

static uint32_t program_id(struct datapath *datapath, const char *name)
{
	struct bpf_prog_info info = {};
	uint32_t length = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(datapath_program(datapath, name, NULL), &info, &length), 0);
	return info.id;
}

static void open_again(void)
{
	struct datapath_options any_size = {.pin_dir = pin_dir, .later = true};

	datapath_close(&subject_datapath);
	subject_datapath = open_it(&any_size);
}

/* The same build's programs are adopted, those that nobody needs are not there, and others' are not trusted (E6). */
static void programs_are_verified_once(void **state)
{
	static const char *const names[] = {"tc_rx", "tc_tx", "xdp_rx"};
	char path[PATH_MAX + 16], target[64] = "";
	uint32_t ids[3];

	(void)state;
	assert_int_equal(datapath_prog_fd(subject_datapath, "xdp_rx"), -ENOENT);
	for (size_t i = 0; i < 3; i++)
		ids[i] = program_id(subject_datapath, names[i]);
	open_again();
	assert_int_equal(subject_datapath->nr_loading, 0);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(program_id(subject_datapath, names[i]), ids[i]);
	assert_int_equal(datapath_program(subject_datapath, "no_such_program", NULL), -ENOENT);

	snprintf(path, sizeof(path), "%s/progs/build", subject_datapath->root);
	assert_true(readlink(path, target, sizeof(target) - 1) > 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("another-build", path), 0);
	open_again();
	assert_int_equal(subject_datapath->nr_loading, 2);
	assert_int_equal(datapath_prog_fd(subject_datapath, "xdp_rx"), -ENOENT);
	assert_int_not_equal(program_id(subject_datapath, "xdp_rx"), ids[2]);
	assert_int_equal(readlink(path, target, sizeof(target) - 1), 32);
}

/* A program of our build and name at our pin, which works on the maps of another datapath, is not taken for ours. */
static void e6_a_program_on_other_maps_is_not_adopted(void **state)
{
	struct datapath_options other_options = {.pin_dir = other_dir, .flows_max = 512, .policy_lines = 65536};
	struct datapath *other = open_it(&other_options);
	uint32_t theirs = program_id(other, "tc_rx");
	char path[PATH_MAX + 16];

	(void)state;
	open_again();
	assert_int_equal(programs_ready(subject_datapath, NULL), 0);
	open_again();
	assert_true(subject_datapath->same_build);
	snprintf(path, sizeof(path), "%s/progs/tc_rx", subject_datapath->root);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(bpf_obj_pin(datapath_prog_fd(other, "tc_rx"), path), 0);
	open_again();
	assert_int_equal(programs_ready(subject_datapath, NULL), 0);
	assert_int_not_equal(program_id(subject_datapath, "tc_rx"), theirs);
	open_again(); /* nor is it what is pinned now */
	assert_int_not_equal(program_id(subject_datapath, "tc_rx"), theirs);
	datapath_close(&other);
}

/* A failed start keeps failing, with its words, and touches no pin; so does what the verifier refuses later. */
static void a_load_that_failed_is_remembered(void **state)
{
	char path[PATH_MAX + 32], target[64] = "", *why[2] = {};

	(void)state;
	open_again();
	subject_datapath->same_build = false; /* as after an upgrade */
	subject_datapath->unpinned = true;
	subject_datapath->loading[subject_datapath->nr_loading++] =
		(struct loading){.datapath = subject_datapath, .name = "no_such_program", .needed = true, .fd = -1};
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(programs_ready(subject_datapath, &why[i]), -ENOENT);
		assert_non_null(why[i]);
		assert_non_null(strstr(why[i], "no_such_program"));
		free(why[i]);
	}
	snprintf(path, sizeof(path), "%s/progs/build", subject_datapath->root);
	assert_int_equal(readlink(path, target, sizeof(target) - 1), 32);
	open_again();
	for (size_t i = 0; i < 2; i++) {
		why[i] = NULL;
		assert_int_equal(datapath_program(subject_datapath, "no_such_program", &why[i]), -ENOENT);
		assert_non_null(why[i]);
		free(why[i]);
	}
	assert_int_equal(programs_ready(subject_datapath, NULL), 0);
}

/* ENOMEM, EAGAIN: not for the agent's life. */
static void a_load_is_tried_again(void **state)
{
	struct unloaded failed = {.name = "xdp_rx", .error = -ENOMEM};
	struct timespec now;
	char *why = NULL;

	(void)state;
	open_again();
	clock_gettime(CLOCK_MONOTONIC, &now);
	failed.at_ns = (uint64_t)now.tv_sec * 1000000000u;
	subject_datapath->same_build = false; /* no pin to take it from */
	subject_datapath->unpinned = false;
	failed.why = strdup("no room");
	subject_datapath->unloaded[subject_datapath->nr_unloaded++] = failed;
	assert_int_equal(datapath_program(subject_datapath, "xdp_rx", &why), -ENOMEM);
	assert_string_equal(why, "no room");
	free(why);
	subject_datapath->unloaded[0].at_ns -= 10000000000u;
	assert_true(datapath_program(subject_datapath, "xdp_rx", NULL) >= 0);
	assert_int_equal(subject_datapath->nr_unloaded, 0);
}

static void other_sizes_are_refused(void **state)
{
	struct datapath_options larger = {.pin_dir = pin_dir, .flows_max = 1024, .policy_lines = 131072};
	struct datapath *second = NULL;
	char *why = NULL;

	(void)state;
	assert_int_equal(datapath_open(&larger, &second, &why), -EPROTO);
	assert_null(second);
	assert_non_null(strstr(why, " are asked for: run 'enid detach --all' first"));
	free(why);
}

static void reader_sees_all_and_writes_nothing(void **state)
{
	struct subject subject = subject_make(test_seed("reader"));
	struct datapath_options looking = {.pin_dir = pin_dir, .read_only = true};
	struct apply_result result;
	struct datapath *reader;

	(void)state;
	(void)apply(subject_datapath, subject.image);
	reader = open_it(&looking);
	assert_int_equal(datapath_bind(reader, subject.image), 0);
	check_maps(reader, subject.image);
	assert_int_equal(datapath_apply(reader, subject.image, &result, NULL), -EROFS);
	datapath_close(&reader);
	subject_done(&subject);
}

static void devices_lead_in_and_out(void **state)
{
	struct subject subject = subject_make(test_seed("devices"));
	int fd = datapath_map_fd(subject_datapath, "devices"), far = datapath_map_fd(subject_datapath, "devices_far");
	const struct port *ports = datapath_ports(subject_datapath);
	uint32_t a, b, near_index = 700, far_index = DEVICES_NEAR + 5, port;

	(void)state;
	(void)apply(subject_datapath, subject.image);
	assert_true(subject.image->nr_ports > 1);
	a = datapath_port_number(subject_datapath, subject.image->ports[0].id);
	b = datapath_port_number(subject_datapath, subject.image->ports[1].id);
	assert_int_equal(datapath_set_device(subject_datapath, a, near_index, DELIVER_PEER), 0);
	assert_int_equal(bpf_map_lookup_elem(fd, &near_index, &port), 0);
	assert_int_equal(port, a);
	assert_int_equal(datapath_set_device(subject_datapath, a, far_index, DELIVER_REDIRECT), 0); /* the port moves */
	assert_int_equal(bpf_map_lookup_elem(fd, &near_index, &port), 0);
	assert_int_equal(port, 0);
	assert_int_equal(ports[a].ifindex, far_index);
	assert_int_equal(datapath_set_device(subject_datapath, b, far_index, DELIVER_REDIRECT),
			 0); /* the device does */
	assert_int_equal(ports[a].deliver, DELIVER_NOT);
	assert_int_equal(ports[a].ifindex, 0);
	assert_int_equal(bpf_map_lookup_elem(far, &far_index, &port), 0);
	assert_int_equal(port, b);
	assert_int_equal(datapath_clear_device(subject_datapath, far_index), 0);
	assert_int_equal(bpf_map_lookup_elem(far, &far_index, &port), -ENOENT);
	assert_int_equal(ports[b].ifindex, 0);
	subject_done(&subject);
}

static int set_up(void **state)
{
	(void)state;
	snprintf(pin_dir, sizeof(pin_dir), PIN_DIR_FORMAT, (int)getpid());
	snprintf(other_dir, sizeof(other_dir), PIN_DIR_FORMAT "-other", (int)getpid());
	subject_datapath = open_it(&options);
	return 0;
}

static int tear_down(void **state)
{
	char command[192];

	(void)state;
	datapath_close(&subject_datapath);
	snprintf(command, sizeof(command), "rm -rf %s %s", pin_dir, other_dir);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(maps_equal_the_image_and_twice_writes_nothing),
		cmocka_unit_test(failed_at_every_write),
		cmocka_unit_test(killed_at_every_write),
		cmocka_unit_test(a_route_that_stays_does_not_hold_the_others),
		cmocka_unit_test(without_memory_for_batches_nothing_is_left_over),
		cmocka_unit_test_setup_teardown(later_settling_ends_in_the_same_maps, settle_later, settle_at_once),
		cmocka_unit_test_setup_teardown(failed_at_every_write_but_settled_later, settle_later, settle_at_once),
		cmocka_unit_test_setup_teardown(killed_at_every_write_but_settled_later, settle_later, settle_at_once),
		cmocka_unit_test(a_load_that_failed_is_remembered),
		cmocka_unit_test(a_load_is_tried_again),
		cmocka_unit_test(other_sizes_are_refused),
		cmocka_unit_test(reader_sees_all_and_writes_nothing),
		cmocka_unit_test(devices_lead_in_and_out),
		cmocka_unit_test(restart_adopts_and_writes_nothing),
		cmocka_unit_test(programs_are_verified_once),
		cmocka_unit_test(e6_a_program_on_other_maps_is_not_adopted),
	};

	if (geteuid()) {
		printf("SKIP test_apply: needs root\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
