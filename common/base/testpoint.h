/*
 * testpoint: where tests kill and stop a process, and where they look; nothing at all in the product.
 *
 * A source that includes this is built twice: for the product, where these are nothing, and with TESTPOINTS for the
 * test programs, which bring the functions (tests/stress/testpoint.c).
 */
#ifndef COMMON_BASE_TESTPOINT_H
#define COMMON_BASE_TESTPOINT_H

#ifdef TESTPOINTS

#include <stddef.h>
#include <stdint.h>

/* A step of a protocol that may be the last one of this process: step names it, "commit: slot sealed". */
void testpoint_reach(const char *step);

/*
 * A cipher is about to use count units of key stream from first on under key and nonce. GCM: 0 and 1, the nonce is
 * used up whole.
 */
void testpoint_nonce(const uint8_t key[32], const uint8_t nonce[12], uint32_t first,
    uint32_t count);

#else

#define testpoint_reach(step) ((void)0)
#define testpoint_nonce(key, nonce, first, count) ((void)0)

#endif

#endif
