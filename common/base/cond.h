/*
 * cond: a condition variable that waits for a deadline of the monotonic clock (clock.h).
 */
#ifndef COMMON_BASE_COND_H
#define COMMON_BASE_COND_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Like pthread_cond_init(3), but timed waits use CLOCK_MONOTONIC. */
void cond_init(pthread_cond_t *cond);

/*
 * Waits once, with mutex locked, until cond is signalled or deadline has passed (nanoseconds of
 * CLOCK_MONOTONIC, or CLOCK_NEVER). Returns false when the deadline has passed. As with
 * pthread_cond_wait(3) the caller checks its condition again.
 */
bool cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, uint64_t deadline);

#endif
