/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* FlowLogs (FL-03..FL-05), DhcpOptions (DNS-01), and the exclusions of block public access (VPC-18). */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/base.h"
#include "flowlog/spec.h"
#include "state/load.h"

#define LOG_INTERVAL_S 600

static const char *text_or(struct load *load, const json_t *json, const char *key, const char *absent)
{
	const char *text = get_text(load, json, key);

	return *text ? text : absent;
}

static const char *traffic_type(const json_t *json)
{
	if (get_is(json, "TrafficType", "accept"))
		return "ACCEPT";
	return get_is(json, "TrafficType", "reject") ? "REJECT" : "ALL";
}

static void check_format(struct load *load, struct item *item, const struct flow_log *log)
{
	struct format format;
	char *why = NULL;

	if (format_parse(log->format, &format, &why))
		state_error(load, item, "LogFormat", "%s", (char *)need(load, why));
	else if (format.nr_unknown)
		state_warn(load, item, "LogFormat", "%u field%s unknown, written as '-'", format.nr_unknown,
			   plural(format.nr_unknown));
	free(why);
}

/* Where the records go (FL-25, and ours). */
static void check_destination(struct load *load, struct item *item, const struct flow_log *log)
{
	struct sockaddr_storage to;
	socklen_t len;
	bool bad = false;

	if (!strcasecmp(log->destination_type, "s3"))
		free(need(load, log_prefix(log->destination, &bad)));
	if (bad)
		state_error(
			load, item, "LogDestination",
			"the prefix leaves the log folder, is no plain text, or is longer than %u bytes, %u between "
			"slashes",
			LOG_PREFIX_MAX, NAME_MAX);
	if ((!strcasecmp(log->destination_type, "netflow9") || !strcasecmp(log->destination_type, "ipfix")) &&
	    log_collector_address(log->destination, &to, &len))
		state_error(load, item, "LogDestination", "'%s' is not of the form udp://ADDRESS:PORT",
			    log->destination);
}

static void check_flow_log(struct load *load, struct item *item, const struct flow_log *log, const json_t *options,
			   size_t *nr_places)
{
	if (log->interval_s != 60 && log->interval_s != 600)
		state_error(load, item, "", "MaxAggregationInterval %u is neither 60 nor 600", log->interval_s);
	if (get_is(options, "FileFormat", "parquet"))
		state_warn(load, item, "DestinationOptions", "parquet is not written: it will be plain text");
	if (strchr(log->id, '/') || !strcmp(log->id, LOG_REJECTS))
		state_error(load, item, "",
			    "a FlowLogId without a slash, and not " LOG_REJECTS
			    ", is needed: files are named after it");
	else if (log_kind(log) == SPEC_FOLDER && !log_is_folder(log->id))
		state_error(load, item, "",
			    "a FlowLogId is needed that can name a folder of the log's: letters, digits, '.', '_' and "
			    "'-', no '.' first, not flow.log..., AWSLogs, " LOG_REJECTS " or ....part");
	if (log->active && log_kind(log) != SPEC_LOCAL && ++*nr_places == SINKS_MAX + 1)
		state_error(load, item, "", "is one more than the %u FlowLogs that may have a place of their own",
			    SINKS_MAX);
	check_format(load, item, log);
	check_destination(load, item, log);
}

/* nr_places: of the logs so far, those with files or a collector of their own */
static void parse_flow_log(struct load *load, struct item *item, struct flow_log *log, size_t *nr_places)
{
	const json_t *json = item->json, *options = json_object_get(json, "DestinationOptions");

	log->id = item->id;
	log->resource = get_text(load, json, "ResourceId");
	log->traffic = traffic_type(json);
	log->format = text_or(load, json, "LogFormat", log_format_of(log->resource));
	log->destination_type = text_or(load, json, "LogDestinationType", "cloud-watch-logs");
	log->destination = text_or(load, json, "LogDestination", get_text(load, json, "LogGroupName"));
	log->interval_s = log_is_transit(log->resource)
				  ? 60 /* FL-27 */
				  : (uint32_t)get_int(json, "MaxAggregationInterval", LOG_INTERVAL_S);
	log->active = !json_object_get(json, "FlowLogStatus") || get_is(json, "FlowLogStatus", "active");
	log->hive = get_flag(options, "HiveCompatiblePartitions", false);
	log->per_hour = get_flag(options, "PerHourPartition", false);
	log->json = get_is(options, "FileFormat", "json");
	check_flow_log(load, item, log, options, nr_places);
}

void load_flow_logs(struct load *load)
{
	struct state *state = load->state;
	size_t nr_places = 0;

	state->flow_logs = ARENA_ARRAY(load->arena, load->lists[LIST_FLOW_LOGS].nr + 1, struct flow_log);
	LIST_FOREACH (load, LIST_FLOW_LOGS, item)
		parse_flow_log(load, item, &state->flow_logs[state->nr_flow_logs++], &nr_places);
}

static int compare_configurations(const void *a, const void *b)
{
	return strcmp(((const struct dhcp_configuration *)a)->key, ((const struct dhcp_configuration *)b)->key);
}

