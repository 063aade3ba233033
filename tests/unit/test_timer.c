/*
 * Timers and the arithmetic of deadlines: in order, once, and safe against changes while they fire.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/timer.h"

enum { MANY = 500 };

static struct timer_queue queue;
static struct timer *fired[2 * MANY];
static size_t fired_count;

static void
note(struct timer *t)
{
	assert_true(fired_count < sizeof fired / sizeof fired[0]);
	fired[fired_count++] = t;
}

static int
start(void **state)
{
	(void)state;
	timer_queue_init(&queue);
	fired_count = 0;
	return 0;
}

static void
empty_queue_has_no_deadline(void **state)
{
	(void)state;
	assert_true(timer_next(&queue) == CLOCK_NEVER);
	timer_run(&queue, CLOCK_NEVER, &BUDGET_UNLIMITED);
	assert_int_equal(fired_count, 0);
}

static void
timers_fire_in_order_and_once(void **state)
{
	struct timer t[MANY];
	size_t i;

	(void)state;
	memset(t, 0, sizeof t);
	/* 7 and MANY have no common divisor: each deadline comes once, in no order. */
	for (i = 0; i < MANY; i++)
		timer_arm(&queue, &t[i], i * 7 % MANY + 1, note);
	assert_true(timer_next(&queue) == 1);
	timer_run(&queue, 0, &BUDGET_UNLIMITED);
	assert_int_equal(fired_count, 0);
	timer_run(&queue, 10, &BUDGET_UNLIMITED);
	assert_int_equal(fired_count, 10);
	timer_run(&queue, 10, &BUDGET_UNLIMITED);
	assert_int_equal(fired_count, 10);
	assert_true(timer_next(&queue) == 11);
	timer_run(&queue, MANY, &BUDGET_UNLIMITED);
	assert_int_equal(fired_count, MANY);
	for (i = 1; i < MANY; i++)
		assert_true(fired[i - 1]->deadline < fired[i]->deadline);
	assert_true(timer_next(&queue) == CLOCK_NEVER);
}

static void
equal_deadlines_all_fire(void **state)
{
	struct timer t[MANY];
	size_t i;

	(void)state;
	memset(t, 0, sizeof t);
	for (i = 0; i < MANY; i++)
		timer_arm(&queue, &t[i], 5, note);
	timer_disarm(&queue, &t[MANY / 2]);
	timer_run(&queue, 5, &BUDGET_UNLIMITED);
	assert_int_equal(fired_count, MANY - 1);
}

static void
disarmed_timer_does_not_fire(void **state)
{
	struct timer t = { 0 };

	(void)state;
	timer_disarm(&queue, &t);
	timer_arm(&queue, &t, 1, note);
	assert_true(t.armed);
	timer_disarm(&queue, &t);
	assert_false(t.armed);
	timer_disarm(&queue, &t);
	assert_true(timer_next(&queue) == CLOCK_NEVER);
	timer_run(&queue, 2, &BUDGET_UNLIMITED);
	assert_int_equal(fired_count, 0);
}

static void
arming_again_moves_the_timer(void **state)
{
	struct timer t = { 0 };

	(void)state;
	timer_arm(&queue, &t, 10, note);
	timer_arm(&queue, &t, 5, note);
	assert_true(timer_next(&queue) == 5);
	timer_arm(&queue, &t, 20, note);
	timer_run(&queue, 19, &BUDGET_UNLIMITED);
	assert_int_equal(fired_count, 0);
	timer_run(&queue, 20, &BUDGET_UNLIMITED);
	assert_int_equal(fired_count, 1);
}

static void
never_is_not_armed(void **state)
{
	struct timer t = { 0 };

	(void)state;
	timer_arm(&queue, &t, 5, note);
	timer_arm(&queue, &t, CLOCK_NEVER, note);
	assert_false(t.armed);
	assert_true(timer_next(&queue) == CLOCK_NEVER);
	timer_run(&queue, CLOCK_NEVER, &BUDGET_UNLIMITED);
	assert_int_equal(fired_count, 0);
}

static struct timer chain[3];

static void
arm_the_next(struct timer *t)
{
	note(t);
	assert_false(t->armed);
	if (t == &chain[0])
		timer_arm(&queue, &chain[1], 3, arm_the_next);
	else if (t == &chain[1])
		timer_arm(&queue, &chain[0], 50, note);
}

/* A timer that a fire function arms for a past time fires in the same run; a later one waits. */
static void
fire_may_arm_timers(void **state)
{
	(void)state;
	memset(chain, 0, sizeof chain);
	timer_arm(&queue, &chain[0], 5, arm_the_next);
	timer_run(&queue, 10, &BUDGET_UNLIMITED);
	assert_int_equal(fired_count, 2);
	assert_ptr_equal(fired[1], &chain[1]);
	assert_true(timer_next(&queue) == 50);
	timer_disarm(&queue, &chain[0]);
}

static void
disarm_the_others(struct timer *t)
{
	note(t);
	timer_disarm(&queue, &chain[1]);
	timer_disarm(&queue, &chain[2]);
	timer_disarm(&queue, t);
}

