/*
 * wakeup: a condition variable of a single sleeper, which another thread wakes, or a caught signal
 * (eintr.h).
 *
 * All zeros at first; nothing ends it. Like a condition variable it is used with a mutex, and the
 * sleeper checks again what it waits for, since it may wake without a reason.
 */
#ifndef COMMON_BASE_WAKEUP_H
#define COMMON_BASE_WAKEUP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/eintr.h"

struct wakeup {
	_Atomic uint32_t wakes; /* so far */
	bool is_awaited;        /* a thread sleeps, or is about to; with the mutex */
};

/*
 * Sleeps, without the mutex, until it is woken, until that time (nanoseconds of CLOCK_MONOTONIC,
 * CLOCK_NEVER), or until a signal ends the wait e (NULL: none does). Returns 0, -ETIMEDOUT, or
 * -EINTR.
 */
int wakeup_sleep(struct wakeup *w, pthread_mutex_t *mutex, struct eintr *e, uint64_t until);

/* With the mutex: wakes the thread that sleeps, if one does. */
void wakeup_wake(struct wakeup *w);

#endif
