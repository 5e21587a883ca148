/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "agent/place.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/filter.h"
#include "agent/lock.h"
#include "agent/log.h"
#include "agent/privilege.h"
#include "agent/saved.h"
#include "attach/pins.h"
#include "base/base.h"
#include "datapath/datapath.h"
#include "flowlog/logfile.h"
#include "flowlog/rulebook.h"
#include "flowlog/spec.h"
#include "metrics/meters.h"

#define LOCK_WAIT_MS 3000 /* for an agent that is just ending */

static int make_folders(const char *path)
{
	char part[PATH_MAX];

	if (snprintf(part, sizeof(part), "%s", path) >= (int)sizeof(part))
		return -ENAMETOOLONG;
	for (char *c = part + 1; *c; c++) {
		if (*c != '/')
			continue;
		*c = 0;
		if (mkdir(part, 0755) && errno != EEXIST)
			return -errno;
		*c = '/';
	}
	return mkdir(part, 0755) && errno != EEXIST ? -errno : 0;
}

static int lock_one(const char *path, const char *what, int *ret_fd)
{
	pid_t holder = 0;
	int r = lock_take(path, LOCK_WAIT_MS, ret_fd, &holder);

	if (r == -EWOULDBLOCK)
		log_error("another agent holds the %s (%s): pid %d", what, path, (int)holder);
	else if (r)
		log_error("cannot lock the %s (%s): %s", what, path, strerror(-r));
	return r;
}

/* ---- folders */

enum place { RUN, PINS, LOGS, NR_PLACES };

/* What an agent writes there, under any setting but for other names of a socket or a prefix of flow logs. */
static const char *const run_files[] = {LOCK_FILE,  APPLIED_FILE,  CHANGES_FILE, STATUS_FILE,
					PORTS_FILE, RULEBOOK_FILE, METERS_FILE,  "capture.lock",
					"*.sock",   ".*.new",      NULL};
static const char *const log_files[] = {LOG_FILE, LOG_FILE ".*", LOG_REJECTS, "AWSLogs",
					"fl-*",   "*.part",      ".*.part",   NULL};
static const char *const pins[] = {"v[0-9]*", LINKS_FOLDER, HANDOVER_FOLDER, "gro", NULL};

struct folder {
	const char *path, *usual, *const *names;
	int fd;   /* of owner_look() */
	bool may; /* the owner may have it */
};

/* Before anything of ours is made in it. */
static void look(const struct owner *owner, struct folder *folder)
{
	folder->fd = owner_look(folder->path);
	folder->may =
		owner_may_have(owner, folder->fd, strcmp(folder->path, folder->usual) != 0 ? folder->names : NULL);
}

static void look_away(struct folder *folders)
{
	for (int i = 0; i < NR_PLACES; i++)
		if (folders[i].fd >= 0)
			close(folders[i].fd);
}

static int lock_both(struct agent *agent, const struct owner *owner, struct folder *folders)
{
	const struct agent_options *options = agent->options;
	_cleanup_free_ char *why = NULL;
	char path[PATH_MAX];
	int r;

	look(owner, &folders[RUN]);
	look(owner, &folders[LOGS]);
	snprintf(path, sizeof(path), "%s/" LOCK_FILE, options->run_dir);
	r = lock_one(path, "run folder", &agent->run_lock);
	if (r)
		return r;
	r = pin_folder_prepare(options->pin_dir, owner, &why);
	if (r) {
		log_error("cannot use the pins: %s", why ? why : strerror(-r));
		return r;
	}
	look(owner, &folders[PINS]);
	return lock_one(options->pin_dir, "pin folder", &agent->pin_lock);
}

static void give(const struct owner *owner, const struct folder *folder, const char *const *names)
{
	int r = owner_give(owner, folder->fd, names);

	if (r && r != -ENOENT)
		log_warning("cannot give %s to user %u: %s", folder->path, (unsigned int)owner->uid, strerror(-r));
}

/* Where a folder cannot be handed over the agent works on as it is, and that folder is left as it is. But who only
 * prepares does so for an agent that is started as that user. ret: 0 | -EPERM, logged */
static int hand_over(const struct agent_options *options, struct owner *owner, const struct folder *folders)
{
	struct owner other = *owner;

	for (int i = 0; i < NR_PLACES; i++) {
		if (folders[i].may)
			continue;
		log_warning("%s: %s is neither user %u's nor only an agent's",
			    options->prepare ? "not handed over" : "staying root", folders[i].path,
			    (unsigned int)owner->uid);
		if (!options->prepare)
			other = (struct owner){geteuid(), getegid(), owner->wanted};
	}
	for (int i = 0; i < NR_PLACES; i++)
		if (folders[i].may)
			give(&other, &folders[i], i == PINS ? folders[i].names : NULL);
	*owner = other;
	return options->prepare && !folders[PINS].may ? -EPERM : 0;
}

static bool is_missing(const char *folder, const char *name)
{
	char path[PATH_MAX];

	return snprintf(path, sizeof(path), "%s/%s", folder, name) < (int)sizeof(path) && look_for(path);
}

/* By a child that has given up what the agent gives up before it reads a file. ret: 0 | -errno, logged */
static int try_apart(const struct agent *agent, const struct owner *owner)
{
	pid_t child = fork();
	int status = 0, r;

	if (!child) {
		r = privilege_drop(owner);
		if (!r)
			r = filter_enter(false);
		_exit(r || agent_try(agent) ? 1 : 0);
	}
	while (child > 0 && waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			child = -1;
	if (child < 0) {
		r = -errno;
		log_error("cannot try the state in a process of its own: %s", strerror(-r));
		return r;
	}
	if (WIFSIGNALED(status))
		log_error("the process that tried the state was ended by signal %d", WTERMSIG(status));
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -EINVAL;
}

/* A state that is refused leaves no folders behind, unless one was in force here: then that can be gone on with. */
static int look_before(const struct agent *agent, const struct owner *owner)
{
	const struct agent_options *options = agent->options;

	if (options->prepare || !look_for(options->pin_dir) || !is_missing(options->run_dir, APPLIED_FILE))
		return 0;
	return try_apart(agent, owner);
}

int place_take(struct agent *agent, struct owner *ret_owner)
{
	const struct agent_options *options = agent->options;
	struct folder folders[] = {
		[RUN] = {options->run_dir, DEFAULT_RUN_DIR, run_files, -1, false},
		[PINS] = {options->pin_dir, DEFAULT_PIN_DIR, pins, -1, false},
		[LOGS] = {options->log_dir, DEFAULT_LOG_DIR, log_files, -1, false},
	};
	int r = owner_find(options->user, ret_owner);

	if (!r)
		r = look_before(agent, ret_owner);
	if (r)
		return r;
	r = make_folders(options->run_dir);
	if (r) {
		log_error("%s: %s", options->run_dir, strerror(-r));
		return r;
	}
	if (!geteuid())
		(void)make_folders(options->log_dir); /* without one there are no logs, but all else */
	r = lock_both(agent, ret_owner, folders);
	if (!r && !geteuid())
		r = hand_over(options, ret_owner, folders);
	look_away(folders);
	return r;
}
