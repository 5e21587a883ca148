/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "agent/agent.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "agent/filter.h"
#include "agent/log.h"
#include "agent/place.h"
#include "agent/privilege.h"
#include "base/base.h"
#include "show/nat.h"
#include "state/mentions.h"
#include "state/sources.h"

#define SETTLE_US       50000 /* files are left alone for so long before they are read, but one that is complete */
#define SETTLE_ONE_US   500   /* ... only until it is known to come alone */
#define SETTLE_SLACK_US 50
#define TAKE_OVER_TRIES 10
#define TAKE_OVER_US    50000
#define VERIFY_US       200000 /* a removed hook is back within a second */
#define VERIFY_SHARE    20     /* ... but looking takes at most a twentieth of the time, while that is possible */
#define VERIFY_MAX_US   700000
#define TICK_US         1000000
#define LOOK_EVERY      2  /* ticks: file systems without inotify, symbolic links */
#define COLLECTOR_EVERY 10 /* ticks between attempts, at metrics too */
#define TIMER_SLACK_US  5000
#define DRIFT_US        200000  /* between slices of a walk through the maps: of a million elements within a minute */
#define DRIFT_REST_US   1000000 /* ... and between walks */
#define KEPT_BYTES      (32 << 20)

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

/* ---- the flow log collector: its failure never stops enforcement (E23) */

static void watch_losses(struct agent *agent)
{
	struct collector_report now = {};

	collector_report(agent->collector, &now);
	if (now.skipped != agent->logged.skipped || now.lost_events != agent->logged.lost_events ||
	    now.lines != agent->logged.lines || strcmp(now.attention, agent->logged.attention) != 0)
		agent->status_stale = true;
	agent->logged = now;
}

static void collect(struct agent *agent)
{
	int r;

	if (!agent->collector)
		return;
	r = collector_tick(agent->collector, clock_ns(CLOCK_MONOTONIC), clock_ns(CLOCK_REALTIME));
	watch_losses(agent);
	if (!r == !agent->collector_problem)
		return;
	free(agent->collector_problem);
	agent->collector_problem = r ? strdup(strerror(-r)) : NULL;
	agent->status_stale = true;
	if (r)
		log_error("flow logs: %s", strerror(-r));
}

static int on_records(sd_event_source *source, int fd, uint32_t events, void *data)
{
	(void)source;
	(void)fd;
	(void)events;
	collect(data);
	return 0;
}

static void start_collector(struct agent *agent)
{
	struct collector_options options = {.log_dir = agent->options->log_dir,
					    .run_dir = agent->options->run_dir,
					    .ip_ranges = agent->options->ip_ranges};
	char *why = NULL;
	int fd = -1, r;

	r = collector_open(agent->datapath, agent->applied.state, agent->applied.image, &options, &agent->collector,
			   &why);
	if (r && !agent->collector_problem)
		log_error("flow logs: %s", why ? why : strerror(-r));
	free(agent->collector_problem);
	agent->collector_problem = r ? (why ? why : strdup(strerror(-r))) : NULL;
	agent->status_stale = true;
	if (r)
		return;
	fd = collector_fd(agent->collector);
	if (fd >= 0 && sd_event_add_io(agent->loop, NULL, fd, EPOLLIN, on_records, agent) < 0)
		log_warning("flow logs: rings are read once a second only");
}

/* ---- metrics: nor does theirs */

static void start_metrics(struct agent *agent)
{
	const struct agent_options *options = agent->options;
	const struct metrics_source source = {
		.run_dir = options->run_dir, .pin_dir = options->pin_dir, .per_eni = options->metrics_per_eni};
	bool known = agent->metrics_problem;
	char *why = NULL;
	int r;

	if (!options->metrics || agent->metrics)
		return;
	r = metrics_serve(options->metrics, &source, &agent->metrics, &why);
	free(agent->metrics_problem);
	agent->metrics_problem = r ? (why ? why : strdup(strerror(-r))) : NULL;
	agent->status_stale |= known != (r != 0);
	if (r && !known)
		log_error("metrics: %s", agent->metrics_problem ? agent->metrics_problem : "");
}

