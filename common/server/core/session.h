/*
 * session: one client's conversation, from bytes to bytes (DESIGN 4).
 *
 * Bytes of the peer are fed in as they come, in any pieces; replies are taken out. Bad input is
 * answered with a status or ends the session with one log line, and never changes another session's
 * state. What a peer can make the session keep is bounded (DESIGN 9): a body over 64 KiB is kept only up to
 * what the segments it has locked can need; a new request is not looked at while more than
 * SESSION_OUTPUT_HIGH bytes of replies are unsent; half a frame may stand still for SESSION_STALL_MS.
 */
#ifndef COMMON_SERVER_CORE_SESSION_H
#define COMMON_SERVER_CORE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct server;
struct session;

enum { SESSION_OUTPUT_HIGH = 64 * 1024, SESSION_STALL_MS = 10 * 1000 };

/* A session with nothing open. peer names it in the log (copied). Returns 0 or -ENOMEM. */
int session_create(struct session **out, struct server *v, const char *peer);

/* A pointer for whoever drives the session; NULL at first. */
void session_set_owner(struct session *s, void *owner);
void *session_owner(const struct session *s);

/* Takes NULL. The connection has ended: its locks are released and the next waiters granted. */
void session_destroy(struct session *s);

/* size bytes came from the peer; all requests that are complete are executed. */
void session_feed(struct session *s, const void *data, size_t size);

/* False while the peer has too many replies to read, or is over: do not read from it now. */
bool session_wants_input(const struct session *s);

/* What waits to be sent: its size, and where it is; good until the next call on s. */
size_t session_output(const struct session *s, const uint8_t **data);

/* So many bytes of it were sent; requests that had to wait for that are executed. */
void session_sent(struct session *s, size_t size);

/*
 * Writing to the peer has failed: what waits is dropped, and so are later replies; what the peer has sent
 * counts all the same, so go on feeding until its end.
 */
void session_write_failed(struct session *s);

/* True when the connection is to be closed as soon as the output is sent. */
bool session_is_over(const struct session *s);

#endif
