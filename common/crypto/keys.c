#include "common/crypto/keys.h"

#include <assert.h>
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdbool.h>
#include <string.h>

#include "common/crypto/libctx.h"
#include "common/crypto/random.h"

/* The size of derive_label counts its NUL, which separates it from the name. */
static const char derive_label[] = "smc segment key";
static const char check_label[] = "smc key check value";

/* The parameter's type is not const, but OpenSSL only reads the bytes. */
static OSSL_PARAM
octets(const char *name, const void *bytes, size_t size)
{
	return OSSL_PARAM_construct_octet_string(name, (void *)bytes, size);
}

/* In a step. True for success. */
static bool
derive(void *out, size_t out_size, const OSSL_PARAM *params)
{
	EVP_KDF *kdf = EVP_KDF_fetch(libctx_get(), "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf != NULL ? EVP_KDF_CTX_new(kdf) : NULL;
	bool is_derived = ctx != NULL && EVP_KDF_derive(ctx, out, out_size, params) == 1;

	/* This wipes the copy of the key in it. */
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return is_derived;
}

int
keys_hkdf(void *out, size_t out_size, const void *ikm, size_t ikm_size, const void *salt,
    size_t salt_size, const void *info, size_t info_size)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[5], *p = params;
	struct libctx_step step;
	int error;

	assert(out_size > 0 && out_size <= 255 * 32);
	*p++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0);
	*p++ = octets(OSSL_KDF_PARAM_KEY, ikm, ikm_size);
	if (salt_size > 0)
		*p++ = octets(OSSL_KDF_PARAM_SALT, salt, salt_size);
	if (info_size > 0)
		*p++ = octets(OSSL_KDF_PARAM_INFO, info, info_size);
	*p = OSSL_PARAM_construct_end();
	error = libctx_begin_quiet(&step);
	if (error == 0) {
		error = derive(out, out_size, params) ? 0 : -EIO;
		libctx_end(&step);
	}
	if (error != 0)
		OPENSSL_cleanse(out, out_size);
	return error;
}

int
keys_derive(uint8_t out[KEYS_SIZE], const uint8_t master[KEYS_SIZE],
    const uint8_t salt[KEYS_SALT_SIZE], const char *name)
{
	uint8_t info[sizeof derive_label + KEYS_NAME_MOST];
	size_t size = strlen(name);

	if (size > KEYS_NAME_MOST) {
		OPENSSL_cleanse(out, KEYS_SIZE);
		return -ENAMETOOLONG;
	}
	memcpy(info, derive_label, sizeof derive_label);
	memcpy(info + sizeof derive_label, name, size);
	return keys_hkdf(out, KEYS_SIZE, master, KEYS_SIZE, salt, KEYS_SALT_SIZE, info,
	    sizeof derive_label + size);
}

int
keys_check_value(uint8_t out[KEYS_CHECK_SIZE], const uint8_t key[KEYS_SIZE])
{
	return keys_hkdf(out, KEYS_CHECK_SIZE, key, KEYS_SIZE, NULL, 0, check_label,
	    sizeof check_label - 1);
}

int
keys_random(uint8_t out[KEYS_SIZE])
{
	return random_bytes(out, KEYS_SIZE);
}
