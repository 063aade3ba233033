/*
 * sealbox: blocks of a segment sealed with AES-256-GCM for host files that anybody may read and change.
 *
 * The nonce is deterministic (SP 800-38D, 8.2.1): u64 grant, u32 block, big-endian. A key belongs to one memory
 * file and one life of it; a grant of that life is given once and seals a block at most once, so under one key
 * no nonce comes twice, whoever dies when: a grant that was drawn and whose holder died half way is never
 * drawn again. A box holds its user to that: within a key it seals in ascending order of (grant, block) and refuses
 * anything else, whatever a server says. There is no associated data: the key names the file, the nonce the block and the
 * grant, so a block that the host moved, exchanged, kept from yesterday or took from another file does not
 * verify. 2^32 blocks of 4096 bytes a grant stay far below GCM's limits for one message and one key.
 *
 * Plaintext and sealed bytes must both be in private memory: GCM reads its own output again, and a host that changed
 * it meanwhile would learn or forge. Copy to host memory after, and from it before.
 *
 * A box is one keyed context, made once: sealing and opening allocate nothing. One thread at a time. A copy that
 * fork(2) made may be used by the child, for grants of its own.
 */
#ifndef COMMON_CRYPTO_SEALBOX_H
#define COMMON_CRYPTO_SEALBOX_H

#include <stddef.h>
#include <stdint.h>

enum { SEALBOX_KEY_SIZE = 32, SEALBOX_NONCE_SIZE = 12, SEALBOX_TAG_SIZE = 16 };

struct sealbox;

/* A box without a key. Returns 0 or -ENOMEM. */
int sealbox_create(struct sealbox **out);

/* Wipes. Takes NULL. */
void sealbox_destroy(struct sealbox *b);

/*
 * The box has this key from now on; costs nothing when it has it already. Returns 0 or -EIO (OpenSSL refuses: no
 * memory; the box is then without a key).
 */
int sealbox_set_key(struct sealbox *b, const uint8_t key[SEALBOX_KEY_SIZE]);

/*
 * Seals size bytes (at least 1) of plain into sealed, as many, and tag. Returns 0; -ESTALE when (grant, block) is not above
 * all that this box sealed under its key; -EIO (OpenSSL refuses; sealed is wiped).
 */
int sealbox_seal(struct sealbox *b, uint64_t grant, uint32_t block, const void *plain, size_t size,
    void *sealed, uint8_t tag[SEALBOX_TAG_SIZE]);

/*
 * Opens what was sealed so. Returns 0, or -EBADMSG when it is not that (plain is wiped).
 */
int sealbox_open(struct sealbox *b, uint64_t grant, uint32_t block, const void *sealed, size_t size,
    const uint8_t tag[SEALBOX_TAG_SIZE], void *plain);

#endif