/* ---- events */

static void report_if_stale(struct agent *agent)
{
	bool with_ports;

	if (!agent->status_stale && !agent->devices->dirty)
		return;
	with_ports = agent->devices->dirty;
	agent->status_stale = agent->devices->dirty = false;
	agent_report(agent, with_ports);
}

static void reload_if_changed(struct agent *agent, bool anyway)
{
	watch_follow(agent->watch, &agent->options->tree);
	if (anyway || tree_fingerprint(&agent->options->tree) != agent->seen)
		(void)agent_reload(agent);
	report_if_stale(agent);
}

/* A file that was renamed into its place, or written to its end, is complete; that others belong to it can only be
 * guessed from their coming, too. Time is counted from the first change, so that a folder in which something changes
 * all the time is read as well. ret: whether there is news */
static bool hear_news(struct agent *agent)
{
	int armed = SD_EVENT_OFF;
	uint64_t wait_us;

	watch_read(agent->watch, &agent->news);
	if (!agent->news.whole && !agent->news.nr)
		return false;
	(void)sd_event_source_get_enabled(agent->settle, &armed);
	if (armed == SD_EVENT_OFF)
		agent->news_us = clock_ns(CLOCK_MONOTONIC) / 1000;
	wait_us = agent->news.whole || agent->news.nr > 1 ? SETTLE_US : SETTLE_ONE_US;
	if (sd_event_source_set_time(agent->settle, agent->news_us + wait_us) >= 0)
		(void)sd_event_source_set_enabled(agent->settle, SD_EVENT_ONESHOT);
	return true;
}

/* For what no news comes of; a change of which it comes, or has come, is left to on_settled(). */
static void look_around(struct agent *agent)
{
	watch_follow(agent->watch, &agent->options->tree);
	if (tree_fingerprint(&agent->options->tree) != agent->seen && !hear_news(agent))
		(void)agent_reload(agent);
	report_if_stale(agent);
}

static int on_settled(sd_event_source *source, uint64_t usec, void *data)
{
	(void)source;
	(void)usec;
	struct agent *agent = data;
	int r = -EAGAIN;

	if (!agent->news.whole && agent->news.nr)
		r = agent_follow(agent, (const char *const *)agent->news.paths, agent->news.nr);
	news_done(&agent->news);
	if (r)
		reload_if_changed(agent, false);
	else
		report_if_stale(agent);
	return 0;
}

static int on_files(sd_event_source *source, int fd, uint32_t events, void *data)
{
	(void)source;
	(void)fd;
	(void)events;
	(void)hear_news(data);
	return 0;
}

static int on_grace(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct agent *agent = data;

	(void)source;
	(void)fd;
	(void)events;
	datapath_settle(agent->datapath);
	return 0;
}

static int on_links(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct agent *agent = data;

	(void)source;
	(void)fd;
	(void)events;
	devices_news(agent->devices);
	agent_follow_uplinks(agent);
	report_if_stale(agent);
	return 0;
}

static int on_verify(sd_event_source *source, uint64_t usec, void *data)
{
	struct agent *agent = data;
	uint64_t start = clock_ns(CLOCK_MONOTONIC), pause_us;

	(void)usec;
	devices_verify(agent->devices);
	agent_follow_uplinks(agent);
	report_if_stale(agent);
	pause_us = (clock_ns(CLOCK_MONOTONIC) - start) / 1000 * VERIFY_SHARE;
	pause_us = pause_us < VERIFY_US ? VERIFY_US : pause_us > VERIFY_MAX_US ? VERIFY_MAX_US : pause_us;
	(void)sd_event_source_set_time_relative(source, pause_us);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void watch_peaks(struct agent *agent)
{
	uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);

	if (now_ns - agent->peaks.at_ns >= PEAK_WINDOW_NS &&
	    peaks_sample(&agent->peaks, nat_gateways(agent->datapath), now_ns))
		agent->status_stale = true;
}

