/*
 * allocations: counts the allocations of OpenSSL in a test program.
 */
#ifndef TESTS_UNIT_ALLOCATIONS_H
#define TESTS_UNIT_ALLOCATIONS_H

#include <stddef.h>

/*
 * Must be the first call in main(), before OpenSSL allocates. Returns 0, or -1 when it is too late.
 */
int allocations_watch(void);

/* Returns how often OpenSSL has allocated or reallocated since then. */
size_t allocations_count(void);

#endif
