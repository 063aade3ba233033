/*
 * random: unpredictable bytes from the system, getrandom(2), for ivs, keys and names of our own.
 *
 * This process keeps no state of a generator, so a copy of it, however it was made, repeats
 * nothing, and no lock is involved that a forked child could find locked.
 *
 * Inside an enclave the library OS answers, from the processor and not from the host.
 */
#ifndef COMMON_CRYPTO_RANDOM_H
#define COMMON_CRYPTO_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/*
 * Fills size bytes at out. Returns 0, or -EIO, with a message, when the system gives none (out is
 * then wiped): there is nothing to fall back on.
 */
int random_bytes(void *out, size_t size);

/* Draws a random number of 64 bits. Returns 0 or -EIO. */
int random_u64(uint64_t *out);

#endif
