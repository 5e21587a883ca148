/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is missing in the flow logs, per port. */
#include <string.h>

#include "flowlog/books.h"

int books_open(const char *dir, const char *name, uint64_t instance, struct books *ret)
{
	struct books books;
	int r = store_open(dir, name, sizeof(struct books_page), &books.store);

	if (r)
		return r;
	books.page = books.store.base;
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
		__atomic_fetch_add(&books->page->port[port].pending, packets, __ATOMIC_RELAXED);
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
	return port < PORTS_MAX ? __atomic_load_n(&books->page->port[port].pending, __ATOMIC_RELAXED) : 0;
}

void books_declare(struct books *books, uint32_t port, uint64_t packets)
{
	__atomic_fetch_sub(&books->page->port[port].pending, packets, __ATOMIC_RELAXED);
	books->page->port[port].declared += packets;
}
