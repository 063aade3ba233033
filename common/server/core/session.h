/*
 * session: the conversation with one client, from bytes to requests (PROTOCOL 1 and PROTOCOL 7).
 *
 * The driver feeds in the peer's bytes as they come, in pieces of any size, and takes replies out.
 * Bad input is answered with a status, or ends the session with one log line; it never changes
 * another session's state.
 *
 * The memory that a peer can make the session use is bounded (PROTOCOL 8). A body over
 * PROTOCOL_SMALL_BODY_MOST is kept only if a release of a segment that the session has locked can
 * be as large; otherwise it is discarded as it comes. No new request is read while
 * PROTOCOL_UNSENT_MOST bytes of replies are unsent. A frame may stay incomplete for
 * PROTOCOL_STALL_MS without a byte of progress.
 */
#ifndef COMMON_SERVER_CORE_SESSION_H
#define COMMON_SERVER_CORE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct server;
struct session;

/* A session with nothing open. The log calls it peer (copied). Returns 0 or -ENOMEM. */
int session_create(struct session **out, struct server *v, const char *peer);

/* A pointer of the driver; NULL at first. */
void session_set_owner(struct session *s, void *owner);
void *session_owner(const struct session *s);

/* Ends the session when its connection has ended: its locks are released. Takes NULL. */
void session_destroy(struct session *s);

/* Takes size bytes that came from the peer, and executes all requests that are complete. */
void session_feed(struct session *s, const void *data, size_t size);

/*
 * False while too many replies are unsent, and when s is over: the driver must not read from the
 * peer.
 */
bool session_wants_input(const struct session *s);

/*
 * The unsent replies: returns their size and sets *data, which is valid until the next call on s.
 */
size_t session_output(const struct session *s, const uint8_t **data);

/* The first size bytes of the output were sent; does what session_resume() does. */
void session_sent(struct session *s, size_t size);

/*
 * Writing to the peer has failed: the output is dropped, and so are later replies. Requests that
 * the peer had sent before count all the same, so the driver goes on feeding until the end of its
 * input.
 */
void session_write_failed(struct session *s);

/*
 * Does what had to wait, as far as the unsent replies allow: writes the grants that followed from
 * the releases of others, and executes requests that were fed and not read. server_next_ready()
 * calls it.
 */
void session_resume(struct session *s);

/* True when the driver has to close the connection as soon as the output is sent. */
bool session_is_over(const struct session *s);

#endif
