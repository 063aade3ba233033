/*
 * allocations: counts what OpenSSL allocates in a test program.
 */
#ifndef TESTS_UNIT_ALLOCATIONS_H
#define TESTS_UNIT_ALLOCATIONS_H

#include <stddef.h>

/* First thing in main(), before OpenSSL allocates anything. Returns 0, or -1 when it is too late. */
int allocations_watch(void);

/* How often OpenSSL allocated or reallocated since then. */
size_t allocations_count(void);

#endif
