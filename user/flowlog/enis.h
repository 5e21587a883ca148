/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whose traffic is logged, how, and by which FlowLogs objects: by port number, what a line needs to know of its ENI.
 *
 * A set is immutable once made and counted, because the writer still prints windows of the state before. An ENI that
 * left the state stays (gone): what its last flows carried is printed, idle windows are not.
 */
#ifndef ENID_FLOWLOG_ENIS_H
#define ENID_FLOWLOG_ENIS_H

#include <stdbool.h>
#include <stdint.h>

#include "compile/image.h"
#include "flowlog/ranges.h"
#include "flowlog/rulebook.h"
#include "flowlog/spec.h"
#include "state/state.h"

#define LOG_NAME_MAX   (4ul * ID_MAX) /* an id whose every byte is escaped */
#define LOG_ACCEPT     1u
#define LOG_REJECT     2u
#define LOG_INTERVAL_S 60u

/* Names that a line may hold of its ENI beside id and account. X(symbol) */
#define LOG_NAMES(X) \
	X(VPC) \
	X(SUBNET) \
	X(INSTANCE) \
	X(REGION) \
	X(AZ) \
	X(TYPE) \
	X(RESOURCE) \
	X(TGW) \
	X(VPC_ACCOUNT)

enum log_name {
#define X(symbol) LOG_NAME_##symbol,
	LOG_NAMES(X)
#undef X
		LOG_NAMES_MAX
};

/* A FlowLogs object that covers an ENI. */
struct log_want {
	uint32_t log;  /* index in log_enis.logs */
	uint32_t what; /* LOG_ACCEPT | LOG_REJECT */
};

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
	char *names; /* LOG_NAMES_MAX strings, one behind the other; NULL = none is known */
	size_t names_bytes;
	struct log_want *wants;
	size_t nr_wants;
	bool regional; /* a NAT gateway without an ENI (FL-24): addresses are those of the packets */
	bool transit;  /* an attachment as its transit gateway sees it (FL-27); regional, too */
};

/* What the way of a flow is read from: of any port, whether it is logged or not. */
struct log_place {
	uint8_t kind;    /* enum port_kind */
	uint8_t gateway; /* uplink: enum route_kind */
	bool far;        /* a peering between Regions */
	uint32_t zone;
	uint32_t az; /* of an ENI's subnet */
};

/* A door of a transit gateway: a VPC's attachment in one availability zone (FL-23), an uplink, or its end of a peering
 * of transit gateways. */
struct log_transit {
	uint32_t tgw;        /* its number in this set, from 1 */
	uint32_t attachment; /* port of the attachment */
	uint32_t zone, az;   /* of the VPC; zone 0 = no VPC */
	uint32_t port;       /* of the attachment's ENI there; 0 = none on this host */
	bool appliance;      /* packets into its VPC go by the flow's own of its doors (TGW-10) */
	uint32_t far;        /* peering: number of the other transit gateway, else 0 */
};

struct log_tgw_table {
	char id[ID_MAX];
	uint32_t tgw;
};

struct log_enis {
	int users;
	struct log_spec *logs; /* those that are active */
	size_t nr_logs;
	const struct ranges *ranges; /* may be NULL; borrowed, as is rules */
	struct rulebook *rules;
	struct log_place *place; /* by port; PORTS_MAX */
	struct log_transit *transit;
	size_t nr_transit;
	uint64_t secrets[4]; /* of the data path: by them it chooses */
	struct log_tgw_table *tgw_tables;
	size_t nr_tgw_tables;
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
/* The transit gateway that a route table belongs to: its number, 0 = none. */
uint32_t log_enis_tgw(const struct log_enis *enis, const char *table);
/* "" = not known */
const char *log_eni_name(const struct log_eni *eni, enum log_name which);
/* What a FlowLogs object wants of an ENI: LOG_ACCEPT | LOG_REJECT, 0 = nothing. */
uint32_t log_eni_wants(const struct log_eni *eni, uint32_t log);

static inline const struct log_eni *log_eni(const struct log_enis *enis, uint32_t port)
{
	return port < enis->nr ? enis->by_port[port] : NULL;
}

/* The own-side address of a line (FL-10, FL-11). */
void log_eni_own(const struct log_eni *eni, int family, const union addr *in_packet, union addr *ret);

#endif
