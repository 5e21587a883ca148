/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One FlowLogs object as the writer needs it: its format, and where its records go. Immutable once made.
 *
 * LogDestinationType says which way (FL-25, FORMATS 2):
 *   cloud-watch-logs, kinesis-data-firehose   <log-dir>/flow.log, which always holds every record in the default
 * format; another LogFormat, or FileFormat json, in <log-dir>/<FlowLogId>/flow.log s3 <log-dir>/[prefix of
 * LogDestination/]AWSLogs/... netflow9, ipfix                           datagrams to LogDestination, udp://ADDRESS:PORT
 */
#ifndef ENID_FLOWLOG_SPEC_H
#define ENID_FLOWLOG_SPEC_H

#include <sys/socket.h>

#include "flowlog/format.h"
#include "state/state.h"

#define SINKS_MAX      64u            /* FlowLogs objects that have a place of their own: all kinds but SPEC_LOCAL */
#define LOG_REJECTS    "enid-rejects" /* id of the log that is always there: rejects, with their reasons */
#define LOG_PREFIX_MAX 512u           /* bytes of a prefix with its slash */

enum spec_kind { SPEC_LOCAL, SPEC_FOLDER, SPEC_TREE, SPEC_NETFLOW9, SPEC_IPFIX };

struct log_spec {
	char id[ID_MAX];
	enum spec_kind kind;
	struct format format; /* its names lie in `text` */
	bool json, hive, per_hour;
	bool rejects; /* LOG_REJECTS: nothing is said of ENIs that were idle */
	char *text;
	char *prefix;                         /* of the tree, "" or with a slash at its end */
	char account[ID_MAX], region[ID_MAX]; /* "unknown" where nobody says */
	struct sockaddr_storage to;
	socklen_t to_len;
};

/* ret: 0 | -ENOMEM | -EINVAL (user/state has said so: the log is not written) */
int log_spec_make(const struct state *state, const struct flow_log *log, struct log_spec *ret);
/* LOG_REJECTS. ret: 0 | -ENOMEM */
int log_spec_rejects(struct log_spec *ret);
void log_spec_done(struct log_spec *spec);

enum spec_kind log_kind(const struct flow_log *log);
/* A transit gateway or an attachment (FL-27), by the form of its id. */
bool log_is_transit(const char *resource);
/* The LogFormat of an object that has none. */
const char *log_format_of(const char *resource);
/* May it name a folder of the log folder, beside what is there already? */
bool log_is_folder(const char *id);

/* `eu-west-1` of `eu-west-1a`, also of `us-west-2-lax-1a`; "" = none */
void log_region(const char *zone, char ret[ID_MAX]);
/* udp://192.0.2.1:2055, udp://[2001:db8::1]:4739. ret: 0 | -EINVAL */
int log_collector_address(const char *text, struct sockaddr_storage *ret, socklen_t *ret_len);
/* Of arn:aws:s3:::bucket/some/prefix: "some/prefix/". To free(); NULL = no memory. *ret_bad: leaves the folder, or is
 * too long for files below it to have names */
char *log_prefix(const char *destination, bool *ret_bad);

#endif
