/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which device carries which port, against what the agent told the datapath: both directions, and what is too many. */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "datapath/drift_keys.h"

struct look {
	struct drift_walk *walk;
	struct drift_carrier *carriers; /* by interface index */
	size_t nr;
	const struct drift_carrier **of; /* by port; NULL = none */
	int error;                       /* the first */
};

static int by_index(const void *a, const void *b)
{
	const struct drift_carrier *x = a, *y = b;

	return (x->ifindex > y->ifindex) - (x->ifindex < y->ifindex);
}

static const struct drift_carrier *carrier_of(const struct look *look, uint32_t ifindex)
{
	const struct drift_carrier key = {.ifindex = ifindex};

	return look->nr ? bsearch(&key, look->carriers, look->nr, sizeof(key), by_index) : NULL;
}

static void note(struct look *look, const char *map, uint32_t port)
{
	const struct placement *placement = &look->walk->datapath->placement;

	drift_note(look->walk, map, port && port < placement->nr_ports ? placement->ports[port].id : "");
}

/* ---- in: the device's entry */

static void check_entry(struct look *look, uint32_t ifindex, uint32_t is)
{
	const struct drift_carrier *carrier = carrier_of(look, ifindex);
	const char *map = ifindex < DEVICES_NEAR ? "devices" : "devices_far";
	uint32_t wanted = carrier ? carrier->port : 0;
	int r;

	if (is == wanted || (carrier && carrier->how < 0))
		return;
	note(look, map, wanted ? wanted : is);
	if (wanted || ifindex < DEVICES_NEAR)
		r = bpf_map_update_elem(datapath_map_fd(look->walk->datapath, map), &ifindex, &wanted, BPF_ANY);
	else
		r = bpf_map_delete_elem(datapath_map_fd(look->walk->datapath, map), &ifindex);
	if (r < 0 && !look->error)
		look->error = -errno;
}

/* The carriers in order and the array's indexes go side by side; most of both is nothing. */
static int check_near(struct look *look)
{
	uint32_t *keys = calloc(2 * (size_t)DEVICES_NEAR, sizeof(*keys)), *values;
	uint32_t nr = DEVICES_NEAR, last;
	size_t next = 0;
	int r;

	if (!keys)
		return -ENOMEM;
	values = keys + DEVICES_NEAR;
	r = bpf_map_lookup_batch(datapath_map_fd(look->walk->datapath, "devices"), NULL, &last, keys, values, &nr,
				 NULL);
	r = r < 0 && errno != ENOENT ? -errno : 0; /* that is the end */
	for (uint32_t i = 0; i < nr && !r; i++) {
		bool carried;

		while (next < look->nr && look->carriers[next].ifindex < keys[i])
			next++;
		carried = next < look->nr && look->carriers[next].ifindex == keys[i];
		if (values[i] || carried)
			check_entry(look, keys[i], values[i]);
	}
	free(keys);
	return r;
}

/* A key is changed when the one behind it is known already. */
static void check_far(struct look *look)
{
	int fd = datapath_map_fd(look->walk->datapath, "devices_far");
	uint32_t key = 0, next = 0, is = 0;
	bool more = !bpf_map_get_next_key(fd, NULL, &next);

	for (size_t i = 0; more && i < PORTS_MAX; i++) {
		key = next;
		more = !bpf_map_get_next_key(fd, &key, &next);
		if (!bpf_map_lookup_elem(fd, &key, &is))
			check_entry(look, key, is);
	}
	for (size_t i = 0; i < look->nr; i++)
		if (look->carriers[i].ifindex >= DEVICES_NEAR &&
		    bpf_map_lookup_elem(fd, &look->carriers[i].ifindex, &is) < 0)
			check_entry(look, look->carriers[i].ifindex, 0);
}

/* ---- out: the port's device */

static void check_ports(struct look *look)
{
	struct datapath *datapath = look->walk->datapath;
	struct port *ports = datapath->ports.at;

	for (uint32_t number = 1; number < datapath->placement.nr_ports; number++) {
		const struct drift_carrier *carrier = look->of[number];
		uint32_t ifindex = carrier ? carrier->ifindex : 0;
		uint32_t how = carrier ? (uint32_t)carrier->how : DELIVER_NOT;

		if ((carrier && carrier->how < 0) || (ports[number].ifindex == ifindex && ports[number].deliver == how))
			continue;
		note(look, "ports", number);
		__atomic_store_n(&ports[number].ifindex, ifindex, __ATOMIC_RELEASE);
		__atomic_store_n(&ports[number].deliver, how, __ATOMIC_RELEASE);
	}
}

/* A port that two devices claim is not judged. */
static void index_ports(struct look *look)
{
	for (size_t i = 0; i < look->nr; i++) {
		struct drift_carrier *carrier = &look->carriers[i];
		const struct drift_carrier **of = &look->of[carrier->port];

		if (*of)
			carrier->how = look->carriers[*of - look->carriers].how = -1;
		*of = carrier;
	}
}

int drift_check_devices(struct drift_walk *walk, struct drift_carrier *carriers, size_t nr)
{
	struct look look = {.walk = walk, .carriers = carriers, .nr = nr};
	int r;

	look.of = calloc(PORTS_MAX, sizeof(struct drift_carrier *));
	if (!look.of)
		return -ENOMEM;
	if (nr)
		qsort(carriers, nr, sizeof(*carriers), by_index);
	index_ports(&look);
	r = check_near(&look);
	check_far(&look);
	check_ports(&look);
	free(look.of);
	return r ? r : look.error;
}
