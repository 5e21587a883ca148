/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* LogFormat: names of fields, and what is behind them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "flowlog/format.h"

#define KNOWN(text, since, what, numeric) \
	{ \
		.name = (text), .len = sizeof(text) - 1, .version = (since), .meaning = (what), .number = (numeric) \
	}

/* FL-07, in order of versions; then ours. */
static const struct format_field known[] = {
	KNOWN("version", 2, FIELD_VERSION, true),
	KNOWN("account-id", 2, FIELD_ACCOUNT, false),
	KNOWN("interface-id", 2, FIELD_INTERFACE, false),
	KNOWN("srcaddr", 2, FIELD_SRCADDR, false),
	KNOWN("dstaddr", 2, FIELD_DSTADDR, false),
	KNOWN("srcport", 2, FIELD_SRCPORT, true),
	KNOWN("dstport", 2, FIELD_DSTPORT, true),
	KNOWN("protocol", 2, FIELD_PROTOCOL, true),
	KNOWN("packets", 2, FIELD_PACKETS, true),
	KNOWN("bytes", 2, FIELD_BYTES, true),
	KNOWN("start", 2, FIELD_START, true),
	KNOWN("end", 2, FIELD_END, true),
	KNOWN("action", 2, FIELD_ACTION, false),
	KNOWN("log-status", 2, FIELD_STATUS, false),
	KNOWN("vpc-id", 3, FIELD_VPC, false),
	KNOWN("subnet-id", 3, FIELD_SUBNET, false),
	KNOWN("instance-id", 3, FIELD_INSTANCE, false),
	KNOWN("tcp-flags", 3, FIELD_TCP_FLAGS, true),
	KNOWN("type", 3, FIELD_TYPE, false),
	KNOWN("pkt-srcaddr", 3, FIELD_PKT_SRCADDR, false),
	KNOWN("pkt-dstaddr", 3, FIELD_PKT_DSTADDR, false),
	KNOWN("region", 4, FIELD_REGION, false),
	KNOWN("az-id", 4, FIELD_AZ, false),
	KNOWN("sublocation-type", 4, FIELD_NOTHING, false),
	KNOWN("sublocation-id", 4, FIELD_NOTHING, false),
	KNOWN("pkt-src-aws-service", 5, FIELD_SRC_SERVICE, false),
	KNOWN("pkt-dst-aws-service", 5, FIELD_DST_SERVICE, false),
	KNOWN("flow-direction", 5, FIELD_DIRECTION, false),
	KNOWN("traffic-path", 5, FIELD_PATH, true),
	KNOWN("resource-type", 6, FIELD_RESOURCE_TYPE, false),
	KNOWN("tgw-id", 6, FIELD_TGW, false),
	KNOWN("tgw-attachment-id", 6, FIELD_TGW_ATTACHMENT, false),
	KNOWN("tgw-src-vpc-account-id", 6, FIELD_SRC_ACCOUNT, false),
	KNOWN("tgw-dst-vpc-account-id", 6, FIELD_DST_ACCOUNT, false),
	KNOWN("tgw-src-vpc-id", 6, FIELD_SRC_VPC, false),
	KNOWN("tgw-dst-vpc-id", 6, FIELD_DST_VPC, false),
	KNOWN("tgw-src-subnet-id", 6, FIELD_SRC_SUBNET, false),
	KNOWN("tgw-dst-subnet-id", 6, FIELD_DST_SUBNET, false),
	KNOWN("tgw-src-eni", 6, FIELD_SRC_ENI, false),
	KNOWN("tgw-dst-eni", 6, FIELD_DST_ENI, false),
	KNOWN("tgw-src-az-id", 6, FIELD_SRC_AZ, false),
	KNOWN("tgw-dst-az-id", 6, FIELD_DST_AZ, false),
	KNOWN("tgw-pair-attachment-id", 6, FIELD_TGW_PAIR, false),
	KNOWN("packets-lost-no-route", 6, FIELD_LOST_NO_ROUTE, true),
	KNOWN("packets-lost-blackhole", 6, FIELD_LOST_BLACKHOLE, true),
	KNOWN("packets-lost-mtu-exceeded", 6, FIELD_LOST_MTU, true),
	KNOWN("packets-lost-ttl-expired", 6, FIELD_LOST_TTL, true),
	KNOWN("ecs-cluster-arn", 7, FIELD_NOTHING, false),
	KNOWN("ecs-cluster-name", 7, FIELD_NOTHING, false),
	KNOWN("ecs-container-instance-arn", 7, FIELD_NOTHING, false),
	KNOWN("ecs-container-instance-id", 7, FIELD_NOTHING, false),
	KNOWN("ecs-container-id", 7, FIELD_NOTHING, false),
	KNOWN("ecs-second-container-id", 7, FIELD_NOTHING, false),
	KNOWN("ecs-service-name", 7, FIELD_NOTHING, false),
	KNOWN("ecs-task-definition-arn", 7, FIELD_NOTHING, false),
	KNOWN("ecs-task-arn", 7, FIELD_NOTHING, false),
	KNOWN("ecs-task-id", 7, FIELD_NOTHING, false),
	KNOWN("reject-reason", 8, FIELD_REJECT_REASON, false),
	KNOWN("resource-id", 9, FIELD_RESOURCE, false),
	KNOWN("encryption-status", 10, FIELD_NOTHING, true),
	KNOWN("instance-tag", 11, FIELD_NOTHING, false),
	KNOWN("instance-tag-2", 11, FIELD_NOTHING, false),
	KNOWN("interface-tag", 11, FIELD_NOTHING, false),
	KNOWN("interface-tag-2", 11, FIELD_NOTHING, false),
	KNOWN("asg-tag", 11, FIELD_NOTHING, false),
	KNOWN("asg-tag-2", 11, FIELD_NOTHING, false),
	KNOWN("interface-type", 11, FIELD_INTERFACE_TYPE, false),
	KNOWN("next-hop-interface-id", 11, FIELD_NOTHING, false),
	KNOWN("next-hop-subnet-id", 11, FIELD_NOTHING, false),
	KNOWN("next-hop-az-id", 11, FIELD_NOTHING, false),
	KNOWN("next-hop-vpc-id", 11, FIELD_NOTHING, false),
	KNOWN("next-hop-interface-type", 11, FIELD_NOTHING, false),
	KNOWN("x-rule-id", 0, FIELD_X_RULE, false),
	KNOWN("x-stage", 0, FIELD_X_STAGE, false),
	KNOWN("x-reason", 0, FIELD_X_REASON, false),
	KNOWN("x-flow-id", 0, FIELD_X_FLOW, false),
	KNOWN("x-zone", 0, FIELD_X_ZONE, false),
};

