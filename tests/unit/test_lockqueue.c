/* The order in which claims get the lock (common/server/core/lockqueue). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/server/core/lockqueue.h"

enum { CLAIMS = 8, WAITERS = 5, CROWD = 1000, AT_ONCE_MOST = 32 };

static struct timer_queue timers;
static uint64_t now;
static struct claim *granted[CLAIMS];
static int granted_count;

static void
note_granted(struct claim *c)
{
	assert_true(granted_count < CLAIMS);
	granted[granted_count++] = c;
}

static void
begin(struct lockqueue *q, struct claim claims[CLAIMS])
{
	int i;

	timer_queue_init(&timers);
	now = CLOCK_SEC;
	lockqueue_init(q, &timers, &now, note_granted);
	for (i = 0; i < CLAIMS; i++)
		claims[i] = (struct claim){ 0 };
	granted_count = 0;
}

/* A reader holds the lock, and a writer waits. */
static void
begin_with_waiting_writer(struct lockqueue *q, struct claim c[CLAIMS])
{
	begin(q, c);
	lockqueue_claim(q, &c[0], PROTOCOL_SHARED, true);
	lockqueue_claim(q, &c[1], PROTOCOL_EXCLUSIVE, true);
}

static void
one_writer_at_a_time_in_order_of_arrival(void **state)
{
	struct claim c[CLAIMS];
	struct lockqueue q;
	int i;

	(void)state;
	begin(&q, c);
	assert_int_equal(lockqueue_claim(&q, &c[0], PROTOCOL_EXCLUSIVE, true), CLAIM_HELD);
	for (i = 1; i < 4; i++)
		assert_int_equal(lockqueue_claim(&q, &c[i], PROTOCOL_EXCLUSIVE, true),
		    CLAIM_WAITING);
	assert_int_equal(q.waiting, 3);
	for (i = 0; i < 3; i++) {
		lockqueue_drop(&q, &c[i]);
		assert_int_equal(granted_count, i + 1);
		assert_ptr_equal(granted[i], &c[i + 1]);
		assert_ptr_equal(lockqueue_exclusive_holder(&q), &c[i + 1]);
	}
	lockqueue_drop(&q, &c[3]);
	assert_null(lockqueue_exclusive_holder(&q));
	assert_int_equal(q.grants, 4);
}

static void
waits_are_counted_while_they_last_and_afterwards(void **state)
{
	struct claim c[CLAIMS];
	struct lockqueue q;

	(void)state;
	begin(&q, c);
	lockqueue_claim(&q, &c[0], PROTOCOL_EXCLUSIVE, true);
	assert_int_equal(c[0].since, now);
	now += 5;
	assert_int_equal(lockqueue_waited(&q), 0);
	lockqueue_claim(&q, &c[1], PROTOCOL_EXCLUSIVE, true);
	now += 10;
	lockqueue_claim(&q, &c[2], PROTOCOL_EXCLUSIVE, true);
	lockqueue_claim(&q, &c[3], PROTOCOL_EXCLUSIVE, false);
	now += 100;
	assert_int_equal(lockqueue_waited(&q), 110 + 100);
	/* One gives up, and one is granted. */
	lockqueue_drop(&q, &c[2]);
	lockqueue_drop(&q, &c[0]);
	assert_int_equal(c[1].since, now);
	now += 1000;
	assert_int_equal(lockqueue_waited(&q), 110 + 100);
	lockqueue_drop(&q, &c[1]);
}

static void
a_try_never_waits_and_never_overtakes(void **state)
{
	struct claim c[CLAIMS];
	struct lockqueue q;

	(void)state;
	begin_with_waiting_writer(&q, c);
	assert_int_equal(lockqueue_claim(&q, &c[2], PROTOCOL_EXCLUSIVE, false), CLAIM_IDLE);
	assert_int_equal(lockqueue_claim(&q, &c[3], PROTOCOL_SHARED, false), CLAIM_IDLE);
	assert_int_equal(q.waiting, 1);
	lockqueue_drop(&q, &c[0]);
	assert_ptr_equal(granted[0], &c[1]);
}

