/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* LogFormat: which fields a flow log record has, and in which order (FL-04 to FL-07). Pure, and known to user/state,
 * which refuses what is no format. */
#ifndef ENID_FLOWLOG_FORMAT_H
#define ENID_FLOWLOG_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_FORMAT_DEFAULT /* FL-05 */ \
	"${version} ${account-id} ${interface-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} ${protocol} ${packets} " \
	"${bytes} ${start} ${end} ${action} ${log-status}"
#define LOG_FORMAT_REJECTS LOG_FORMAT_DEFAULT " ${x-reason} ${x-stage} ${x-rule-id}"
#define LOG_FORMAT_TRANSIT /* FL-27 */ \
	"${version} ${resource-type} ${account-id} ${tgw-id} ${tgw-attachment-id} ${tgw-src-vpc-account-id} " \
	"${tgw-dst-vpc-account-id} ${tgw-src-vpc-id} ${tgw-dst-vpc-id} ${tgw-src-subnet-id} ${tgw-dst-subnet-id} " \
	"${tgw-src-eni} ${tgw-dst-eni} ${tgw-src-az-id} ${tgw-dst-az-id} ${tgw-pair-attachment-id} ${srcaddr} " \
	"${dstaddr} " \
	"${srcport} ${dstport} ${protocol} ${packets} ${bytes} ${start} ${end} ${log-status} ${type} " \
	"${packets-lost-no-route} ${packets-lost-blackhole} ${packets-lost-mtu-exceeded} ${packets-lost-ttl-expired} " \
	"${tcp-flags} ${region} ${flow-direction} ${pkt-src-aws-service} ${pkt-dst-aws-service}"
#define FORMAT_FIELDS_MAX 128

/* What is printed for a field; fields that mean nothing here share NOTHING, and are '-'. X(symbol) */
#define FORMAT_MEANINGS(X) \
	X(NOTHING) \
	X(VERSION) \
	X(ACCOUNT) \
	X(INTERFACE) \
	X(SRCADDR) \
	X(DSTADDR) \
	X(SRCPORT) \
	X(DSTPORT) \
	X(PROTOCOL) \
	X(PACKETS) \
	X(BYTES) \
	X(START) \
	X(END) \
	X(ACTION) \
	X(STATUS) \
	X(VPC) \
	X(SUBNET) \
	X(INSTANCE) \
	X(TCP_FLAGS) \
	X(TYPE) \
	X(PKT_SRCADDR) \
	X(PKT_DSTADDR) \
	X(REGION) \
	X(AZ) \
	X(SRC_SERVICE) \
	X(DST_SERVICE) \
	X(DIRECTION) \
	X(PATH) \
	X(RESOURCE_TYPE) \
	X(TGW) \
	X(TGW_ATTACHMENT) \
	X(TGW_PAIR) \
	X(SRC_ACCOUNT) \
	X(DST_ACCOUNT) \
	X(SRC_VPC) \
	X(DST_VPC) \
	X(SRC_SUBNET) \
	X(DST_SUBNET) \
	X(SRC_ENI) \
	X(DST_ENI) \
	X(SRC_AZ) \
	X(DST_AZ) \
	X(LOST_NO_ROUTE) \
	X(LOST_BLACKHOLE) \
	X(LOST_MTU) \
	X(LOST_TTL) \
	X(REJECT_REASON) \
	X(RESOURCE) \
	X(INTERFACE_TYPE) \
	X(X_RULE) \
	X(X_STAGE) \
	X(X_REASON) \
	X(X_FLOW) \
	X(X_ZONE)

enum format_meaning {
#define X(symbol) FIELD_##symbol,
	FORMAT_MEANINGS(X)
#undef X
};

struct format_field {
	const char *name; /* as between ${ and }; of an unknown one: in the text that was parsed */
	uint8_t len;
	uint8_t version; /* that brought it (FL-04); 0 = ours */
	uint8_t meaning; /* enum format_meaning */
	bool number;     /* in JSON */
};

/* What a record is summed up by, beyond addresses, ports, direction and verdict (FL-03). */
#define FORMAT_BY_PACKET 1u /* the own side's address in the packet */
#define FORMAT_BY_PATH   2u
#define FORMAT_BY_REASON 4u

struct format {
	struct format_field fields[FORMAT_FIELDS_MAX];
	size_t nr;
	uint8_t version;
	uint32_t by;         /* FORMAT_BY_* */
	uint32_t nr_unknown; /* fields that newer versions may have: '-' */
};

/* text must outlive the format. ret: 0 | -EINVAL: no format, *ret_why is a sentence to free(), or NULL for want of
 * memory */
int format_parse(const char *text, struct format *ret, char **ret_why);
/* Field names as the first line of a file (FL-25), without a newline. ret: length, less than size */
size_t format_header(const struct format *format, char *buf, size_t size);

#endif
