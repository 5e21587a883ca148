/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Files of a FlowLogs object: the tree that a bucket would hold (FL-25), or one folder with a log of its own.
 *
 * A file of the tree is filled as NAME.log.part; cut, it is compressed to NAME.log.gz.part and renamed to NAME.log.gz:
 * who copies the tree takes whole files if he leaves *.part alone. Killed in between, the next cut does it again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "enid/flow_hash.h"
#include "flowlog/sink.h"

#define SLOT_S        300u          /* FL-26 */
#define CUT_BYTES     (75ull << 20) /* ... of text: the compressed file is smaller */
#define FOLDER_SLOT_S UINT32_MAX

struct open_part {
	struct sink_part part;
	struct pager pager;
	int fd;
};

struct tree {
	struct sink *sink;
	struct open_part *open[SINK_PARTS];
	size_t nr;
	int folder_r; /* why the folder's log is no part */
};

static int append(void *out, const char *lines, size_t len, size_t *ret_kept)
{
	struct open_part *open = out;
	int r = lines_append(open->fd, open->part.size, lines, len, ret_kept);

	open->part.size += *ret_kept;
	return r;
}

/* ---- names */

static size_t put_day(const struct log_spec *spec, const struct tm *day, char *ret, size_t size)
{
	const char *names[] = {spec->hive ? "year=" : "", spec->hive ? "month=" : "", spec->hive ? "day=" : "",
			       spec->hive ? "hour=" : ""};
	int values[] = {day->tm_year + 1900, day->tm_mon + 1, day->tm_mday, day->tm_hour};
	size_t at = 0;

	for (int i = 0; i < (spec->per_hour ? 4 : 3) && at < size; i++)
		at += (size_t)snprintf(ret + at, size - at, "%s%0*d/", names[i], i ? 2 : 4, values[i]);
	return at;
}

/* The hash tells files of one slot apart; done again, a killed flush finds the same one. */
static int tree_path(const struct sink *sink, uint32_t slot_s, char *ret)
{
	const struct log_spec *spec = sink->spec;
	uint64_t hash = flow_mix(window_header(sink->window)->sequence + slot_s, sink->page->instance | 1);
	time_t when = slot_s;
	struct tm day;
	char folders[64];
	int len;

	gmtime_r(&when, &day);
	put_day(spec, &day, folders, sizeof(folders));
	len = snprintf(ret, SINK_PATH,
		       spec->hive ? "%sAWSLogs/aws-account-id=%s/aws-service=vpcflowlogs/aws-region=%s/%s"
				  : "%sAWSLogs/%s/vpcflowlogs/%s/%s",
		       spec->prefix, spec->account, spec->region, folders);
	if (len < SINK_PATH)
		len += snprintf(ret + len, SINK_PATH - (size_t)len,
				"%s_vpcflowlogs_%s_%s_%04d%02d%02dT%02d%02dZ_%08x.log", spec->account, spec->region,
				spec->id, day.tm_year + 1900, day.tm_mon + 1, day.tm_mday, day.tm_hour, day.tm_min,
				(uint32_t)(hash ^ hash >> 32));
	return len < SINK_PATH - 16 && !strchr(spec->id, '/') ? 0 : -ENAMETOOLONG;
}

/* ---- parts */

static int open_file(const struct sink *sink, struct open_part *open, bool again)
{
	bool folder = open->part.slot_s == FOLDER_SLOT_S;
	char path[4096];
	struct stat st;
	int r;

	snprintf(path, sizeof(path), "%s/%s", sink->dir, open->part.path);
	*strrchr(path, '/') = 0;
	r = logfile_make_folder(path);
	snprintf(path, sizeof(path), "%s/%s%s", sink->dir, open->part.path, folder ? "" : ".part");
	if (!r)
		open->fd = openat(
			AT_FDCWD, path,
			O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | (again || folder ? 0 : O_TRUNC), 0640);
	if (r || open->fd < 0 || fstat(open->fd, &st))
		return r ? r : -errno;
	if ((uint64_t)st.st_size > open->part.size && ftruncate(open->fd, (off_t)open->part.size))
		return -errno;
	open->part.size = (uint64_t)st.st_size < open->part.size ? (uint64_t)st.st_size : open->part.size;
	return 0;
}

