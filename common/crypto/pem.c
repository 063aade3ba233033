#include "common/crypto/pem.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/error.h"
#include "common/crypto/libctx.h"
#include "common/crypto/tls_load.h"

static int
read_file(struct tls_load *l, const char *file)
{
	int error = tls_load_read(l, file);

	return error != 0 ? error_message(error, "%s: %s", file, error_string(error)) : 0;
}

/* Returns the digits, or NULL when there is no memory. */
static char *
create_hex(const uint8_t *bytes, size_t size)
{
	char *hex = malloc(2 * size + 1);
	size_t i;

	if (hex == NULL)
		return NULL;
	hex[0] = '\0';
	for (i = 0; i < size; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
	return hex;
}

/* In a step. */
static int
convert_certificate(char **hex, const struct tls_load *l, const char *file)
{
	BIO *bio = BIO_new_mem_buf(l->text, (int)l->size);
	X509 *certificate = NULL;
	uint8_t *der = NULL;
	int size;

	if (bio != NULL)
		certificate = PEM_read_bio_X509(bio, NULL, tls_load_no_password, NULL);
	BIO_free(bio);
	if (certificate == NULL)
		return error_message(-EINVAL, "%s: the file has no certificate in PEM form: %s",
		    file, tls_load_fault(l, TLS_LOAD_CERTIFICATE));
	size = i2d_X509(certificate, &der);
	X509_free(certificate);
	if (size < 0)
		return -ENOMEM;
	*hex = create_hex(der, (size_t)size);
	OPENSSL_free(der);
	return *hex == NULL ? -ENOMEM : 0;
}

int
pem_certificate(char **hex, const char *file)
{
	struct libctx_step step;
	struct tls_load l;
	int error = read_file(&l, file);

	if (error != 0)
		return error;
	error = libctx_begin(&step);
	if (error == 0) {
		error = convert_certificate(hex, &l, file);
		libctx_end(&step);
	}
	tls_load_fini(&l);
	return error;
}

/* The digits of one number of the key. */
static int
read_number(char **hex, const EVP_PKEY *key, const char *name)
{
	BIGNUM *number = NULL;
	uint8_t *bytes = NULL;

	*hex = NULL;
	if (EVP_PKEY_get_bn_param(key, name, &number) == 1)
		bytes = malloc((size_t)BN_num_bytes(number) + 1);
	if (bytes != NULL)
		*hex = create_hex(bytes, (size_t)BN_bn2bin(number, bytes));
	free(bytes);
	BN_free(number);
	return *hex == NULL ? -ENOMEM : 0;
}

static int
read_numbers(char **modulus, char **exponent, const EVP_PKEY *key)
{
	char *n, *e;
	int error = read_number(&n, key, OSSL_PKEY_PARAM_RSA_N);

	if (error != 0)
		return error;
	error = read_number(&e, key, OSSL_PKEY_PARAM_RSA_E);
	if (error != 0) {
		free(n);
		return error;
	}
	*modulus = n;
	*exponent = e;
	return 0;
}

/* In a step. */
static int
convert_public(char **modulus, char **exponent, const struct tls_load *l, const char *file)
{
	BIO *bio = BIO_new_mem_buf(l->text, (int)l->size);
	EVP_PKEY *key = NULL;
	int error;

	if (bio != NULL)
		key = PEM_read_bio_PUBKEY(bio, NULL, tls_load_no_password, NULL);
	BIO_free(bio);
	if (key == NULL)
		error = error_message(-EINVAL, "%s: the file has no public key in PEM form: %s",
		    file, tls_load_fault(l, TLS_LOAD_PUBLIC_KEY));
	else if (EVP_PKEY_is_a(key, "RSA") != 1)
		error = error_message(-EINVAL, "%s: the public key is not of the kind RSA", file);
	else
		error = read_numbers(modulus, exponent, key);
	EVP_PKEY_free(key);
	return error;
}

int
pem_rsa_public(char **modulus, char **exponent, const char *file)
{
	struct libctx_step step;
	struct tls_load l;
	int error = read_file(&l, file);

	if (error != 0)
		return error;
	error = libctx_begin(&step);
	if (error == 0) {
		error = convert_public(modulus, exponent, &l, file);
		libctx_end(&step);
	}
	tls_load_fini(&l);
	return error;
}
