/*
 * One connection, many threads, and a server that answers in every awkward order: each thread gets
 * its own reply or an error, and none waits for ever (PROTOCOL 5, DESIGN 7).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/client/smclient.h"
#include "common/wire/frame.h"
#include "tests/unit/muxrig.h"
#include "tests/unit/rig.h"

enum { ROUNDS = 20 };

/* Replies in another order than the requests'. */

static bool is_in_pieces;

static void
serve_in_another_order(void)
{
	uint8_t frames[MUXRIG_FILES * MUXRIG_GRANT_SIZE];
	struct muxrig_request requests[MUXRIG_FILES];
	size_t i;
	int round;

	muxrig_greet();
	for (round = 0; round < ROUNDS && rig.fd >= 0; round++) {
		muxrig_take_acquires(requests);
		for (i = 0; i < MUXRIG_FILES; i++)
			muxrig_grant_frame(frames + i * MUXRIG_GRANT_SIZE,
			    requests[MUXRIG_FILES - 1 - (i + (size_t)round) % MUXRIG_FILES].tag,
			    (uint8_t)(round + 1));
		for (i = 0; is_in_pieces && i < sizeof frames; i++)
			rig_write(frames + i, 1);
		if (!is_in_pieces)
			rig_write(frames, sizeof frames);
		muxrig_take_releases();
	}
}

static void
replies_in_any_order_find_their_threads(void **state)
{
	struct muxrig_caller callers[MUXRIG_FILES];
	int pieces, round, i;

	(void)state;
	for (pieces = 0; pieces < 2; pieces++) {
		is_in_pieces = pieces == 1;
		muxrig_begin(serve_in_another_order);
		for (round = 0; round < ROUNDS; round++) {
			muxrig_call_on_all(callers, CALL_SECTION);
			for (i = 0; i < MUXRIG_FILES; i++)
				muxrig_expect(&callers[i], "sm_lock, sm_unlock", 0);
		}
		rig_end();
	}
}

/* One after the other, so that each reply ends the driver's call. */
static void
serve_one_by_one(void)
{
	struct muxrig_request requests[MUXRIG_FILES];
	uint8_t frame[MUXRIG_GRANT_SIZE];
	int round, i;

	muxrig_greet();
	for (round = 0; round < ROUNDS && rig.fd >= 0; round++) {
		muxrig_take_acquires(requests);
		for (i = 0; i < MUXRIG_FILES; i++) {
			muxrig_grant_frame(frame, requests[(i + round) % MUXRIG_FILES].tag,
			    (uint8_t)(round + 1));
			rig_write(frame, sizeof frame);
			rig_take_any();
		}
	}
}

static void
a_driver_that_has_its_reply_is_replaced(void **state)
{
	struct muxrig_caller callers[MUXRIG_FILES];
	int round, i;

	(void)state;
	muxrig_begin(serve_one_by_one);
	for (round = 0; round < ROUNDS; round++) {
		muxrig_call_on_all(callers, CALL_SECTION);
		for (i = 0; i < MUXRIG_FILES; i++)
			muxrig_expect(&callers[i], "sm_lock, sm_unlock", 0);
	}
	rig_end();
}

/* A wait that ends while the grant is on its way. */

static bool cancel_answered_first;
static uint32_t acquire_status; /* 0 or ECANCELED */

static void
serve_a_crossing(void)
{
	uint16_t acquire;
	char hex[32];

	rig_greet();
	rig_take_any(); /* ACQUIRE */
	acquire = rig.tag;
	snprintf(hex, sizeof hex, "%08x", acquire);
	rig_take(OP_CANCEL, hex);
	if (cancel_answered_first)
		rig_answer(0, "");
	rig_answer_tag(acquire, acquire_status,
	    acquire_status != 0 ?
		"" :
		"0000000000000005 0000000000000004 00000001 00000000 00000002 6f6b");
	if (!cancel_answered_first)
		rig_answer(0, "");
	/* CANCEL has ended the grant: there is no RELEASE of it. */
	rig_grant(U64_0, "0000000000000006", "0000000000000004 00000001 00000000 00000002 6f6b");
	rig_take(OP_RELEASE, "00000007 0000000000000006 01 00000000");
}

static void
expect_crossing(uint32_t status, bool cancel_first)
{
	struct timespec deadline;

	acquire_status = status;
	cancel_answered_first = cancel_first;
	rig_begin(serve_a_crossing);
	deadline = muxrig_soon();
	FAILS(sm_timedlock(rig.file, &deadline), ETIMEDOUT);
	assert_int_equal(rig.segment[0], 0);
	FAILS(sm_unlock(rig.file), ENOLCK);
	OK(sm_lock(rig.file));
	assert_memory_equal(rig.segment, "ok", 2);
	OK(sm_unlock(rig.file));
	rig_end();
}

static void
a_grant_that_crosses_cancel_has_ended(void **state)
{
	(void)state;
	expect_crossing(0, false);
	expect_crossing(0, true);
}

static void
a_cancelled_wait_is_etimedout_and_the_connection_goes_on(void **state)
{
	(void)state;
	expect_crossing(ECANCELED, false);
	expect_crossing(ECANCELED, true);
}