static int write_header(struct open_part *open)
{
	char header[FORMAT_FIELDS_MAX * 66];
	size_t len, kept;

	if (open->pager.json || open->part.size || open->part.slot_s == FOLDER_SLOT_S)
		return 0;
	len = format_header(open->pager.format, header, sizeof(header) - 1);
	header[len++] = '\n';
	return append(open, header, len, &kept);
}

static struct open_part *add_part(struct tree *tree, const struct sink_part *part, bool again)
{
	struct open_part *open = calloc(1, sizeof(*open));

	if (!open)
		return NULL;
	open->part = *part;
	open->fd = -1;
	open->pager.append = append;
	open->pager.out = open;
	open->pager.format = &tree->sink->spec->format;
	open->pager.json = tree->sink->spec->json;
	open->pager.settlement = tree->sink->settlement;
	open->pager.r = open_file(tree->sink, open, again);
	if (!open->pager.r)
		open->pager.r = write_header(open);
	tree->open[tree->nr++] = open;
	return open;
}

static struct open_part *new_part(struct tree *tree, uint32_t slot_s)
{
	struct sink_part part = {.slot_s = slot_s};
	/* a folder's log is in the page since rotate_folder(), or cannot be had */
	int r = slot_s == FOLDER_SLOT_S ? tree->folder_r : tree_path(tree->sink, slot_s, part.path);

	if (r) {
		tree->sink->r = r;
		return NULL;
	}
	return add_part(tree, &part, false);
}

/* FL-26: the file in whose five minutes the record ends. */
static struct open_part *part_for(struct tree *tree, const struct log_line *line)
{
	uint32_t slot_s = tree->sink->spec->kind == SPEC_FOLDER ? FOLDER_SLOT_S : line->end_s / SLOT_S * SLOT_S;

	for (size_t i = 0; i < tree->nr; i++)
		if (tree->open[i]->part.slot_s == slot_s)
			return tree->open[i];
	return tree->nr < SINK_PARTS ? new_part(tree, slot_s) : tree->open[SINK_PARTS - 1];
}

struct asked { /* flush_lines() has one argument for all of the asker's functions */
	struct tree tree;
	uint64_t (*pending)(void *arg, uint32_t port);
	void *arg;
};

static uint64_t pending(void *arg, uint32_t port)
{
	struct asked *asked = arg;

	return asked->pending(asked->arg, port);
}

static void add_line(void *arg, const struct log_line *line)
{
	struct asked *asked = arg;
	struct open_part *open = part_for(&asked->tree, line);

	if (open)
		pager_line(&open->pager, line);
	else if (line->status != LINE_SKIPDATA)
		asked->tree.sink->settlement[line->port].lost += line->packets;
}

/* ---- a flush */

/* What stands in the page when the window is done. */
static void keep_parts(struct tree *tree)
{
	memset(tree->sink->part, 0, sizeof(tree->sink->part));
	for (size_t i = 0; i < tree->nr; i++)
		tree->sink->part[i] = tree->open[i]->part;
}

static int finish(struct tree *tree)
{
	int r = 0;

	for (size_t i = 0; i < tree->nr; i++) {
		struct open_part *open = tree->open[i];

		pager_write(&open->pager);
		r = open->pager.r ? open->pager.r : r;
		tree->sink->page->lines += open->pager.lines;
		if (open->fd >= 0)
			close(open->fd);
	}
	keep_parts(tree);
	for (size_t i = 0; i < tree->nr; i++)
		free(tree->open[i]);
	return r;
}

/* The part that is the folder's log; else one that is free. */
static struct sink_part *folder_part(struct sink *sink)
{
	struct sink_part *part = sink->page->part, *free_part = NULL;

	for (size_t i = 0; i < SINK_PARTS; i++) {
		if (*part[i].path && part[i].slot_s == FOLDER_SLOT_S)
			return &part[i];
		if (!*part[i].path && !free_part)
			free_part = &part[i];
	}
	return free_part;
}

