/*
 * mutex: a mutex in the child of a fork, and one that is waited for until a deadline.
 */
#ifndef COMMON_BASE_MUTEX_H
#define COMMON_BASE_MUTEX_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "common/base/clock.h"

/*
 * In a fork's child: leaves mutex unlocked. is_locked: this thread locked it before the fork; else
 * any thread of the parent may have had it, and no thread here can unlock it.
 */
static inline void
mutex_fork_child(pthread_mutex_t *mutex, bool is_locked)
{
	if (is_locked)
		(void)pthread_mutex_unlock(mutex);
	else
		(void)pthread_mutex_init(mutex, NULL);
}

/* Locks mutex. Returns false when it could not until deadline (clock.h). */
static inline bool
mutex_lock_until(pthread_mutex_t *mutex, uint64_t deadline)
{
	struct timespec ts;

	if (deadline == CLOCK_NEVER)
		return pthread_mutex_lock(mutex) == 0;
#ifdef __SANITIZE_THREAD__
	/* ThreadSanitizer of gcc 12 does not know pthread_mutex_clocklock(3). */
	ts = clock_timespec(CLOCK_MS);
	while (pthread_mutex_trylock(mutex) != 0) {
		if (clock_now() >= deadline)
			return false;
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
	}
	return true;
#else
	ts = clock_timespec(deadline);
	return pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &ts) == 0;
#endif
}

#endif
