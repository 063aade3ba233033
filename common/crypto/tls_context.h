/*
 * tls_context: the keys and rules of TLS connections (OpenSSL), for both roles: TLS 1.3, or 1.2
 * with ECDHE and AEAD, with the groups X25519, P-256 and P-384. Finite fields would cost a server
 * 0.2 s for each ClientHello that offers them.
 *
 * Both ends get these rules and nothing weaker: a chain to the one CA given, the extended key usage
 * of the role (a client's certificate cannot play server), no resumption, no tickets, no early
 * data, no renegotiation, no compression.
 *
 * All connections of a program may share a context. Only loading revocations changes what it
 * refuses.
 */
#ifndef COMMON_CRYPTO_TLS_CONTEXT_H
#define COMMON_CRYPTO_TLS_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/crypto/revocations.h"

enum { TLS_REASON_SIZE = 512 }; /* a sentence about a failure, with its NUL */

struct ssl_st; /* OpenSSL's SSL */
struct tls_context;

enum tls_role { TLS_CLIENT, TLS_SERVER };

/* The contents of a context; strings and files are read during the call only. */
struct tls_config {
	enum tls_role role;
	const char *ca_file;    /* PEM, one or more CA certificates */
	const char *cert_file;  /* PEM, own certificate and chain; a client may have NULL */
	const char *key_file;   /* PEM, own private key; NULL exactly when cert_file is */
	bool anonymous_clients; /* server: accept clients that show no certificate (-n) */
	const char *crl_file;   /* PEM, revocation lists of the context's own; NULL: none */
	struct revocations *revocations; /* or these, of which it gets a reference; or NULL */
};

/*
 * For the main() of a daemon, before any other call of OpenSSL: ignores the host's openssl.cnf,
 * which could load code or lower what TLS accepts. A library leaves that choice to its program.
 */
void tls_context_ignore_system_config(void);

/*
 * Reads the files and makes a context; loads the lists of crl_file, but not revocations. Returns 0;
 * -ENOENT, -EACCES, ... for a file that cannot be read, -EINVAL for a file with other contents or a
 * key that does not fit its certificate, or see revocations_load() and libctx_begin(); reason is
 * then a sentence, with the file if there is one.
 */
int tls_context_create(struct tls_context **out, const struct tls_config *config,
    char reason[TLS_REASON_SIZE]);

/*
 * Takes NULL. Connections made from it live on, as long as somebody has a reference to its
 * revocations.
 */
void tls_context_destroy(struct tls_context *ctx);

/*
 * Loads the revocations of the context, with its CAs; see revocations_load() and
 * revocations_reload(). A context without revocations must not be loaded, and is never to be
 * reloaded (-EALREADY).
 */
int tls_context_load_revocations(const struct tls_context *ctx,
    char reason[REVOCATIONS_REASON_SIZE]);
int tls_context_reload_revocations(const struct tls_context *ctx,
    char reason[REVOCATIONS_REASON_SIZE]);

/* True when the context's own certificate is on the lists in use. */
bool tls_context_is_revoked(const struct tls_context *ctx);

/* Why the last load of these has failed, a sentence; or "". */
void tls_context_revocations_fault(const struct tls_context *ctx,
    char out[REVOCATIONS_REASON_SIZE]);

/*
 * Seconds until the context's own certificate expires, negative when it has; INT64_MAX without one.
 */
int64_t tls_context_seconds_left(const struct tls_context *ctx);

/* Seconds until that certificate becomes valid, negative when it has; INT64_MIN without one. */
int64_t tls_context_seconds_to_begin(const struct tls_context *ctx);

/*
 * For tls.c, in a step (libctx.h): makes an OpenSSL connection in the context's role, which the
 * caller frees with SSL_free(), in a step, too. Verification requires name, if it is not NULL, in
 * the peer's certificate. Returns 0, -ENOMEM, or -EINVAL for a bad name.
 */
int tls_context_create_ssl(struct ssl_st **out, const struct tls_context *ctx, const char *name);

#endif