/* Half of the grant arrives before the deadline, the rest later. */
static void
serve_half_a_grant_in_time(void)
{
	uint8_t frame[MUXRIG_GRANT_SIZE];
	struct muxrig_request a;

	muxrig_greet();
	a = muxrig_take_request();
	muxrig_grant_frame(frame, a.tag, 1);
	rig_write(frame, MUXRIG_GRANT_SIZE - 3);
	muxrig_miss_deadline();
	rig_write(frame + MUXRIG_GRANT_SIZE - 3, 3);
	a = muxrig_take_request();
	if (a.op == OP_CANCEL)
		rig_answer(0, "");
	else if (a.op != OP_RELEASE)
		rig_surprise("expected a RELEASE or CANCEL, got %s", protocol_op_name(a.op));
}

/* Either result is right, but none leaves a lock behind. */
static void
a_grant_half_of_which_came_in_time_is_kept_or_cancelled(void **state)
{
	struct timespec deadline;
	int result;

	(void)state;
	muxrig_begin(serve_half_a_grant_in_time);
	deadline = muxrig_soon();
	result = sm_timedlock(muxrig_files[0], &deadline);
	if (result == 0)
		OK(sm_unlock(muxrig_files[0]));
	else
		FAILS(result, ETIMEDOUT);
	rig_end();
}

static void
serve_others_after_a_cancel(void)
{
	struct muxrig_request timed, other, cancel;
	uint8_t frame[MUXRIG_GRANT_SIZE];

	muxrig_greet();
	timed = muxrig_take_request();
	sem_post(&muxrig_reached);
	other = muxrig_take_request();
	cancel = muxrig_take_request();
	if (cancel.op != OP_CANCEL || cancel.fd != timed.tag)
		rig_surprise("expected a CANCEL of %u, got %s of %u", timed.tag,
		    protocol_op_name(cancel.op), cancel.fd);
	rig_answer_tag(timed.tag, ECANCELED, "");
	rig_answer_tag(cancel.tag, 0, "");
	sem_wait(&muxrig_go_on);
	muxrig_grant_frame(frame, other.tag, 1);
	rig_write(frame, sizeof frame);
	rig_take_any();
}

static void
a_driver_that_times_out_is_replaced(void **state)
{
	struct muxrig_caller timed, other;

	(void)state;
	muxrig_begin(serve_others_after_a_cancel);
	muxrig_start(&timed, CALL_TIMED_SECTION, muxrig_files[0]);
	sem_wait(&muxrig_reached);
	muxrig_start(&other, CALL_SECTION, muxrig_files[1]);
	muxrig_finish(&timed);
	muxrig_expect(&timed, "sm_timedlock", ETIMEDOUT);
	sem_post(&muxrig_go_on);
	muxrig_finish(&other);
	muxrig_expect(&other, "sm_lock, sm_unlock", 0);
	rig_end();
}

/* Waiting for a lock. */

static void
serve_all_but_one(void)
{
	struct muxrig_request held;
	int i;

	muxrig_greet();
	held = muxrig_take_request();
	sem_post(&muxrig_reached);
	for (i = 0; i < ROUNDS; i++) {
		rig_take_any(); /* ACQUIRE */
		rig_answer(0, "0000000000000001 " U64_0);
		rig_take_any(); /* RELEASE */
		rig_take(OP_STAT, "00000011");
		rig_answer(0, MUXRIG_STAT_REPLY);
		rig_serve(OP_OPEN, "00000002 2f67", "00000020");
		rig_serve(OP_CLOSE, "00000020", "");
	}
	rig_answer_tag(held.tag, 0, "0000000000000001 " U64_0);
	rig_take_any(); /* RELEASE */
}

static void
a_thread_that_waits_for_a_lock_delays_no_other(void **state)
{
	struct muxrig_caller waiter;
	struct sm_file *other;
	struct sm_stat st;
	int i;

	(void)state;
	muxrig_begin(serve_all_but_one);
	muxrig_start(&waiter, CALL_SECTION, muxrig_files[0]);
	sem_wait(&muxrig_reached);
	for (i = 0; i < ROUNDS; i++) {
		OK(sm_lock(muxrig_files[1]));
		OK(sm_unlock(muxrig_files[1]));
		OK(sm_stat(muxrig_files[1], &st));
		other = rig_open_other();
		OK(sm_close(other));
	}
	muxrig_finish(&waiter);
	muxrig_expect(&waiter, "sm_lock, sm_unlock", 0);
	rig_end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		MUXRIG_TEST(replies_in_any_order_find_their_threads),
		MUXRIG_TEST(a_driver_that_has_its_reply_is_replaced),
		MUXRIG_TEST(a_grant_that_crosses_cancel_has_ended),
		MUXRIG_TEST(a_cancelled_wait_is_etimedout_and_the_connection_goes_on),
		MUXRIG_TEST(a_grant_half_of_which_came_in_time_is_kept_or_cancelled),
		MUXRIG_TEST(a_driver_that_times_out_is_replaced),
		MUXRIG_TEST(a_thread_that_waits_for_a_lock_delays_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
