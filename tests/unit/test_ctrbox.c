/*
 * AES-256-CTR blocks: the vectors that NIST published, and that the blocks of one release never
 * share key stream.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/size.h"
#include "common/crypto/ctrbox.h"
#include "tests/unit/aborts.h"
#include "tests/unit/allocations.h"
#include "tests/unit/hex.h"

enum { UNTOUCHED = 0xa5, AES_BLOCK = 16, COUNTERS = SIZE_BLOCK / AES_BLOCK };

static const uint8_t a_key[CTRBOX_KEY_SIZE] = { 1, 2, 3 };
static const uint8_t an_iv[CTRBOX_IV_SIZE] = "twelve bytes";
static const uint8_t zeros[SIZE_BLOCK];

static struct ctrbox *
keyed_box(const uint8_t key[CTRBOX_KEY_SIZE])
{
	struct ctrbox *b;

	assert_int_equal(ctrbox_create(&b), 0);
	assert_int_equal(ctrbox_set_key(b, key), 0);
	return b;
}

/*
 * SP 800-38A, F.5.5 and F.5.6. The counter begins at f0f1...fb fcfdfeff: with the first 12 bytes as
 * iv that is the last AES block of our block 0xfcfdfe, and the following three are the first ones
 * of the next block.
 */
static void
published_vectors_are_reproduced(void **state)
{
	uint8_t key[32], iv[12], plain[64], expected[64], in[SIZE_BLOCK] = { 0 }, out[SIZE_BLOCK];
	struct ctrbox *b;

	(void)state;
	hex_decode(key, sizeof key,
	    "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4");
	hex_decode(iv, sizeof iv, "f0f1f2f3f4f5f6f7f8f9fafb");
	hex_decode(plain, sizeof plain,
	    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
	    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710");
	hex_decode(expected, sizeof expected,
	    "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
	    "2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6");
	b = keyed_box(key);
	memcpy(in + SIZE_BLOCK - 16, plain, 16);
	assert_int_equal(ctrbox_encrypt(b, iv, 0xfcfdfe, in, SIZE_BLOCK, out), 0);
	assert_memory_equal(out + SIZE_BLOCK - 16, expected, 16);
	assert_int_equal(ctrbox_encrypt(b, iv, 0xfcfdff, plain + 16, 48, out), 0);
	assert_memory_equal(out, expected + 16, 48);
	assert_int_equal(ctrbox_decrypt(b, iv, 0xfcfdff, expected + 16, 48, out), 0);
	assert_memory_equal(out, plain + 16, 48);
	ctrbox_destroy(b);
}

static void
every_size_comes_back_and_nothing_is_written_behind_it(void **state)
{
	static const size_t sizes[] = { 1, 15, 16, 17, 4095, 4096 };
	static uint8_t plain[SIZE_BLOCK], encrypted[SIZE_BLOCK + 1], out[SIZE_BLOCK + 1];
	struct ctrbox *b = keyed_box(a_key);
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof plain; i++)
		plain[i] = (uint8_t)(i * 7 + (i >> 8));
	for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		memset(encrypted, UNTOUCHED, sizeof encrypted);
		memset(out, UNTOUCHED, sizeof out);
		assert_int_equal(ctrbox_encrypt(b, an_iv, 5, plain, sizes[i], encrypted), 0);
		if (sizes[i] >= 15)
			assert_memory_not_equal(encrypted, plain, sizes[i]);
		assert_int_equal(ctrbox_decrypt(b, an_iv, 5, encrypted, sizes[i], out), 0);
		assert_memory_equal(out, plain, sizes[i]);
		for (j = sizes[i]; j < sizeof out; j++)
			assert_true(encrypted[j] == UNTOUCHED && out[j] == UNTOUCHED);
	}
	ctrbox_destroy(b);
}

/* Key stream is encrypted counter blocks: decrypting it with AES alone yields the counters. */
static void
counter_blocks_of(EVP_CIPHER_CTX *aes, uint8_t *key_stream, size_t size)
{
	int n;

	assert_int_equal(EVP_DecryptUpdate(aes, key_stream, &n, key_stream, (int)size), 1);
	assert_int_equal(n, size);
}

