/*
 * loglimit: how many lines of the log one peer may cause: LOGLIMIT_BURST at once, then one a
 * second.
 *
 * A peer decides how often it is refused; without a limit a few bytes of its own make a line of
 * log each. The owner of the limit asks before each line about the peer, and counts on: the next
 * line that is allowed tells how many were withheld. The caller passes the time in.
 */
#ifndef COMMON_BASE_LOGLIMIT_H
#define COMMON_BASE_LOGLIMIT_H

#include <stdbool.h>
#include <stdint.h>

enum { LOGLIMIT_BURST = 20 };

/* All zeros: no line so far. */
struct loglimit {
	uint64_t paid_until; /* each line costs a second of CLOCK_MONOTONIC, a burst in advance */
	uint32_t withheld;   /* lines, since the last one that was allowed */
};

/*
 * Returns true when a line may be written at now (nanoseconds of the monotonic clock, never less
 * than in the call before), and sets *withheld to the number of lines that were withheld before it:
 * the line ends in "(and N lines about this peer withheld)" unless that is 0. Returns false and
 * counts the line when it must be withheld; *withheld is untouched.
 */
bool loglimit_may(struct loglimit *l, uint64_t now, uint32_t *withheld);

#endif
