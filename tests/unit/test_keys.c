/* Keys of smc's segments: HKDF as in RFC 5869, and one key for each master, life and name. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "common/crypto/keys.h"
#include "tests/unit/hex.h"

static const uint8_t master[KEYS_SIZE] = "the master key, 32 bytes of it!";
static const uint8_t salt[KEYS_SALT_SIZE] = "the salt of a life, also 32 byt";

/* RFC 5869, A.1 to A.3. */
static void
published_vectors_are_reproduced(void **state)
{
	static const struct {
		const char *ikm, *salt, *info, *okm;
	} rows[] = {
		{ "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c",
		    "f0f1f2f3f4f5f6f7f8f9",
		    "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
		    "34007208d5b887185865" },
		{ "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
		  "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
		  "404142434445464748494a4b4c4d4e4f",
		    "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f"
		    "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"
		    "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
		    "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecf"
		    "d0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeef"
		    "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
		    "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
		    "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
		    "cc30c58179ec3e87c14c01d5c1f3434f1d87" },
		{ "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
		    "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
		    "9d201395faa4b61a96c8" },
	};
	uint8_t ikm[80], a_salt[80], info[80], expected[82], okm[82];
	size_t i, size;

	(void)state;
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		size = hex_decode(expected, sizeof expected, rows[i].okm);
		assert_int_equal(keys_hkdf(okm, size, ikm, hex_decode(ikm, sizeof ikm, rows[i].ikm),
				     a_salt, hex_decode(a_salt, sizeof a_salt, rows[i].salt), info,
				     hex_decode(info, sizeof info, rows[i].info)),
		    0);
		assert_memory_equal(okm, expected, size);
	}
}

/* The format of segment files depends on these bytes, which may not change. */
static void
a_key_is_hkdf_of_master_salt_label_and_name(void **state)
{
	static const char info[] = "smc segment key\0data";
	uint8_t key[KEYS_SIZE], expected[KEYS_SIZE], check[KEYS_CHECK_SIZE], expected_check[16];

	(void)state;
	assert_int_equal(keys_derive(key, master, salt, "data"), 0);
	assert_int_equal(keys_hkdf(expected, 32, master, 32, salt, 32, info, sizeof info - 1), 0);
	assert_memory_equal(key, expected, sizeof key);
	assert_int_equal(keys_check_value(check, key), 0);
	assert_int_equal(keys_hkdf(expected_check, 16, key, 32, NULL, 0, "smc key check value", 19),
	    0);
	assert_memory_equal(check, expected_check, sizeof check);
}

static void
every_name_salt_and_master_has_a_key_of_its_own(void **state)
{
	enum { COUNT = 8 + 2 * KEYS_SIZE };
	static const char *const names[8] = { "", "a", "b", "ab", "a/b", "A", "a ", "aa" };
	uint8_t keys[COUNT][KEYS_SIZE], checks[COUNT][KEYS_CHECK_SIZE];
	uint8_t other_salt[KEYS_SALT_SIZE], other_master[KEYS_SIZE];
	int i, j;

	(void)state;
	for (i = 0; i < 8; i++)
		assert_int_equal(keys_derive(keys[i], master, salt, names[i]), 0);
	for (i = 0; i < KEYS_SIZE; i++) {
		memcpy(other_salt, salt, sizeof salt);
		other_salt[i] ^= 1;
		assert_int_equal(keys_derive(keys[8 + i], master, other_salt, "a"), 0);
		memcpy(other_master, master, sizeof master);
		other_master[i] ^= 1;
		assert_int_equal(keys_derive(keys[8 + KEYS_SIZE + i], other_master, salt, "a"), 0);
	}
	for (i = 0; i < COUNT; i++) {
		assert_int_equal(keys_check_value(checks[i], keys[i]), 0);
		/* The value shows no part of the key. */
		assert_null(memmem(keys[i], KEYS_SIZE, checks[i], 4));
		for (j = 0; j < i; j++) {
			assert_memory_not_equal(keys[i], keys[j], KEYS_SIZE);
			assert_memory_not_equal(checks[i], checks[j], KEYS_CHECK_SIZE);
		}
	}
}

static void
a_key_comes_again_whoever_derives_it(void **state)
{
	uint8_t key[KEYS_SIZE], again[KEYS_SIZE], check[KEYS_CHECK_SIZE],
	    check_again[KEYS_CHECK_SIZE];

	(void)state;
	assert_int_equal(keys_derive(key, master, salt, "data"), 0);
	assert_int_equal(keys_derive(again, master, salt, "data"), 0);
	assert_memory_equal(key, again, sizeof key);
	assert_int_equal(keys_check_value(check, key), 0);
	assert_int_equal(keys_check_value(check_again, again), 0);
	assert_memory_equal(check, check_again, sizeof check);
}

static void
names_are_whole_or_refused(void **state)
{
	uint8_t key[KEYS_SIZE], other[KEYS_SIZE], none[KEYS_SIZE] = { 0 };
	char name[KEYS_NAME_MOST + 2];

	(void)state;
	memset(name, 'x', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	memset(key, 1, sizeof key);
	assert_int_equal(keys_derive(key, master, salt, name), -ENAMETOOLONG);
	assert_memory_equal(key, none, sizeof key);
	name[KEYS_NAME_MOST] = '\0';
	assert_int_equal(keys_derive(key, master, salt, name), 0);
	name[KEYS_NAME_MOST - 1] = 'y';
	assert_int_equal(keys_derive(other, master, salt, name), 0);
	assert_memory_not_equal(key, other, sizeof key);
}

static void
an_info_of_a_kibibyte_is_not_too_long(void **state)
{
	static uint8_t info[1024];
	uint8_t out[KEYS_SIZE], other[KEYS_SIZE];

	(void)state;
	assert_int_equal(keys_hkdf(out, sizeof out, master, 32, salt, 32, info, sizeof info), 0);
	info[sizeof info - 1] = 1;
	assert_int_equal(keys_hkdf(other, sizeof other, master, 32, salt, 32, info, sizeof info),
	    0);
	assert_memory_not_equal(out, other, sizeof out);
}

static void
what_openssl_refuses_is_eio_and_wiped(void **state)
{
	static uint8_t info[1 << 16];
	uint8_t out[KEYS_SIZE], none[KEYS_SIZE] = { 0 };

	(void)state;
	memset(out, 1, sizeof out);
	assert_int_equal(keys_hkdf(out, sizeof out, master, 32, salt, 32, info, sizeof info), -EIO);
	assert_memory_equal(out, none, sizeof out);
}

static void
random_keys_differ(void **state)
{
	uint8_t keys[100][KEYS_SIZE];
	int i, j;

	(void)state;
	for (i = 0; i < 100; i++) {
		assert_int_equal(keys_random(keys[i]), 0);
		for (j = 0; j < i; j++)
			assert_memory_not_equal(keys[i], keys[j], KEYS_SIZE);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_vectors_are_reproduced),
		cmocka_unit_test(a_key_is_hkdf_of_master_salt_label_and_name),
		cmocka_unit_test(every_name_salt_and_master_has_a_key_of_its_own),
		cmocka_unit_test(a_key_comes_again_whoever_derives_it),
		cmocka_unit_test(names_are_whole_or_refused),
		cmocka_unit_test(an_info_of_a_kibibyte_is_not_too_long),
		cmocka_unit_test(what_openssl_refuses_is_eio_and_wiped),
		cmocka_unit_test(random_keys_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
