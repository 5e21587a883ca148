/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "agent/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define LINE_BYTES 2048

void log_line(int priority, const char *format, ...)
{
	static int journal = -1;
	char line[LINE_BYTES], rank[16] = "";
	va_list args;

	if (journal < 0)
		journal = getenv("JOURNAL_STREAM") != NULL;
	va_start(args, format);
	(void)vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	for (char *c = line; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 127)
			*c = ' ';
	if (journal)
		snprintf(rank, sizeof(rank), "<%d>", priority);
	fprintf(stderr, "%s%s: %s\n", rank, program_invocation_short_name, line);
}
