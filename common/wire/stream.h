/*
 * stream: bytes to and from a peer over a non-blocking socket, plain or through TLS, for both
 * roles.
 *
 * This is the one place that tells plain from TLS; its callers see one kind of connection. Calls
 * never block and never raise SIGPIPE. Errors are those of tls.h; a plain stream has -EAGAIN,
 * -EPIPE and -ECONNRESET of them, and other errors of the socket as they are.
 */
#ifndef COMMON_WIRE_STREAM_H
#define COMMON_WIRE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct stream;
struct tls_context;

/*
 * Makes a stream over the connected socket fd, and owns that on success. ctx NULL: plain. name: see
 * tls_create(). Returns 0, -ENOMEM or -EINVAL.
 */
int stream_create(struct stream **out, int fd, struct tls_context *ctx, const char *name);

/* Takes NULL. Closes the socket and sends nothing, as a fork's child must; wipes. */
void stream_destroy(struct stream *s);

/* See tls_handshake(). A plain stream returns 0 at once. */
int stream_handshake(struct stream *s);

/* See tls_read() and tls_write(). */
ssize_t stream_read(struct stream *s, void *out, size_t size);
ssize_t stream_write(struct stream *s, const void *data, size_t size);

/* True when the last -EAGAIN waits for the socket to become writable, false: readable. */
bool stream_wants_write(const struct stream *s);

/* True when stream_read() may return bytes although the socket is not readable. */
bool stream_has_pending(const struct stream *s);

/*
 * Ends the connection in both directions at once, without close_notify; a thread that polls the
 * socket wakes up.
 */
void stream_abort(struct stream *s);

/* Sends close_notify, if that can be done at once, and ends the direction to the peer. */
void stream_shutdown(struct stream *s);

int stream_fd(const struct stream *s);

/* Why TLS failed, a sentence; "" when it has not, and for a plain stream. */
const char *stream_reason(const struct stream *s);

/* See tls_peer_name(); "" for a plain stream. */
const char *stream_peer_name(const struct stream *s);

/* "plaintext" or the TLS version and cipher. */
const char *stream_description(struct stream *s);

#endif
