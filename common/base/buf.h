/*
 * buf: a growable queue of bytes: they go in at the tail and come out at the head.
 *
 * It carries plaintext of segments, so when it grows, shrinks or ends it wipes what was written
 * into the storage that it gives up. A buf that is all zeros is empty and valid.
 *
 * Use: buf_reserve() returns room at the tail, buf_commit() adds the part of it that the caller has
 * filled; buf_data() and buf_size() return the bytes that wait, buf_consume() takes them from the
 * head.
 */
#ifndef COMMON_BASE_BUF_H
#define COMMON_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *base;
	size_t head;     /* offset of the first byte that waits */
	size_t tail;     /* offset behind the last one */
	size_t capacity; /* bytes allocated at base */
	size_t touched;  /* of these, the first that may have been written */
};

/* Wipes and frees the storage; the buf is empty and usable afterwards. */
void buf_fini(struct buf *b);

/*
 * Allocates room for size bytes at the tail without touching it, for bytes that come piece by
 * piece. Returns 0 or -ENOMEM (b is unchanged).
 */
int buf_grow(struct buf *b, size_t size);

/*
 * Makes room for size bytes at the tail. Returns it, or NULL when there is no memory (b is
 * unchanged). The room is valid until the next call on b.
 */
uint8_t *buf_reserve(struct buf *b, size_t size);

/*
 * Adds the first size bytes of the room, which the caller has filled. Asserts that they were
 * reserved.
 */
void buf_commit(struct buf *b, size_t size);

/* Appends a copy of size bytes at data. Returns 0 or -ENOMEM (b is unchanged). */
int buf_append(struct buf *b, const void *data, size_t size);

/* The bytes that wait, buf_size() of them; valid until the next call that changes b. */
static inline const uint8_t *
buf_data(const struct buf *b)
{
	return b->base == NULL ? NULL : b->base + b->head;
}

/* The number of bytes that wait. */
static inline size_t
buf_size(const struct buf *b)
{
	return b->tail - b->head;
}

/* Takes size bytes from the head. Asserts that so many wait. */
void buf_consume(struct buf *b, size_t size);

/* Wipes and frees the storage if b is empty and the storage is larger than keep bytes. */
void buf_trim(struct buf *b, size_t keep);

#endif
