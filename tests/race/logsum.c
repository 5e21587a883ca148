/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "race/logsum.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "flowlog/reader.h"
#include "lib/folder.h"

void logsum_open(struct logsum *sum, struct stage *stage)
{
	char *why = NULL;

	*sum = (struct logsum){.stage = stage, .dir = "/tmp/enid-logsum-XXXXXX"};
	if (!mkdtemp(sum->dir) ||
	    collector_open(stage->datapath, stage->state[0], stage->image[0],
			   &(struct collector_options){.log_dir = sum->dir}, &sum->collector, &why)) {
		fprintf(stderr, "logsum: %s\n", why ? why : "no folder");
		abort();
	}
}

void logsum_tick(struct logsum *sum)
{
	uint64_t now = stage_now_ns();

	stage_agent_alive(sum->stage, true);
	(void)collector_tick(sum->collector, now, 1760000000ull * 1000000000 + now * LOGSUM_WALL_SPEED);
}

static int eni_of(const char *id)
{
	static const char *const ids[STAGE_ENIS] = {"eni-a", "eni-b", "eni-x", "eni-y"};

	for (int i = 0; i < STAGE_ENIS; i++)
		if (!strcmp(ids[i], id))
			return i;
	return -1;
}

static int read_line(void *arg, const char *text, size_t len)
{
	struct logsum *sum = arg;
	char line[256], *field[15], *rest = line;
	int nr = 0, eni;

	if (len >= sizeof(line))
		return -1;
	memcpy(line, text, len);
	line[len] = 0;
	while (nr < 15 && (field[nr] = strsep(&rest, " ")))
		nr++;
	eni = nr == 14 ? eni_of(field[2]) : -1;
	if (eni < 0)
		return -1;
	sum->lines++;
	if (!strcmp(field[13], "OK")) {
		sum->packets[eni] += strtoull(field[8], NULL, 10);
		if (!strcmp(field[12], "REJECT"))
			sum->rejects[eni] += strtoull(field[8], NULL, 10);
	}
	return 0;
}

/* What is skipped is known for good only when the last line is written; the books outlive the collector. */
static void read_books(struct logsum *sum)
{
	char *why = NULL;

	if (collector_open(sum->stage->datapath, sum->stage->state[0], sum->stage->image[0],
			   &(struct collector_options){.log_dir = sum->dir}, &sum->collector, &why))
		abort();
	for (int i = 0; i < STAGE_ENIS; i++)
		sum->skipped[i] = collector_skipped(sum->collector, sum->stage->port[i]);
	collector_close(&sum->collector);
}

void logsum_close(struct logsum *sum)
{
	collector_close(&sum->collector);
	if (log_read(sum->dir, false, read_line, NULL, sum)) {
		fprintf(stderr, "logsum: the log in %s cannot be read\n", sum->dir);
		abort();
	}
	read_books(sum);
	folder_remove(sum->dir);
}
