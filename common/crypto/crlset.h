/*
 * crlset: the revocation lists (CRLs, RFC 5280 5) of one file, one for each CA that a TLS context
 * trusts, verified. revocations.h says what for.
 *
 * A set does not change. Its functions are called in a step (libctx.h).
 *
 * The host may have written the file. A list counts only if a CA of the context has signed it and
 * may do so. It has to be a whole one: one with a critical extension, as partial and indirect lists
 * have, or without a time at which it expires, is refused. Where two CAs have one name, their keys
 * tell whose a list is.
 */
#ifndef COMMON_CRYPTO_CRLSET_H
#define COMMON_CRYPTO_CRLSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct crlset;
struct stack_st_X509; /* OpenSSL's STACK_OF(X509) */
struct tls_load;
struct x509_store_st; /* OpenSSL's X509_STORE */

/* The lists of a set, all together. */
struct crlset_summary {
	uint64_t count;       /* revoked certificates */
	int64_t seconds;      /* how long the list is good, from its making, that expires first */
	int64_t seconds_left; /* of these; negative when it has expired */
};

/*
 * Verifies the lists of l with the CAs of store. Returns 0, -EINVAL or -ENOMEM; reason, of size
 * bytes, is then a sentence with the remedy.
 */
int crlset_create(struct crlset **out, const struct tls_load *l, struct x509_store_st *store,
    char *reason, size_t size);

/* Takes NULL. */
void crlset_destroy(struct crlset *s);

/*
 * True when a list of s is older than that of the same CA in other: by its number, or else by its
 * time. Then reason is a sentence.
 */
bool crlset_is_older(const struct crlset *s, const struct crlset *other, char *reason, size_t size);

/*
 * Judges a chain, the peer's certificate first, by the lists of s; NULL is a set without lists.
 * Returns X509_V_OK, or the error of the certificate at fault, whose place is *depth:
 * X509_V_ERR_CERT_REVOKED for any of them; or else, for the first of the others,
 * X509_V_ERR_CRL_HAS_EXPIRED or X509_V_ERR_UNABLE_TO_GET_CRL (s has no list of its CA).
 */
int crlset_judge(const struct crlset *s, struct stack_st_X509 *chain, int *depth);

/* Tells of all lists together. */
void crlset_summarise(const struct crlset *s, struct crlset_summary *out);

#endif
