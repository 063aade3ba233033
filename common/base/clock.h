/*
 * clock: the monotonic clock, and waiting until a moment of it.
 *
 * All deadlines inside the project are nanoseconds of CLOCK_MONOTONIC; CLOCK_NEVER is no deadline.
 * The host sets this clock too: it decides when something times out, never which process holds a
 * lock.
 */
#ifndef COMMON_BASE_CLOCK_H
#define COMMON_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define CLOCK_NEVER UINT64_MAX
#define CLOCK_MS UINT64_C(1000000)     /* nanoseconds in a millisecond */
#define CLOCK_SEC UINT64_C(1000000000) /* nanoseconds in a second */

/* Now, in nanoseconds. */
uint64_t clock_now(void);

/*
 * The same time, as of the last tick of the system: up to 10 ms ago, for a tenth of the cost. For
 * deadlines of seconds that nearly every call computes and nearly none meets.
 */
uint64_t clock_coarse(void);

/* now + ms milliseconds, CLOCK_NEVER when that does not fit. */
uint64_t clock_after_ms(uint64_t now, uint64_t ms);

/* When the first of so many has had its equal share of the time from now until deadline. */
uint64_t clock_share(uint64_t now, uint64_t deadline, size_t sharers);

/*
 * The timeout with which poll(2) or epoll_wait(2) returns at or after deadline: milliseconds,
 * rounded up; 0 when it has passed, -1 for CLOCK_NEVER.
 */
int clock_poll_timeout(uint64_t now, uint64_t deadline);

/*
 * A time of CLOCK_MONOTONIC as a deadline; CLOCK_NEVER when it does not fit. Returns 0, or -EINVAL
 * for no valid time.
 */
int clock_from_timespec(const struct timespec *ts, uint64_t *deadline);

/* A deadline as seconds and nanoseconds. Not for CLOCK_NEVER. */
struct timespec clock_timespec(uint64_t deadline);

#endif
