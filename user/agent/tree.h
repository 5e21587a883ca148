/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The files of a desired state: which there are, whether they changed, and when to look again. */
#ifndef ENID_TREE_H
#define ENID_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct tree {
	const char *const *paths; /* files, or folders with *.json below; dot-files are nobody's business */
	size_t nr;
};

/* A number that changes with every change of any file: names, inodes, sizes and times. It is the sum of those of the
 * files. */
uint64_t tree_fingerprint(const struct tree *tree);
uint64_t tree_file_fingerprint(const char *path, const struct stat *st);

/* inotify on every folder, and on the folder above every path: so a rename into place, a deletion and a folder that is
 * made again are all noticed. */
struct watch;
int watch_open(struct watch **ret);
void watch_close(struct watch **watch);
int watch_fd(const struct watch *watch);

/* What happened, as far as it can be told by files that were replaced or written to their end. */
#define NEWS_MAX 16
struct news {
	char *paths[NEWS_MAX];
	size_t nr;
	bool whole; /* something else, too: folders, new files, files that went, more than can be told */
};
/* Add what there is; events that concern no file of a state are no news. */
void watch_read(struct watch *watch, struct news *news);
void news_done(struct news *news);
/* Watch what there is now. Cheap when nothing changed. */
void watch_follow(struct watch *watch, const struct tree *tree);

#endif
