/*
 * Places and reservations for pollers (common/server/core/pollers) over many seconds of a clock of
 * its own: clients that wait for a lock and want it again at once, and pollers beside them. Each
 * poller gets the lock, and the lock is idle for a tenth of the time at most, while others wait.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/container.h"
#include "common/server/core/lockqueue.h"

#define HOLD (25 * CLOCK_MS / 1000) /* a critical section */
#define RUN_S 20
#define IDLE_MOST (RUN_S * CLOCK_SEC / 10 + 100 * CLOCK_MS)

enum {
	WAITERS = 10,
	POLLERS_MOST = 20,
	JITTER_PERCENT = 5,
	PATIENT_MS = 5000 /* for many pollers, and for those that are hard to predict */
};

enum manner {
	STEADY,   /* polls at its interval */
	RANDOM,   /* between 0 and twice its interval */
	IN_TURN,  /* at a tenth of its interval and at its interval, in turn */
	DOUBLING, /* at 1 ms, 2 ms and so on up to its interval, from the begin after a grant */
	DECEITFUL /* at its interval, but not while the lock is reserved for it */
};

struct client {
	struct claim claim;
	struct poller poller; /* from here on: of pollers */
	enum manner manner;
	uint64_t interval;
	uint64_t next; /* poll */
	unsigned polls, grants;
	uint64_t last_grant, longest_gap;
};

static struct timer_queue timers;
static uint64_t now;
static struct lockqueue queue;
static struct client waiters[WAITERS], pollers[POLLERS_MOST];
static unsigned poller_count;
static struct client *holder;
static uint64_t hold_end, idle_since, idle;

static void
begin_section(struct client *c)
{
	assert_null(holder);
	holder = c;
	hold_end = now + HOLD;
	idle += now - idle_since;
}

static void
granted(struct claim *c)
{
	begin_section(container_of(c, struct client, claim));
}

static uint64_t
pause_of(const struct client *p)
{
	uint64_t jitter = (uint64_t)random() % (p->interval * JITTER_PERCENT / 100 + 1), shorter;

	switch (p->manner) {
	case RANDOM:
		return (uint64_t)random() % (2 * p->interval);
	case IN_TURN:
		return (p->polls % 2 == 0 ? p->interval : p->interval / 10) + jitter;
	case DOUBLING:
		shorter = p->polls < 10 ? CLOCK_MS << p->polls : p->interval;
		return (shorter < p->interval ? shorter : p->interval) + jitter;
	default:
		return p->interval + jitter;
	}
}

static void
note_gap(struct client *p)
{
	if (now - p->last_grant > p->longest_gap)
		p->longest_gap = now - p->last_grant;
	p->last_grant = now;
}

static void
poll_lock(struct client *p)
{
	if (p->manner == DECEITFUL && pollers_is_reserved_for(&queue.pollers, &p->poller)) {
		p->next = now + p->interval;
	} else if (lockqueue_poll(&queue, &p->claim, &p->poller, p) == CLAIM_HELD) {
		begin_section(p);
		note_gap(p);
		p->grants++;
		p->polls = 0;
		p->next = hold_end;
	} else {
		p->polls++;
		p->next = now + pause_of(p);
	}
}

/* A client of version 2 waits again at once. */
static void
end_section(void)
{
	struct client *c = holder;

	holder = NULL;
	idle_since = now;
	lockqueue_drop(&queue, &c->claim);
	if (c >= waiters && c < waiters + WAITERS &&
	    lockqueue_claim(&queue, &c->claim, PROTOCOL_EXCLUSIVE, true) == CLAIM_HELD)
		granted(&c->claim);
}

static struct client *
next_to_poll(void)
{
	struct client *next = &pollers[0];
	unsigned i;

	for (i = 1; i < poller_count; i++)
		if (pollers[i].next < next->next)
			next = &pollers[i];
	return next;
}

/* The next event: the end of a section, a poll, or the end of a reservation. */
static void
step(void)
{
	struct client *p = next_to_poll();
	uint64_t end = holder != NULL ? hold_end : CLOCK_NEVER;

	now = end <= p->next ? end : p->next;
	if (timer_next(&timers) < now)
		now = timer_next(&timers);
	timer_run(&timers, now, &BUDGET_UNLIMITED);
	if (holder != NULL && now == hold_end)
		end_section();
	else if (now == p->next)
		poll_lock(p);
}

