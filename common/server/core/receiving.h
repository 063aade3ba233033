/*
 * receiving: the bytes of a session become frames, and frames become requests, which are executed.
 *
 * The state is the frame in struct session. A whole small request is executed where it was read;
 * otherwise its body is collected in s->body. A request that has not ended (it waits for memory, or
 * publishes in pieces) stays there, complete, and goes on in the session's next turn.
 *
 * Nothing that a peer sends makes the server keep more than its account allows: there must be room
 * for the body before it is received, and for the reply before the request is executed. Without it
 * the session reads no more until there is, PROTOCOL_STALL_MS at most; then the request is refused
 * with ENOMEM, or the session ends.
 */
#ifndef COMMON_SERVER_CORE_RECEIVING_H
#define COMMON_SERVER_CORE_RECEIVING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct budget;
struct session;

/* True when s would take bytes from its peer. */
bool receiving_can_read(const struct session *s);

/*
 * How many bytes s would take at once. What it cannot execute yet it keeps, whether its account has
 * room or not: so it takes little while there is none, but for a body, which has its room.
 */
size_t receiving_most(const struct session *s);

/*
 * Reads frames from size bytes and executes them, as long as receiving_can_read() and b lasts.
 * Returns how many bytes it used.
 */
size_t receiving_read(struct session *s, const uint8_t *data, size_t size, const struct budget *b);

/* True when the request that is complete may be executed, or go on. */
bool receiving_can_continue(const struct session *s);

/* Executes that request, or goes on with it. Does nothing when it may not. */
void receiving_continue(struct session *s, const struct budget *b);

/* Bytes have come: a frame that is still incomplete has its time again. */
void receiving_update_stall(struct session *s);

#endif
