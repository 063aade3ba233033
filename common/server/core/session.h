/*
 * session: the conversation with one client, from bytes to requests (PROTOCOL 1 and PROTOCOL 7).
 *
 * The driver feeds in the peer's bytes as they come, in pieces of any size, and takes replies out.
 * Bad input is answered with a status, or ends the session with one log line; it never changes
 * another session's state.
 *
 * Work stops when the budget of the turn is spent, between two requests or two pieces of a long
 * one. The session remembers where it is, session_has_work() is true, and session_work() goes on in
 * the next turn.
 *
 * The memory that a peer can make the session use is bounded (PROTOCOL 8) and charged to the peer's
 * account. A body over PROTOCOL_SMALL_BODY_MOST is kept only if a release of a segment that the
 * session has locked can be as large; otherwise it is discarded as it comes. Without memory for a
 * body or a reply the session reads no more, for PROTOCOL_STALL_MS at most (receiving.h). No new
 * request is read while PROTOCOL_UNSENT_MOST bytes of replies are unsent. A frame may stay
 * incomplete for PROTOCOL_STALL_MS without a byte of progress.
 */
#ifndef COMMON_SERVER_CORE_SESSION_H
#define COMMON_SERVER_CORE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct account;
struct budget;
struct server;
struct session;

/*
 * A session with nothing open, charged to account, of which it gets a reference. The log calls it
 * peer (copied). Returns 0, -EUSERS when ACCOUNT_SESSIONS has no room, or -ENOMEM.
 */
int session_create(struct session **out, struct server *v, const char *peer,
    struct account *account);

/* A pointer of the driver; NULL at first. */
void session_set_owner(struct session *s, void *owner);
void *session_owner(const struct session *s);

/* INSPECT exists for this session: its peer is an operator. */
void session_set_operator(struct session *s);

/*
 * Ends the session when its connection has ended: its locks are released, except one for which it
 * is publishing: that goes on in a task. Takes NULL. s is no longer the driver's.
 */
void session_destroy(struct session *s);

/*
 * Takes size bytes that came from the peer, and executes requests that are complete, as long as b
 * lasts.
 */
void session_feed(struct session *s, const void *data, size_t size, const struct budget *b);

/*
 * False while requests wait that were fed, while too many replies are unsent, and when s is over:
 * the driver must not read from the peer.
 */
bool session_wants_input(const struct session *s);

/*
 * How many bytes the driver may feed at once, while s wants input: few when the account has no
 * memory left.
 */
size_t session_input_most(const struct session *s);

/*
 * True when the driver has to read the socket in this turn, even if it has not been told that bytes
 * have come: a timer that is due waits for what the peer has sent in time.
 */
bool session_must_look(const struct session *s);

/* True when session_work() has something to do now. */
bool session_has_work(const struct session *s);

/*
 * Goes on with what had to wait, as long as b lasts: grants that followed from the releases of
 * others, the rest of a long reply or request, requests that were fed and not executed.
 */
void session_work(struct session *s, const struct budget *b);

/*
 * The unsent replies: returns their size and sets *data, which is valid until the next call on s.
 */
size_t session_output(const struct session *s, const uint8_t **data);

/* The first size bytes of the output were sent. */
void session_sent(struct session *s, size_t size);

/*
 * A turn of s has ended: the driver has fed what the peer had sent, as far as the turn's budget and
 * session_wants_input() allowed. Timers that are due wait for this.
 */
void session_turn_ended(struct session *s);

/*
 * The peer sends no more. What it has sent is executed and answered; then its claims are dropped,
 * and s is over.
 */
void session_input_ended(struct session *s);

/*
 * Writing to the peer has failed: the output is dropped, and so are later replies. Requests that
 * the peer had sent before count all the same, so the driver goes on feeding until the end of its
 * input.
 */
void session_write_failed(struct session *s);

/*
 * s executes no more requests, from the next one on: the log says why. Takes NULL. May be called
 * while a request of s is executed, whose reply is still among the output.
 */
void session_refuse_more(struct session *s, const char *reason);

/* True when the driver has to close the connection as soon as the output is sent. */
bool session_is_over(const struct session *s);

#endif
