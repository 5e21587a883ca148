/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Flow log records as text and as JSON: one value a field. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/names.h"
#include "flowlog/line.h"

#define VALUE_MAX (2 * LOG_NAME_MAX)

static size_t copy(const char *text, char *ret)
{
	size_t len = strlen(text);

	if (!len)
		return 0;
	memcpy(ret, text, len);
	return len;
}

static size_t number(uint64_t value, char *ret)
{
	char digits[20];
	size_t nr = 0;

	do
		digits[nr++] = (char)('0' + value % 10);
	while (value /= 10);
	for (size_t i = 0; i < nr; i++)
		ret[i] = digits[nr - 1 - i];
	return nr;
}

static size_t address(const struct log_line *line, const union addr *addr, char *ret)
{
	bool four = line->key->family == 4;

	inet_ntop(four ? AF_INET : AF_INET6, four ? (const void *)&addr->ip4 : (const void *)addr->bytes, ret,
		  INET6_ADDRSTRLEN);
	return strlen(ret);
}

/* FL-10, FL-11: on the own side the ENI's address stands for whatever is in the packet. */
static size_t printed_address(const struct log_line *line, bool source, char *ret)
{
	union addr addr = source ? line->key->src : line->key->dst;

	if (source == line->key->egress)
		log_eni_own(line->eni, line->key->family, source ? &line->key->src : &line->key->dst, &addr);
	return address(line, &addr, ret);
}

static size_t service(const struct log_line *line, const union addr *addr, char *ret)
{
	return copy(ranges_find(line->enis ? line->enis->ranges : NULL, line->key->family, addr), ret);
}

static bool decided_by(const struct log_line *line, struct rule_words *ret)
{
	return !line->eni->transit && line->enis && line->enis->rules &&
	       rulebook_words(line->enis->rules, line->count->rule, ret) && ret->stage < STAGE_MAX;
}

/* The stage that refused, with a rule or for want of one; of what passed, that of the rule. */
static size_t stage(const struct log_line *line, char *ret)
{
	struct rule_words words = {.stage = STAGE_NONE};

	if (line->key->reject)
		words.stage = reason_stage(line->key->reason);
	else if (!decided_by(line, &words))
		return 0;
	return words.stage == STAGE_NONE ? 0 : copy(stage_name(words.stage), ret);
}

/* An id and what it calls its rule: sg-web/IpPermissions[0]; no blank can stand in either. */
static size_t rule(const struct log_line *line, char *ret)
{
	struct rule_words words;
	size_t len;

	if (!decided_by(line, &words))
		return 0;
	len = (size_t)snprintf(ret, VALUE_MAX, *words.rule ? "%s/%s" : "%s", words.id, words.rule);
	for (size_t i = 0; i < len; i++)
		if (ret[i] <= ' ' || ret[i] >= 0x7f)
			ret[i] = '_';
	return len;
}

static size_t reject_reason(const struct log_line *line, char *ret)
{
	return line->key->reject && line->key->reason == REASON_BPA ? copy("BPA", ret) : 0;
}

static size_t flow(const struct log_line *line, char *ret)
{
	return line->count->flow ? (size_t)sprintf(ret, "%016llx", (unsigned long long)line->count->flow) : 0;
}

/* Fields that every line has. */
static size_t common_value(const struct format *format, const struct log_line *line, uint8_t meaning, char *ret)
{
	static const char *const statuses[] = {"OK", "NODATA", "SKIPDATA"};

	switch (meaning) {
	case FIELD_VERSION:
		return number(format->version, ret);
	case FIELD_ACCOUNT:
		return copy(line->eni->account, ret);
	case FIELD_INTERFACE:
		return line->eni->transit ? 0 : copy(line->eni->id, ret);
	case FIELD_RESOURCE_TYPE:
		return line->eni->transit ? copy("TransitGateway", ret) : 0;
	case FIELD_TGW:
		return copy(log_eni_name(line->eni, LOG_NAME_TGW), ret);
	case FIELD_TGW_ATTACHMENT:
		return line->eni->transit ? copy(line->eni->id, ret) : 0;
	case FIELD_START:
		return number(line->start_s, ret);
	case FIELD_END:
		return number(line->end_s, ret);
	case FIELD_STATUS:
		return copy(statuses[line->status], ret);
	case FIELD_RESOURCE:
		return copy(log_eni_name(line->eni, LOG_NAME_RESOURCE), ret);
	}
	return 0;
}

