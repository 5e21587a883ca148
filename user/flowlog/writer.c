/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The writer's thread: one closed window at a time, from submit to empty. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "flowlog/flush.h"
#include "flowlog/sink.h"
#include "flowlog/writer.h"

#define RETRY_S 1

struct writer {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct logfile file;
	struct sinks sinks;
	struct books *books;
	struct window *window; /* the job; NULL = idle */
	struct log_enis *enis;
	bool stop;
	int problem; /* of the last flush; 0 = all lines are in the file */
	char attention[256];
};

static void set_attention(struct writer *writer, int flush_r, int rotate_r, int sinks_r)
{
	pthread_mutex_lock(&writer->lock);
	writer->problem = flush_r ? flush_r : sinks_r;
	if (flush_r)
		snprintf(writer->attention, sizeof(writer->attention),
			 "flow log %s/" LOG_FILE " cannot be written: %s: lost lines will be declared by SKIPDATA",
			 writer->file.dir, strerror(-flush_r));
	else if (rotate_r && rotate_r != -EAGAIN)
		snprintf(writer->attention, sizeof(writer->attention), "flow log %s/" LOG_FILE " cannot be rotated: %s",
			 writer->file.dir, strerror(-rotate_r));
	else if (sinks_r)
		snprintf(writer->attention, sizeof(writer->attention), "flow log %s", writer->sinks.problem);
	else
		writer->attention[0] = 0;
	pthread_mutex_unlock(&writer->lock);
}

/* Out of memory: the window stays until there is some. */
static int insist(struct writer *writer, int (*flush)(struct writer *writer))
{
	int r = flush(writer);

	while (r == -ENOMEM && window_header(writer->window)->state == WINDOW_CLOSED) {
		struct timespec pause = {.tv_sec = RETRY_S};

		nanosleep(&pause, NULL);
		r = flush(writer);
	}
	return r;
}

static int flush_sinks(struct writer *writer)
{
	return sinks_flush(&writer->sinks, writer->window, writer->enis, writer->books);
}

static int flush_file(struct writer *writer)
{
	return flush_window(&writer->file, writer->window, writer->enis, writer->books);
}

static void run_job(struct writer *writer)
{
	int sinks_r, flush_r, rotate_r = logfile_ready(&writer->file);

	/* A flush that was killed is cut back before the file may change its name. */
	if (!rotate_r && !window_header(writer->window)->log_inode)
		rotate_r = logfile_rotate(&writer->file, time(NULL));
	sinks_r = insist(writer, flush_sinks);
	flush_r = insist(writer, flush_file);
	set_attention(writer, flush_r, rotate_r, sinks_r);
}

static void *work(void *arg)
{
	struct writer *writer = arg;

	pthread_mutex_lock(&writer->lock);
	while (!writer->stop || writer->window) {
		if (!writer->window) {
			pthread_cond_wait(&writer->changed, &writer->lock);
			continue;
		}
		pthread_mutex_unlock(&writer->lock);
		run_job(writer);
		pthread_mutex_lock(&writer->lock);
		log_enis_drop(&writer->enis);
		writer->window = NULL;
		pthread_cond_broadcast(&writer->changed);
	}
	pthread_mutex_unlock(&writer->lock);
	return NULL;
}

int writer_open(const char *dir, uint64_t instance, struct books *books, struct writer **ret)
{
	struct writer *writer = calloc(1, sizeof(*writer));
	sigset_t all, before;
	int r;

	if (!writer)
		return -ENOMEM;
	logfile_init(&writer->file, dir);
	writer->books = books;
	writer->sinks = (struct sinks){.dir = dir, .instance = instance};
	pthread_mutex_init(&writer->lock, NULL);
	pthread_cond_init(&writer->changed, NULL);
	/* Signals are the agent's business: the thread inherits the mask. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = -pthread_create(&writer->thread, NULL, work, writer);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r) {
		free(writer);
		return r;
	}
	*ret = writer;
	return 0;
}

void writer_close(struct writer **writer)
{
	struct writer *w = *writer;

	*writer = NULL;
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	logfile_done(&w->file);
	sinks_close(&w->sinks);
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

bool writer_idle(struct writer *writer)
{
	bool idle;

	pthread_mutex_lock(&writer->lock);
	idle = !writer->window;
	pthread_mutex_unlock(&writer->lock);
	return idle;
}

void writer_submit(struct writer *writer, struct window *window, struct log_enis *enis)
{
	pthread_mutex_lock(&writer->lock);
	writer->window = window;
	writer->enis = log_enis_use(enis);
	pthread_cond_broadcast(&writer->changed);
	pthread_mutex_unlock(&writer->lock);
}

void writer_wait(struct writer *writer)
{
	pthread_mutex_lock(&writer->lock);
	while (writer->window)
		pthread_cond_wait(&writer->changed, &writer->lock);
	pthread_mutex_unlock(&writer->lock);
}

int writer_attention(struct writer *writer, char *ret, size_t size)
{
	int problem;

	pthread_mutex_lock(&writer->lock);
	snprintf(ret, size, "%s", writer->attention);
	problem = writer->problem;
	pthread_mutex_unlock(&writer->lock);
	return problem;
}