/* A folder's log is rotated as the log file is, before the flush: its name must not change in between. ret: 0 |
 * -errno: it is no part yet, and cannot be */
static int rotate_folder(struct sink *sink)
{
	struct sink_part *part = folder_part(sink);
	char path[4096];
	struct logfile file;
	int r;

	if (!part)
		return -ENFILE;
	snprintf(path, sizeof(path), "%s/%s", sink->dir, sink->spec->id);
	logfile_init(&file, path);
	r = logfile_ready(&file);
	if (!r) {
		(void)logfile_rotate(&file, time(NULL));
		part->size = file.size;
		part->slot_s = FOLDER_SLOT_S;
		snprintf(part->path, sizeof(part->path), "%s/" LOG_FILE, sink->spec->id);
	}
	logfile_done(&file);
	return r;
}

/* A part that is gone was cut by an agent that was killed right then: another one of its name would replace the file.
 */
static bool was_cut(const struct sink *sink, const struct sink_part *part)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s.part", sink->dir, part->path);
	return part->slot_s != FOLDER_SLOT_S && look_for(path) && errno == ENOENT;
}

int tree_flush(struct sink *sink, const struct log_enis *enis, struct flush_ask *ask)
{
	struct asked asked = {.tree.sink = sink, .pending = ask->pending, .arg = ask->arg};
	struct flush_ask through = *ask;
	int r;

	sink->r = 0;
	memcpy(sink->part, sink->page->part, sizeof(sink->part));
	if (strchr(sink->spec->id, '/'))
		return -ENAMETOOLONG;
	if (sink->spec->kind == SPEC_FOLDER && sink->page->sending != window_header(sink->window)->sequence) {
		asked.tree.folder_r = rotate_folder(sink);
		sink->page->sending = window_header(sink->window)->sequence;
	}
	for (size_t i = 0; i < SINK_PARTS; i++)
		if (*sink->page->part[i].path && !was_cut(sink, &sink->page->part[i]) &&
		    !add_part(&asked.tree, &sink->page->part[i], true))
			sink->r = -ENOMEM;
	through.arg = &asked;
	through.pending = pending;
	through.line = add_line;
	r = sink->r ? sink->r : flush_lines(sink->window, enis, sink->books, &through);
	if (r == -ENOMEM) {
		for (size_t i = 0; i < asked.tree.nr; i++) {
			if (asked.tree.open[i]->fd >= 0)
				close(asked.tree.open[i]->fd);
			free(asked.tree.open[i]);
		}
		return r;
	}
	r = finish(&asked.tree);
	return r ? r : sink->r;
}

/* NAME.log.part -> NAME.log.gz. A part that is gone was cut by an agent that was killed right then. */
static int cut_part(const struct sink *sink, struct sink_part *part)
{
	char name[SINK_PATH + 16], gz[SINK_PATH + 16], final[SINK_PATH + 16];
	int dir = open(sink->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	if (dir < 0)
		return -errno;
	snprintf(name, sizeof(name), "%s.part", part->path);
	snprintf(gz, sizeof(gz), "%s.gz.part", part->path);
	snprintf(final, sizeof(final), "%s.gz", part->path);
	r = log_compress(dir, name, gz);
	if (!r && renameat(dir, gz, dir, final))
		r = -errno;
	if (!r && unlinkat(dir, name, 0))
		r = -errno;
	close(dir);
	if (!r || r == -ENOENT)
		part->path[0] = 0;
	return r == -ENOENT ? 0 : r;
}

int tree_cut(struct sink *sink, uint32_t due_s)
{
	int r = 0;

	for (size_t i = 0; i < SINK_PARTS; i++) {
		struct sink_part *part = &sink->page->part[i];
		bool due = due_s == UINT32_MAX || part->slot_s + SLOT_S <= due_s || part->size >= CUT_BYTES;
		int one = *part->path && part->slot_s != FOLDER_SLOT_S && due ? cut_part(sink, part) : 0;

		r = one ? one : r;
	}
	return r;
}
