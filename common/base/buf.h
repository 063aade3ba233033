/*
 * buf: a growable queue of bytes; what goes in at the tail comes out at the head.
 *
 * It carries plaintext of segments, so every byte it gives up (when it grows, shrinks or ends) is
 * wiped first. A buf that is all zeros is empty and valid.
 *
 * Use: buf_reserve() gives room at the tail, buf_commit() says how much of it was filled;
 * buf_data() and buf_size() show what is there, buf_consume() takes it from the head.
 */
#ifndef COMMON_BASE_BUF_H
#define COMMON_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *base;
	size_t head;     /* bytes already consumed */
	size_t tail;     /* end of what was committed */
	size_t capacity; /* bytes allocated at base */
};

/* Wipes and frees the storage; the buf is empty and usable afterwards. */
void buf_fini(struct buf *b);

/*
 * Makes room for size bytes at the tail and returns it, or NULL when there is no memory (the buf
 * is as it was). The room is valid until the next call on b.
 */
uint8_t *buf_reserve(struct buf *b, size_t size);

/* The first size bytes of the room were filled. Asserts that they had been reserved. */
void buf_commit(struct buf *b, size_t size);

/* Appends a copy of size bytes at data. Returns 0 or -ENOMEM (the buf is as it was). */
int buf_append(struct buf *b, const void *data, size_t size);

/* The first byte; valid for buf_size() bytes until the next call that changes b. */
const uint8_t *buf_data(const struct buf *b);

/* How many bytes wait. */
size_t buf_size(const struct buf *b);

/* Takes size bytes from the head. Asserts that there are so many. */
void buf_consume(struct buf *b, size_t size);

/* When b is empty and its storage is larger than keep bytes, gives the storage back. */
void buf_trim(struct buf *b, size_t keep);

#endif
