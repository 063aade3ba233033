#include "common/base/cond.h"

#include <time.h>

#include "common/base/clock.h"

void
cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(cond, &attr);
	(void)pthread_condattr_destroy(&attr);
}

bool
cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, uint64_t deadline)
{
	struct timespec ts;

	if (deadline == CLOCK_NEVER)
		return pthread_cond_wait(cond, mutex) == 0;
	ts = clock_timespec(deadline);
	return pthread_cond_timedwait(cond, mutex, &ts) == 0;
}
