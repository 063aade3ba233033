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

enum { BUFFERS_REPLY_ROOM = 256 }; /* every reply that is not longer by its nature fits */

struct buf;
struct session;

/*
 * Makes room for size bytes at the tail of b, one of the buffers of s. Returns it; NULL without
 * room in the account or memory.
 */
uint8_t *buffers_reserve(struct session *s, struct buf *b, size_t size);

/*
 * The same, even if the account has no room: for a reply of at most BUFFERS_REPLY_ROOM bytes. That
 * of a request has its room already; a session has few others, which its timers cause.
 */
uint8_t *buffers_reserve_anyway(struct session *s, struct buf *b, size_t size);

/*
 * Appends a copy of size bytes to b, even if the account has no room for them: the session has them
 * in memory already, and takes no more while it waits for room. Returns 0 or -ENOMEM.
 */
int buffers_append_anyway(struct session *s, struct buf *b, const void *data, size_t size);

/*
 * Takes room for the reply of a request that will be executed; while few replies are unsent, even
 * if the account has none: a peer that has used up its memory reads why. Returns 0, -EAGAIN when it
 * must wait for room, or -ENOMEM.
 */
int buffers_take_reply_room(struct session *s);

/*
 * Makes room in s->body, which is empty, for a body of size bytes, of which none has come; for a
 * small one even if the account has no room. Returns 0, -EAGAIN without room, or -ENOMEM.
 */
int buffers_grow_body(struct session *s, size_t size);

/* The body is not needed any more. */
void buffers_drop_body(struct session *s);

/* The output or the backlog b may have become empty: gives back what it does not need. */
void buffers_trim(struct session *s, struct buf *b);

/* Frees all buffers of s. */
void buffers_fini(struct session *s);

#endif
