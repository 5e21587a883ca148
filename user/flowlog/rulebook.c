/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Rules in use: dense entries in a store, and a hash index over their words in plain memory. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "enid/reasons.h"
#include "flowlog/rulebook.h"
#include "flowlog/store.h"

#define RULEBOOK_MAGIC 0x31656c7572646965ull
#define ENTRIES_FIRST  256u

struct header {
	uint64_t magic;
	uint32_t entry_size;
	uint32_t used;
	uint32_t since_s; /* when counting began */
	uint32_t zero[11];
};

struct rulebook {
	struct store store;
	pthread_mutex_t lock; /* a reader of words against a store that moves */
	uint32_t *index;      /* slot; 0 = free */
	uint32_t mask;
};

static size_t bytes_for(uint32_t entries)
{
	return sizeof(struct header) + (size_t)entries * sizeof(struct rule_use);
}

static struct header *header_of(const struct rulebook *book)
{
	return book->store.base;
}

static struct rule_use *entry(const struct rulebook *book, uint32_t slot)
{
	return (struct rule_use *)((char *)book->store.base + sizeof(struct header)) + (slot - 1);
}

static uint32_t hash_words(const struct rule_words *words)
{
	const unsigned char *byte = (const unsigned char *)words;
	uint64_t hash = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < sizeof(*words); i++)
		hash = (hash ^ byte[i]) * 0x100000001b3ull;
	return (uint32_t)(hash ^ hash >> 32);
}

static uint32_t *find(const struct rulebook *book, const struct rule_words *words)
{
	uint32_t at = hash_words(words) & book->mask;

	while (book->index[at] && memcmp(&entry(book, book->index[at])->words, words, sizeof(*words)) != 0)
		at = (at + 1) & book->mask;
	return &book->index[at];
}

static int make_index(struct rulebook *book, uint32_t slots)
{
	uint32_t *index = calloc(slots, sizeof(*index));

	if (!index)
		return -ENOMEM;
	free(book->index);
	book->index = index;
	book->mask = slots - 1;
	for (uint32_t slot = 1; slot <= header_of(book)->used; slot++)
		*find(book, &entry(book, slot)->words) = slot;
	return 0;
}

static bool is_usable(const struct header *header, size_t size)
{
	return header->magic == RULEBOOK_MAGIC && header->entry_size == sizeof(struct rule_use) &&
	       bytes_for(header->used) <= size && header->used <= RULEBOOK_MAX;
}

int rulebook_open(const char *dir, struct rulebook **ret)
{
	struct rulebook *book = calloc(1, sizeof(*book));
	uint32_t slots = 2 * ENTRIES_FIRST;

	if (!book)
		return -ENOMEM;
	pthread_mutex_init(&book->lock, NULL);
	if (store_open(dir, RULEBOOK_FILE, bytes_for(ENTRIES_FIRST), &book->store)) {
		rulebook_close(&book);
		return -ENOMEM;
	}
	if (!is_usable(header_of(book), book->store.size))
		*header_of(book) = (struct header){.magic = RULEBOOK_MAGIC,
						   .entry_size = sizeof(struct rule_use),
						   .since_s = (uint32_t)time(NULL)};
	while (slots < 2 * header_of(book)->used)
		slots *= 2;
	if (make_index(book, slots)) {
		rulebook_close(&book);
		return -ENOMEM;
	}
	*ret = book;
	return 0;
}

void rulebook_close(struct rulebook **book)
{
	struct rulebook *b = *book;

	*book = NULL;
	if (!b)
		return;
	store_close(&b->store);
	pthread_mutex_destroy(&b->lock);
	free(b->index);
	free(b);
}

/* Room for one more, in the store and in the index. */
static int make_room(struct rulebook *book)
{
	uint32_t used = header_of(book)->used;
	int r = 0;

	if (used >= RULEBOOK_MAX)
		return -ENOSPC;
	if (bytes_for(used + 1) > book->store.size) {
		pthread_mutex_lock(&book->lock);
		r = store_grow(&book->store, bytes_for(2 * used));
		pthread_mutex_unlock(&book->lock);
	}
	if (!r && 2 * (used + 1) > book->mask + 1)
		r = make_index(book, 2 * (book->mask + 1));
	return r;
}

uint32_t rulebook_slot(struct rulebook *book, uint32_t stage, const char *id, const char *rule)
{
	struct rule_words words = {.stage = stage};
	uint32_t slot, used;

	snprintf(words.id, sizeof(words.id), "%s", id);
	snprintf(words.rule, sizeof(words.rule), "%s", rule);
	slot = *find(book, &words);
	if (slot)
		return slot;
	if (make_room(book))
		return 0;
	used = header_of(book)->used;
	*entry(book, used + 1) = (struct rule_use){.words = words};
	__atomic_store_n(&header_of(book)->used, used + 1, __ATOMIC_RELEASE);
	*find(book, &words) = used + 1;
	return used + 1;
}

void rulebook_use(struct rulebook *book, uint32_t slot, uint64_t packets, uint64_t bytes, bool reject, uint32_t last_s)
{
	struct rule_use *use;

	if (!slot)
		return;
	use = entry(book, slot);
	use->packets += packets;
	use->bytes += bytes;
	use->rejects += reject ? packets : 0;
	if (last_s > use->last_s)
		use->last_s = last_s;
}

bool rulebook_words(struct rulebook *book, uint32_t slot, struct rule_words *ret)
{
	bool known;

	pthread_mutex_lock(&book->lock);
	known = slot && slot <= __atomic_load_n(&header_of(book)->used, __ATOMIC_ACQUIRE);
	if (known)
		*ret = entry(book, slot)->words;
	pthread_mutex_unlock(&book->lock);
	return known;
}

int rule_words_compare(const struct rule_words *a, const struct rule_words *b)
{
	int order = strcmp(a->id, b->id);

	if (a->stage != b->stage)
		return a->stage < b->stage ? -1 : 1;
	return order ? order : strverscmp(a->rule, b->rule);
}

static int compare_uses(const void *a, const void *b)
{
	return rule_words_compare(&((const struct rule_use *)a)->words, &((const struct rule_use *)b)->words);
}

static int read_entries(int fd, struct rule_use **ret, size_t *ret_nr, uint32_t *ret_since_s)
{
	struct header header;
	struct rule_use *uses;
	size_t bytes;

	if (pread(fd, &header, sizeof(header), 0) != sizeof(header) || !is_usable(&header, SIZE_MAX))
		return -EINVAL;
	bytes = header.used * sizeof(*uses);
	uses = malloc(bytes + 1);
	if (!uses)
		return -ENOMEM;
	if (pread(fd, uses, bytes, sizeof(header)) != (ssize_t)bytes) {
		free(uses);
		return -EINVAL;
	}
	for (size_t i = 0; i < header.used; i++)
		uses[i].words.id[ID_MAX - 1] = uses[i].words.rule[RULEBOOK_RULE_MAX - 1] = 0;
	if (header.used)
		qsort(uses, header.used, sizeof(*uses), compare_uses);
	*ret = uses;
	*ret_nr = header.used;
	*ret_since_s = header.since_s;
	return 0;
}

int rulebook_read(const char *dir, struct rule_use **ret, size_t *ret_nr, uint32_t *ret_since_s)
{
	char path[4096];
	int fd = -1, r;

	snprintf(path, sizeof(path), "%s/" RULEBOOK_FILE, dir);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	r = read_entries(fd, ret, ret_nr, ret_since_s);
	close(fd);
	return r;
}
