#include "tests/stress/lockbody.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>

#include "common/base/clock.h"

enum { FAIRLY_SHORT_NS = 300 * 1000 };

/* Increments each step. A second holder would get between two of them. */
static const char *
count(struct lockbody *b, unsigned number)
{
	uint64_t before = b->steps[0];
	size_t i;

	for (i = 0; i < LOCKBODY_STEPS; i++) {
		if (b->steps[i] != before)
			return "somebody else is inside: a step has another number";
		b->steps[i] = before + 1;
		/* Sometimes let a waiter run. */
		if (i == LOCKBODY_STEPS / 2 && number % 8 == 0)
			(void)sched_yield();
	}
	for (i = 0; i < LOCKBODY_STEPS; i++)
		if (b->steps[i] != before + 1)
			return "somebody else is inside: a step was changed";
	return NULL;
}

/* Takes the lock in one of the ways. Returns 0 or a negative errno, which may be right. */
static int
take(const struct lockbody_ops *ops, void *lock, unsigned way, struct lockbody_ways *ways)
{
	int error;

	switch (way % 4) {
	case 0:
		error = ops->take(lock, 0);
		ways->tried += error == 0;
		ways->tried_in_vain += error == -EAGAIN;
		return error;
	case 1:
		error = ops->take(lock, clock_now() + way % FAIRLY_SHORT_NS);
		ways->timed += error == 0;
		ways->timed_out += error == -ETIMEDOUT;
		return error;
	default:
		ways->waited++;
		return ops->take(lock, CLOCK_NEVER);
	}
}

const char *
lockbody_run(struct lockbody *b, const struct lockbody_ops *ops, void *lock, unsigned sections,
    unsigned seed, struct lockbody_ways *ways)
{
	struct lockbody_ways own = { 0 };
	const char *wrong = NULL;
	unsigned done = 0;
	int error;

	while (done < sections && wrong == NULL) {
		/* Knuth's linear congruential generator; its low bits are poor. */
		seed = seed * 1664525 + 1013904223;
		error = take(ops, lock, seed >> 8, &own);
		if (error == -EAGAIN || error == -ETIMEDOUT)
			continue;
		if (error != 0)
			return "the lock cannot be taken";
		wrong = count(b, ++done);
		if (ops->release(lock) != 0 && wrong == NULL)
			wrong = "the lock cannot be given back";
	}
	if (ways != NULL)
		*ways = own;
	return wrong;
}

bool
lockbody_is_exact(const struct lockbody *b, uint64_t sections)
{
	size_t i;

	for (i = 0; i < LOCKBODY_STEPS; i++)
		if (b->steps[i] != sections)
			return false;
	return true;
}
