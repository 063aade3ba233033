/*
 * From shared to exclusive and back (common/server/core/lockqueue): an upgrade is in front of all
 * waiters, alone of its file, and may be taken back; a writer that shares its lock lets the readers
 * at the head in. test_lockqueue_model.c has any order of all of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>

#include "common/base/clock.h"
#include "common/server/core/lockqueue.h"

enum { CLAIMS = 8, CROWD = 1000, AT_ONCE_MOST = 32 };

static struct timer_queue timers;
static uint64_t now;
static struct claim c[CLAIMS];
static struct lockqueue q;
static struct claim *granted[CLAIMS];
static int granted_count;

static void
note_granted(struct claim *claim)
{
	assert_true(granted_count < CLAIMS);
	granted[granted_count++] = claim;
}

static int
begin(void **state)
{
	int i;

	(void)state;
	timer_queue_init(&timers);
	now = CLOCK_SEC;
	lockqueue_init(&q, &timers, &now, note_granted);
	for (i = 0; i < CLAIMS; i++)
		c[i] = (struct claim){ 0 };
	granted_count = 0;
	return 0;
}

static void
hold_shared(int i)
{
	assert_int_equal(lockqueue_claim(&q, &c[i], PROTOCOL_SHARED, true), CLAIM_HELD);
}

static void
wait_for(int i, enum protocol_mode mode)
{
	assert_int_equal(lockqueue_claim(&q, &c[i], mode, true), CLAIM_WAITING);
}

static void
expect_granted(int count, const struct claim *last)
{
	assert_int_equal(granted_count, count);
	assert_ptr_equal(granted[count - 1], last);
}

static void
the_only_reader_is_upgraded_at_once(void **state)
{
	(void)state;
	hold_shared(0);
	assert_int_equal(lockqueue_upgrade(&q, &c[0], false), 0);
	assert_ptr_equal(lockqueue_exclusive_holder(&q), &c[0]);
	assert_false(lockqueue_is_upgrading(&q, &c[0]));
	assert_int_equal(c[0].grant, 2);
	assert_int_equal(q.grants, 2);
	assert_int_equal(granted_count, 0);
	wait_for(1, PROTOCOL_SHARED);
	lockqueue_drop(&q, &c[0]);
	expect_granted(1, &c[1]);
}

/* It passes a writer and a reader that have waited before it. */
static void
an_upgrade_is_in_front_of_all_waiters(void **state)
{
	(void)state;
	hold_shared(0);
	hold_shared(1);
	wait_for(2, PROTOCOL_EXCLUSIVE);
	wait_for(3, PROTOCOL_SHARED);
	assert_int_equal(lockqueue_upgrade(&q, &c[0], true), 0);
	assert_true(lockqueue_is_upgrading(&q, &c[0]));
	assert_int_equal(c[0].state, CLAIM_HELD);
	assert_int_equal(c[0].grant, 1);
	assert_int_equal(q.waiting, 3);
	lockqueue_drop(&q, &c[1]);
	expect_granted(1, &c[0]);
	assert_false(lockqueue_is_upgrading(&q, &c[0]));
	assert_ptr_equal(lockqueue_exclusive_holder(&q), &c[0]);
	assert_int_equal(c[0].grant, 3);
	assert_int_equal(q.waiting, 2);
	lockqueue_drop(&q, &c[0]);
	expect_granted(2, &c[2]);
	lockqueue_drop(&q, &c[2]);
	expect_granted(3, &c[3]);
}

static void
no_reader_comes_in_while_an_upgrade_waits(void **state)
{
	(void)state;
	hold_shared(0);
	hold_shared(1);
	assert_int_equal(lockqueue_upgrade(&q, &c[0], true), 0);
	assert_int_equal(lockqueue_claim(&q, &c[2], PROTOCOL_SHARED, false), CLAIM_IDLE);
	wait_for(2, PROTOCOL_SHARED);
	wait_for(3, PROTOCOL_SHARED);
	lockqueue_drop(&q, &c[3]);
	assert_int_equal(granted_count, 0);
	/* Taken back, it lets the reader in. */
	lockqueue_take_back(&q, &c[0]);
	expect_granted(1, &c[2]);
	assert_int_equal(c[0].mode, PROTOCOL_SHARED);
	assert_int_equal(c[0].grant, 1);
	assert_int_equal(q.waiting, 0);
}

