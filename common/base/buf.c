#include "common/base/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { SMALLEST = 256 };

void
buf_fini(struct buf *b)
{
	if (b->base != NULL)
		explicit_bzero(b->base, b->touched);
	free(b->base);
	*b = (struct buf){ 0 };
}

/* Moves what waits to the beginning of the storage, if it is free, to have room for size bytes. */
static bool
make_room(struct buf *b, size_t size)
{
	size_t used = buf_size(b);

	if (b->base == NULL)
		return false;
	if (used == 0)
		b->head = b->tail = 0;
	if (size <= b->capacity - b->tail)
		return true;
	if (size > b->capacity - used || b->head < used)
		return false;
	memcpy(b->base, b->base + b->head, used);
	b->head = 0;
	b->tail = used;
	return true;
}

int
buf_grow(struct buf *b, size_t size)
{
	size_t used = buf_size(b), capacity;
	uint8_t *base;

	if (make_room(b, size))
		return 0;
	if (size > SIZE_MAX / 2 - used)
		return -ENOMEM;
	capacity = b->capacity < SMALLEST ? SMALLEST : b->capacity;
	while (capacity < used + size)
		capacity *= 2;
	/* A caller reserves a large body once, in full length: doubling would waste memory. */
	if (size > 65536)
		capacity = used + size;
	/* realloc(3) would leave the old bytes behind without wiping them. */
	base = malloc(capacity);
	if (base == NULL)
		return -ENOMEM;
	if (used > 0)
		memcpy(base, buf_data(b), used);
	buf_fini(b);
	*b = (struct buf){ .base = base, .tail = used, .capacity = capacity, .touched = used };
	return 0;
}

uint8_t *
buf_reserve(struct buf *b, size_t size)
{
	if (buf_grow(b, size) != 0)
		return NULL;
	if (b->touched < b->tail + size)
		b->touched = b->tail + size;
	return b->base + b->tail;
}

void
buf_commit(struct buf *b, size_t size)
{
	assert(size <= b->capacity - b->tail);
	b->tail += size;
}

int
buf_append(struct buf *b, const void *data, size_t size)
{
	uint8_t *room;

	if (size == 0)
		return 0;
	room = buf_reserve(b, size);
	if (room == NULL)
		return -ENOMEM;
	memcpy(room, data, size);
	buf_commit(b, size);
	return 0;
}

void
buf_consume(struct buf *b, size_t size)
{
	assert(size <= buf_size(b));
	b->head += size;
}

void
buf_trim(struct buf *b, size_t keep)
{
	if (buf_size(b) == 0 && b->capacity > keep)
		buf_fini(b);
}
