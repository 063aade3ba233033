/*
 * stream: bytes to and from a peer over a non-blocking socket, plain or through TLS, for both
 * roles.
 *
 * This is the one place that tells plain from TLS; its callers see one kind of connection. Calls
 * never block and never raise SIGPIPE. Errors are those of tls.h; a plain stream has -EAGAIN,
 * -EPIPE and -ECONNRESET of them, and other errors of the socket as they are.
 *
 * A client's program may close the socket and have another one under its number (ownfd.h). So a
 * client's stream looks before each call whether the socket is still the one that it was given; a
 * read that follows before the clock's next tick does without another look, and so does
 * stream_write_rest(). If it is not, the call returns -EBADF, and nothing is read, written, shut
 * down or closed. A caller that reads before it has written calls stream_is_intact() itself.
 *
 * After -EAGAIN the functions stream_*_wants_write() and stream_is_paused() say what to wait for.
 *
 * The peer of a unix socket may pass descriptors, whose close(2) may block. A server's stream
 * refuses them, see stream_create_accepted(). A client's stream never has one: the kernel closes
 * them in the read. So a host can make a read of a client last, as it can stop a client anyway, but
 * it cannot fill the client's table of descriptors.
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

/*
 * The same for a server's accepted socket. If the kernel lets the peer pass descriptors, they are
 * received and given to the closer (closer.h), stream_read() then returns -EPROTO, and
 * stream_destroy() gives the socket to the closer, too.
 */
int stream_create_accepted(struct stream **out, int fd, struct tls_context *ctx);

/* Takes NULL. Closes the socket and sends nothing, as a fork's child must; wipes. */
void stream_destroy(struct stream *s);

/* False when the program has closed the socket of a client's stream. */
bool stream_is_intact(struct stream *s);

/* See tls_handshake(). A plain stream returns 0 at once. -EBADF: it is not intact. */
int stream_handshake(struct stream *s);

/* See tls_read() and tls_write(). -EBADF: it is not intact. */
ssize_t stream_read(struct stream *s, void *out, size_t size);
ssize_t stream_write(struct stream *s, const void *data, size_t size);

/*
 * The same without a look at the socket: for the rest of a message, whose first bytes
 * stream_write() has just taken.
 */
ssize_t stream_write_rest(struct stream *s, const void *data, size_t size);

/*
 * True when the last stream_handshake() or stream_read() returned -EAGAIN and waits for the socket
 * to become writable; otherwise -EAGAIN waits for it to become readable.
 */
bool stream_read_wants_write(const struct stream *s);

/* The same for the last of both writes. */
bool stream_write_wants_write(const struct stream *s);

/*
 * True when the last stream_handshake() or stream_read() returned -EAGAIN and waits for nothing: to
 * be called again without polling, after others had their turn.
 */
bool stream_is_paused(const struct stream *s);

/* True when stream_read() can return bytes, or handle a TLS record, without the socket. */
bool stream_has_pending(const struct stream *s);

/*
 * True when it is worth while to call stream_read() again before polling; the call may still return
 * -EAGAIN. False says that poll(2) reports what there is to read.
 */
bool stream_may_have_more(const struct stream *s);

/*
 * Ends the connection in both directions at once, without close_notify; a thread that polls the
 * socket wakes up.
 */
void stream_abort(struct stream *s);

/* Sends close_notify, if that can be done at once, and ends the direction to the peer. */
void stream_shutdown(struct stream *s);

int stream_fd(const struct stream *s);

/* Why TLS failed, the peer was refused or the socket is lost, a sentence; "": nothing of these. */
const char *stream_reason(const struct stream *s);

/* See tls_peer_name(); "" for a plain stream. */
const char *stream_peer_name(const struct stream *s);

/* See tls_peer_single_name(); NULL for a plain stream. */
const char *stream_peer_single_name(const struct stream *s, size_t *size);

/* See tls_is_revoked(); false for a plain stream. */
bool stream_is_revoked(const struct stream *s);

/* "plaintext" or the TLS version and cipher. */
const char *stream_description(struct stream *s);

#endif