static void
a_second_upgrade_is_a_deadlock_and_a_try_is_not(void **state)
{
	(void)state;
	hold_shared(0);
	hold_shared(1);
	assert_int_equal(lockqueue_upgrade(&q, &c[1], false), -EAGAIN);
	assert_int_equal(lockqueue_upgrade(&q, &c[0], true), 0);
	assert_int_equal(lockqueue_upgrade(&q, &c[1], true), -EDEADLK);
	assert_int_equal(lockqueue_upgrade(&q, &c[1], false), -EAGAIN);
	assert_int_equal(q.waiting, 1);
	assert_int_equal(c[1].grant, 2);
	lockqueue_drop(&q, &c[1]);
	expect_granted(1, &c[0]);
	assert_int_equal(q.waiting, 0);
}

static void
the_end_of_an_upgrading_reader_ends_its_upgrade(void **state)
{
	(void)state;
	hold_shared(0);
	hold_shared(1);
	assert_int_equal(lockqueue_upgrade(&q, &c[0], true), 0);
	wait_for(2, PROTOCOL_SHARED);
	lockqueue_drop(&q, &c[0]);
	assert_int_equal(c[0].state, CLAIM_IDLE);
	expect_granted(1, &c[2]);
	assert_int_equal(q.waiting, 0);
	assert_int_equal(lockqueue_upgrade(&q, &c[1], true), 0);
	lockqueue_drop(&q, &c[2]);
	expect_granted(2, &c[1]);
}

/* A grant that nobody was told: the shared one is as it was, and its number is never used again. */
static void
a_granted_upgrade_that_is_taken_back_has_its_old_grant(void **state)
{
	(void)state;
	hold_shared(0);
	assert_int_equal(lockqueue_upgrade(&q, &c[0], true), 0);
	assert_int_equal(c[0].grant, 2);
	wait_for(1, PROTOCOL_SHARED);
	wait_for(2, PROTOCOL_EXCLUSIVE);
	lockqueue_take_back(&q, &c[0]);
	assert_int_equal(c[0].grant, 1);
	assert_int_equal(c[0].mode, PROTOCOL_SHARED);
	expect_granted(1, &c[1]);
	assert_int_equal(c[1].grant, 3);
}

static void
sharing_lets_the_readers_at_the_head_in_under_the_same_grant(void **state)
{
	(void)state;
	assert_int_equal(lockqueue_claim(&q, &c[0], PROTOCOL_EXCLUSIVE, true), CLAIM_HELD);
	wait_for(1, PROTOCOL_SHARED);
	wait_for(2, PROTOCOL_SHARED);
	wait_for(3, PROTOCOL_EXCLUSIVE);
	wait_for(4, PROTOCOL_SHARED);
	lockqueue_share(&q, &c[0]);
	assert_int_equal(c[0].state, CLAIM_HELD);
	assert_int_equal(c[0].grant, 1);
	assert_null(lockqueue_exclusive_holder(&q));
	expect_granted(2, &c[2]);
	assert_ptr_equal(granted[0], &c[1]);
	lockqueue_drop(&q, &c[1]);
	lockqueue_drop(&q, &c[2]);
	assert_int_equal(granted_count, 2);
	lockqueue_drop(&q, &c[0]);
	expect_granted(3, &c[3]);
}

/* Nothing between the two lets go of the lock: the writer waits through all of them. */
static void
an_upgrade_after_sharing_has_a_new_grant(void **state)
{
	int i;

	(void)state;
	assert_int_equal(lockqueue_claim(&q, &c[0], PROTOCOL_EXCLUSIVE, true), CLAIM_HELD);
	wait_for(1, PROTOCOL_EXCLUSIVE);
	for (i = 1; i < 10; i++) {
		now += CLOCK_MS;
		assert_int_equal(c[0].grant, i);
		lockqueue_share(&q, &c[0]);
		assert_int_equal(lockqueue_upgrade(&q, &c[0], true), 0);
		assert_ptr_equal(lockqueue_exclusive_holder(&q), &c[0]);
	}
	assert_int_equal(granted_count, 0);
	/* It holds the lock since it got it. */
	assert_int_equal(c[0].since, CLOCK_SEC);
	lockqueue_drop(&q, &c[0]);
	expect_granted(1, &c[1]);
}

