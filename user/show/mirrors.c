/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* enid show mirrors; the same rows for status and metrics. */
#include "show/mirrors.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/names.h"
#include "show/show.h"
#include "state/extra.h"

static bool read_line(const struct datapath *datapath, uint32_t line, struct policy_line *ret)
{
	return line && !bpf_map_lookup_elem(datapath_map_fd(datapath, "policy"), &line, ret);
}

static json_t *address(uint32_t addr)
{
	char text[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &addr, text, sizeof(text));
	return json_string(text);
}

static struct counter counted(const struct datapath *datapath, uint32_t port, uint32_t session, uint32_t reason)
{
	const struct mirror_key key = {.port = port, .session = (uint16_t)session, .reason = (uint16_t)reason};
	struct counter counter = {};

	(void)bpf_map_lookup_elem(datapath_map_fd(datapath, "mirror_counts"), &key, &counter);
	return counter;
}

static json_t *lost(const struct datapath *datapath, uint32_t port, uint32_t session)
{
	json_t *list = json_object();

	for (uint32_t reason = REASON_ACCEPTED + 1; reason < REASON_MAX; reason++) {
		struct counter counter = counted(datapath, port, session, reason);

		if (counter.packets)
			(void)json_object_set_new(list, reason_name(reason), json_integer((json_int_t)counter.packets));
	}
	return list;
}

static json_t *session_row(const struct datapath *datapath, uint32_t port, const uint32_t *w)
{
	uint32_t number = w[MIRROR_W_NUMBER], length = w[MIRROR_W_LENGTH];
	struct counter sent = counted(datapath, port, number, REASON_ACCEPTED);

	return json_pack("{s:s, s:I, s:I, s:o, s:o, s:o, s:b, s:I, s:I, s:o}", "eni", datapath_port_id(datapath, port),
			 "session", (json_int_t)number, "vni", (json_int_t)w[MIRROR_W_VNI], "source",
			 address(w[MIRROR_W_SOURCE]), "target", address(w[MIRROR_W_TARGET]), "packet_length",
			 length ? json_integer(length) : json_null(), "dropped",
			 (w[MIRROR_W_FLAGS] & MIRROR_DROPPED) != 0, "packets", (json_int_t)sent.packets, "bytes",
			 (json_int_t)sent.bytes, "lost", lost(datapath, port, number));
}

json_t *mirror_sessions(struct datapath *datapath)
{
	uint32_t slot = datapath_control(datapath)->generation & 1;
	const struct port *ports = datapath_ports(datapath);
	json_t *list = json_array();

	for (uint32_t port = 1; port < PORTS_MAX; port++) {
		uint32_t object = ports[port].slot[slot].mirror;
		struct policy_line head, session;

		if (!read_line(datapath, object, &head) || head.w[POLICY_W_KIND] != POLICY_MIRROR)
			continue;
		for (uint32_t i = 0; i < head.w[POLICY_W_SESSIONS] && i < MIRROR_SESSIONS_MAX; i++)
			if (read_line(datapath, object + 1 + i, &session))
				(void)json_array_append_new(list, session_row(datapath, port, session.w));
	}
	return list;
}

/* The session's id, which the kernel does not know. */
static const char *session_id(const struct view *view, const json_t *row)
{
	const struct state_extra *extra = view->state ? view->state->extra : NULL;
	const char *eni = json_string_value(json_object_get(row, "eni"));
	json_int_t number = json_integer_value(json_object_get(row, "session"));

	for (size_t i = 0; extra && eni && i < extra->nr_mirror_sessions; i++) {
		const struct mirror_session *session = &extra->mirror_sessions[i];

		if (session->eni && !strcmp(session->eni->id, eni) && session->number == number)
			return session->id;
	}
	return NULL;
}

int show_mirrors(const struct view *view, struct output *output, bool json)
{
	static const char *const columns[] = {"id",      "eni",     "session", "target", "vni", "packet_length",
					      "dropped", "packets", "bytes",   "lost",   NULL};
	json_t *list = mirror_sessions(view->datapath), *row;
	size_t i;

	output_begin(output, json, columns);
	json_array_foreach (list, i, row) {
		const char *id = session_id(view, row);

		(void)json_object_set_new(row, "id", id ? json_string(id) : json_null());
		output_row(output, json_incref(row), NULL);
	}
	json_decref(list);
	return output_end(output);
}
