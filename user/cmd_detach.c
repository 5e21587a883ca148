/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* enid detach: the explicit off. Works from what is pinned, with no state and no agent. */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <limits.h>
#include <net/if.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/lock.h"
#include "agent/saved.h"
#include "agent/status.h"
#include "attach/pins.h"
#include "base/base.h"
#include "commands.h"
#include "folders.h"
#include "flowlog/rulebook.h"
#include "metrics/meters.h"
#include "net/guard.h"
#include "net/offload.h"

#define STOP_WAIT_MS 10000
#define STOP_STEP_MS 50

static const char usage[] =
	"usage: enid detach [--run-dir D] [--pin-dir D] [--log-dir D] (--all | DEVICE)\n\n"
	"  --all           remove every program, link, pin and rule of enid; an agent that runs is stopped\n"
	"  DEVICE          remove enid's programs from one device\n\n"
	"Exit: 0 nothing of it is left, 1 something is left, or nothing of enid was on that device, 2 misuse.\n";

struct detach {
	const char *run_dir, *pin_dir, *device;
	bool all;
};

/* Who keeps this pin folder? ret: pid, 0 = nobody, -1 = somebody who cannot be seen */
static pid_t find_agent(const struct detach *detach)
{
	pid_t holder = lock_holder(detach->run_dir);
	int fd = -1, r;

	if (holder || look_for(detach->pin_dir))
		return holder;
	r = lock_take(detach->pin_dir, 0, &fd, &holder);
	if (!r)
		close(fd);
	return r != -EWOULDBLOCK ? 0 : holder ? holder : -1;
}

static int stop_agent(const struct detach *detach)
{
	const struct timespec step = {.tv_nsec = STOP_STEP_MS * 1000000L};
	pid_t agent = find_agent(detach);

	if (!agent)
		return 0;
	if (agent < 0 || kill(agent, SIGTERM)) {
		warnx("an agent runs and cannot be stopped from here");
		return -EBUSY;
	}
	for (int waited = 0; waited < STOP_WAIT_MS; waited += STOP_STEP_MS) {
		if (!find_agent(detach)) {
			warnx("stopped the agent, pid %d", (int)agent);
			return 0;
		}
		(void)nanosleep(&step, NULL);
	}
	warnx("the agent, pid %d, does not stop", (int)agent);
	return -EBUSY;
}

static void remove_file(const char *folder, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	(void)unlink(path);
}

/* Of an agent that was killed: the socket of its metrics, drafts of files. */
static void remove_left(const char *folder)
{
	DIR *list = opendir(folder);
	const struct dirent *entry;
	struct stat st;

	while (list && (entry = readdir(list))) {
		size_t length = strlen(entry->d_name);
		bool draft = entry->d_name[0] == '.' && length > 4 && !strcmp(entry->d_name + length - 4, ".new");
		bool found = !fstatat(dirfd(list), entry->d_name, &st, AT_SYMLINK_NOFOLLOW);

		if (found && (S_ISSOCK(st.st_mode) || (draft && S_ISREG(st.st_mode))))
			(void)unlinkat(dirfd(list), entry->d_name, 0);
	}
	if (list)
		closedir(list);
}

static int detach_all(const struct detach *detach)
{
	int r = stop_agent(detach), guard;

	if (r)
		return 1;
	offload_undo_all(detach->pin_dir);
	r = pin_folder_remove(detach->pin_dir);
	if (r)
		warnx("%s: %s", detach->pin_dir, strerror(-r));
	/* Last: until here nothing was forwarded past the hooks. */
	guard = guard_remove(detach->pin_dir);
	if (guard)
		warnx("the nftables table could not be removed: %s", strerror(-guard));
	remove_file(detach->run_dir, STATUS_FILE);
	remove_file(detach->run_dir, PORTS_FILE);
	remove_file(detach->run_dir, RULEBOOK_FILE);
	remove_file(detach->run_dir, METERS_FILE);
	remove_file(detach->run_dir, CHANGES_FILE);
	remove_file(detach->run_dir, APPLIED_FILE);
	remove_left(detach->run_dir);
	remove_file(detach->run_dir, LOCK_FILE);
	return r || guard ? 1 : 0;
}

/* Does the state in force want this device? */
static bool is_served(const struct detach *detach)
{
	json_t *report = status_report(detach->run_dir), *port;
	bool served = false;
	size_t i;

	json_array_foreach (json_object_get(report, "ports"), i, port) {
		const char *device = json_string_value(json_object_get(port, "device"));

		served = served || (device && !strcmp(device, detach->device));
	}
	json_decref(report);
	return served;
}

static int detach_device(const struct detach *detach)
{
	unsigned ifindex = if_nametoindex(detach->device);
	pid_t agent = find_agent(detach);

	if (!ifindex) {
		warnx("no device '%s'", detach->device);
		return 1;
	}
	if (agent && is_served(detach)) {
		warnx("the agent, pid %d, would attach to '%s' again: take its port out of the state first", (int)agent,
		      detach->device);
		return 1;
	}
	if (access(detach->pin_dir, R_OK | X_OK) && errno == EACCES) {
		warnx("cannot look below '%s': %s", detach->pin_dir, strerror(EACCES));
		return 1;
	}
	if (pin_folder_remove_device(detach->pin_dir, ifindex)) {
		warnx("nothing of enid is on '%s'", detach->device);
		return 1;
	}
	offload_undo(detach->pin_dir, ifindex);
	guard_release(detach->pin_dir, detach->device);
	return 0;
}

int cmd_detach(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"all", no_argument, NULL, 'a'},
		FOLDER_OPTIONS,
		{"help", no_argument, NULL, 'h'},
		{},
	};
	struct folders folders = FOLDERS_DEFAULT; /* logs are the operator's: nothing there is removed */
	struct detach detach = {};
	int option;

	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		switch (option) {
		case 'a':
			detach.all = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			if (!folder_option(&folders, option, optarg))
				break;
			fputs(usage, stderr);
			return 2;
		}
	}
	detach.run_dir = folders.run;
	detach.pin_dir = folders.pins;
	if (optind < argc)
		detach.device = argv[optind++];
	if (optind < argc || detach.all == !!detach.device) {
		warnx("%s", optind < argc || detach.all ? "either --all or one device" : "which device, or --all?");
		fputs(usage, stderr);
		return 2;
	}
	return detach.all ? detach_all(&detach) : detach_device(&detach);
}
