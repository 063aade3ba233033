#include "tests/torture/request.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/client/smclient.h"
#include "tests/stress/patience.h"
#include "tests/torture/handles.h"

enum {
	TIMED_MOST_MS = 5,
	LATE_MS = 5 *
	    1000, /* later than its deadline no timed call returns; processes get stopped */
	INTERRUPT_BITS = 13 /* of the microseconds until a signal comes */
};

struct request
request_draw(struct actor *a, bool reads, unsigned waits, unsigned tries)
{
	struct choice *c = &a->choice;
	unsigned n = (unsigned)choice_draw(c, 100);
	struct request q = { .reads = reads };

	q.way = n < waits     ? REQUEST_WAITS :
	    n < waits + tries ? REQUEST_TRIES :
				REQUEST_WAITS_FOR_A_TIME;
	/* Where the host may take the lock away for ever, wait for a time only. */
	if (q.way == REQUEST_WAITS && round_is_blind(a->round))
		q.way = REQUEST_WAITS_FOR_A_TIME;
	q.limit_ms = choice_draw(c, TIMED_MOST_MS + 1);
	q.is_general = choice_happens(c, 30);
	q.interrupts = choice_happens(c, 5);
	q.interrupt_us = 1 + choice_draw(c, UINT64_C(1) << (1 + choice_draw(c, INTERRUPT_BITS)));
	return q;
}

static const char *
function_of(const struct request *q)
{
	if (q->is_general || q->interrupts || (q->reads && q->way != REQUEST_WAITS))
		return "sm_acquire";
	if (q->reads)
		return "sm_rdlock";
	return q->way == REQUEST_WAITS ? "sm_lock" :
	    q->way == REQUEST_TRIES    ? "sm_trylock" :
					 "sm_timedlock";
}

static int
call_acquire(struct handle *t, const struct request *q, const struct timespec *limit)
{
	int how = (q->reads ? SM_READ : SM_WRITE) | (q->way == REQUEST_TRIES ? SM_TRY : 0) |
	    (q->interrupts ? SM_INTERRUPTIBLE : 0);

	return sm_acquire(t->file, how, q->way == REQUEST_WAITS_FOR_A_TIME ? limit : NULL);
}

static int
call_function(struct handle *t, const struct request *q, const char *name, uint64_t now)
{
	struct timespec limit = clock_timespec(clock_after_ms(now, q->limit_ms));

	if (strcmp(name, "sm_acquire") == 0)
		return call_acquire(t, q, &limit);
	if (q->reads)
		return sm_rdlock(t->file);
	if (q->way == REQUEST_WAITS)
		return sm_lock(t->file);
	return q->way == REQUEST_TRIES ? sm_trylock(t->file) : sm_timedlock(t->file, &limit);
}

/* Has the kernel send this thread a signal soon. */
static timer_t
begin_interrupt(struct actor *a, const struct request *q)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = ACTOR_INTERRUPT };
	const struct itimerspec when = { .it_value.tv_nsec = (long)q->interrupt_us * 1000 };
	timer_t timer;

	event._sigev_un._tid = a->tid;
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 ||
	    timer_settime(timer, 0, &when, NULL) != 0)
		ledger_complain(&a->seat, "no timer: %s", strerror(errno));
	return timer;
}

static void
expect_in_time(const struct actor *a, const struct request *q, uint64_t begun)
{
	uint64_t limit_ms = q->way == REQUEST_TRIES ? CLOCK_SEC / CLOCK_MS : q->limit_ms;
	uint64_t took = clock_now() - begun;

	if (q->way != REQUEST_WAITS && patience_is_over(took, limit_ms + LATE_MS))
		ledger_complain(&a->seat, "a lock with a limit of %lu ms was refused after %lu ms",
		    (unsigned long)limit_ms, (unsigned long)(took / CLOCK_MS));
}

int
request_call(struct actor *a, struct handle *t, const struct request *q)
{
	const char *name = function_of(q);
	uint64_t begun = clock_now();
	timer_t timer = NULL;
	int error;

	if (q->interrupts)
		timer = begin_interrupt(a, q);
	ledger_call(&a->seat, name);
	error = call_function(t, q, name, begun) == 0 ? 0 : errno;
	ledger_return(&a->seat);
	if (q->interrupts)
		(void)timer_delete(timer);
	if (error != 0)
		expect_in_time(a, q, begun);
	return error;
}

bool
request_judge(struct actor *a, const struct handle *t, const struct request *q, int error)
{
	static const enum actor_call calls[] = { [REQUEST_WAITS] = ACTOR_LOCK,
		[REQUEST_TRIES] = ACTOR_TRYLOCK,
		[REQUEST_WAITS_FOR_A_TIME] = ACTOR_TIMEDLOCK };

	if (error == EINTR && q->interrupts) {
		ledger_add(a->seat.ledger, LEDGER_INTERRUPTED);
		return false;
	}
	return actor_judge(a, calls[q->way], error, t->view.is_inherited);
}