static int on_tick(sd_event_source *source, uint64_t usec, void *data)
{
	static uint64_t ticks;
	struct agent *agent = data;

	(void)usec;
	ticks++;
	datapath_control(agent->datapath)->agent_alive_ns = clock_ns(CLOCK_MONOTONIC);
	if (!agent->collector && ticks % COLLECTOR_EVERY == 0)
		start_collector(agent);
	if (ticks % COLLECTOR_EVERY == 0)
		start_metrics(agent);
	collect(agent);
	watch_peaks(agent);
	if (ticks % LOOK_EVERY == 0)
		look_around(agent);
	report_if_stale(agent);
	(void)sd_event_source_set_time_relative(source, TICK_US);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int on_drift(sd_event_source *source, uint64_t usec, void *data)
{
	struct agent *agent = data;

	(void)usec;
	if (drift_watch(&agent->drift, agent->applied.image, agent->devices))
		agent->status_stale = true;
	report_if_stale(agent);
	(void)sd_event_source_set_time_relative(source, agent->drift.under_way ? DRIFT_US : DRIFT_REST_US);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *data)
{
	(void)source;
	(void)info;
	(void)sd_notify(0, "RELOADING=1");
	reload_if_changed(data, true);
	(void)sd_notify(0, "READY=1");
	return 0;
}

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *data)
{
	(void)data;
	log_info("signal %u: stopping, the kernel goes on enforcing", info->ssi_signo);
	(void)sd_notify(0, "STOPPING=1");
	return sd_event_exit(sd_event_source_get_event(source), 0);
}

static int add_sources(struct agent *agent)
{
	int r = sd_event_add_signal(agent->loop, NULL, SIGTERM, on_stop, agent);

	if (r >= 0)
		r = sd_event_add_signal(agent->loop, NULL, SIGINT, on_stop, agent);
	if (r >= 0)
		r = sd_event_add_signal(agent->loop, NULL, SIGHUP, on_hangup, agent);
	if (r >= 0)
		r = sd_event_add_io(agent->loop, NULL, watch_fd(agent->watch), EPOLLIN, on_files, agent);
	if (r >= 0)
		r = sd_event_add_time_relative(agent->loop, &agent->settle, CLOCK_MONOTONIC, SETTLE_US, SETTLE_SLACK_US,
					       on_settled, agent);
	if (r >= 0)
		r = sd_event_add_io(agent->loop, NULL, datapath_settles_later(agent->datapath), EPOLLIN, on_grace,
				    agent);
	if (r >= 0)
		r = sd_event_add_io(agent->loop, NULL, links_fd(agent->devices->links), EPOLLIN, on_links, agent);
	if (r >= 0)
		r = sd_event_add_time_relative(agent->loop, NULL, CLOCK_MONOTONIC, VERIFY_US, TIMER_SLACK_US, on_verify,
					       agent);
	if (r >= 0)
		r = sd_event_add_time_relative(agent->loop, NULL, CLOCK_MONOTONIC, 0, TIMER_SLACK_US, on_tick, agent);
	if (r >= 0)
		r = sd_event_add_time_relative(agent->loop, NULL, CLOCK_MONOTONIC, DRIFT_US, TIMER_SLACK_US, on_drift,
					       agent);
	if (r >= 0)
		r = sd_event_set_watchdog(agent->loop, true);
	return r < 0 ? r : 0;
}

/* ---- start and end */

static int fail(const char *what, int error, char *why)
{
	log_error("%s: %s", what, why ? why : strerror(-error));
	free(why);
	return error;
}

