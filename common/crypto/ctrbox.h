/*
 * ctrbox: blocks of a segment encrypted with AES-256-CTR for host files that anybody may read (DESIGN 7).
 *
 * It hides and does no more: there is no integrity. Who changes a bit of the encrypted block changes that bit of the
 * plain one, and an old or foreign block decrypts to something. smc trusts the host not to do that.
 *
 * The counter block (SP 800-38A, 6.5 and B.1) is 12 bytes iv, then a big-endian u32 counter. Block b of a segment,
 * 4096 bytes or 256 AES blocks, begins at counter b * 256, so the counter fits for b below 2^24. One release has one
 * iv and encrypts a block at most once: its blocks own disjoint ranges of counters, and no key stream is used twice in
 * it. Between releases the iv differs: it is random, 96 bits drawn for each release. Among 2^32 of them two are equal
 * with a probability below 2^-32, the bound that SP 800-38D, 8.3 sets for random ivs under one key. A key belongs to
 * one file and one life of it, and the caller (smc's commit) counts the releases of that life and answers EOVERFLOW
 * after 2^32. An iv used twice, within a release that dies and is done again too, would tell the host the exclusive or
 * of two contents.
 *
 * Both buffers must be in private memory. A box is one keyed context, made once: encrypting and decrypting allocate
 * nothing. One thread at a time. A copy that fork(2) made may be used by the child, with ivs of its own.
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

/* A box without a key. Returns 0 or -ENOMEM. */
int ctrbox_create(struct ctrbox **out);

/* Wipes. Takes NULL. */
void ctrbox_destroy(struct ctrbox *b);

/*
 * The box has this key from now on; costs nothing when it has it already. Returns 0 or -EIO (OpenSSL refuses: no
 * memory; the box is then without a key).
 */
int ctrbox_set_key(struct ctrbox *b, const uint8_t key[CTRBOX_KEY_SIZE]);

/*
 * Encrypts size bytes (1 to 4096; less than 4096 only for the last block of a segment) of plain into encrypted, as
 * many. The same (iv, block) must not have been encrypted under this key before. Returns 0 or -EIO (OpenSSL refuses;
 * encrypted is wiped).
 */
int ctrbox_encrypt(struct ctrbox *b, const uint8_t iv[CTRBOX_IV_SIZE], uint32_t block,
    const void *plain, size_t size, void *encrypted);

/* Decrypts what was encrypted so. Returns 0 or -EIO (OpenSSL refuses; plain is wiped). */
int ctrbox_decrypt(struct ctrbox *b, const uint8_t iv[CTRBOX_IV_SIZE], uint32_t block,
    const void *encrypted, size_t size, void *plain);

#endif
