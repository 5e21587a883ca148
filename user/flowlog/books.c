/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is missing in the flow logs, per port. */
#include <string.h>

#include "flowlog/books.h"

/* From one build's meaning of `lost` to the other's. Each half of it may be done again, as one that was killed has to:
 * the first changes nothing that it reads, the second does not read what it changes. */
static void convert(struct books_page *page)
{
	struct books_settling *new = &page->settling;

	if (page->magic == BOOKS_MAGIC_3) {
		new->sequence = 0;
		for (uint32_t port = 0; port < PORTS_MAX; port++) {
			const struct book *book = &page->port[port];

			new->port[port].lost = book->lost + book->declared - book->common; /* all three were in it */
		}
		__atomic_store_n(&page->magic, BOOKS_MAGIC_3_READ, __ATOMIC_RELEASE);
	}
	for (uint32_t port = 0; port < PORTS_MAX; port++)
		page->port[port].lost = new->port[port].lost;
	__atomic_store_n(&page->magic, BOOKS_MAGIC, __ATOMIC_RELEASE);
}

int books_open(const char *dir, const char *name, uint64_t instance, struct books *ret)
{
	struct books books;
	int r = store_open(dir, name, sizeof(struct books_page), &books.store);

	if (r)
		return r;
	books.page = books.store.base;
	if (books.page->magic == BOOKS_MAGIC_3 || books.page->magic == BOOKS_MAGIC_3_READ)
		convert(books.page);
	if (books.page->magic != BOOKS_MAGIC || books.page->instance != instance) {
		memset(books.page, 0, sizeof(*books.page));
		books.page->instance = instance;
		books.page->magic = BOOKS_MAGIC;
	}
	*ret = books;
	return 0;
}

void books_close(struct books *books)
{
	store_close(&books->store);
	books->page = NULL;
}

void books_skip(struct books *books, uint32_t port, uint64_t packets)
{
	if (port < PORTS_MAX)
		__atomic_fetch_add(&books->page->port[port].common, packets, __ATOMIC_RELAXED);
}

uint64_t books_common(const struct books *books, uint32_t port)
{
	return port < PORTS_MAX ? __atomic_load_n(&books->page->port[port].common, __ATOMIC_RELAXED) : 0;
}

static uint64_t since(uint64_t now, uint64_t *told)
{
	uint64_t more = now - *told;

	/* Lower than what was told: the data path was loaded anew under the same secrets. */
	if (now < *told)
		more = now;
	*told = now;
	return more;
}

void books_kernel(struct books *books, uint32_t port, const struct port_stats *stats)
{
	struct book *book = &books->page->port[port];
	uint64_t more = since(__atomic_load_n(&stats->skipped_accepts, __ATOMIC_RELAXED), &book->told_accepts) +
			since(__atomic_load_n(&stats->skipped_rejects, __ATOMIC_RELAXED), &book->told_rejects);

	if (more)
		books_skip(books, port, more);
}

uint64_t books_pending(const struct books *books, uint32_t port)
{
	const struct book *book = port < PORTS_MAX ? &books->page->port[port] : NULL;

	return book ? books_common(books, port) + book->lost - book->declared : 0;
}

bool books_settle(struct books *books, uint64_t sequence)
{
	const struct books_settling *settling = &books->page->settling;

	if (!sequence || __atomic_load_n(&settling->sequence, __ATOMIC_ACQUIRE) != sequence)
		return false;
	for (uint32_t port = 0; port < PORTS_MAX; port++) {
		struct book *book = &books->page->port[port];

		book->lost = settling->port[port].lost;
		book->declared = settling->port[port].declared;
		book->common_then = settling->port[port].common_then;
		book->last_start_s = settling->port[port].last_start_s;
	}
	books->page->lines = settling->lines;
	return true;
}

void books_settled(struct books *books)
{
	__atomic_store_n(&books->page->settling.sequence, 0, __ATOMIC_RELEASE);
}
