/*
 * tls_load: the certificates and the key of a TLS context, from files in PEM form.
 *
 * A file is read whole before OpenSSL sees it: reading may take as long as the file system likes,
 * and OpenSSL works in a step (libctx.h), which must not wait. The host may have written the files;
 * whatever is in them, the result is a context or an error. A key that is encrypted is refused:
 * there is no one to ask for its password.
 */
#ifndef COMMON_CRYPTO_TLS_LOAD_H
#define COMMON_CRYPTO_TLS_LOAD_H

#include <stdbool.h>
#include <stddef.h>

enum { TLS_LOAD_MOST = 4 * 1024 * 1024 }; /* bytes of a file */

struct ssl_ctx_st; /* OpenSSL's SSL_CTX */

/* The contents of a file; all zeros: none. */
struct tls_load {
	char *text;
	size_t size;
};

/* Reads the file. Returns 0; a negative errno of open(2) or read(2); -EFBIG; -ENOMEM. */
int tls_load_read(struct tls_load *l, const char *file);

/*
 * The same of a regular file of at most that many bytes (TLS_LOAD_MOST or less): reading it never
 * waits for a writer. -EISDIR or -ENOTSUP for what is no file.
 */
int tls_load_read_regular(struct tls_load *l, const char *file, size_t most);

enum tls_load_part {
	TLS_LOAD_CERTIFICATE,
	TLS_LOAD_PRIVATE_KEY,
	TLS_LOAD_PUBLIC_KEY,
	TLS_LOAD_REVOCATION_LIST
};

/* Why OpenSSL has not found that part in l: "it is no PEM text", "it has a certificate instead". */
const char *tls_load_fault(const struct tls_load *l, enum tls_load_part part);

/* A pem_password_cb of OpenSSL's that has none. */
int tls_load_no_password(char *out, int room, int is_writing, void *arg);

/* Wipes and frees. */
void tls_load_fini(struct tls_load *l);

/*
 * In a step: trusts the certificates of l, with the revocation lists there, like
 * SSL_CTX_load_verify_file(3). False when there are none, with OpenSSL's error in its queue.
 */
bool tls_load_authorities(struct ssl_ctx_st *ssl, const struct tls_load *l);

/* The same for our own certificate and its chain, as SSL_CTX_use_certificate_chain_file(3). */
bool tls_load_chain(struct ssl_ctx_st *ssl, const struct tls_load *l);

/*
 * The same for the private key, which must fit the certificate. Returns 0; -EINVAL when there is no
 * key; -EKEYREJECTED for one that does not fit.
 */
int tls_load_key(struct ssl_ctx_st *ssl, const struct tls_load *l);

#endif