static uint32_t
counter_of(const uint8_t counter_block[AES_BLOCK])
{
	const uint8_t *p = counter_block + CTRBOX_IV_SIZE;

	assert_memory_equal(counter_block, an_iv, CTRBOX_IV_SIZE);
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static EVP_CIPHER_CTX *
bare_aes(void)
{
	EVP_CIPHER_CTX *aes = EVP_CIPHER_CTX_new();

	assert_int_equal(EVP_DecryptInit_ex(aes, EVP_aes_256_ecb(), NULL, a_key, NULL), 1);
	assert_int_equal(EVP_CIPHER_CTX_set_padding(aes, 0), 1);
	return aes;
}

/* Encrypts a segment of size zeros. Each counter must be missing in seen, and is added to it. */
static void
encrypt_segment(struct ctrbox *b, EVP_CIPHER_CTX *aes, size_t size, uint8_t *seen)
{
	uint8_t out[SIZE_BLOCK];
	uint32_t block, counter;
	size_t at, i;

	for (at = 0, block = 0; at < size; at += SIZE_BLOCK, block++) {
		size_t rest = size - at < SIZE_BLOCK ? size - at : SIZE_BLOCK;
		/*
		 * The counter of a partial last AES block cannot be seen, but its bytes are there.
		 */
		size_t whole = (rest + AES_BLOCK - 1) / AES_BLOCK * AES_BLOCK;

		assert_int_equal(ctrbox_encrypt(b, an_iv, block, zeros, rest, out), 0);
		if (whole != rest)
			assert_int_equal(ctrbox_encrypt(b, an_iv, block, zeros, whole, out), 0);
		counter_blocks_of(aes, out, whole);
		for (i = 0; i < whole; i += AES_BLOCK) {
			counter = counter_of(out + i);
			assert_int_equal(counter, block * COUNTERS + i / AES_BLOCK);
			assert_false(seen[counter / 8] & 1 << counter % 8);
			seen[counter / 8] |= (uint8_t)(1 << counter % 8);
		}
	}
}

static void
blocks_of_a_release_never_share_a_counter(void **state)
{
	static const size_t sizes[] = { 1, 16, 4095, 4096, 4097, 8192, 100 * 1024 + 17, SIZE_MIB,
		7 * SIZE_MIB - 5, 64 * SIZE_MIB };
	size_t seen_size = 64 * SIZE_MIB / AES_BLOCK / 8, i;
	struct ctrbox *b = keyed_box(a_key);
	EVP_CIPHER_CTX *aes = bare_aes();
	uint8_t *seen = malloc(seen_size);

	(void)state;
	assert_non_null(seen);
	for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		memset(seen, 0, seen_size);
		encrypt_segment(b, aes, sizes[i], seen);
	}
	free(seen);
	EVP_CIPHER_CTX_free(aes);
	ctrbox_destroy(b);
}

/* The last counter: no carry reaches the iv, and the counters of block 0 stay its own. */
static void
the_last_block_ends_with_the_last_counter(void **state)
{
	struct ctrbox *b = keyed_box(a_key);
	EVP_CIPHER_CTX *aes = bare_aes();
	uint8_t out[SIZE_BLOCK];
	uint32_t i;

	(void)state;
	assert_int_equal(ctrbox_encrypt(b, an_iv, CTRBOX_BLOCKS_MOST - 1, zeros, SIZE_BLOCK, out),
	    0);
	counter_blocks_of(aes, out, SIZE_BLOCK);
	for (i = 0; i < COUNTERS; i++)
		assert_int_equal(counter_of(out + (size_t)i * AES_BLOCK),
		    UINT32_MAX - COUNTERS + 1 + i);
	EVP_CIPHER_CTX_free(aes);
	ctrbox_destroy(b);
}

