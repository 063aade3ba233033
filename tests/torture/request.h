/*
 * request: one call that acquires the lock of a memory file: whether to read or to write, how long
 * it waits, by which of the functions, and whether a signal comes meanwhile.
 */
#ifndef TESTS_TORTURE_REQUEST_H
#define TESTS_TORTURE_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/torture/actor.h"

struct handle;

enum request_way { REQUEST_WAITS, REQUEST_TRIES, REQUEST_WAITS_FOR_A_TIME };

struct request {
	bool reads;
	enum request_way way;
	uint64_t limit_ms;
	bool is_general; /* by sm_acquire(), where another function would do */
	bool interrupts; /* a signal comes, and ends the wait if there is one */
	uint64_t interrupt_us;
};

/* Draws a request that waits as long as it takes, or only tries, in so many of a hundred cases. */
struct request request_draw(struct actor *a, bool reads, unsigned waits, unsigned tries);

/*
 * Makes the call. Returns 0 or an errno; complains when that came too late.
 */
int request_call(struct actor *a, struct handle *t, const struct request *q);

/* Judges that errno. Returns true when the handle is lost. */
bool request_judge(struct actor *a, const struct handle *t, const struct request *q, int error);

#endif
