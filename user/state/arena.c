/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A list of chunks; the newest is filled from its start. What is larger than a chunk gets one of its own. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/arena.h"

#define CHUNK_BYTES 65536
#define ALIGNMENT   16

/* A change is small, and there may be many. */
#define FIRST_BYTES 1024

struct arena_chunk {
	struct arena_chunk *next;
	size_t used, size;
	char bytes[] __attribute__((aligned(ALIGNMENT)));
};

static struct arena_chunk *chunk_new(struct arena *arena, size_t bytes)
{
	size_t twice = arena->chunks ? 2 * arena->chunks->size : FIRST_BYTES;
	size_t usual = twice < CHUNK_BYTES ? twice : CHUNK_BYTES;
	size_t size = bytes > usual ? bytes : usual;
	struct arena_chunk *chunk = calloc(1, sizeof(*chunk) + size);

	if (!chunk)
		longjmp(*arena->failed, 1);
	chunk->size = size;
	chunk->next = arena->chunks;
	arena->chunks = chunk;
	return chunk;
}

void *state_arena_alloc(struct arena *arena, size_t nr, size_t size)
{
	struct arena_chunk *chunk = arena->chunks;
	size_t bytes;
	void *memory;

	if (__builtin_mul_overflow(nr, size, &bytes) || bytes > SIZE_MAX / 2)
		longjmp(*arena->failed, 1);
	bytes = (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	if (!chunk || chunk->size - chunk->used < bytes)
		chunk = chunk_new(arena, bytes);
	memory = chunk->bytes + chunk->used;
	chunk->used += bytes;
	return memory;
}

char *state_arena_strdup(struct arena *arena, const char *text)
{
	size_t bytes = strlen(text) + 1;

	return memcpy(state_arena_alloc(arena, bytes, 1), text, bytes);
}

char *state_arena_vprintf(struct arena *arena, const char *format, va_list args)
{
	va_list again;
	char *text;
	int length;

	va_copy(again, args);
	length = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (length < 0)
		longjmp(*arena->failed, 1);
	text = state_arena_alloc(arena, (size_t)length + 1, 1);
	vsnprintf(text, (size_t)length + 1, format, args);
	return text;
}

char *state_arena_printf(struct arena *arena, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = state_arena_vprintf(arena, format, args);
	va_end(args);
	return text;
}

void state_arena_join(struct arena *into, struct arena *from)
{
	struct arena_chunk **last = &from->chunks;

	while (*last)
		last = &(*last)->next;
	*last = into->chunks;
	into->chunks = from->chunks;
	from->chunks = NULL;
}

size_t state_arena_size(const struct arena *arena)
{
	size_t size = 0;

	for (const struct arena_chunk *chunk = arena->chunks; chunk; chunk = chunk->next)
		size += sizeof(*chunk) + chunk->size;
	return size;
}

void state_arena_done(struct arena *arena)
{
	while (arena->chunks) {
		struct arena_chunk *next = arena->chunks->next;

		free(arena->chunks);
		arena->chunks = next;
	}
}
