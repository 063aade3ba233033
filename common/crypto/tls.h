/*
 * tls: TLS 1.3, or 1.2 with ECDHE and AEAD, over a non-blocking socket, for both roles (OpenSSL).
 *
 * What both ends get, and nothing weaker: a chain to the one CA given, the extended key usage of the
 * role (a client's certificate cannot play server), no resumption, no tickets, no early data, no
 * renegotiation, no compression. The host carries the records and can only cut or delay them.
 *
 * The socket is read and written with MSG_DONTWAIT | MSG_NOSIGNAL, so no call here blocks or raises
 * SIGPIPE, whatever the socket's own flags say. Records are read ahead: one recv(2) may bring
 * several, so that after a read tls_has_pending() says whether to come back without polling.
 * A peer that ends without close_notify is an ordinary end of stream: frames carry their own length.
 * Not thread safe: one connection, one caller at a time; a context may be shared by all.
 */
#ifndef COMMON_CRYPTO_TLS_H
#define COMMON_CRYPTO_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { TLS_REASON_SIZE = 200 }; /* a sentence about a failure, with its NUL */
enum { TLS_NAME_SIZE = 128 };   /* a certificate's name, escaped, with its NUL */

struct tls_context; /* keys and rules, shared by connections */
struct tls;         /* one connection */

enum tls_role { TLS_CLIENT, TLS_SERVER };

/* What a context is made of; strings are read during the call only. */
struct tls_config {
	enum tls_role role;
	const char *ca_file;    /* PEM, one or more CA certificates */
	const char *cert_file;  /* PEM, own certificate and chain; a client may have NULL */
	const char *key_file;   /* PEM, own private key; NULL exactly when cert_file is */
	bool anonymous_clients; /* server: accept clients that show no certificate (-n) */
};

/*
 * For a program whose own main this is, before anything else of OpenSSL: ignores the host's openssl.cnf,
 * which could load code or lower what is accepted. A library must leave that choice to its program.
 */
void tls_ignore_system_config(void);

/*
 * Reads the files and makes a context. Returns 0; -ENOENT, -EACCES, ... for a file that cannot be read,
 * -EINVAL for one that does not hold what it should or a key that does not fit its certificate; reason
 * then says which file and why.
 */
int tls_context_create(struct tls_context **out, const struct tls_config *config,
    char reason[TLS_REASON_SIZE]);

/* Takes NULL. Connections made from it live on. */
void tls_context_destroy(struct tls_context *ctx);

/* Seconds until the context's own certificate expires, negative when it has; INT64_MAX without one. */
int64_t tls_context_seconds_left(const struct tls_context *ctx);

/*
 * A connection over fd, which stays the caller's. name (client only, or NULL) is the host name or IP
 * address that the server's certificate must carry. Returns 0 or -ENOMEM or -EINVAL (a bad name).
 */
int tls_create(struct tls **out, struct tls_context *ctx, int fd, const char *name);

/* Takes NULL; wipes and frees. Sends nothing: see tls_shutdown(). */
void tls_destroy(struct tls *t);

/*
 * Goes on with the handshake. Returns 0 when it is complete; -EAGAIN when the socket must become
 * ready first (tls_wants_write() says for what); else it has failed: -EACCES when a certificate was
 * refused by either side, -ECONNRESET when the peer went away, -EPROTO for anything else.
 */
int tls_handshake(struct tls *t);

/*
 * Reads up to size bytes. Returns their number, 0 at the end of the stream, -EAGAIN, or -ECONNRESET or
 * -EPROTO (-EACCES: the server refused our certificate, which TLS 1.3 tells with the first read).
 */
ssize_t tls_read(struct tls *t, void *out, size_t size);

/*
 * Writes up to size bytes. Returns how many were taken, -EAGAIN, -EPIPE when the peer no longer reads,
 * -EACCES when it left because it refused our certificate, or -EPROTO. After -EAGAIN the next call must begin with the same bytes (they may have moved).
 */
ssize_t tls_write(struct tls *t, const void *data, size_t size);

/* True when the last -EAGAIN waits for the socket to become writable, false: readable. */
bool tls_wants_write(const struct tls *t);

/* True when bytes were read from the socket that tls_read() has not returned yet. */
bool tls_has_pending(const struct tls *t);

/* Says goodbye (close_notify) if that can be done at once. Never after fork(2) in the child. */
void tls_shutdown(struct tls *t);

/* Why the last call failed, a sentence; "" when none did. Valid until the next call on t. */
const char *tls_reason(const struct tls *t);

/* The common name of the peer's verified certificate, escaped; "" when it has shown none. */
const char *tls_peer_name(const struct tls *t);

/* "TLSv1.3 TLS_AES_256_GCM_SHA384" and the like, for logs; valid as long as t. */
const char *tls_description(struct tls *t);

#endif
