/*
 * testpoint: where tests kill, stop and observe a process; nothing in the product.
 *
 * A source that includes this is compiled twice: for the product, where these macros are empty, and
 * with TESTPOINTS for the test programs, which define the functions (tests/stress/testpoint.c).
 */
#ifndef COMMON_BASE_TESTPOINT_H
#define COMMON_BASE_TESTPOINT_H

#ifdef TESTPOINTS

#include <stddef.h>
#include <stdint.h>

/* This process may die after this step of a protocol; step names it: "commit: slot sealed". */
void testpoint_reach(const char *step);

/*
 * A cipher is about to use count units of key stream, from number first on, under key and nonce.
 * For GCM first is 0 and count 1: the whole nonce is used up.
 */
void testpoint_nonce(const uint8_t key[32], const uint8_t nonce[12], uint32_t first,
    uint32_t count);

#else

#define testpoint_reach(step) ((void)0)
#define testpoint_nonce(key, nonce, first, count) ((void)0)

#endif

#endif
