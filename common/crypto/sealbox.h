/*
 * sealbox: seals blocks of a segment with AES-256-GCM, for host files that anyone may read and
 * change (smuf/FORMAT 4).
 *
 * The nonce is deterministic (SP 800-38D, 8.2.1): u64 grant, u32 block, big-endian. A key belongs
 * to one memory file and one life of it; a grant of that life is given once and seals a block at
 * most once, so no nonce comes twice under one key, whichever process dies at whatever moment: a
 * grant whose holder died half way is never given again. A box enforces that on its caller: until
 * it gets another key it seals in ascending order of (grant, block) and refuses any other. The
 * grants are the server's, which gives the key as well. There is no associated data: the key
 * identifies the file, the nonce the block and the grant, so a block that the host moved,
 * exchanged, rolled back or took from another file does not verify. 2^32 blocks of 4096 bytes a
 * grant stay far below GCM's limits for one message and one key.
 *
 * Plaintext and sealed bytes must both be in private memory: GCM reads its own output again, and a
 * host that changes it meanwhile would learn or forge. Copy to host memory after sealing, and from
 * host memory before opening.
 *
 * A box is one keyed context, made once: sealing and opening allocate nothing. One thread at a time
 * may use it. A fork's child may use its copy, for grants of its own.
 */
#ifndef COMMON_CRYPTO_SEALBOX_H
#define COMMON_CRYPTO_SEALBOX_H

#include <stddef.h>
#include <stdint.h>

enum { SEALBOX_KEY_SIZE = 32, SEALBOX_NONCE_SIZE = 12, SEALBOX_TAG_SIZE = 16 };

struct sealbox;

/* Makes a box without a key. Returns 0, -ENOMEM, or see libctx_begin(). */
int sealbox_create(struct sealbox **out);

/* Wipes and frees. Takes NULL. */
void sealbox_destroy(struct sealbox *b);

/*
 * Sets the key of the box; costs nothing when it is the same one. Returns 0; -EIO when OpenSSL
 * fails for lack of memory; or see libctx_begin(). After a failure the box has no key.
 */
int sealbox_set_key(struct sealbox *b, const uint8_t key[SEALBOX_KEY_SIZE]);

/*
 * Seals size bytes (at least 1) of plain into as many at sealed, and tag. Returns 0; -ESTALE when
 * (grant, block) is not above all that this box has sealed under its key; -EIO when OpenSSL fails
 * (sealed is then wiped).
 */
int sealbox_seal(struct sealbox *b, uint64_t grant, uint32_t block, const void *plain, size_t size,
    void *sealed, uint8_t tag[SEALBOX_TAG_SIZE]);

/*
 * Opens size bytes at sealed into as many at plain. Returns 0, or -EBADMSG when they are not what
 * sealbox_seal() made with this grant, block and key (plain is then wiped).
 */
int sealbox_open(struct sealbox *b, uint64_t grant, uint32_t block, const void *sealed, size_t size,
    const uint8_t tag[SEALBOX_TAG_SIZE], void *plain);

#endif
