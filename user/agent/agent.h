/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The agent: keeps the kernel equal to the desired state while files and devices change. One process, one event loop.
 *
 *  I1  A state is in force whole or not at all; a state that is refused for any reason leaves the last good one.
 *  I2  What is in force stands in <run-dir>/applied.json and applied.changes (saved.h): a restart that finds the files
 *      broken goes on with it.
 *  I3  Ending, by whatever signal, changes nothing in the kernel.
 */
#ifndef ENID_AGENT_H
#define ENID_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "agent/devices.h"
#include "agent/drift.h"
#include "agent/peaks.h"
#include "agent/tree.h"
#include "compile/image.h"
#include "flowlog/collector.h"
#include "metrics/applies.h"
#include "metrics/server.h"
#include "state/state.h"

#define DEFAULT_STATE   "/etc/enid/state"
#define DEFAULT_RUN_DIR "/run/enid"
#define DEFAULT_PIN_DIR "/sys/fs/bpf/enid"
#define DEFAULT_LOG_DIR "/var/log/enid"

#define STATUS_FILE "status.json"
#define PORTS_FILE  "ports.json"

struct agent_options {
	struct tree tree; /* the desired state */
	const char *host; /* NULL = by host name, or the only one */
	const char *run_dir, *pin_dir, *log_dir;
	const char *ip_ranges; /* NULL = none */
	uint32_t flows_max;    /* 0 = default */
	const char *metrics;   /* where to serve them; NULL = nowhere */
	bool metrics_per_eni;
	bool no_tcx;
	const char *user; /* whom to become; NULL = the default one, if there is one */
	bool prepare;     /* make the folders, hand them over, and end */
};

/* What is in force. */
struct applied {
	struct state *state;
	struct image *image; /* borrows from the state */
	const struct host *host;
	struct sources *sources; /* what it was read from; NULL = its files cannot be followed */
	size_t nr_changes;       /* on disk, behind what was written as a whole: lines */
	uint64_t revision;       /* of the documents: state_element_revision(), summed up */
	uint64_t generation;     /* states applied by this process */
	int64_t at_s;            /* wall clock */
};

struct agent {
	const struct agent_options *options;
	int run_lock, pin_lock;
	sd_event *loop;
	sd_event_source *settle; /* runs when changed files have been quiet for a moment */
	struct watch *watch;
	uint64_t seen;    /* fingerprint of the files that were judged last */
	struct news news; /* of files, since then */
	uint64_t news_us; /* when the first of them came */
	struct datapath *datapath;
	struct devices *devices;
	struct collector *collector;
	struct applied applied;
	char *state_problem; /* why the files are not in force; NULL = they are */
	char *collector_problem;
	struct collector_report logged; /* as last reported */
	struct peaks peaks;
	struct applies applies;
	struct metrics_server *metrics;
	char *metrics_problem; /* NULL = served, or not wanted */
	struct drift_watch drift;
	int save_error, report_error; /* -errno of what was last written to the run folder */
	bool ready, status_stale;
};

/* ret: exit code of the command */
int agent_run(const struct agent_options *options);

/* reload.c: judge the files, and bring them into force if they are good. ret: 0 | -errno: the last good state stays,
 * agent->state_problem says why */
int agent_reload(struct agent *agent);
/* The same after news of these files only: what differs in them is brought into force, and nothing else looked at.
 * ret: 0 | -EAGAIN: agent_reload() has to judge */
int agent_follow(struct agent *agent, const char *const *paths, size_t nr_paths);
/* At the start only: the state that was in force last. */
int agent_recover(struct agent *agent);
/* Before anything is made: would the files be refused? ret: 0 | -errno, logged */
int agent_try(const struct agent *agent);

/* After news of devices: uplinks answer neighbours with their device's MAC address. */
void agent_follow_uplinks(struct agent *agent);

/* report.c: write <run-dir>/status.json, and ports.json if ports or devices changed */
void agent_report(struct agent *agent, bool with_ports);

#endif