/* The encrypted block depends on key, iv, number and bytes, not on earlier calls. */
static void
blocks_do_not_depend_on_each_other(void **state)
{
	uint8_t iv[CTRBOX_IV_SIZE], key[CTRBOX_KEY_SIZE], first[SIZE_BLOCK], again[SIZE_BLOCK];
	struct ctrbox *b = keyed_box(a_key);
	int i;

	(void)state;
	assert_int_equal(ctrbox_encrypt(b, an_iv, 9, zeros, SIZE_BLOCK, first), 0);
	assert_int_equal(ctrbox_encrypt(b, an_iv, 8, zeros, 5, again), 0);
	assert_int_equal(ctrbox_decrypt(b, an_iv, 1, zeros, 4095, again), 0);
	assert_int_equal(ctrbox_decrypt(b, an_iv, 9, first, SIZE_BLOCK, again), 0);
	assert_memory_equal(again, zeros, SIZE_BLOCK);
	/* Another number, each bit of the iv, and each byte of the key change the key stream. */
	assert_int_equal(ctrbox_encrypt(b, an_iv, 10, zeros, SIZE_BLOCK, again), 0);
	assert_memory_not_equal(again, first, SIZE_BLOCK);
	for (i = 0; i < CTRBOX_IV_SIZE * 8; i++) {
		memcpy(iv, an_iv, sizeof iv);
		iv[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(ctrbox_encrypt(b, iv, 9, zeros, SIZE_BLOCK, again), 0);
		assert_memory_not_equal(again, first, SIZE_BLOCK);
	}
	for (i = 0; i < CTRBOX_KEY_SIZE; i++) {
		memcpy(key, a_key, sizeof key);
		key[i] ^= 0x10;
		assert_int_equal(ctrbox_set_key(b, key), 0);
		assert_int_equal(ctrbox_encrypt(b, an_iv, 9, zeros, SIZE_BLOCK, again), 0);
		assert_memory_not_equal(again, first, SIZE_BLOCK);
	}
	assert_int_equal(ctrbox_set_key(b, a_key), 0);
	assert_int_equal(ctrbox_encrypt(b, an_iv, 9, zeros, SIZE_BLOCK, again), 0);
	assert_memory_equal(again, first, SIZE_BLOCK);
	ctrbox_destroy(b);
}

struct request {
	uint32_t block;
	size_t size;
	bool has_key;
};

static void
encrypt_as_requested(void *arg)
{
	const struct request *q = arg;
	static uint8_t in[SIZE_BLOCK + 1], out[SIZE_BLOCK + 1];
	struct ctrbox *b;

	if (ctrbox_create(&b) != 0)
		return;
	if (!q->has_key || ctrbox_set_key(b, a_key) == 0)
		(void)ctrbox_encrypt(b, an_iv, q->block, in, q->size, out);
	ctrbox_destroy(b);
}

static void
no_key_and_what_would_share_counters_are_our_own_mistakes(void **state)
{
	static struct request wrong[] = { { 0, SIZE_BLOCK, false }, { 0, 0, true },
		{ 0, SIZE_BLOCK + 1, true }, { CTRBOX_BLOCKS_MOST, 1, true } };
	static struct request right = { CTRBOX_BLOCKS_MOST - 1, SIZE_BLOCK, true };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		assert_true(aborts_in(encrypt_as_requested, &wrong[i]));
	assert_false(aborts_in(encrypt_as_requested, &right));
}

static void
encrypting_and_decrypting_allocate_nothing(void **state)
{
	struct ctrbox *b = keyed_box(a_key);
	size_t before = allocations_count();
	uint8_t out[SIZE_BLOCK];
	uint32_t i;

	(void)state;
	assert_true(before > 0);
	for (i = 0; i < 1000; i++) {
		assert_int_equal(ctrbox_set_key(b, a_key), 0);
		assert_int_equal(ctrbox_encrypt(b, an_iv, i, zeros, SIZE_BLOCK, out), 0);
		assert_int_equal(ctrbox_decrypt(b, an_iv, i, zeros, SIZE_BLOCK, out), 0);
	}
	assert_int_equal(allocations_count(), before);
	ctrbox_destroy(b);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_vectors_are_reproduced),
		cmocka_unit_test(every_size_comes_back_and_nothing_is_written_behind_it),
		cmocka_unit_test(blocks_of_a_release_never_share_a_counter),
		cmocka_unit_test(the_last_block_ends_with_the_last_counter),
		cmocka_unit_test(blocks_do_not_depend_on_each_other),
		cmocka_unit_test(no_key_and_what_would_share_counters_are_our_own_mistakes),
		cmocka_unit_test(encrypting_and_decrypting_allocate_nothing),
	};

	if (allocations_watch() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
