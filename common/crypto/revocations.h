/*
 * revocations: the certificates that are revoked, from a file of revocation lists (CRLs, RFC 5280
 * 5) in PEM form, for TLS contexts of both roles.
 *
 * The file has one list for each CA that the context trusts, signed by that CA. A list is verified
 * when it is loaded, and the certificates of peers are then looked up by their serials: OpenSSL's
 * own check verifies the list once more in each handshake, before it verifies the peer. The lists
 * in use are those of the last load that succeeded, also for handshakes and connections that began
 * before. A load that fails admits nobody. Before the first load, and once a list has expired,
 * every certificate of its CA is refused.
 *
 * The host may show any bytes. It cannot make a list. It can show an old one: that is refused when
 * it is older than the one in use, and otherwise accepted until it expires.
 *
 * Threads share the lists under a mutex that is taken in steps only (libctx.h): fork(2) finds it
 * free.
 */
#ifndef COMMON_CRYPTO_REVOCATIONS_H
#define COMMON_CRYPTO_REVOCATIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/crypto/crlset.h"

enum { REVOCATIONS_FILE_MOST = 512 * 1024, REVOCATIONS_REASON_SIZE = 400 };

struct revocations;
struct ssl_ctx_st; /* OpenSSL's SSL_CTX */
struct ssl_st;     /* OpenSSL's SSL */

/* No lists yet; file (copied) has them. The caller has the reference. Returns 0 or -ENOMEM. */
int revocations_create(struct revocations **out, const char *file);

/* Gets one more reference. Returns r. */
struct revocations *revocations_get(struct revocations *r);

/* Puts a reference; takes NULL. */
void revocations_put(struct revocations *r);

/*
 * For tls_context.c, in a step: from now on verification with ssl refuses what r refuses. The
 * caller has a reference as long as there are connections of ssl.
 */
void revocations_attach(struct revocations *r, struct ssl_ctx_st *ssl);

/*
 * Reads the file, a regular one of at most REVOCATIONS_FILE_MOST bytes, and uses its lists if the
 * CAs of ssl have signed them. Returns 0; a negative errno of open(2) or read(2); -EINVAL for a
 * file with anything else; -ESTALE when one of its lists is older than the one in use (its number,
 * else its time); -ENOMEM; or see libctx_begin(). On failure the lists in use stay, and reason is a
 * sentence with the remedy.
 */
int revocations_load(struct revocations *r, struct ssl_ctx_st *ssl,
    char reason[REVOCATIONS_REASON_SIZE]);

/* The same, if the file is not as at the last load, whatever came of that; else -EALREADY. */
int revocations_reload(struct revocations *r, struct ssl_ctx_st *ssl,
    char reason[REVOCATIONS_REASON_SIZE]);

/* In a step: true when a certificate that the peer of a connection has shown is revoked. */
bool revocations_include(struct revocations *r, const struct ssl_st *ssl);

/* In a step: true when the certificate of ssl itself is revoked, or a CA between it and a root. */
bool revocations_include_own(struct revocations *r, struct ssl_ctx_st *ssl);

/* In a step. Returns false before the first load that succeeds. */
bool revocations_summarise(struct revocations *r, struct crlset_summary *out);

/* In a step: copies the reason of the last load; "" when it succeeded. */
void revocations_reason(struct revocations *r, char out[REVOCATIONS_REASON_SIZE]);

/* Explains a result of verification that this module gave; NULL for one of OpenSSL. */
const char *revocations_words(long verify_result);

#endif
