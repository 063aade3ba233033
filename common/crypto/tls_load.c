#include "common/crypto/tls_load.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/highfd.h"
#include "common/crypto/libctx.h"

enum { FIRST_ROOM = 16 * 1024 };

/* Moves the text to a buffer twice as large, and wipes the old one. */
static int
grow(struct tls_load *l, size_t *room, size_t most)
{
	size_t larger = *room == 0 ? FIRST_ROOM : 2 * *room;
	char *text;

	if (larger > most)
		larger = most;
	text = malloc(larger);
	if (text == NULL)
		return -ENOMEM;
	if (l->size > 0)
		memcpy(text, l->text, l->size);
	if (l->text != NULL)
		explicit_bzero(l->text, l->size);
	free(l->text);
	l->text = text;
	*room = larger;
	return 0;
}

/* Returns 0 at the end of the file, -EFBIG before it, or another error. */
static int
expect_end(int fd)
{
	char c;
	ssize_t n;

	do
		n = read(fd, &c, 1);
	while (n < 0 && errno == EINTR);
	explicit_bzero(&c, 1);
	if (n < 0)
		return -errno;
	return n == 0 ? 0 : -EFBIG;
}

static int
read_all(struct tls_load *l, int fd, size_t most)
{
	size_t room = 0;
	int error = 0;
	ssize_t n;

	do {
		if (l->size == most)
			return expect_end(fd);
		if (l->size == room)
			error = grow(l, &room, most);
		if (error != 0)
			return error;
		n = read(fd, l->text + l->size, room - l->size);
		if (n > 0)
			l->size += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 ? -errno : 0;
}

/* Reads all of fd, and closes it. */
static int
read_and_close(struct tls_load *l, int fd, size_t most)
{
	struct tls_load whole = { 0 };
	int error = read_all(&whole, fd, most);

	(void)close(fd);
	if (error == 0)
		*l = whole;
	else
		tls_load_fini(&whole);
	return error;
}

int
tls_load_read(struct tls_load *l, const char *file)
{
	int fd = highfd(open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY));

	return fd < 0 ? -errno : read_and_close(l, fd, TLS_LOAD_MOST);
}

/* Refuses a pipe, a device and a directory. */
static int
check_regular(int fd)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	return S_ISREG(st.st_mode) ? 0 : -ENOTSUP;
}

int
tls_load_read_regular(struct tls_load *l, const char *file, size_t most)
{
	int fd = highfd(open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)), error;

	if (fd < 0)
		return -errno;
	error = check_regular(fd);
	if (error == 0)
		return read_and_close(l, fd, most);
	(void)close(fd);
	return error;
}

void
tls_load_fini(struct tls_load *l)
{
	if (l->text != NULL)
		explicit_bzero(l->text, l->size);
	free(l->text);
	*l = (struct tls_load){ 0 };
}

static bool
has(const struct tls_load *l, const char *word)
{
	return memmem(l->text, l->size, word, strlen(word)) != NULL;
}

const char *
tls_load_fault(const struct tls_load *l, enum tls_load_part part)
{
	static const char *const ends[] = { "CERTIFICATE-----", "PRIVATE KEY-----",
		"PUBLIC KEY-----", "X509 CRL-----" };
	static const char *const others[] = { "it has a certificate instead",
		"it has a private key instead", "it has a public key instead",
		"it has a revocation list instead" };
	size_t i;

	if (l->size == 0)
		return "it is empty";
	if (!has(l, "-----BEGIN "))
		return "it is no PEM text";
	if (part == TLS_LOAD_PRIVATE_KEY && has(l, "ENCRYPTED"))
		return "it is encrypted, and a program has no password: decrypt it (openssl pkey)";
	for (i = 0; !has(l, ends[part]) && i < sizeof ends / sizeof ends[0]; i++)
		if (has(l, ends[i]))
			return others[i];
	return "it is damaged";
}

static BIO *
open_text(const struct tls_load *l)
{
	return BIO_new_mem_buf(l->text, (int)l->size);
}

int
tls_load_no_password(char *out, int room, int is_writing, void *arg)
{
	(void)out;
	(void)room;
	(void)is_writing;
	(void)arg;
	return -1;
}

/* Adds what one part of the file has. Returns how many certificates, or -1. */
static int
add_authority(X509_STORE *store, const X509_INFO *part)
{
	if (part->x509 != NULL && X509_STORE_add_cert(store, part->x509) != 1)
		return -1;
	if (part->crl != NULL && X509_STORE_add_crl(store, part->crl) != 1)
		return -1;
	return part->x509 != NULL;
}

bool
tls_load_authorities(SSL_CTX *ssl, const struct tls_load *l)
{
	BIO *bio = open_text(l);
	STACK_OF(X509_INFO) *parts = NULL;
	int i, added = 0, count = 0;

	if (bio != NULL)
		parts = PEM_X509_INFO_read_bio_ex(bio, NULL, tls_load_no_password, NULL,
		    libctx_get(), NULL);
	for (i = 0; added >= 0 && i < sk_X509_INFO_num(parts); i++) {
		added = add_authority(SSL_CTX_get_cert_store(ssl), sk_X509_INFO_value(parts, i));
		count += added;
	}
	if (parts != NULL && count == 0)
		ERR_raise(ERR_LIB_X509, X509_R_NO_CERTIFICATE_OR_CRL_FOUND);
	sk_X509_INFO_pop_free(parts, X509_INFO_free);
	BIO_free(bio);
	return added >= 0 && count > 0;
}

/* Reads the next certificate of the file; NULL with OpenSSL's error. */
static X509 *
read_certificate(BIO *bio)
{
	X509 *certificate = X509_new_ex(libctx_get(), NULL);

	if (certificate != NULL &&
	    PEM_read_bio_X509_AUX(bio, &certificate, tls_load_no_password, NULL) != NULL)
		return certificate;
	X509_free(certificate);
	return NULL;
}

/* Adds the certificates that follow the first one. */
static bool
add_chain(SSL_CTX *ssl, BIO *bio)
{
	unsigned long e;
	X509 *next;

	while ((next = read_certificate(bio)) != NULL) {
		if (SSL_CTX_add0_chain_cert(ssl, next) == 1)
			continue;
		X509_free(next);
		return false;
	}
	e = ERR_peek_last_error();
	if (ERR_GET_LIB(e) != ERR_LIB_PEM || ERR_GET_REASON(e) != PEM_R_NO_START_LINE)
		return false;
	/* The end of the file. */
	ERR_clear_error();
	return true;
}

bool
tls_load_chain(SSL_CTX *ssl, const struct tls_load *l)
{
	BIO *bio = open_text(l);
	X509 *first = bio != NULL ? read_certificate(bio) : NULL;
	bool is_loaded = first != NULL && SSL_CTX_use_certificate(ssl, first) == 1 &&
	    SSL_CTX_clear_chain_certs(ssl) == 1 && add_chain(ssl, bio);

	X509_free(first);
	BIO_free(bio);
	return is_loaded;
}

int
tls_load_key(SSL_CTX *ssl, const struct tls_load *l)
{
	BIO *bio = open_text(l);
	EVP_PKEY *key = NULL;
	int error = 0;

	if (bio != NULL)
		key = PEM_read_bio_PrivateKey_ex(bio, NULL, tls_load_no_password, NULL,
		    libctx_get(), NULL);
	if (key == NULL)
		error = -EINVAL;
	else if (SSL_CTX_use_PrivateKey(ssl, key) != 1 || SSL_CTX_check_private_key(ssl) != 1)
		error = -EKEYREJECTED;
	EVP_PKEY_free(key);
	BIO_free(bio);
	return error;
}
