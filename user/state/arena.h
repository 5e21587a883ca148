/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Memory that lives and dies together. Allocations are zeroed and never fail for the caller: when the system has no
 * memory left, control goes back to the setjmp() of `failed`, which frees the whole arena. So code that builds a state
 * of a hundred thousand small objects holds no error path for each of them.
 */
#ifndef ENID_STATE_ARENA_H
#define ENID_STATE_ARENA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks;
	jmp_buf *failed; /* where to go when there is no memory; valid only while the arena is being filled */
};

void *state_arena_alloc(struct arena *arena, size_t nr, size_t size);
char *state_arena_strdup(struct arena *arena, const char *text);
char *state_arena_vprintf(struct arena *arena, const char *format, va_list args)
	__attribute__((format(printf, 2, 0), nonnull));
char *state_arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
void state_arena_join(struct arena *into, struct arena *from); /* what is in `from` lives as long as `into` */
size_t state_arena_size(const struct arena *arena);            /* bytes that it takes */
void state_arena_done(struct arena *arena);

#define ARENA_ARRAY(arena, nr, type) ((type *)state_arena_alloc(arena, nr, sizeof(type)))

#endif