static void
begin(void)
{
	unsigned i;

	srandom(1);
	timer_queue_init(&timers);
	now = idle_since = CLOCK_SEC;
	idle = poller_count = 0;
	holder = NULL;
	lockqueue_init(&queue, &timers, &now, granted);
	for (i = 0; i < WAITERS; i++) {
		waiters[i] = (struct client){ 0 };
		if (lockqueue_claim(&queue, &waiters[i].claim, PROTOCOL_EXCLUSIVE, true) ==
		    CLAIM_HELD)
			granted(&waiters[i].claim);
	}
}

static struct client *
add(enum manner manner, uint64_t interval_ms)
{
	struct client *p = &pollers[poller_count++];

	assert_true(poller_count <= POLLERS_MOST);
	*p = (struct client){ .manner = manner,
		.interval = interval_ms * CLOCK_MS,
		.next = now,
		.last_grant = now };
	return p;
}

static void
run(void)
{
	uint64_t end = now + RUN_S * CLOCK_SEC;
	unsigned i;

	while (now < end)
		step();
	for (i = 0; i < poller_count; i++)
		note_gap(&pollers[i]);
	assert_in_range(idle, 0, IDLE_MOST);
}

static void
expect_gap(const struct client *p, uint64_t most_ms)
{
	if (p->longest_gap > most_ms * CLOCK_MS)
		fail_msg(
		    "expected the poller of %u ms and manner %d to get the lock every %u ms, "
		    "got %u grants, and %u ms without one",
		    (unsigned)(p->interval / CLOCK_MS), p->manner, (unsigned)most_ms, p->grants,
		    (unsigned)(p->longest_gap / CLOCK_MS));
}

static void
a_poller_gets_the_lock_at_least_once_a_second(void **state)
{
	static const uint64_t intervals_ms[] = { 1, 2, 5, 10, 20, 50, 100, 150 };
	const struct client *p;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof intervals_ms / sizeof intervals_ms[0]; i++) {
		begin();
		p = add(STEADY, intervals_ms[i]);
		run();
		expect_gap(p, 1000);
	}
}

static void
a_fast_poller_and_a_slow_one_do_so_together(void **state)
{
	const struct client *fast, *slow;

	(void)state;
	begin();
	fast = add(STEADY, 1);
	slow = add(STEADY, 100);
	run();
	expect_gap(fast, 1000);
	expect_gap(slow, 1000);
}

static void
pollers_without_a_steady_interval_get_the_lock_too(void **state)
{
	static const uint64_t intervals_ms[] = { 1, 10, 100 };
	const struct client *p;
	enum manner manner;
	size_t i;

	(void)state;
	for (manner = RANDOM; manner <= DOUBLING; manner++)
		for (i = 0; i < sizeof intervals_ms / sizeof intervals_ms[0]; i++) {
			begin();
			p = add(manner, intervals_ms[i]);
			run();
			expect_gap(p, PATIENT_MS);
		}
}

static void
many_pollers_share_the_tenth(void **state)
{
	int i;

	(void)state;
	begin();
	for (i = 0; i < POLLERS_MOST; i++)
		add(STEADY, (uint64_t)(1 + i * 5));
	run();
	for (i = 0; i < POLLERS_MOST; i++)
		expect_gap(&pollers[i], PATIENT_MS);
}

static void
pollers_that_never_come_cost_a_tenth_at_most(void **state)
{
	static const uint64_t intervals_ms[] = { 1, 10, 100, 180 };
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof intervals_ms / sizeof intervals_ms[0]; i++) {
		begin();
		for (k = 0; k < POLLERS_MOST; k++)
			add(DECEITFUL, intervals_ms[i]);
		run();
		/* It was reserved for them, or this would prove nothing. */
		assert_in_range(idle, IDLE_MOST / 2, IDLE_MOST);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_poller_gets_the_lock_at_least_once_a_second),
		cmocka_unit_test(a_fast_poller_and_a_slow_one_do_so_together),
		cmocka_unit_test(pollers_without_a_steady_interval_get_the_lock_too),
		cmocka_unit_test(many_pollers_share_the_tenth),
		cmocka_unit_test(pollers_that_never_come_cost_a_tenth_at_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