static void
the_wait_of_an_upgrade_is_counted(void **state)
{
	(void)state;
	hold_shared(0);
	hold_shared(1);
	assert_int_equal(lockqueue_upgrade(&q, &c[0], true), 0);
	now += 10;
	assert_int_equal(lockqueue_waited(&q), 10);
	lockqueue_take_back(&q, &c[0]);
	now += 100;
	assert_int_equal(lockqueue_waited(&q), 10);
	assert_int_equal(lockqueue_upgrade(&q, &c[0], true), 0);
	now += 1000;
	lockqueue_drop(&q, &c[1]);
	now += 10000;
	assert_int_equal(lockqueue_waited(&q), 1010);
}

/* A client that polls cannot have the lock while the reader holds it: its place delays nothing. */
static void
an_upgrade_does_not_wait_for_a_reservation(void **state)
{
	struct poller p = { 0 };
	int owner, i;

	(void)state;
	hold_shared(0);
	hold_shared(1);
	for (i = 0; i < 2; i++) {
		assert_int_equal(lockqueue_poll(&q, &c[2], &p, &owner), CLAIM_IDLE);
		now += 10 * CLOCK_MS;
	}
	wait_for(3, PROTOCOL_SHARED);
	assert_true(q.pollers.is_reserved);
	assert_int_equal(lockqueue_upgrade(&q, &c[0], true), 0);
	lockqueue_drop(&q, &c[1]);
	expect_granted(1, &c[0]);
	assert_int_equal(lockqueue_poll(&q, &c[2], &p, &owner), CLAIM_IDLE);
	now += CLOCK_SEC;
	timer_run(&timers, now, &BUDGET_UNLIMITED);
	assert_int_equal(granted_count, 1);
	lockqueue_drop(&q, &c[0]);
	lockqueue_leave(&q, &p);
	expect_granted(2, &c[3]);
}

static void
count_granted(struct claim *claim)
{
	(void)claim;
	granted_count++;
}

/* Sharing costs one step, however many readers wait; an upgrade may come between the pieces. */
static void
a_crowd_that_is_let_in_comes_in_pieces_and_an_upgrade_stops_it(void **state)
{
	struct claim *crowd = calloc(CROWD, sizeof *crowd);
	int i, before;

	(void)state;
	assert_non_null(crowd);
	lockqueue_init(&q, &timers, &now, count_granted);
	assert_int_equal(lockqueue_claim(&q, &c[0], PROTOCOL_EXCLUSIVE, true), CLAIM_HELD);
	for (i = 0; i < CROWD; i++)
		lockqueue_claim(&q, &crowd[i], PROTOCOL_SHARED, true);
	lockqueue_share(&q, &c[0]);
	assert_in_range(granted_count, 1, AT_ONCE_MOST);
	before = granted_count;
	assert_int_equal(lockqueue_upgrade(&q, &c[0], true), 0);
	timer_run(&timers, now, &BUDGET_UNLIMITED);
	assert_int_equal(granted_count, before);
	assert_int_equal(timer_next(&timers), CLOCK_NEVER);
	for (i = 0; i < before; i++)
		lockqueue_drop(&q, &crowd[i]);
	assert_ptr_equal(lockqueue_exclusive_holder(&q), &c[0]);
	lockqueue_drop(&q, &c[0]);
	while (timer_next(&timers) != CLOCK_NEVER)
		timer_run(&timers, now, &BUDGET_UNLIMITED);
	assert_int_equal(granted_count, CROWD + 1);
	free(crowd);
}

#define TEST(f) cmocka_unit_test_setup(f, begin)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(the_only_reader_is_upgraded_at_once),
		TEST(an_upgrade_is_in_front_of_all_waiters),
		TEST(no_reader_comes_in_while_an_upgrade_waits),
		TEST(a_second_upgrade_is_a_deadlock_and_a_try_is_not),
		TEST(the_end_of_an_upgrading_reader_ends_its_upgrade),
		TEST(a_granted_upgrade_that_is_taken_back_has_its_old_grant),
		TEST(sharing_lets_the_readers_at_the_head_in_under_the_same_grant),
		TEST(an_upgrade_after_sharing_has_a_new_grant),
		TEST(the_wait_of_an_upgrade_is_counted),
		TEST(an_upgrade_does_not_wait_for_a_reservation),
		TEST(a_crowd_that_is_let_in_comes_in_pieces_and_an_upgrade_stops_it),
	};

	return cmocka_run_group_tests_name("upgrades", tests, NULL, NULL);
}
