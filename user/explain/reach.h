/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who reaches whom on what: the walk of way.h with a set of services for every ordered pair, so that a pair costs the
 * same whether a rule holds for one port or for all. */
#ifndef ENID_EXPLAIN_REACH_H
#define ENID_EXPLAIN_REACH_H

#include "explain/way.h"

/* What comes back of the answers, over the ports that clients have (1024 to 65535). */
enum reach_answers { REACH_NONE, REACH_SOME, REACH_ALL };

struct reach_pair {
	const struct eni *from, *to; /* NULL = the internet */
	int family;
	const struct services *there; /* not empty */
	const struct services *back;  /* services of the answers, by the client's port */
};

/* Services of one protocol and the way their answers fare. protocol PROTOCOL_ANY: all that there are. */
struct reach_item {
	int protocol, protocol_to; /* protocol_to: the last of several whole ones */
	int from, to;              /* ports; ICMP: type << 8 | code; whole protocols: 0, 65535 */
	enum reach_answers answers;
};

typedef int (*reach_each)(void *context, const struct reach_pair *pair);

/* Call `each` for every pair that is not empty, by source, destination and family. ret: 0 | what `each` returned |
 * -ENOMEM */
int reach(const struct state *state, const struct image *image, reach_each each, void *context);

/* Cut the services of a pair into items; ret: how many; items: room for `room`. Call with room 0 to count. */
size_t reach_items(const struct reach_pair *pair, struct reach_item *items, size_t room);
const char *reach_words(const struct reach_item *item, int family, char text[64]);

#endif
