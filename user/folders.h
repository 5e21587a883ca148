/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The folders that an agent and the commands about it share, and their options: the same three everywhere. A command
 * takes those that it has no use for, too, so that one set of them fits all. */
#ifndef ENID_FOLDERS_H
#define ENID_FOLDERS_H

#include "agent/agent.h"

struct folders {
	const char *run, *pins, *logs;
};

#define FOLDERS_DEFAULT ((struct folders){DEFAULT_RUN_DIR, DEFAULT_PIN_DIR, DEFAULT_LOG_DIR})

enum folder_option {
	FOLDER_RUN = 768,
	FOLDER_PINS,
	FOLDER_LOGS,
};

#define FOLDER_OPTIONS \
	{"run-dir", required_argument, NULL, FOLDER_RUN}, {"pin-dir", required_argument, NULL, FOLDER_PINS}, \
	{ \
		"log-dir", required_argument, NULL, FOLDER_LOGS \
	}

/* ret: 0 | -EINVAL: `option` is none of them */
int folder_option(struct folders *folders, int option, const char *value);

#endif
