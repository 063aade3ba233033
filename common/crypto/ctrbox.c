#include "common/crypto/ctrbox.h"

#include <assert.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/size.h"
#include "common/base/testpoint.h"
#include "common/crypto/libctx.h"

enum {
	AES_BLOCK = 16,
	COUNTERS = SIZE_BLOCK / AES_BLOCK /* of a block of the segment */
};

struct ctrbox {
	EVP_CIPHER *cipher;
	EVP_CIPHER_CTX *ctx; /* for both directions, which are the same in CTR */
	uint8_t key[CTRBOX_KEY_SIZE];
	bool has_key;
};

/* In a step. */
static int
make_cipher(struct ctrbox *b)
{
	b->cipher = EVP_CIPHER_fetch(libctx_get(), "AES-256-CTR", NULL);
	b->ctx = EVP_CIPHER_CTX_new();
	if (b->cipher != NULL && b->ctx != NULL)
		return 0;
	return -ENOMEM;
}

int
ctrbox_create(struct ctrbox **out)
{
	struct ctrbox *b = calloc(1, sizeof *b);
	struct libctx_step step;
	int error;

	if (b == NULL)
		return -ENOMEM;
	error = libctx_begin_quiet(&step);
	if (error == 0) {
		error = make_cipher(b);
		libctx_end(&step);
	}
	if (error == 0)
		*out = b;
	else
		ctrbox_destroy(b);
	return error;
}

void
ctrbox_destroy(struct ctrbox *b)
{
	if (b == NULL)
		return;
	/* This takes no lock: the library context keeps the cipher. */
	EVP_CIPHER_CTX_free(b->ctx);
	EVP_CIPHER_free(b->cipher);
	OPENSSL_cleanse(b, sizeof *b);
	free(b);
}

int
ctrbox_set_key(struct ctrbox *b, const uint8_t key[CTRBOX_KEY_SIZE])
{
	struct libctx_step step;
	int error;

	if (b->has_key && CRYPTO_memcmp(b->key, key, sizeof b->key) == 0)
		return 0;
	b->has_key = false;
	error = libctx_begin_quiet(&step);
	if (error != 0)
		return error;
	if (EVP_EncryptInit_ex2(b->ctx, b->cipher, key, NULL, NULL) != 1)
		error = -EIO;
	libctx_end(&step);
	if (error != 0)
		return error;
	memcpy(b->key, key, sizeof b->key);
	b->has_key = true;
	return 0;
}

/* Big-endian: iv, u32 counter. */
static void
make_counter_block(uint8_t out[AES_BLOCK], const uint8_t iv[CTRBOX_IV_SIZE], uint32_t counter)
{
	int i;

	memcpy(out, iv, CTRBOX_IV_SIZE);
	for (i = AES_BLOCK - 1; i >= CTRBOX_IV_SIZE; i--, counter >>= 8)
		out[i] = (uint8_t)counter;
}

static int
apply_key_stream(struct ctrbox *b, const uint8_t iv[CTRBOX_IV_SIZE], uint32_t block, const void *in,
    size_t size, void *out)
{
	uint8_t counter_block[AES_BLOCK];
	int n;

	assert(b->has_key && block < CTRBOX_BLOCKS_MOST && size > 0 && size <= SIZE_BLOCK);
	make_counter_block(counter_block, iv, block * COUNTERS);
	if (EVP_EncryptInit_ex2(b->ctx, NULL, NULL, counter_block, NULL) == 1 &&
	    EVP_EncryptUpdate(b->ctx, out, &n, in, (int)size) == 1)
		return 0;
	OPENSSL_cleanse(out, size);
	return -EIO;
}

int
ctrbox_encrypt(struct ctrbox *b, const uint8_t iv[CTRBOX_IV_SIZE], uint32_t block,
    const void *plain, size_t size, void *encrypted)
{
	testpoint_nonce(b->key, iv, block * COUNTERS,
	    (uint32_t)((size + AES_BLOCK - 1) / AES_BLOCK));
	return apply_key_stream(b, iv, block, plain, size, encrypted);
}

int
ctrbox_decrypt(struct ctrbox *b, const uint8_t iv[CTRBOX_IV_SIZE], uint32_t block,
    const void *encrypted, size_t size, void *plain)
{
	return apply_key_stream(b, iv, block, encrypted, size, plain);
}
