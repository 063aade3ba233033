/*
 * random: unpredictable bytes from OpenSSL's generator, which reseeds itself after a fork.
 *
 * Inside an enclave the library OS seeds that generator from the processor, not from the host.
 */
#ifndef COMMON_CRYPTO_RANDOM_H
#define COMMON_CRYPTO_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Fills size bytes at out. Returns 0, or -EIO when the generator has no entropy (out is wiped). */
int random_bytes(void *out, size_t size);

/* One random number, 64 bits of it. Returns 0 or -EIO. */
int random_u64(uint64_t *out);

#endif