static void
fire_may_disarm_timers_that_are_due(void **state)
{
	(void)state;
	memset(chain, 0, sizeof chain);
	timer_arm(&queue, &chain[0], 1, disarm_the_others);
	timer_arm(&queue, &chain[1], 2, note);
	timer_arm(&queue, &chain[2], 3, note);
	timer_run(&queue, 10, &BUDGET_UNLIMITED);
	assert_int_equal(fired_count, 1);
}

static void
free_itself(struct timer *t)
{
	fired_count++;
	free(t);
}

/* Under ASan this is a use after free if timer_run() touches a timer that it has fired. */
static void
fire_may_free_the_timer(void **state)
{
	struct timer *t = calloc(1, sizeof *t);

	(void)state;
	assert_non_null(t);
	timer_arm(&queue, t, 1, free_itself);
	timer_run(&queue, 1, &BUDGET_UNLIMITED);
	assert_int_equal(fired_count, 1);
}

static uint64_t
spent_clock(void)
{
	return 1;
}

/* Peers choose their deadlines, so all of them may be due at once. */
static void
a_spent_budget_leaves_timers_for_the_next_run(void **state)
{
	const struct budget spent = { .clock = spent_clock };
	struct timer t[3] = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++)
		timer_arm(&queue, &t[i], i + 1, note);
	for (i = 0; i < 3; i++) {
		timer_run(&queue, 10, &spent);
		assert_int_equal(fired_count, i + 1);
		assert_ptr_equal(fired[i], &t[i]);
	}
	timer_run(&queue, 10, &spent);
	assert_int_equal(fired_count, 3);
}

static void
deadline_after_ms_does_not_wrap(void **state)
{
	(void)state;
	assert_true(clock_after_ms(5, 0) == 5);
	assert_true(clock_after_ms(5, 2) == 2000005);
	assert_true(clock_after_ms(0, UINT32_MAX) == UINT64_C(4294967295000000));
	assert_true(clock_after_ms(0, UINT64_MAX) == CLOCK_NEVER);
	assert_true(clock_after_ms(UINT64_MAX - 5 * CLOCK_MS, 4) == UINT64_MAX - CLOCK_MS);
	assert_true(clock_after_ms(UINT64_MAX - 5 * CLOCK_MS, 5) == CLOCK_NEVER);
	assert_true(clock_after_ms(UINT64_MAX - 1, 0) == UINT64_MAX - 1);
	assert_true(clock_after_ms(UINT64_MAX - 1, 1) == CLOCK_NEVER);
}

/* Rounded up: a loop that sleeps so long finds the deadline passed, and does not spin before it. */
static void
poll_timeout_is_rounded_up(void **state)
{
	(void)state;
	assert_int_equal(clock_poll_timeout(0, CLOCK_NEVER), -1);
	assert_int_equal(clock_poll_timeout(7, 7), 0);
	assert_int_equal(clock_poll_timeout(7, 6), 0);
	assert_int_equal(clock_poll_timeout(7, 8), 1);
	assert_int_equal(clock_poll_timeout(0, CLOCK_MS), 1);
	assert_int_equal(clock_poll_timeout(0, CLOCK_MS + 1), 2);
	assert_int_equal(clock_poll_timeout(0, UINT64_MAX / 2), INT_MAX);
	assert_int_equal(clock_poll_timeout(0, UINT64_MAX - 1), INT_MAX);
}

static void
shares_of_a_time_are_equal(void **state)
{
	(void)state;
	assert_int_equal(clock_share(100, 400, 3), 200);
	assert_int_equal(clock_share(200, 400, 2), 300);
	assert_int_equal(clock_share(300, 400, 1), 400);
	assert_int_equal(clock_share(500, 400, 3), 400);
	assert_true(clock_share(100, CLOCK_NEVER, 3) == CLOCK_NEVER);
}

static void
clock_does_not_go_back(void **state)
{
	uint64_t before = clock_now(), after = clock_now();

	(void)state;
	assert_true(before > 0 && after >= before);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(empty_queue_has_no_deadline, start),
		cmocka_unit_test_setup(timers_fire_in_order_and_once, start),
		cmocka_unit_test_setup(equal_deadlines_all_fire, start),
		cmocka_unit_test_setup(disarmed_timer_does_not_fire, start),
		cmocka_unit_test_setup(arming_again_moves_the_timer, start),
		cmocka_unit_test_setup(never_is_not_armed, start),
		cmocka_unit_test_setup(fire_may_arm_timers, start),
		cmocka_unit_test_setup(fire_may_disarm_timers_that_are_due, start),
		cmocka_unit_test_setup(fire_may_free_the_timer, start),
		cmocka_unit_test_setup(a_spent_budget_leaves_timers_for_the_next_run, start),
		cmocka_unit_test(deadline_after_ms_does_not_wrap),
		cmocka_unit_test(poll_timeout_is_rounded_up),
		cmocka_unit_test(shares_of_a_time_are_equal),
		cmocka_unit_test(clock_does_not_go_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
