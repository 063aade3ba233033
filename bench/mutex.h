/*
 * mutex: what an uncontended lock costs where processes may share memory: pthread_mutex_lock() and
 * pthread_mutex_unlock() of a mutex that is PTHREAD_PROCESS_SHARED, in a page that is mapped MAP_SHARED.
 */
#ifndef BENCH_MUTEX_H
#define BENCH_MUTEX_H

#include <stddef.h>
#include <stdint.h>

struct mutex;

/* -errno. */
int mutex_create(struct mutex **out);

/* NULL is fine. */
void mutex_destroy(struct mutex *mutex);

/* Lock and unlock it so many times. -errno. */
int mutex_pass(struct mutex *mutex, size_t times);

#endif