static void parse_configuration(struct load *load, const json_t *json, struct dhcp_configuration *configuration)
{
	const json_t *list = json_object_get(json, "Values"), *value;
	size_t index;

	configuration->key = get_text(load, json, "Key");
	configuration->values = ARENA_ARRAY(load->arena, json_array_size(list) + 1, const char *);
	json_array_foreach (list, index, value) {
		const char *text = get_text(load, value, "Value");

		if (*text)
			configuration->values[configuration->nr_values++] = text;
	}
}

/* DNS-01: how many values a key may have */
static void check_configuration(struct load *load, struct item *item, const struct dhcp_configuration *configuration)
{
	static const struct {
		const char *key;
		size_t max;
	} limits[] = {{"domain-name-servers", 4}, {"ntp-servers", 8}, {"netbios-name-servers", 4}, {"domain-name", 1}};

	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++)
		if (!strcmp(configuration->key, limits[i].key) && configuration->nr_values > limits[i].max)
			state_warn(load, item, "DhcpConfigurations", "%s has %zu values, more than %zu",
				   configuration->key, configuration->nr_values, limits[i].max);
}

static void load_dhcp_options(struct load *load)
{
	struct state_extra *extra = load->state->extra;

	extra->dhcp_options = ARENA_ARRAY(load->arena, load->lists[LIST_DHCP_OPTIONS].nr + 1, struct dhcp_options);
	LIST_FOREACH (load, LIST_DHCP_OPTIONS, item) {
		struct dhcp_options *options = &extra->dhcp_options[extra->nr_dhcp_options++];
		const json_t *list = json_object_get(item->json, "DhcpConfigurations"), *json;
		size_t index;

		options->id = item->id;
		options->configurations =
			ARENA_ARRAY(load->arena, json_array_size(list) + 1, struct dhcp_configuration);
		json_array_foreach (list, index, json) {
			struct dhcp_configuration *configuration = &options->configurations[options->nr_configurations];

			if (!json_is_object(json))
				continue;
			parse_configuration(load, json, configuration);
			check_configuration(load, item, configuration);
			options->nr_configurations++;
		}
		if (options->nr_configurations)
			qsort(options->configurations, options->nr_configurations, sizeof(*options->configurations),
			      compare_configurations);
	}
	for (size_t i = 0; i < load->state->nr_vpcs; i++) {
		const char *id = load->state->vpcs[i].dhcp_options;

		if (*id && strcmp(id, "default") != 0 && extra->nr_dhcp_options && !FIND_EXTRA(load, dhcp_options, id))
			state_warn(load, &load->lists[LIST_VPCS].item[i], "",
				   "DhcpOptionsId %s is not in the state: no options are served", id);
	}
}

static bool in_force(const char *state)
{
	return !*state || !strcmp(state, "create-complete") || !strcmp(state, "update-complete");
}

static int relax(int mode, bool egress_only)
{
	if (!egress_only)
		return BPA_OFF;
	return mode == BPA_BIDIRECTIONAL ? BPA_INGRESS : mode;
}

/* An exclusion of a VPC reaches all its subnets, and what stands in none of them. */
static void apply_exclusion(struct load *load, struct item *item, const struct bpa_exclusion *exclusion)
{
	struct state *state = load->state;
	struct vpc *vpc = FIND(load, vpcs, exclusion->resource);
	struct vpc_subnet *subnet = FIND(load, subnets, exclusion->resource);

	if (!vpc && !subnet)
		state_warn(load, item, "",
			   "ResourceArn names %s, which is not in the state: the exclusion has no effect",
			   *exclusion->resource ? exclusion->resource : "nothing");
	if (vpc)
		vpc->bpa = relax(vpc->bpa, exclusion->egress_only);
	if (subnet)
		subnet->bpa = relax(subnet->bpa, exclusion->egress_only);
	for (size_t i = 0; vpc && i < state->nr_subnets; i++)
		if (state->subnets[i].vpc == vpc)
			state->subnets[i].bpa = relax(state->subnets[i].bpa, exclusion->egress_only);
}

static void load_bpa_exclusions(struct load *load)
{
	struct state_extra *extra = load->state->extra;

	extra->bpa_exclusions = ARENA_ARRAY(load->arena, load->lists[LIST_BPA_EXCLUSIONS].nr + 1, struct bpa_exclusion);
	LIST_FOREACH (load, LIST_BPA_EXCLUSIONS, item) {
		struct bpa_exclusion *exclusion = &extra->bpa_exclusions[extra->nr_bpa_exclusions];
		const char *arn = get_text(load, item->json, "ResourceArn");
		const char *slash = strrchr(arn, '/');

		if (!in_force(get_text(load, item->json, "State")))
			continue;
		exclusion->id = item->id;
		exclusion->resource = slash ? slash + 1 : "";
		exclusion->egress_only = !get_is(item->json, "InternetGatewayExclusionMode", "allow-bidirectional");
		apply_exclusion(load, item, exclusion);
		extra->nr_bpa_exclusions++;
	}
}

void load_options(struct load *load)
{
	load_dhcp_options(load);
	load_bpa_exclusions(load);
}