static const struct format_field *find(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (known[i].len == len && !memcmp(known[i].name, name, len))
			return &known[i];
	return NULL;
}

static uint32_t summed_by(uint8_t meaning)
{
	switch (meaning) {
	case FIELD_PKT_SRCADDR:
	case FIELD_PKT_DSTADDR:
	case FIELD_SRC_SERVICE:
	case FIELD_DST_SERVICE:
		return FORMAT_BY_PACKET;
	case FIELD_PATH:
		return FORMAT_BY_PATH;
	case FIELD_REJECT_REASON:
	case FIELD_X_REASON:
	case FIELD_X_STAGE:
	case FIELD_X_RULE:
	case FIELD_LOST_NO_ROUTE:
	case FIELD_LOST_BLACKHOLE:
	case FIELD_LOST_MTU:
	case FIELD_LOST_TTL:
		return FORMAT_BY_REASON;
	}
	return 0;
}

static int refuse(char **ret_why, const char *what, const char *at, size_t len)
{
	if (asprintf(ret_why, "%s at '%.*s'", what, (int)(len < 40 ? len : 40), at) < 0)
		*ret_why = NULL;
	return -EINVAL;
}

/* Newer versions' names, too: they are keys in JSON and words in a file's first line. */
static bool is_name(const char *text, size_t len)
{
	return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") >= len;
}

static int add_field(struct format *format, const char *word, size_t len, char **ret_why)
{
	struct format_field unknown = {.name = word + 2, .len = (uint8_t)(len - 3)};
	const struct format_field *field;

	if (len < 4 || len > 64 || memcmp(word, "${", 2) != 0 || word[len - 1] != '}')
		return refuse(ret_why, "no ${field}", word, len);
	if (!is_name(word + 2, len - 3))
		return refuse(ret_why, "a name of more than a-z, 0-9 and '-'", word, len);
	if (format->nr == FORMAT_FIELDS_MAX)
		return refuse(ret_why, "too many fields", word, len);
	field = find(word + 2, len - 3);
	if (!field)
		format->nr_unknown++;
	field = field ? field : &unknown;
	format->fields[format->nr++] = *field;
	if (field->version > format->version)
		format->version = field->version;
	format->by |= summed_by(field->meaning);
	return 0;
}

int format_parse(const char *text, struct format *ret, char **ret_why)
{
	struct format format = {.version = 2};
	int r = 0;

	while (!r && *(text += strspn(text, " "))) {
		size_t len = strcspn(text, " ");

		r = add_field(&format, text, len, ret_why);
		text += len;
	}
	if (!r && !format.nr)
		r = refuse(ret_why, "no field", text, 0);
	if (!r)
		*ret = format;
	return r;
}

size_t format_header(const struct format *format, char *buf, size_t size)
{
	size_t at = 0;

	for (size_t i = 0; i < format->nr && at < size; i++)
		at += (size_t)snprintf(buf + at, size - at, "%s%.*s", i ? " " : "", format->fields[i].len,
				       format->fields[i].name);
	return at < size ? at : size - 1;
}