static void
readers_share_and_do_not_overtake_a_waiting_writer(void **state)
{
	struct claim c[CLAIMS];
	struct lockqueue q;

	(void)state;
	begin(&q, c);
	assert_int_equal(lockqueue_claim(&q, &c[0], PROTOCOL_SHARED, true), CLAIM_HELD);
	assert_int_equal(lockqueue_claim(&q, &c[1], PROTOCOL_SHARED, true), CLAIM_HELD);
	assert_int_equal(lockqueue_claim(&q, &c[2], PROTOCOL_EXCLUSIVE, true), CLAIM_WAITING);
	assert_int_equal(lockqueue_claim(&q, &c[3], PROTOCOL_SHARED, true), CLAIM_WAITING);
	assert_int_equal(lockqueue_claim(&q, &c[4], PROTOCOL_SHARED, true), CLAIM_WAITING);
	lockqueue_drop(&q, &c[0]);
	assert_int_equal(granted_count, 0);
	lockqueue_drop(&q, &c[1]);
	assert_int_equal(granted_count, 1);
	assert_ptr_equal(granted[0], &c[2]);
	lockqueue_drop(&q, &c[2]);
	assert_int_equal(granted_count, 3);
	assert_ptr_equal(granted[1], &c[3]);
	assert_ptr_equal(granted[2], &c[4]);
	/* Every grant has a number of its own, shared ones too. */
	assert_int_not_equal(c[3].grant, c[4].grant);
}

static void
a_writer_that_gives_up_lets_the_readers_behind_it_in(void **state)
{
	struct claim c[CLAIMS];
	struct lockqueue q;

	(void)state;
	begin_with_waiting_writer(&q, c);
	lockqueue_claim(&q, &c[2], PROTOCOL_SHARED, true);
	lockqueue_drop(&q, &c[1]);
	assert_int_equal(granted_count, 1);
	assert_ptr_equal(granted[0], &c[2]);
	assert_int_equal(c[0].state, CLAIM_HELD);
	assert_int_equal(q.waiting, 0);
}

/* One writer or readers hold the lock, and no claim waits while it is free and not reserved. */
static void
expect_valid(const struct lockqueue *q, const struct claim c[CLAIMS])
{
	int i, writers = 0, readers = 0;

	for (i = 0; i < CLAIMS; i++) {
		writers += c[i].state == CLAIM_HELD && c[i].mode == PROTOCOL_EXCLUSIVE;
		readers += c[i].state == CLAIM_HELD && c[i].mode == PROTOCOL_SHARED;
	}
	assert_true(writers + (readers > 0) <= 1);
	assert_true(q->waiting == 0 || writers + readers > 0 || q->pollers.is_reserved);
}

static void
random_orders_keep_one_writer_or_readers_only(void **state)
{
	struct claim c[CLAIMS];
	struct lockqueue q;
	uint64_t last = 0;
	int round, i;

	(void)state;
	begin(&q, c);
	srandom(1);
	for (round = 0; round < 100000; round++) {
		i = (int)(random() % CLAIMS);
		granted_count = 0;
		if (c[i].state == CLAIM_IDLE)
			lockqueue_claim(&q, &c[i],
			    random() % 2 ? PROTOCOL_SHARED : PROTOCOL_EXCLUSIVE, random() % 4 != 0);
		else
			lockqueue_drop(&q, &c[i]);
		expect_valid(&q, c);
		assert_false(q.pollers.is_reserved);
		assert_true(q.grants >= last);
		last = q.grants;
	}
}

/* The last claims poll; each may lose its place at any time. */
static void
random_orders_with_pollers_do_too(void **state)
{
	struct poller pollers[CLAIMS] = { 0 };
	struct claim c[CLAIMS];
	struct lockqueue q;
	int round, i, reserved = 0, polled = 0;

	(void)state;
	begin(&q, c);
	srandom(1);
	for (round = 0; round < 200000; round++) {
		i = (int)(random() % CLAIMS);
		granted_count = 0;
		now += (uint64_t)random() % CLOCK_MS;
		timer_run(&timers, now, &BUDGET_UNLIMITED);
		if (c[i].state != CLAIM_IDLE)
			lockqueue_drop(&q, &c[i]);
		else if (i < WAITERS)
			lockqueue_claim(&q, &c[i],
			    random() % 2 ? PROTOCOL_SHARED : PROTOCOL_EXCLUSIVE, random() % 4 != 0);
		else if (random() % 8 == 0)
			lockqueue_leave(&q, &pollers[i]);
		else
			polled += lockqueue_poll(&q, &c[i], &pollers[i], &c[i]) == CLAIM_HELD;
		expect_valid(&q, c);
		assert_int_equal(timer_next(&timers) != CLOCK_NEVER, q.pollers.is_reserved);
		reserved += q.pollers.is_reserved;
	}
	assert_true(reserved > 0 && polled > 0);
	for (i = 0; i < CLAIMS; i++) {
		lockqueue_drop(&q, &c[i]);
		lockqueue_leave(&q, &pollers[i]);
	}
	assert_int_equal(timer_next(&timers), CLOCK_NEVER);
	assert_true(TAILQ_EMPTY(&q.pollers.list));
}

