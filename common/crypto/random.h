/*
 * random: unpredictable bytes from OpenSSL's generator, reseeded in every copy of the process.
 *
 * No state of the generator survives a fork: fork(2), a bare clone(2), one into a new pid
 * namespace, a copy that gets a process id which an ancestor had. OpenSSL detects a changed process
 * id and nothing else; forkmark.h detects the rest.
 *
 * Inside an enclave the library OS seeds that generator from the processor, not from the host.
 */
#ifndef COMMON_CRYPTO_RANDOM_H
#define COMMON_CRYPTO_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/*
 * Fills size bytes at out. Returns 0, or -EIO when the generator has no entropy (out is then
 * wiped).
 */
int random_bytes(void *out, size_t size);

/* Draws a random number of 64 bits. Returns 0 or -EIO. */
int random_u64(uint64_t *out);

/*
 * Reseeds OpenSSL's generators if this process is a copy that has not done so yet. The functions
 * above begin with it; a caller that lets OpenSSL draw by itself, as TLS does, calls it first.
 * Returns 0, or -EIO when there is no entropy.
 */
int random_check_fork(void);

#endif
