/* AES-256-GCM blocks: the vectors that NIST published, refusals, and that a nonce is used once. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/size.h"
#include "common/crypto/sealbox.h"
#include "tests/unit/aborts.h"
#include "tests/unit/allocations.h"
#include "tests/unit/hex.h"

enum { UNTOUCHED = 0xa5, SMALL = 24 };

static const uint8_t a_key[SEALBOX_KEY_SIZE] = { 1, 2, 3 };
static const uint8_t other_key[SEALBOX_KEY_SIZE] = { 1, 2, 3, [31] = 1 };

static struct sealbox *
keyed_box(const uint8_t key[SEALBOX_KEY_SIZE])
{
	struct sealbox *b;

	assert_int_equal(sealbox_create(&b), 0);
	assert_int_equal(sealbox_set_key(b, key), 0);
	return b;
}

static bool
is_all(const uint8_t *bytes, size_t size, uint8_t value)
{
	size_t i;

	for (i = 0; i < size; i++)
		if (bytes[i] != value)
			return false;
	return true;
}

static uint64_t
big_endian(const uint8_t *bytes, size_t size)
{
	uint64_t value = 0;
	size_t i;

	for (i = 0; i < size; i++)
		value = value << 8 | bytes[i];
	return value;
}

/* Seals with OpenSSL's own calls and a context for this one message. */
static void
seal_otherwise(const uint8_t *key, const uint8_t nonce[SEALBOX_NONCE_SIZE], const uint8_t *plain,
    size_t size, uint8_t *sealed, uint8_t *tag)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n;

	assert_int_equal(EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce), 1);
	assert_int_equal(EVP_EncryptUpdate(ctx, sealed, &n, plain, (int)size), 1);
	assert_int_equal(n, size);
	assert_int_equal(EVP_EncryptFinal_ex(ctx, sealed + n, &n), 1);
	assert_int_equal(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, 16, tag), 1);
	EVP_CIPHER_CTX_free(ctx);
}

/*
 * The vectors without associated data of NIST's gcmEncryptExtIV256.rsp, and test cases 14 and 15 of
 * the paper that SP 800-38D follows. A nonce of 12 bytes is our u64 grant and u32 block.
 */
