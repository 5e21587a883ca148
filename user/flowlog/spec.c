/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From a FlowLogs object to what the writer needs. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flowlog/logfile.h"
#include "flowlog/spec.h"
#include "flowlog/transit.h"
#include "state/extra.h"

#define LETTERS_AND_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

/* The Region is a folder's name. */
void log_region(const char *zone, char ret[ID_MAX])
{
	size_t len = strcspn(zone, "0123456789");

	ret[0] = 0;
	len += strspn(zone + len, "0123456789");
	if (len && isdigit((unsigned char)zone[len - 1]) && memchr(zone, '-', len) && len < ID_MAX &&
	    strspn(zone, LETTERS_AND_DIGITS "-") >= len) {
		memcpy(ret, zone, len);
		ret[len] = 0;
	}
}

static int read_port(const char *text, in_port_t *ret)
{
	char *end;
	unsigned long port = strtoul(text, &end, 10);

	if (!isdigit((unsigned char)*text) || *end || !port || port > 65535)
		return -EINVAL;
	*ret = htons((uint16_t)port);
	return 0;
}

int log_collector_address(const char *text, struct sockaddr_storage *ret, socklen_t *ret_len)
{
	struct sockaddr_in *four = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;
	char host[INET6_ADDRSTRLEN];
	bool bracket;
	size_t len;

	memset(ret, 0, sizeof(*ret));
	if (strncmp(text, "udp://", 6) != 0)
		return -EINVAL;
	text += 6;
	bracket = *text == '[';
	text += bracket;
	len = strcspn(text, bracket ? "]" : ":");
	if (!text[len] || len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = 0;
	text += len + bracket;
	if (*text != ':')
		return -EINVAL;
	*ret_len = bracket ? sizeof(*six) : sizeof(*four);
	ret->ss_family = bracket ? AF_INET6 : AF_INET;
	if (inet_pton(ret->ss_family, host, bracket ? (void *)&six->sin6_addr : (void *)&four->sin_addr) != 1)
		return -EINVAL;
	return read_port(text + 1, bracket ? &six->sin6_port : &four->sin_port);
}

/* One folder of a prefix: not what means another folder, and not where a log file is to lie. */
static bool is_plain_name(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (name[i] <= ' ' || name[i] >= 0x7f)
			return false;
	return len && len <= NAME_MAX && strncmp(name, "../", 3) != 0 && strncmp(name, "./", 2) != 0 &&
	       strncmp(name, LOG_FILE, strlen(LOG_FILE)) != 0;
}

static bool is_plain(const char *prefix)
{
	if (strlen(prefix) > LOG_PREFIX_MAX)
		return false;
	for (size_t len; *prefix; prefix += len + 1) {
		len = strcspn(prefix, "/");
		if (!is_plain_name(prefix, len))
			return false;
	}
	return true;
}

bool log_is_folder(const char *id)
{
	const char *dot = strrchr(id, '.');

	return *id && *id != '.' && !id[strspn(id, LETTERS_AND_DIGITS "._-")] &&
	       strncmp(id, LOG_FILE, strlen(LOG_FILE)) != 0 && strcmp(id, "AWSLogs") != 0 &&
	       strcmp(id, LOG_REJECTS) != 0 && !(dot && !strcmp(dot, ".part"));
}

char *log_prefix(const char *destination, bool *ret_bad)
{
	const char *slash = strchr(destination, '/');
	char *prefix;
	size_t len;

	*ret_bad = false;
	if (!slash || !slash[1])
		return strdup("");
	len = strlen(++slash);
	prefix = malloc(len + 2);
	if (!prefix)
		return NULL;
	memcpy(prefix, slash, len + 1);
	if (prefix[len - 1] != '/')
		memcpy(prefix + len, "/", 2);
	*ret_bad = !is_plain(prefix);
	return prefix;
}

/* Account and Region of the resource, for the tree's folders. */
static void find_owner(const struct state *state, const char *resource, struct log_spec *spec)
{
	const struct eni *eni = state_eni(state, resource);
	const struct tgw *tgw = log_tgw_called(state, resource);
	const char *owner = eni && eni->owner ? eni->owner : "", *zone = "";

	for (size_t i = 0; i < state->nr_subnets; i++) {
		const struct vpc_subnet *subnet = &state->subnets[i];
		bool in_vpc = subnet->vpc && !strcmp(subnet->vpc->id, resource);

		if (!in_vpc && strcmp(subnet->id, resource) != 0 && !(eni && eni->subnet == subnet))
			continue;
		zone = *zone ? zone : subnet->az ? subnet->az : "";
		owner = *owner || !subnet->vpc ? owner : subnet->vpc->owner;
	}
	for (size_t i = 0; i < state->nr_vpcs && !*owner; i++)
		if (!strcmp(state->vpcs[i].id, resource))
			owner = state->vpcs[i].owner;
	log_region(zone, spec->region);
	if (tgw) {
		owner = tgw->owner;
		log_tgw_region(state, tgw, spec->region);
	}
	if (!*spec->region)
		strcpy(spec->region, "unknown");
	snprintf(spec->account, sizeof(spec->account), "%s", *owner ? owner : "unknown");
	for (char *at = spec->account; *at; at++)
		if (!isalnum((unsigned char)*at) && *at != '-')
			*at = '_';
}

static bool is_type(const struct flow_log *log, const char *type)
{
	return log->destination_type && !strcasecmp(log->destination_type, type);
}

bool log_is_transit(const char *resource)
{
	return !strncmp(resource, "tgw-", 4);
}

const char *log_format_of(const char *resource)
{
	return log_is_transit(resource) ? LOG_FORMAT_TRANSIT : LOG_FORMAT_DEFAULT;
}

static const char *format_of(const struct flow_log *log)
{
	return log->format && *log->format ? log->format : log_format_of(log->resource);
}

enum spec_kind log_kind(const struct flow_log *log)
{
	if (is_type(log, "s3"))
		return SPEC_TREE;
	if (is_type(log, "netflow9"))
		return SPEC_NETFLOW9;
	if (is_type(log, "ipfix"))
		return SPEC_IPFIX;
	if (strcmp(format_of(log), LOG_FORMAT_DEFAULT) != 0 || log->json || log_is_transit(log->resource))
		return SPEC_FOLDER; /* the log file holds ENIs only */
	return SPEC_LOCAL;
}

static int fill(const struct state *state, const struct flow_log *log, struct log_spec *spec)
{
	const char *destination = log->destination ? log->destination : "";
	char *why = NULL;
	bool bad = false;
	int r;

	snprintf(spec->id, sizeof(spec->id), "%s", log->id ? log->id : "");
	spec->kind = log_kind(log);
	spec->json = log->json;
	spec->hive = log->hive;
	spec->per_hour = log->per_hour;
	spec->text = strdup(format_of(log));
	spec->prefix = log_prefix(spec->kind == SPEC_TREE ? destination : "", &bad);
	if (!spec->text || !spec->prefix)
		return -ENOMEM;
	r = format_parse(spec->text, &spec->format, &why);
	free(why);
	if (!r && spec->kind >= SPEC_NETFLOW9)
		r = log_collector_address(destination, &spec->to, &spec->to_len);
	find_owner(state, log->resource, spec);
	bad |= strchr(spec->id, '/') || (spec->kind == SPEC_FOLDER && !log_is_folder(spec->id));
	return bad ? -EINVAL : r;
}

int log_spec_make(const struct state *state, const struct flow_log *log, struct log_spec *ret)
{
	struct log_spec spec = {.kind = SPEC_LOCAL};
	int r = fill(state, log, &spec);

	if (r)
		log_spec_done(&spec);
	else
		*ret = spec;
	return r;
}

int log_spec_rejects(struct log_spec *ret)
{
	struct log_spec spec = {.id = LOG_REJECTS, .kind = SPEC_FOLDER, .rejects = true};
	char *why = NULL;
	int r;

	spec.text = strdup(LOG_FORMAT_REJECTS);
	spec.prefix = strdup("");
	r = spec.text && spec.prefix ? format_parse(spec.text, &spec.format, &why) : -ENOMEM;
	free(why);
	if (r)
		log_spec_done(&spec);
	else
		*ret = spec;
	return r;
}

void log_spec_done(struct log_spec *spec)
{
	free(spec->text);
	free(spec->prefix);
	spec->text = spec->prefix = NULL;
}
