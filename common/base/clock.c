#include "common/base/clock.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <time.h>

static uint64_t
read_clock(clockid_t id)
{
	struct timespec ts;
	int error = clock_gettime(id, &ts);

	assert(error == 0);
	return (uint64_t)ts.tv_sec * CLOCK_SEC + (uint64_t)ts.tv_nsec;
}

uint64_t
clock_now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t
clock_coarse(void)
{
	return read_clock(CLOCK_MONOTONIC_COARSE);
}

uint64_t
clock_after_ms(uint64_t now, uint64_t ms)
{
	if (ms > (CLOCK_NEVER - 1 - now) / CLOCK_MS)
		return CLOCK_NEVER;
	return now + ms * CLOCK_MS;
}

uint64_t
clock_share(uint64_t now, uint64_t deadline, size_t sharers)
{
	if (deadline == CLOCK_NEVER || deadline <= now)
		return deadline;
	return now + (deadline - now) / sharers;
}

int
clock_poll_timeout(uint64_t now, uint64_t deadline)
{
	uint64_t ms;

	if (deadline == CLOCK_NEVER)
		return -1;
	if (deadline <= now)
		return 0;
	ms = (deadline - now - 1) / CLOCK_MS + 1;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

int
clock_from_timespec(const struct timespec *ts, uint64_t *deadline)
{
	uint64_t seconds = (uint64_t)ts->tv_sec;

	if (ts->tv_sec < 0 || ts->tv_nsec < 0 || ts->tv_nsec >= (long)CLOCK_SEC)
		return -EINVAL;
	*deadline = seconds < CLOCK_NEVER / CLOCK_SEC ?
	    seconds * CLOCK_SEC + (uint64_t)ts->tv_nsec :
	    CLOCK_NEVER;
	return 0;
}

struct timespec
clock_timespec(uint64_t deadline)
{
	return (struct timespec){
		.tv_sec = (time_t)(deadline / CLOCK_SEC),
		.tv_nsec = (long)(deadline % CLOCK_SEC),
	};
}