static void
published_vectors_are_reproduced(void **state)
{
	static const struct {
		const char *key, *nonce, *plain, *sealed, *tag;
	} rows[] = {
		{ "0000000000000000000000000000000000000000000000000000000000000000",
		    "000000000000000000000000", "00000000000000000000000000000000",
		    "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919" },
		{ "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
		    "cafebabefacedbaddecaf888",
		    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
		    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
		    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
		    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
		    "b094dac5d93471bdec1a502270e3cc6c" },
		{ "31bdadd96698c204aa9ce1448ea94ae1fb4a9a0b3c9d773b51bb1822666b8f22",
		    "0d18e06c7c725ac9e362e1ce", "2db5168e932556f8089a0622981d017d",
		    "fa4362189661d163fcd6a56d8bf0405a", "d636ac1bbedd5cc3ee727dc2ab4a9489" },
		{ "e5a0eb92cc2b064e1bc80891faf1fab5e9a17a9c3a984e25416720e30e6c2b21",
		    "4742357c335913153ff0eb0f", "8499893e16b0ba8b007d54665a",
		    "eb8e6175f1fe38eb1acf95fd51", "88a8b74bb74fda553e91020a23deed45" },
		{ "37f39137416bafde6f75022a7a527cc593b6000a83ff51ec04871a0ff5360e4e",
		    "a291484c3de8bec6b47f525f",
		    "fafd94cede8b5a0730394bec68a8e77dba288d6ccaa8e1563a81d6e7ccc7fc97",
		    "44dc868006b21d49284016565ffb3979cc4271d967628bf7cdaf86db888e92e5",
		    "01a2b578aa2f41ec6379a44a31cc019c" },
		{ "1fded32d5999de4a76e0f8082108823aef60417e1896cf4218a2fa90f632ec8a",
		    "1f3afa4711e9474f32e70462",
		    "06b2c75853df9aeb17befd33cea81c630b0fc53667ff45199c629c8e15dce41e"
		    "530aa792f796b8138eeab2e86c7b7bee1d40b0",
		    "91fbd061ddc5a7fcc9513fcdfdc9c3a7c5d4d64cedf6a9c24ab8a77c36eefbf1"
		    "c5dc00bc50121b96456c8cd8b6ff1f8b3e480f",
		    "30096d340f3d5c42d82a6f475def23eb" },
	};
	uint8_t key[32], nonce[12], plain[64], sealed[64], tag[16], out[64], out_tag[16];
	uint8_t other[64], other_tag[16];
	struct sealbox *b;
	size_t i, size;

	(void)state;
	assert_int_equal(sealbox_create(&b), 0);
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint64_t grant;
		uint32_t block;

		assert_int_equal(hex_decode(key, sizeof key, rows[i].key), sizeof key);
		assert_int_equal(hex_decode(nonce, sizeof nonce, rows[i].nonce), sizeof nonce);
		size = hex_decode(plain, sizeof plain, rows[i].plain);
		assert_int_equal(hex_decode(sealed, sizeof sealed, rows[i].sealed), size);
		assert_int_equal(hex_decode(tag, sizeof tag, rows[i].tag), sizeof tag);
		grant = big_endian(nonce, 8);
		block = (uint32_t)big_endian(nonce + 8, 4);
		assert_int_equal(sealbox_set_key(b, key), 0);
		assert_int_equal(sealbox_seal(b, grant, block, plain, size, out, out_tag), 0);
		assert_memory_equal(out, sealed, size);
		assert_memory_equal(out_tag, tag, sizeof tag);
		seal_otherwise(key, nonce, plain, size, other, other_tag);
		assert_memory_equal(other, sealed, size);
		assert_memory_equal(other_tag, tag, sizeof tag);
		assert_int_equal(sealbox_open(b, grant, block, sealed, size, tag, out), 0);
		assert_memory_equal(out, plain, size);
	}
	sealbox_destroy(b);
}

static void
every_size_comes_back_and_nothing_is_written_behind_it(void **state)
{
	static const size_t sizes[] = { 1, 15, 16, 17, 4095, 4096 };
	static uint8_t plain[SIZE_BLOCK], sealed[SIZE_BLOCK + 1], out[SIZE_BLOCK + 1];
	static uint8_t expected[SIZE_BLOCK];
	uint8_t nonce[12] = { 0 }, tag[16], expected_tag[16];
	struct sealbox *b = keyed_box(a_key);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof plain; i++)
		plain[i] = (uint8_t)(i * 7 + (i >> 8));
	for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		size_t size = sizes[i];

		memset(sealed, UNTOUCHED, sizeof sealed);
		memset(out, UNTOUCHED, sizeof out);
		assert_int_equal(sealbox_seal(b, i, 0x01020304, plain, size, sealed, tag), 0);
		memcpy(nonce + 7, (uint8_t[]){ (uint8_t)i, 1, 2, 3, 4 }, 5);
		seal_otherwise(a_key, nonce, plain, size, expected, expected_tag);
		assert_memory_equal(sealed, expected, size);
		assert_memory_equal(tag, expected_tag, sizeof tag);
		assert_true(is_all(sealed + size, sizeof sealed - size, UNTOUCHED));
		assert_int_equal(sealbox_open(b, i, 0x01020304, sealed, size, tag, out), 0);
		assert_memory_equal(out, plain, size);
		assert_true(is_all(out + size, sizeof out - size, UNTOUCHED));
	}
	sealbox_destroy(b);
}

/* A small sealed block, to be damaged. */
struct sample {
	struct sealbox *box;
	uint64_t grant;
	uint32_t block;
	uint8_t plain[SMALL];
	uint8_t sealed[SMALL];
	uint8_t tag[SEALBOX_TAG_SIZE];
};

