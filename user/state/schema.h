/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The keys that matter, list by list (JSON-08), with the type and range of each. Everything else is ignored (JSON-01).
 */
#ifndef ENID_STATE_SCHEMA_H
#define ENID_STATE_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

enum value_type {
	V_TEXT, /* printable, at most max bytes (0 = TEXT_MAX) */
	V_ID,   /* 1 .. ID_MAX - 1 printable ASCII characters without blanks (E32) */
	V_WORD, /* state or type: compared in lower case (JSON-09a); `words`: the only ones allowed */
	V_INT,
	V_BOOL,
	V_PROTOCOL, /* name or number, as string or integer; becomes an integer, -1 = all */
	V_CIDR4,
	V_CIDR6,
	V_CIDR,
	V_IP4,
	V_IP6,
	V_IP,     /* either family */
	V_MAC,    /* unicast */
	V_DEVICE, /* name of a network interface */
	V_OBJECT,
	V_LIST,  /* of objects */
	V_IDS,   /* list of V_ID */
	V_CIDRS, /* list of V_CIDR */
};

struct key {
	const char *name;
	enum value_type type;
	bool required;
	long long min, max;
	const char *words; /* "allow|deny" */
	bool open;         /* other words may come: ignored with a warning, where they decide nothing */
	const struct key *keys;
};

#define TEXT_MAX 1024

/* Rows of a key table. N = needed. */
#define KEY(n, t) \
	{ \
		.name = (n), .type = (t) \
	}
#define KEY_N(n, t) \
	{ \
		.name = (n), .type = (t), .required = true \
	}
#define KEY_INT(n, lo, hi) \
	{ \
		.name = (n), .type = V_INT, .min = (lo), .max = (hi) \
	}
#define KEY_INT_N(n, lo, hi) \
	{ \
		.name = (n), .type = V_INT, .required = true, .min = (lo), .max = (hi) \
	}
#define KEY_TEXT(n, hi) \
	{ \
		.name = (n), .type = V_TEXT, .max = (hi) \
	}
#define KEY_OPEN(n, w) \
	{ \
		.name = (n), .type = V_WORD, .words = (w), .open = true \
	}
#define KEY_WORDS(n, w) \
	{ \
		.name = (n), .type = V_WORD, .words = (w) \
	}
#define KEY_WORDS_N(n, w) \
	{ \
		.name = (n), .type = V_WORD, .required = true, .words = (w) \
	}
#define KEY_OBJECT(n, k) \
	{ \
		.name = (n), .type = V_OBJECT, .keys = (k) \
	}
#define KEY_LIST(n, k) \
	{ \
		.name = (n), .type = V_LIST, .keys = (k) \
	}
#define KEYS_END \
	{ \
		.name = NULL \
	}

enum list_kind {
	LIST_VPCS,
	LIST_VPC_ATTRIBUTES,
	LIST_SUBNETS,
	LIST_SECURITY_GROUPS,
	LIST_SECURITY_GROUP_RULES,
	LIST_GROUP_VPC_ASSOCIATIONS,
	LIST_NETWORK_ACLS,
	LIST_ROUTE_TABLES,
	LIST_NETWORK_INTERFACES,
	LIST_INTERNET_GATEWAYS,
	LIST_EGRESS_ONLY_GATEWAYS,
	LIST_VPN_GATEWAYS,
	LIST_PREFIX_LISTS,
	LIST_PREFIX_LIST_ENTRIES,
	LIST_ADDRESSES,
	LIST_FLOW_LOGS,
	LIST_BPA_OPTIONS,
	LIST_BPA_EXCLUSIONS,
	LIST_HOSTS,
	LIST_NAT_GATEWAYS,
	LIST_PEERINGS,
	LIST_ENDPOINTS,
	LIST_TGWS,
	LIST_TGW_ATTACHMENTS,
	LIST_TGW_VPC_ATTACHMENTS,
	LIST_TGW_TABLES,
	LIST_TGW_ROUTES,
	LIST_TGW_ASSOCIATIONS,
	LIST_TGW_PROPAGATIONS,
	LIST_TGW_PREFIX_REFERENCES,
	LIST_CUSTOMER_GATEWAYS,
	LIST_VPN_CONNECTIONS,
	LIST_MIRROR_FILTERS,
	LIST_MIRROR_SESSIONS,
	LIST_MIRROR_TARGETS,
	LIST_DHCP_OPTIONS,
	LIST_MAX
};

struct list_schema {
	const char *name, *alias;     /* top-level key; another one for the same list, or NULL */
	const char *id_key, *id2_key; /* what tells objects apart (JSON-06); NULL = the list has one object only */
	const struct key *keys;
	size_t max;       /* objects; 0 = no limit but memory */
	bool id_optional; /* an object without an id is ignored */
};

extern const struct list_schema state_lists[LIST_MAX];

/* Tables of schema_gateways.c */
extern const struct key nat_gateway_keys[], peering_keys[], endpoint_keys[], tgw_keys[], tgw_attachment_keys[],
	tgw_vpc_attachment_keys[], tgw_table_keys[], tgw_routes_keys[], tgw_associations_keys[],
	tgw_propagations_keys[], tgw_prefix_reference_keys[], customer_gateway_keys[], vpn_connection_keys[],
	mirror_filter_keys[], mirror_session_keys[], mirror_target_keys[], dhcp_options_keys[];

#endif
