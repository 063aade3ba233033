#include "common/crypto/sealbox.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/testpoint.h"
#include "common/crypto/libctx.h"

struct sealbox {
	EVP_CIPHER *cipher;
	EVP_CIPHER_CTX *sealing;
	EVP_CIPHER_CTX *opening;
	uint8_t key[SEALBOX_KEY_SIZE];
	bool has_key;
	bool has_sealed; /* under this key */
	uint64_t grant;  /* of the last block sealed, with block */
	uint32_t block;
};

/* In a step. */
static int
make_ciphers(struct sealbox *b)
{
	b->cipher = EVP_CIPHER_fetch(libctx_get(), "AES-256-GCM", NULL);
	b->sealing = EVP_CIPHER_CTX_new();
	b->opening = EVP_CIPHER_CTX_new();
	if (b->cipher != NULL && b->sealing != NULL && b->opening != NULL)
		return 0;
	return -ENOMEM;
}

int
sealbox_create(struct sealbox **out)
{
	struct sealbox *b = calloc(1, sizeof *b);
	struct libctx_step step;
	int error;

	if (b == NULL)
		return -ENOMEM;
	error = libctx_begin_quiet(&step);
	if (error == 0) {
		error = make_ciphers(b);
		libctx_end(&step);
	}
	if (error == 0)
		*out = b;
	else
		sealbox_destroy(b);
	return error;
}

void
sealbox_destroy(struct sealbox *b)
{
	if (b == NULL)
		return;
	/* This takes no lock: the library context keeps the cipher. */
	EVP_CIPHER_CTX_free(b->sealing);
	EVP_CIPHER_CTX_free(b->opening);
	EVP_CIPHER_free(b->cipher);
	OPENSSL_cleanse(b, sizeof *b);
	free(b);
}

/* In a step. */
static int
key_ciphers(struct sealbox *b, const uint8_t key[SEALBOX_KEY_SIZE])
{
	if (EVP_EncryptInit_ex2(b->sealing, b->cipher, key, NULL, NULL) == 1 &&
	    EVP_DecryptInit_ex2(b->opening, b->cipher, key, NULL, NULL) == 1)
		return 0;
	return -EIO;
}

int
sealbox_set_key(struct sealbox *b, const uint8_t key[SEALBOX_KEY_SIZE])
{
	struct libctx_step step;
	int error;

	if (b->has_key && CRYPTO_memcmp(b->key, key, sizeof b->key) == 0)
		return 0;
	b->has_key = b->has_sealed = false;
	error = libctx_begin_quiet(&step);
	if (error != 0)
		return error;
	error = key_ciphers(b, key);
	libctx_end(&step);
	if (error != 0)
		return error;
	memcpy(b->key, key, sizeof b->key);
	b->has_key = true;
	return 0;
}

/* Big-endian: u64 grant, u32 block. */
static void
make_nonce(uint8_t nonce[SEALBOX_NONCE_SIZE], uint64_t grant, uint32_t block)
{
	int i;

	for (i = 7; i >= 0; i--, grant >>= 8)
		nonce[i] = (uint8_t)grant;
	for (i = SEALBOX_NONCE_SIZE - 1; i >= 8; i--, block >>= 8)
		nonce[i] = (uint8_t)block;
}

static bool
is_above(const struct sealbox *b, uint64_t grant, uint32_t block)
{
	return !b->has_sealed || grant > b->grant || (grant == b->grant && block > b->block);
}

/* Like EVP_CTRL_AEAD_GET_TAG, but looks the parameter up by name only once. */
static bool
get_tag(EVP_CIPHER_CTX *c, uint8_t tag[SEALBOX_TAG_SIZE])
{
	OSSL_PARAM wanted[] = { OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag,
				    SEALBOX_TAG_SIZE),
		OSSL_PARAM_END };

	return EVP_CIPHER_CTX_get_params(c, wanted) == 1;
}

int
sealbox_seal(struct sealbox *b, uint64_t grant, uint32_t block, const void *plain, size_t size,
    void *sealed, uint8_t tag[SEALBOX_TAG_SIZE])
{
	uint8_t nonce[SEALBOX_NONCE_SIZE];
	int n, rest;

	assert(b->has_key && size > 0 && size <= INT_MAX);
	if (!is_above(b, grant, block))
		return -ESTALE;
	make_nonce(nonce, grant, block);
	testpoint_nonce(b->key, nonce, 0, 1);
	b->has_sealed = true;
	b->grant = grant;
	b->block = block;
	if (EVP_EncryptInit_ex2(b->sealing, NULL, NULL, nonce, NULL) == 1 &&
	    EVP_EncryptUpdate(b->sealing, sealed, &n, plain, (int)size) == 1 &&
	    EVP_EncryptFinal_ex(b->sealing, (uint8_t *)sealed + n, &rest) == 1 &&
	    get_tag(b->sealing, tag))
		return 0;
	OPENSSL_cleanse(sealed, size);
	return -EIO;
}

int
sealbox_open(struct sealbox *b, uint64_t grant, uint32_t block, const void *sealed, size_t size,
    const uint8_t tag[SEALBOX_TAG_SIZE], void *plain)
{
	uint8_t nonce[SEALBOX_NONCE_SIZE], expected[SEALBOX_TAG_SIZE];
	int n, rest;

	assert(b->has_key && size > 0 && size <= INT_MAX);
	make_nonce(nonce, grant, block);
	memcpy(expected, tag, sizeof expected);
	if (EVP_DecryptInit_ex2(b->opening, NULL, NULL, nonce, NULL) == 1 &&
	    EVP_DecryptUpdate(b->opening, plain, &n, sealed, (int)size) == 1 &&
	    EVP_CIPHER_CTX_ctrl(b->opening, EVP_CTRL_AEAD_SET_TAG, SEALBOX_TAG_SIZE, expected) ==
		1 &&
	    EVP_DecryptFinal_ex(b->opening, (uint8_t *)plain + n, &rest) == 1)
		return 0;
	OPENSSL_cleanse(plain, size);
	return -EBADMSG;
}