static int crowd_granted;

/* The crowd is an array, and waits in its order. */
static void
count_granted(struct claim *c)
{
	(void)c;
	crowd_granted++;
}

static uint64_t
spent_clock(void)
{
	return 1;
}

/*
 * A thousand readers behind a writer: a step grants few of them, whether the writer's end or the
 * timer does; meanwhile those behind them wait, and in the end all of the readers have the lock.
 */
static void
a_crowd_of_readers_is_granted_in_pieces_and_in_order(void **state)
{
	const struct budget spent = { .clock = spent_clock };
	struct claim *crowd = calloc(CROWD, sizeof *crowd), writer = { 0 }, late = { 0 };
	struct lockqueue q;
	int i, before;

	(void)state;
	assert_non_null(crowd);
	crowd_granted = 0;
	timer_queue_init(&timers);
	lockqueue_init(&q, &timers, &now, count_granted);
	lockqueue_claim(&q, &writer, PROTOCOL_EXCLUSIVE, true);
	for (i = 0; i < CROWD; i++)
		lockqueue_claim(&q, &crowd[i], PROTOCOL_SHARED, true);
	lockqueue_drop(&q, &writer);
	assert_in_range(crowd_granted, 1, AT_ONCE_MOST);
	assert_int_equal(lockqueue_claim(&q, &late, PROTOCOL_SHARED, true), CLAIM_WAITING);
	while (q.waiting > 0) {
		before = crowd_granted;
		assert_int_equal(crowd[before - 1].state, CLAIM_HELD);
		assert_int_equal(crowd[before].state, CLAIM_WAITING);
		timer_run(&timers, now, &spent);
		assert_in_range(crowd_granted, before + 1, before + AT_ONCE_MOST);
	}
	assert_int_equal(crowd_granted, CROWD + 1);
	assert_int_equal(timer_next(&timers), CLOCK_NEVER);
	free(crowd);
}

/* The rest of a crowd gives up before the timer: no timer is left behind. */
static void
a_crowd_that_gives_up_leaves_no_timer(void **state)
{
	struct claim *crowd = calloc(CROWD, sizeof *crowd), writer = { 0 };
	struct lockqueue q;
	int i;

	(void)state;
	assert_non_null(crowd);
	timer_queue_init(&timers);
	lockqueue_init(&q, &timers, &now, count_granted);
	lockqueue_claim(&q, &writer, PROTOCOL_EXCLUSIVE, true);
	for (i = 0; i < CROWD; i++)
		lockqueue_claim(&q, &crowd[i], PROTOCOL_SHARED, true);
	lockqueue_drop(&q, &writer);
	assert_int_not_equal(timer_next(&timers), CLOCK_NEVER);
	for (i = CROWD; i-- > 0;)
		lockqueue_drop(&q, &crowd[i]);
	assert_int_equal(timer_next(&timers), CLOCK_NEVER);
	free(crowd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_writer_at_a_time_in_order_of_arrival),
		cmocka_unit_test(waits_are_counted_while_they_last_and_afterwards),
		cmocka_unit_test(a_try_never_waits_and_never_overtakes),
		cmocka_unit_test(readers_share_and_do_not_overtake_a_waiting_writer),
		cmocka_unit_test(a_writer_that_gives_up_lets_the_readers_behind_it_in),
		cmocka_unit_test(random_orders_keep_one_writer_or_readers_only),
		cmocka_unit_test(random_orders_with_pollers_do_too),
		cmocka_unit_test(a_crowd_of_readers_is_granted_in_pieces_and_in_order),
		cmocka_unit_test(a_crowd_that_gives_up_leaves_no_timer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