static size_t eni_value(const struct log_line *line, uint8_t meaning, char *ret)
{
	switch (meaning) {
	case FIELD_VPC:
	case FIELD_X_ZONE:
		return copy(log_eni_name(line->eni, LOG_NAME_VPC), ret);
	case FIELD_SUBNET:
		return copy(log_eni_name(line->eni, LOG_NAME_SUBNET), ret);
	case FIELD_INSTANCE:
		return copy(log_eni_name(line->eni, LOG_NAME_INSTANCE), ret);
	case FIELD_REGION:
		return copy(log_eni_name(line->eni, LOG_NAME_REGION), ret);
	case FIELD_AZ:
		return copy(log_eni_name(line->eni, LOG_NAME_AZ), ret);
	case FIELD_INTERFACE_TYPE:
		return copy(log_eni_name(line->eni, LOG_NAME_TYPE), ret);
	}
	return 0;
}

/* Of a port that stands in a key; 0 = "-". */
static size_t name_at(const struct log_line *line, uint32_t port, enum log_name name, char *ret)
{
	const struct log_eni *eni = port && line->enis ? log_eni(line->enis, port) : NULL;

	return eni ? copy(log_eni_name(eni, name), ret) : 0;
}

static size_t id_at(const struct log_line *line, uint32_t port, char *ret)
{
	const struct log_eni *eni = port && line->enis ? log_eni(line->enis, port) : NULL;

	return eni ? copy(eni->id, ret) : 0;
}

/* The attachment's ENI says more than the attachment, which may stand in several zones. */
static size_t place_at(const struct log_line *line, uint32_t eni, uint32_t attachment, enum log_name name, char *ret)
{
	return name_at(line, eni, name, ret) ?: name_at(line, attachment, name, ret);
}

static size_t lost(const struct log_line *line, uint8_t reason, char *ret)
{
	return number(line->key->reject && line->key->reason == reason ? line->count->packets : 0, ret);
}

/* FL-27. */
static size_t transit_value(const struct log_line *line, uint8_t meaning, char *ret)
{
	const struct window_key *key = line->key;
	uint32_t src = key->egress ? key->pair : line->port, dst = key->egress ? line->port : key->pair;

	switch (meaning) {
	case FIELD_TGW_PAIR:
		return id_at(line, key->pair, ret);
	case FIELD_SRC_ACCOUNT:
	case FIELD_DST_ACCOUNT:
		return name_at(line, meaning == FIELD_SRC_ACCOUNT ? src : dst, LOG_NAME_VPC_ACCOUNT, ret);
	case FIELD_SRC_VPC:
	case FIELD_DST_VPC:
		return name_at(line, meaning == FIELD_SRC_VPC ? src : dst, LOG_NAME_VPC, ret);
	case FIELD_SRC_SUBNET:
		return place_at(line, key->from, src, LOG_NAME_SUBNET, ret);
	case FIELD_DST_SUBNET:
		return place_at(line, key->to, dst, LOG_NAME_SUBNET, ret);
	case FIELD_SRC_AZ:
		return place_at(line, key->from, src, LOG_NAME_AZ, ret);
	case FIELD_DST_AZ:
		return place_at(line, key->to, dst, LOG_NAME_AZ, ret);
	case FIELD_SRC_ENI:
	case FIELD_DST_ENI:
		return id_at(line, meaning == FIELD_SRC_ENI ? key->from : key->to, ret);
	case FIELD_LOST_NO_ROUTE:
		return lost(line, REASON_TGW_NO_ROUTE, ret);
	case FIELD_LOST_BLACKHOLE:
		return lost(line, REASON_TGW_BLACKHOLE, ret);
	case FIELD_LOST_MTU:
		return lost(line, REASON_MTU, ret);
	case FIELD_LOST_TTL:
		return lost(line, REASON_TTL, ret);
	}
	return 0;
}

