/*
 * ctrbox: encrypts blocks of a segment with AES-256-CTR, for host files that anyone may read
 * (smc/FORMAT 5).
 *
 * It provides secrecy and no integrity. A host that flips a bit of an encrypted block flips that
 * bit of the plaintext, and an old or foreign block decrypts to some bytes. smc trusts the host not
 * to do that.
 *
 * The counter block (SP 800-38A, 6.5 and B.1) is 12 bytes iv, then a big-endian u32 counter. Block
 * b of a segment, 4096 bytes or 256 AES blocks, begins at counter b * 256, so the counter fits for
 * b below 2^24. One release has one iv and encrypts a block at most once: its blocks own disjoint
 * ranges of counters, and it uses no key stream twice. Between releases the iv differs: it is
 * random, 96 bits drawn for each release. Two of 2^32 are equal with a probability below 2^-32, the
 * bound that SP 800-38D, 8.3 sets for random ivs under one key. A key belongs to one file and one
 * life of it, and the caller (smc's commit) counts the releases of that life and returns EOVERFLOW
 * after 2^32. An iv that is used twice, also by a release that is repeated after a failure, shows
 * the host the exclusive or of two contents.
 *
 * Both buffers must be in private memory. A box is one keyed context, made once: encrypting and
 * decrypting allocate nothing. One thread at a time may use it. A fork's child may use its copy,
 * with ivs of its own.
 */
#ifndef COMMON_CRYPTO_CTRBOX_H
#define COMMON_CRYPTO_CTRBOX_H

#include <stddef.h>
#include <stdint.h>

enum {
	CTRBOX_KEY_SIZE = 32,
	CTRBOX_IV_SIZE = 12,
	CTRBOX_BLOCKS_MOST = 1 << 24 /* block numbers are below this */
};

struct ctrbox;

/* Makes a box without a key. Returns 0, -ENOMEM, or see libctx_begin(). */
int ctrbox_create(struct ctrbox **out);

/* Wipes and frees. Takes NULL. */
void ctrbox_destroy(struct ctrbox *b);

/*
 * Sets the key of the box; costs nothing when it is the same one. Returns 0; -EIO when OpenSSL
 * fails for lack of memory; or see libctx_begin(). After a failure the box has no key.
 */
int ctrbox_set_key(struct ctrbox *b, const uint8_t key[CTRBOX_KEY_SIZE]);

/*
 * Encrypts size bytes (1 to 4096; less than 4096 only for the last block of a segment) of plain
 * into as many at encrypted. The same (iv, block) must not have been encrypted under this key
 * before. Returns 0, or -EIO when OpenSSL fails (encrypted is then wiped).
 */
int ctrbox_encrypt(struct ctrbox *b, const uint8_t iv[CTRBOX_IV_SIZE], uint32_t block,
    const void *plain, size_t size, void *encrypted);

/* Decrypts the same way. Returns 0, or -EIO when OpenSSL fails (plain is then wiped). */
int ctrbox_decrypt(struct ctrbox *b, const uint8_t iv[CTRBOX_IV_SIZE], uint32_t block,
    const void *encrypted, size_t size, void *plain);

#endif
