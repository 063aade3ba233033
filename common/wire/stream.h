/*
 * stream: bytes to and from a peer over a non-blocking socket, plain or through TLS, for both roles.
 *
 * The one place where "plain or TLS" is decided; what is above sees one kind of connection. Calls
 * never block and never raise SIGPIPE. Errors are those of tls.h; a plain stream has -EAGAIN,
 * -EPIPE and -ECONNRESET of them, and the socket's other errors as they are.
 */
#ifndef COMMON_WIRE_STREAM_H
#define COMMON_WIRE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct stream;
struct tls_context;

/*
 * A stream over the connected socket fd, which it owns from then on (on failure it stays the caller's).
 * ctx NULL: plain. name: see tls_create(). Returns 0, -ENOMEM or -EINVAL.
 */
int stream_create(struct stream **out, int fd, struct tls_context *ctx, const char *name);

/* Takes NULL. Closes the socket without saying goodbye; wipes. What a fork's child does first. */
void stream_destroy(struct stream *s);

/* Goes on with the handshake: 0 complete (at once when plain), -EAGAIN, or see tls_handshake(). */
int stream_handshake(struct stream *s);

/* See tls_read() and tls_write(). */
ssize_t stream_read(struct stream *s, void *out, size_t size);
ssize_t stream_write(struct stream *s, const void *data, size_t size);

/* What the last -EAGAIN waits for: true to become writable, false to become readable. */
bool stream_wants_write(const struct stream *s);

/* True when stream_read() would return something although poll(2) does not say so. */
bool stream_has_pending(const struct stream *s);

/* Ends the connection in both directions at once, without a goodbye; whoever polls the socket wakes up. */
void stream_abort(struct stream *s);

/* Says goodbye, as far as that does not wait. */
void stream_shutdown(struct stream *s);

int stream_fd(const struct stream *s);

/* Why TLS failed, a sentence; "" when it did not. */
const char *stream_reason(const struct stream *s);

/* The peer's certificate name, escaped; "" without one. */
const char *stream_peer_name(const struct stream *s);

/* "plaintext" or the TLS version and cipher. */
const char *stream_description(struct stream *s);

#endif
