/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whose traffic is logged, and how: by port number, what a line needs to know of its ENI.
 *
 * A set is immutable once made and counted, because the writer still prints windows of the state before. An ENI that
 * left the state stays (gone): what its last flows carried is printed, idle windows are not.
 */
#ifndef ENID_FLOWLOG_ENIS_H
#define ENID_FLOWLOG_ENIS_H

#include <stdbool.h>
#include <stdint.h>

#include "compile/image.h"
#include "state/state.h"

#define LOG_NAME_MAX   (4ul * ID_MAX) /* an id whose every byte is escaped */
#define LOG_ACCEPT     1u
#define LOG_REJECT     2u
#define LOG_INTERVAL_S 60u

struct log_eni {
	char id[LOG_NAME_MAX]; /* printable, no blanks (E32) */
	char account[LOG_NAME_MAX];
	__be32 primary4;    /* 0 = none */
	bool side_instance; /* what the device receives goes to the guest */
	bool gone;
	uint32_t what; /* LOG_ACCEPT | LOG_REJECT; 0 = not logged */
	uint32_t interval_s;
	union addr first6; /* the ENI's IPv6 address where a foreign one has to be replaced */
	bool has6;
	struct eni_address *six; /* all its IPv6 addresses and prefixes */
	size_t nr_six;
};

struct log_enis {
	int users;
	uint32_t nr;              /* length of by_port: one more than the highest port number */
	struct log_eni **by_port; /* NULL = no ENI of this host */
};

/* The number of a port by its id; 0 = unknown. */
typedef uint32_t (*port_number_fn)(const void *arg, const char *id);

/* before: the set so far, or NULL. ret: 0 | -ENOMEM */
int log_enis_make(const struct state *state, const struct image *image, port_number_fn number, const void *arg,
		  const struct log_enis *before, struct log_enis **ret);
struct log_enis *log_enis_use(struct log_enis *enis);
void log_enis_drop(struct log_enis **enis);

static inline const struct log_eni *log_eni(const struct log_enis *enis, uint32_t port)
{
	return port < enis->nr ? enis->by_port[port] : NULL;
}

/* The own-side address of a line (FL-10, FL-11). */
void log_eni_own(const struct log_eni *eni, int family, const union addr *in_packet, union addr *ret);

#endif
