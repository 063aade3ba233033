/*
 * keys: the keys of smc's segments (smc/FORMAT 5).
 *
 * One master key serves many files and many lives of each. The key of one file in one life is
 *
 *	HKDF-SHA256(ikm = master key, salt = the life's 32 random bytes,
 *	    info = "smc segment key" NUL name)
 *
 * of RFC 5869, 32 bytes of it; name goes in as its bytes, without the final NUL. So no two files
 * and no two lives share a key, and the key of one reveals nothing about another's or about the
 * master key. The salt is public.
 *
 * The key check value is HKDF-SHA256(ikm = that key, no salt, info = "smc key check value"), 16
 * bytes. It may be in a file of the host: it shows whether a key is the right one, but leads to no
 * key, since 256 bits cannot be guessed. A host that changes salt or value makes keys look wrong
 * and learns nothing.
 */
#ifndef COMMON_CRYPTO_KEYS_H
#define COMMON_CRYPTO_KEYS_H

#include <stddef.h>
#include <stdint.h>

enum {
	KEYS_SIZE = 32,       /* a master key, and a key derived from it */
	KEYS_SALT_SIZE = 32,  /* random, drawn for each life of a file */
	KEYS_CHECK_SIZE = 16, /* the check value of a key */
	KEYS_NAME_MOST = 255  /* bytes of a name, without its NUL */
};

/*
 * Derives the key of the file of that name (at most KEYS_NAME_MOST bytes) in the life that has
 * salt. Returns 0; -ENAMETOOLONG; -EIO when OpenSSL fails for lack of memory; or see
 * libctx_begin(). out is wiped on failure.
 */
int keys_derive(uint8_t out[KEYS_SIZE], const uint8_t master[KEYS_SIZE],
    const uint8_t salt[KEYS_SALT_SIZE], const char *name);

/* Computes the check value of key, see above. Returns as keys_hkdf(). */
int keys_check_value(uint8_t out[KEYS_CHECK_SIZE], const uint8_t key[KEYS_SIZE]);

/* Draws a random key. Returns 0 or -EIO (out is then wiped). */
int keys_random(uint8_t out[KEYS_SIZE]);

/*
 * HKDF with SHA-256, extract and expand (RFC 5869): out_size bytes (1 to 8160). An empty salt or
 * info may be NULL, and an info of up to 1 KiB is never too long. Returns 0; -EIO when OpenSSL
 * fails, for lack of memory or because an info is longer than its version takes; or see
 * libctx_begin(). out is wiped on failure.
 */
int keys_hkdf(void *out, size_t out_size, const void *ikm, size_t ikm_size, const void *salt,
    size_t salt_size, const void *info, size_t info_size);

#endif
