/*
 * tls: a TLS connection over a non-blocking socket, for both roles; its context has the rules
 * (tls_context.h).
 *
 * The host carries the records and can only cut or delay them. A peer that ends without
 * close_notify is an ordinary end of stream: frames carry their own length.
 *
 * The socket is read and written with MSG_DONTWAIT | MSG_NOSIGNAL, so no call here blocks or raises
 * SIGPIPE, whatever the socket's own flags are. One recv(2) may bring several records, so a caller
 * asks tls_has_pending() after a read, and if that is true reads again without polling.
 *
 * A call handles 16 records at most (tls_bio.h), however many a peer sends that carry no data, and
 * then returns -EAGAIN with tls_is_paused(): the caller serves others, and calls again without
 * polling. After TLS_SILENT_RECORDS_MOST records in a row without application data the connection
 * ends. One thread at a time may use a connection.
 */
#ifndef COMMON_CRYPTO_TLS_H
#define COMMON_CRYPTO_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { TLS_SILENT_RECORDS_MOST = 256 }; /* PROTOCOL 8 */

struct tls;
struct tls_context;

/*
 * A connection over fd, which stays the caller's. name (client only, or NULL) is the host name or
 * IP address that the server's certificate must carry. Returns 0; -ENOMEM; -EINVAL for a bad
 * name; or see libctx_begin().
 */
int tls_create(struct tls **out, struct tls_context *ctx, int fd, const char *name);

/* Takes NULL; wipes and frees. Sends nothing: see tls_shutdown(). */
void tls_destroy(struct tls *t);

/*
 * Descriptors may come with the bytes of the socket: receives them, closes them by the closer, and
 * ends the connection (-EPROTO). Without this call the kernel closes them during the read, which
 * takes as long as whoever passed them likes. Only for a daemon: see closer.h.
 */
void tls_take_rights(struct tls *t);

/*
 * Goes on with the handshake. Returns 0 when it is complete; -EAGAIN when the socket must become
 * ready first (for which of both, see tls_read_wants_write()) or tls_is_paused(); -EACCES when
 * either side refused a certificate, -ECONNRESET when the peer went away, -EPROTO for any other
 * failure.
 */
int tls_handshake(struct tls *t);

/*
 * Reads up to size bytes. Returns their number, 0 at the end of the stream, -EAGAIN as
 * tls_handshake(), -ECONNRESET, -EPROTO, or -EACCES when the server refused our certificate (TLS
 * 1.3 reports that with the first read).
 */
ssize_t tls_read(struct tls *t, void *out, size_t size);

/*
 * Writes up to size bytes. Returns how many were written, -EAGAIN, -EPIPE when the peer no longer
 * reads, -EACCES when it closed because it refused our certificate, or -EPROTO. After -EAGAIN the
 * next call must begin with the same bytes (they may have moved).
 */
ssize_t tls_write(struct tls *t, const void *data, size_t size);

/*
 * True when the last tls_handshake() or tls_read() returned -EAGAIN and waits for the socket to
 * become writable: the handshake, or an answer to the peer's KeyUpdate. Otherwise -EAGAIN waits for
 * the socket to become readable.
 */
bool tls_read_wants_write(const struct tls *t);

/* The same for the last tls_write(). */
bool tls_write_wants_write(const struct tls *t);

/* True when the last tls_handshake() or tls_read() returned -EAGAIN and waits for nothing. */
bool tls_is_paused(const struct tls *t);

/*
 * True when it is worth while to call tls_read() again before polling: it is paused, bytes are
 * pending, or the last system call brought as much as it had room for. Then the call may still
 * return -EAGAIN.
 */
bool tls_may_have_more(const struct tls *t);

/*
 * True when tls_read() can return bytes, or handle a whole record, without the socket. False while
 * there is only a part of a record.
 */
bool tls_has_pending(const struct tls *t);

/*
 * Sends close_notify if that can be done at once. Not for a fork's child: it would re-use a record
 * number.
 */
void tls_shutdown(struct tls *t);

/* The reason of a connection that the peer has closed. */
#define TLS_CLOSED "the peer closed the connection"

/* Why the last call failed, a sentence; "" when none did. Valid until the next call on t. */
const char *tls_reason(const struct tls *t);

/* The common name of the peer's verified certificate, escaped by log_escape(); "" without one. */
const char *tls_peer_name(const struct tls *t);

/*
 * The common name of the peer's verified certificate as its bytes are there, *size of them and no
 * NUL behind them; valid as long as t. NULL without a certificate, or unless it has exactly one
 * common name.
 */
const char *tls_peer_single_name(const struct tls *t, size_t *size);

/*
 * True when the peer has shown a certificate that is revoked now (revocations.h). The handshake is
 * complete.
 */
bool tls_is_revoked(const struct tls *t);

/* "TLSv1.3 TLS_AES_256_GCM_SHA384" and the like, for logs; valid as long as t. */
const char *tls_description(struct tls *t);

#endif