/* Every port holds two links open. */
static void allow_many_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int open_parts(struct agent *agent)
{
	const struct datapath_options datapath = {
		.pin_dir = agent->options->pin_dir,
		.flows_max = agent->options->flows_max,
		.gated = state_mentions_gates(agent->options->tree.paths, agent->options->tree.nr),
		.later = true};
	char *why = NULL;
	int r = datapath_open(&datapath, &agent->datapath, &why);

	if (r)
		return fail("cannot load the data path", r, why);
	r = drift_open(agent->datapath, &agent->drift.drift);
	if (r)
		return fail("cannot watch the maps", r, NULL);
	r = devices_open(agent->datapath, agent->options->pin_dir, agent->options->no_tcx, &agent->devices, &why);
	if (r)
		return fail("cannot serve devices", r, why);
	r = watch_open(&agent->watch);
	if (r)
		return fail("inotify", r, NULL);
	r = sd_event_new(&agent->loop);
	if (r < 0)
		return fail("event loop", r, NULL);
	return 0;
}

static int first_state(struct agent *agent)
{
	int r;

	watch_follow(agent->watch, &agent->options->tree);
	r = agent_reload(agent);
	if (r)
		r = agent_recover(agent);
	if (r)
		log_error("there is no state to enforce");
	return r;
}

/* From what was in force before us. Whether that works says nothing of the state. Until our set is in force there is
 * nothing to serve with; from then on, what is left to do can be tried again while we serve. */
static int take_over(struct agent *agent)
{
	char *why = NULL;
	int r;

	for (int tries = 0;; tries++) {
		r = devices_take_over(agent->devices, &why);
		if (!r || tries == TAKE_OVER_TRIES)
			break;
		log_warning("%s: trying again", why ? why : strerror(-r));
		free(TAKE_PTR(why));
		(void)usleep(TAKE_OVER_US);
	}
	if (!r)
		return 0;
	if (!datapath_in_force(agent->datapath))
		return fail("cannot take over, what was in force before stays in force", r, why);
	log_error("%s: trying again until they do", why ? why : strerror(-r));
	free(why);
	return 0;
}

static void close_parts(struct agent *agent)
{
	metrics_stop(&agent->metrics);
	free(agent->metrics_problem);
	collector_close(&agent->collector);
	sd_event_source_unref(agent->settle);
	sd_event_unref(agent->loop);
	watch_close(&agent->watch);
	drift_close(&agent->drift.drift);
	devices_close(&agent->devices);
	datapath_close(&agent->datapath);
	image_free(&agent->applied.image);
	state_free(&agent->applied.state);
	sources_free(&agent->applied.sources);
	news_done(&agent->news);
	free(agent->state_problem);
	peaks_done(&agent->peaks);
	free(agent->collector_problem);
	if (agent->pin_lock >= 0)
		close(agent->pin_lock);
	if (agent->run_lock >= 0)
		close(agent->run_lock);
}

static int serve(struct agent *agent)
{
	int r = open_parts(agent);

	if (!r)
		r = first_state(agent);
	if (!r)
		r = take_over(agent);
	if (!r)
		r = add_sources(agent);
	if (r)
		return r;
	devices_news(agent->devices);
	start_collector(agent);
	start_metrics(agent);
	agent->ready = agent->status_stale = true;
	report_if_stale(agent);
	(void)sd_notifyf(0, "READY=1\nSTATUS=revision %016" PRIx64 ", %zu ports", agent->applied.revision,
			 agent->devices->nr_served);
	r = sd_event_loop(agent->loop);
	return r < 0 ? fail("event loop", r, NULL) : r;
}

/* A changed file is read into memory that its last change gave back: to get megabytes from the kernel page by page
 * would take longer than to compare them. */
static void keep_memory(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, KEPT_BYTES);
	(void)mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
}

int agent_run(const struct agent_options *options)
{
	struct agent agent = {.options = options, .run_lock = -1, .pin_lock = -1};
	struct owner owner;
	sigset_t signals;
	int r;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &signals, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGCHLD, SIG_DFL); /* ignored, as a supervisor may leave it, nobody could be waited for */
	allow_many_files();
	keep_memory();
	r = place_take(&agent, &owner);
	if (!r && !options->prepare) {
		privilege_of_others();
		r = privilege_drop(&owner);
		if (!r)
			r = filter_enter(options->metrics != NULL);
		if (!r)
			r = serve(&agent);
	}
	close_parts(&agent);
	return r ? 1 : 0;
}
