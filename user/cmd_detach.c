/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* enid detach: the explicit off. Works from what is pinned, with no state and no agent. */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <limits.h>
#include <net/if.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/lock.h"
#include "agent/saved.h"
#include "agent/status.h"
#include "attach/pins.h"
#include "commands.h"
#include "net/guard.h"

#define STOP_WAIT_MS 10000
#define STOP_STEP_MS 50

static const char usage[] =
	"usage: enid detach [--run-dir D] [--pin-dir D] [--log-dir D] (--all | DEVICE)\n\n"
	"  --all           remove every program, link, pin and rule of enid; an agent that runs is stopped\n"
	"  DEVICE          remove enid's programs from one device\n";

struct detach {
	const char *run_dir, *pin_dir, *device;
	bool all;
};

/* Who keeps this pin folder? ret: pid, 0 = nobody, -1 = somebody who cannot be seen */
static pid_t find_agent(const struct detach *detach)
{
	pid_t holder = lock_holder(detach->run_dir);
	int fd = -1, r;

	if (holder || access(detach->pin_dir, F_OK))
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
		fprintf(stderr, "enid: an agent runs and cannot be stopped from here\n");
		return -EBUSY;
	}
	for (int waited = 0; waited < STOP_WAIT_MS; waited += STOP_STEP_MS) {
		if (!find_agent(detach)) {
			fprintf(stderr, "enid: stopped the agent, pid %d\n", (int)agent);
			return 0;
		}
		(void)nanosleep(&step, NULL);
	}
	fprintf(stderr, "enid: the agent, pid %d, does not stop\n", (int)agent);
	return -EBUSY;
}

static void remove_file(const char *folder, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	(void)unlink(path);
}

static int detach_all(const struct detach *detach)
{
	int r = stop_agent(detach), guard;

	if (r)
		return 1;
	r = pin_folder_remove(detach->pin_dir);
	if (r)
		fprintf(stderr, "enid: %s: %s\n", detach->pin_dir, strerror(-r));
	/* Last: until here nothing was forwarded past the hooks. */
	guard = guard_remove(detach->pin_dir);
	if (guard)
		fprintf(stderr, "enid: the nftables table could not be removed: %s\n", strerror(-guard));
	remove_file(detach->run_dir, STATUS_FILE);
	remove_file(detach->run_dir, PORTS_FILE);
	remove_file(detach->run_dir, CHANGES_FILE);
	remove_file(detach->run_dir, APPLIED_FILE);
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
		fprintf(stderr, "enid: no device '%s'\n", detach->device);
		return 1;
	}
	if (agent && is_served(detach)) {
		fprintf(stderr,
			"enid: the agent, pid %d, would attach to '%s' again: take its port out of the state first\n",
			(int)agent, detach->device);
		return 1;
	}
	if (pin_folder_remove_device(detach->pin_dir, ifindex)) {
		fprintf(stderr, "enid: nothing of enid is on '%s'\n", detach->device);
		return 1;
	}
	guard_release(detach->pin_dir, detach->device);
	return 0;
}

int cmd_detach(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"all", no_argument, NULL, 'a'},           {"run-dir", required_argument, NULL, 'r'},
		{"pin-dir", required_argument, NULL, 'p'}, {"log-dir", required_argument, NULL, 'l'},
		{"help", no_argument, NULL, 'h'},          {},
	};
	struct detach detach = {.run_dir = DEFAULT_RUN_DIR, .pin_dir = DEFAULT_PIN_DIR};
	int option;

	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		switch (option) {
		case 'a':
			detach.all = true;
			break;
		case 'r':
			detach.run_dir = optarg;
			break;
		case 'p':
			detach.pin_dir = optarg;
			break;
		case 'l':
			break; /* logs are the operator's: nothing there is removed */
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	if (optind < argc)
		detach.device = argv[optind++];
	if (optind < argc || detach.all == !!detach.device) {
		fputs(usage, stderr);
		return 2;
	}
	return detach.all ? detach_all(&detach) : detach_device(&detach);
}