static void
make_sample(struct sample *s)
{
	*s = (struct sample){ .box = keyed_box(a_key),
		.grant = 0x1122334455667788,
		.block = 0x99aabbcc };
	memcpy(s->plain, "twenty-four bytes of it!", SMALL);
	assert_int_equal(sealbox_seal(s->box, s->grant, s->block, s->plain, SMALL, s->sealed,
			     s->tag),
	    0);
}

static bool
is_opened(const struct sample *s)
{
	uint8_t out[SMALL];

	memset(out, UNTOUCHED, sizeof out);
	if (sealbox_open(s->box, s->grant, s->block, s->sealed, SMALL, s->tag, out) == 0) {
		assert_memory_equal(out, s->plain, SMALL);
		return true;
	}
	return false;
}

/* Opening it returns -EBADMSG, and the output that GCM wrote before is wiped. */
static void
assert_refused(const struct sample *s)
{
	uint8_t out[SMALL];

	memset(out, UNTOUCHED, sizeof out);
	assert_int_equal(sealbox_open(s->box, s->grant, s->block, s->sealed, SMALL, s->tag, out),
	    -EBADMSG);
	assert_true(is_all(out, sizeof out, 0));
	assert_int_equal(ERR_peek_error(), 0);
}

static void
every_flipped_bit_is_refused_and_the_plaintext_wiped(void **state)
{
	struct sample s;
	int bit;

	(void)state;
	make_sample(&s);
	for (bit = 0; bit < SMALL * 8; bit++) {
		s.sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_refused(&s);
		s.sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (bit = 0; bit < SEALBOX_TAG_SIZE * 8; bit++) {
		s.tag[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_refused(&s);
		s.tag[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (bit = 0; bit < 64; bit++) {
		s.grant ^= UINT64_C(1) << bit;
		assert_refused(&s);
		s.grant ^= UINT64_C(1) << bit;
	}
	for (bit = 0; bit < 32; bit++) {
		s.block ^= UINT32_C(1) << bit;
		assert_refused(&s);
		s.block ^= UINT32_C(1) << bit;
	}
	assert_true(is_opened(&s));
	sealbox_destroy(s.box);
}

static void
another_key_grant_or_block_is_refused(void **state)
{
	struct sample s, yesterday;
	uint8_t sealed[SMALL], tag[SEALBOX_TAG_SIZE], out[SMALL];

	(void)state;
	make_sample(&s);
	yesterday = s;
	/* The next grant's block, and the same block of before: neither passes for the other. */
	assert_int_equal(sealbox_seal(s.box, s.grant + 1, s.block, s.plain, SMALL, sealed, tag), 0);
	yesterday.grant++;
	assert_refused(&yesterday);
	assert_int_equal(sealbox_open(s.box, s.grant, s.block, sealed, SMALL, tag, out), -EBADMSG);
	/* A block and its neighbour, exchanged. */
	assert_int_equal(sealbox_seal(s.box, s.grant + 1, s.block + 1, s.plain, SMALL, sealed, tag),
	    0);
	assert_int_equal(sealbox_open(s.box, s.grant + 1, s.block, sealed, SMALL, tag, out),
	    -EBADMSG);
	/* One byte less, with the right tag. */
	assert_int_equal(sealbox_open(s.box, s.grant, s.block, s.sealed, SMALL - 1, s.tag, out),
	    -EBADMSG);
	assert_int_equal(sealbox_set_key(s.box, other_key), 0);
	assert_refused(&s);
	assert_int_equal(sealbox_set_key(s.box, a_key), 0);
	assert_true(is_opened(&s));
	sealbox_destroy(s.box);
}

static int
seal_at(struct sealbox *b, uint64_t grant, uint32_t block)
{
	uint8_t plain[SMALL] = { 0 }, sealed[SMALL], tag[SEALBOX_TAG_SIZE];
	int r;

	memset(sealed, UNTOUCHED, sizeof sealed);
	memset(tag, UNTOUCHED, sizeof tag);
	r = sealbox_seal(b, grant, block, plain, SMALL, sealed, tag);
	if (r != 0) {
		assert_true(is_all(sealed, sizeof sealed, UNTOUCHED));
		assert_true(is_all(tag, sizeof tag, UNTOUCHED));
	}
	return r;
}

static void
within_a_key_grants_and_blocks_only_ascend(void **state)
{
	struct sealbox *b = keyed_box(a_key);

	(void)state;
	assert_int_equal(seal_at(b, 7, 3), 0);
	assert_int_equal(seal_at(b, 7, 3), -ESTALE);
	assert_int_equal(seal_at(b, 7, 2), -ESTALE);
	assert_int_equal(seal_at(b, 6, 4), -ESTALE);
	assert_int_equal(seal_at(b, 0, UINT32_MAX), -ESTALE);
	assert_int_equal(seal_at(b, 7, 4), 0);
	assert_int_equal(seal_at(b, 8, 0), 0);
	/* Setting the same key again does not allow a second use of a nonce. */
	assert_int_equal(sealbox_set_key(b, a_key), 0);
	assert_int_equal(seal_at(b, 8, 0), -ESTALE);
	assert_int_equal(seal_at(b, UINT64_MAX, UINT32_MAX), 0);
	assert_int_equal(seal_at(b, UINT64_MAX, UINT32_MAX), -ESTALE);
	assert_int_equal(sealbox_set_key(b, other_key), 0);
	assert_int_equal(seal_at(b, 0, 0), 0);
	assert_int_equal(seal_at(b, 0, 0), -ESTALE);
	sealbox_destroy(b);
}

static void
seal_without_key(void *arg)
{
	struct sealbox *b;

	(void)arg;
	if (sealbox_create(&b) == 0)
		(void)seal_at(b, 1, 1);
}

static void
seal_nothing(void *arg)
{
	struct sealbox *b = keyed_box(a_key);
	uint8_t byte = 0, tag[SEALBOX_TAG_SIZE];

	(void)arg;
	(void)sealbox_seal(b, 1, 1, &byte, 0, &byte, tag);
}

static void
no_key_and_no_bytes_are_our_own_mistakes(void **state)
{
	(void)state;
	assert_true(aborts_in(seal_without_key, NULL));
	assert_true(aborts_in(seal_nothing, NULL));
}

static void
sealing_and_opening_allocate_nothing(void **state)
{
	static uint8_t plain[SIZE_BLOCK], sealed[SIZE_BLOCK], out[SIZE_BLOCK];
	struct sealbox *b = keyed_box(a_key);
	uint8_t tag[SEALBOX_TAG_SIZE];
	size_t before = allocations_count();
	int i;

	(void)state;
	assert_true(before > 0);
	for (i = 1; i <= 1000; i++) {
		assert_int_equal(sealbox_set_key(b, a_key), 0);
		assert_int_equal(sealbox_seal(b, (uint64_t)i, 0, plain, sizeof plain, sealed, tag),
		    0);
		assert_int_equal(sealbox_open(b, (uint64_t)i, 0, sealed, sizeof sealed, tag, out),
		    0);
		assert_int_equal(sealbox_open(b, 0, 0, sealed, sizeof sealed, tag, out), -EBADMSG);
	}
	assert_int_equal(allocations_count(), before);
	sealbox_destroy(b);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_vectors_are_reproduced),
		cmocka_unit_test(every_size_comes_back_and_nothing_is_written_behind_it),
		cmocka_unit_test(every_flipped_bit_is_refused_and_the_plaintext_wiped),
		cmocka_unit_test(another_key_grant_or_block_is_refused),
		cmocka_unit_test(within_a_key_grants_and_blocks_only_ascend),
		cmocka_unit_test(no_key_and_no_bytes_are_our_own_mistakes),
		cmocka_unit_test(sealing_and_opening_allocate_nothing),
	};

	if (allocations_watch() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
