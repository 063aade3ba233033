/*
 * mutex: a mutex in the child of a fork.
 */
#ifndef COMMON_BASE_MUTEX_H
#define COMMON_BASE_MUTEX_H

#include <pthread.h>
#include <stdbool.h>

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

#endif
