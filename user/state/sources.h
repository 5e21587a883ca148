/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The texts that a state was loaded from, and where in them its elements stand: so that of a file that changed only the
 * elements that differ are looked at again (change.h).
 *
 * Invariants
 *  S1  `text` is what the state that goes with it was loaded from, byte for byte, and valid JSON.
 *  S2  `elements` ascend; each is one element of a top-level list of the schema. A file in which lists stand elsewhere
 *      (files.h) has none, and is always read as a whole.
 *  S3  Replacing elements of a list by other valid values, commas kept, gives the same document but for these elements.
 */
#ifndef ENID_STATE_SOURCES_H
#define ENID_STATE_SOURCES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "state/schema.h"

struct source_element {
	uint32_t start, end; /* in the text */
	uint32_t index;      /* in its list */
	const char *name;    /* of its list, as written: a list may have an alias */
	enum list_kind list;
};

struct source_file {
	char *path;
	struct stat st; /* of what was read */
	char *text;
	size_t length;
	unsigned long long weight; /* as objects in memory: scan.c */
	struct source_element *elements;
	size_t nr;
	bool plain; /* beside its elements there is nothing but scalars */
};

struct sources {
	struct source_file *source; /* sorted by path */
	size_t nr, room;
	size_t bytes;
	bool fixed[LIST_MAX]; /* an element of this list does not stand for one object of the state */
	bool incomplete;      /* nothing can be followed */
	bool lost;            /* memory was short: a text is missing */
	uint64_t revision;    /* of all documents: state_element_revision(), summed up */
};

/* Take over the text of a file that was found valid. */
void sources_add(struct sources *sources, const char *path, const struct stat *st, char *text, size_t length);
/* What an element, or what stands in place of a list, says: a number that does not depend on the order of keys. */
uint64_t state_element_revision(const char *list, const json_t *object);
/* All texts as one document, list by list (JSON-01), without blanks: good to be loaded again.
 * ret: 0, *ret_text to free() | -ENOMEM */
int sources_document(const struct sources *sources, char **ret_text, size_t *ret_length);
/* After all were added. */
void sources_settle(struct sources *sources);
void sources_free(struct sources **sources);
struct source_file *sources_find(const struct sources *sources, const char *path);

/* What a new text of a file changed: elements of `before`, from `first` on, and what they are now, by the same number.
 * ret: 0 | -EAGAIN (something else than elements of one list changed) | -ENOMEM */
struct text_change {
	size_t first, nr;
	struct source_element *now; /* in the new text; to free() */
};
int sources_compare(const struct source_file *before, const char *text, size_t length, struct text_change *ret);
/* `source` becomes the new text, whose change is known; gives the old one for sources_swap() or source_done().
 * ret: 0 | -ENOMEM: nothing was changed and `text` is still the caller's */
int sources_replace(struct source_file *source, char *text, size_t length, const struct stat *st,
		    const struct text_change *change, struct source_file *ret_old);
void source_done(struct source_file *source);

/* What changed in one list inside an element. The two texts are the element as it was and as it is, with nothing in
 * that list but the items that may differ, and at least one. */
struct text_splice {
	char *before, *now; /* to free() */
	size_t before_length, now_length;
	size_t at;                /* which of the items is the first */
	size_t nr_before, nr_now; /* items in these texts */
	size_t nr_items;          /* of the list as it was */
};
/* before: a valid element. ret: 0 | -EAGAIN (something else changed, or the list is not to be seen) | -ENOMEM */
int sources_splice(const char *before, size_t before_length, const char *now, size_t now_length, const char *key,
		   struct text_splice *ret);
void text_splice_done(struct text_splice *splice);

#endif