static size_t tuple_value(const struct log_line *line, uint8_t meaning, char *ret)
{
	const struct window_key *key = line->key;

	switch (meaning) {
	case FIELD_SRCADDR:
	case FIELD_DSTADDR:
		return printed_address(line, meaning == FIELD_SRCADDR, ret);
	case FIELD_PKT_SRCADDR:
		return address(line, &key->src, ret);
	case FIELD_PKT_DSTADDR:
		return address(line, &key->dst, ret);
	case FIELD_SRC_SERVICE:
		return service(line, &key->src, ret);
	case FIELD_DST_SERVICE:
		return service(line, &key->dst, ret);
	case FIELD_SRCPORT:
		return number(ntohs(key->sport), ret);
	case FIELD_DSTPORT:
		return number(ntohs(key->dport), ret);
	case FIELD_PROTOCOL:
		return number(key->proto, ret);
	case FIELD_TYPE:
		return copy(key->family == 4 ? "IPv4" : "IPv6", ret);
	}
	return line->eni->transit && meaning != FIELD_REGION ? transit_value(line, meaning, ret)
							     : eni_value(line, meaning, ret);
}

static size_t traffic_value(const struct log_line *line, uint8_t meaning, char *ret)
{
	const struct window_key *key = line->key;

	switch (meaning) {
	case FIELD_PACKETS:
		return number(line->count->packets, ret);
	case FIELD_BYTES:
		return number(line->count->bytes, ret);
	case FIELD_TCP_FLAGS:
		return number(key->proto == IPPROTO_TCP ? line->count->tcp_flags : 0, ret);
	case FIELD_ACTION:
		return line->eni->transit ? 0 : copy(key->reject ? "REJECT" : "ACCEPT", ret);
	case FIELD_DIRECTION:
		return copy(key->egress ? "egress" : "ingress", ret);
	case FIELD_PATH:
		return key->egress && key->path ? number(key->path, ret) : 0;
	case FIELD_REJECT_REASON:
		return reject_reason(line, ret);
	case FIELD_X_RULE:
		return rule(line, ret);
	case FIELD_X_STAGE:
		return stage(line, ret);
	case FIELD_X_REASON:
		return key->reject && key->reason ? copy(reason_name(key->reason), ret) : 0;
	case FIELD_X_FLOW:
		return flow(line, ret);
	}
	return tuple_value(line, meaning, ret);
}

/* ret: length; 0 = not applicable, or not known */
static size_t value(const struct format *format, const struct log_line *line, uint8_t meaning, char ret[VALUE_MAX])
{
	size_t len = common_value(format, line, meaning, ret);

	return len || line->status != LINE_OK ? len : traffic_value(line, meaning, ret);
}

size_t line_text(const struct format *format, const struct log_line *line, char *buf)
{
	size_t at = 0;

	for (size_t i = 0; i < format->nr; i++) {
		size_t len = value(format, line, format->fields[i].meaning, buf + at);

		if (!len)
			buf[at + len++] = '-';
		at += len;
		buf[at++] = i + 1 < format->nr ? ' ' : '\n';
	}
	return at;
}

/* account_id, as Athena's tables and other readers of flow logs have it. */
static size_t json_key(const struct format_field *field, char *ret)
{
	ret[0] = '"';
	for (int i = 0; i < field->len; i++)
		ret[1 + i] = field->name[i] == '-' ? '_' : field->name[i];
	memcpy(ret + 1 + field->len, "\":", 2);
	return field->len + 3u;
}

/* Values are printable ASCII; of what JSON minds there may be quotes and backslashes. */
static size_t json_value(const struct format_field *field, const char *text, size_t len, char *ret)
{
	size_t at = 0;

	if (!len)
		return copy("null", ret);
	if (field->number) {
		memcpy(ret, text, len);
		return len;
	}
	ret[at++] = '"';
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '"' || text[i] == '\\')
			ret[at++] = '\\';
		ret[at++] = text[i];
	}
	ret[at++] = '"';
	return at;
}

size_t line_json(const struct format *format, const struct log_line *line, char *buf)
{
	char text[VALUE_MAX];
	size_t at = 0;

	for (size_t i = 0; i < format->nr; i++) {
		const struct format_field *field = &format->fields[i];
		size_t len = value(format, line, field->meaning, text);

		buf[at++] = i ? ',' : '{';
		at += json_key(field, buf + at);
		at += json_value(field, text, len, buf + at);
	}
	buf[at++] = '}';
	buf[at++] = '\n';
	return at;
}
