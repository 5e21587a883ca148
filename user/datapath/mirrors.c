/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Books and budgets of traffic mirror sessions that are gone. Only programs write these maps (freeze_maps), so one of
 * them removes what is named to it. */
#include <bpf/bpf.h>

#include "datapath/internal.h"

/* Line of the ENI's session of that number, in the policy of `slot`; NULL = none */
static const struct policy_line *session_of(const struct datapath *datapath, uint32_t slot, uint32_t port,
					    uint32_t session)
{
	const struct port *ports = datapath->ports.at;
	const struct policy_line *policy = datapath->policy.at;
	uint32_t line = port < PORTS_MAX ? ports[port].slot[slot & 1].mirror : 0;

	if (!line || policy[line].w[POLICY_W_KIND] != POLICY_MIRROR)
		return NULL;
	for (uint32_t i = 0; i < policy[line].w[POLICY_W_SESSIONS]; i++)
		if (policy[line + 1 + i].w[MIRROR_W_NUMBER] == session)
			return policy + line + 1 + i;
	return NULL;
}

static bool same_session(const struct policy_line *a, const struct policy_line *b)
{
	return a->w[MIRROR_W_TARGET] == b->w[MIRROR_W_TARGET] && a->w[MIRROR_W_ZONE] == b->w[MIRROR_W_ZONE] &&
	       a->w[MIRROR_W_VNI] == b->w[MIRROR_W_VNI];
}

/* Is the session in force, and no other than the one of its number before? */
static bool session_lives(const struct datapath *datapath, uint32_t port, uint32_t session)
{
	const struct control *control = datapath->control.at;
	const struct policy_line *now = session_of(datapath, control->generation, port, session);
	const struct policy_line *before = session_of(datapath, control->generation + 1, port, session);

	return now && (!before || same_session(now, before));
}

static int forget(struct datapath *datapath, const struct mirror_key *key)
{
	uint8_t frame[64] = {};
	struct __sk_buff context = {.mark = key->port, .priority = (uint32_t)key->session << 16 | key->reason};
	struct bpf_test_run_opts run = {.sz = sizeof(run),
					.data_in = frame,
					.data_size_in = sizeof(frame),
					.ctx_in = &context,
					.ctx_size_in = sizeof(context)};

	int fd = programs_need(datapath, "forget_mirror", NULL);

	return fd < 0 ? fd : bpf_prog_test_run_opts(fd, &run);
}

static bool forget_in(struct datapath *datapath, const char *map)
{
	int fd = datapath_map_fd(datapath, map);
	struct mirror_key key, next;
	bool more = !bpf_map_get_next_key(fd, NULL, &next), all = true;

	while (more) {
		key = next;
		more = !bpf_map_get_next_key(fd, &key, &next);
		if (!session_lives(datapath, key.port, key.session) && forget(datapath, &key) < 0)
			all = false;
	}
	return all;
}

/* Nobody reads the former policy any more, and it is still there. Whatever fails, the next one finds it again, if the
 * session is gone; of one that took the place of another it keeps the other's counts. */
void mirrors_forget(struct datapath *datapath)
{
	bool counts = forget_in(datapath, "mirror_counts"), budgets = forget_in(datapath, "mirror_budgets");

	datapath->mirrors_known = counts && budgets;
}
