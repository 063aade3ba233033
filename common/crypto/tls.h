/*
 * tls: a TLS connection over a non-blocking socket, for both roles; its context has the rules
 * (tls_context.h).
 *
 * The host carries the records and can only cut or delay them. A peer that ends without
 * close_notify is an ordinary end of stream: frames carry their own length.
 *
 * The socket is read and written with MSG_DONTWAIT | MSG_NOSIGNAL, so no call here blocks or raises
 * SIGPIPE, whatever the socket's own flags are. Records are read ahead: one recv(2) may bring
 * several, so a caller asks tls_has_pending() after a read, and if that is true reads again without
 * polling. One thread at a time may use a connection.
 */
#ifndef COMMON_CRYPTO_TLS_H
#define COMMON_CRYPTO_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct tls;
struct tls_context;

/*
 * A connection over fd, which stays the caller's. name (client only, or NULL) is the host name or
 * IP address that the server's certificate must carry. Returns 0, -ENOMEM, or -EINVAL for a bad
 * name.
 */
int tls_create(struct tls **out, struct tls_context *ctx, int fd, const char *name);

/* Takes NULL; wipes and frees. Sends nothing: see tls_shutdown(). */
void tls_destroy(struct tls *t);

/*
 * Goes on with the handshake. Returns 0 when it is complete; -EAGAIN when the socket must become
 * ready first (for which of both, see tls_wants_write()); -EACCES when either side refused a
 * certificate, -ECONNRESET when the peer went away, -EPROTO for any other failure.
 */
int tls_handshake(struct tls *t);

/*
 * Reads up to size bytes. Returns their number, 0 at the end of the stream, -EAGAIN, -ECONNRESET,
 * -EPROTO, or -EACCES when the server refused our certificate (TLS 1.3 reports that with the first
 * read).
 */
ssize_t tls_read(struct tls *t, void *out, size_t size);

/*
 * Writes up to size bytes. Returns how many were written, -EAGAIN, -EPIPE when the peer no longer
 * reads, -EACCES when it closed because it refused our certificate, or -EPROTO. After -EAGAIN the
 * next call must begin with the same bytes (they may have moved).
 */
ssize_t tls_write(struct tls *t, const void *data, size_t size);

/* True when the last -EAGAIN waits for the socket to become writable, false: readable. */
bool tls_wants_write(const struct tls *t);

/* True when bytes have been read from the socket that tls_read() has not returned yet. */
bool tls_has_pending(const struct tls *t);

/*
 * Sends close_notify if that can be done at once. Not for a fork's child: it would re-use a record
 * number.
 */
void tls_shutdown(struct tls *t);

/* Why the last call failed, a sentence; "" when none did. Valid until the next call on t. */
const char *tls_reason(const struct tls *t);

/* The common name of the peer's verified certificate, escaped by log_escape(); "" without one. */
const char *tls_peer_name(const struct tls *t);

/* "TLSv1.3 TLS_AES_256_GCM_SHA384" and the like, for logs; valid as long as t. */
const char *tls_description(struct tls *t);

#endif
