/*
 * pki: a trust domain of a test, made with deploy/mkpki: a root, a server, a client, and more on
 * request.
 */
#ifndef TESTS_STRESS_PKI_H
#define TESTS_STRESS_PKI_H

#include "tests/stress/scratch.h"

enum { PKI_PATH_SIZE = SCRATCH_PATH_SIZE + 64 };

struct evp_pkey_st; /* OpenSSL's EVP_PKEY */
struct x509_st;     /* OpenSSL's X509 */

struct pki {
	char dir[SCRATCH_PATH_SIZE];
};

/* Makes a new root with the certificates "server" and "client", or fails the test. */
void pki_create(struct pki *p);

void pki_destroy(struct pki *p);

/*
 * Makes one more certificate; role is "server" or "client". start and end limit its validity in the
 * form of mkpki, or are NULL.
 */
void pki_add(const struct pki *p, const char *role, const char *name, const char *start,
    const char *end);

/* Makes the list of revoked certificates, name "root" and suffix "crl". */
void pki_list(const struct pki *p);

/* Revokes name's certificate, and makes the list anew. */
void pki_revoke(const struct pki *p, const char *name);

/* Writes the path of name's certificate ("crt"), key ("key") or list to out, and returns out. */
const char *pki_file(const struct pki *p, const char *name, const char *suffix,
    char out[PKI_PATH_SIZE]);

/* Reads name's key or certificate, which the caller frees. Fails the test if it cannot. */
struct evp_pkey_st *pki_read_key(const struct pki *p, const char *name);
struct x509_st *pki_read_certificate(const struct pki *p, const char *name);

#endif
