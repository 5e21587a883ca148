/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "folders.h"

#include <errno.h>

int folder_option(struct folders *folders, int option, const char *value)
{
	switch (option) {
	case FOLDER_RUN:
		folders->run = value;
		return 0;
	case FOLDER_PINS:
		folders->pins = value;
		return 0;
	case FOLDER_LOGS:
		folders->logs = value;
		return 0;
	default:
		return -EINVAL;
	}
}
