/*
 * buffers: the memory of a session's buffers, charged to its account (ACCOUNT_MEMORY).
 *
 * All growth of a session's body, backlog and output goes through here. A buffer that has become
 * empty gives its storage back, but for what the next small requests need; a large body's storage
 * becomes the server's spare buffer (spare.h) or is wiped in pieces (wiper.h).
 */
#ifndef COMMON_SERVER_CORE_BUFFERS_H
#define COMMON_SERVER_CORE_BUFFERS_H

#include <stddef.h>
#include <stdint.h>

struct buf;
struct session;

/* Makes room for size bytes at the tail of b, one of the buffers of s. Returns it, or NULL. */
uint8_t *buffers_reserve(struct session *s, struct buf *b, size_t size);

/* Appends a copy of size bytes to b, one of the buffers of s. Returns 0 or -ENOMEM. */
int buffers_append(struct session *s, struct buf *b, const void *data, size_t size);

/*
 * Appends a copy of size bytes to s->backlog, even if the account has no room for them: a session
 * that waits for memory has read them already, and reads no more. Returns 0 or -ENOMEM.
 */
int buffers_keep_backlog(struct session *s, const void *data, size_t size);

/*
 * Makes room in s->body, which is empty, for a body of size bytes, of which none has come; for a
 * small one even if the account has no room. Returns
 * 0 or -ENOMEM.
 */
int buffers_grow_body(struct session *s, size_t size);

/* The body is not needed any more. */
void buffers_drop_body(struct session *s);

/* The output or the backlog b may have become empty: gives back what it does not need. */
void buffers_trim(struct session *s, struct buf *b);

/* Frees all buffers of s. */
void buffers_fini(struct session *s);

#endif
