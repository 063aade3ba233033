/*
 * One connection, many threads, and failures: a connection that ends at any byte ends all waits,
 * and a late refusal of a release is reported once, on its own file (PROTOCOL 5, DESIGN 7).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <semaphore.h>
#include <stdbool.h>
#include <string.h>

#include "common/client/smclient.h"
#include "common/wire/frame.h"
#include "tests/unit/muxrig.h"
#include "tests/unit/rig.h"

/* The end, at each byte. */

static size_t reply_cut;
static uint16_t stray_tag; /* instead of the end: a reply to no request */

static void
serve_an_end(void)
{
	uint8_t frame[MUXRIG_GRANT_SIZE];
	struct muxrig_request requests[MUXRIG_FILES];

	muxrig_greet();
	muxrig_take_acquires(requests);
	if (stray_tag != 0) {
		rig_answer_tag(stray_tag, stray_tag & 0x8000 ? ESTALE : 0, "");
		rig_take_end();
		return;
	}
	muxrig_grant_frame(frame, requests[2].tag, 1);
	rig_write(frame, reply_cut);
}

static void
expect_all_to_fail(int error)
{
	struct muxrig_caller callers[MUXRIG_FILES];
	int i;

	muxrig_begin(serve_an_end);
	for (i = 0; i < MUXRIG_FILES; i++)
		muxrig_start(&callers[i], i % 2 == 0 ? CALL_LOCK : CALL_RDLOCK, muxrig_files[i]);
	for (i = 0; i < MUXRIG_FILES; i++)
		muxrig_finish(&callers[i]);
	for (i = 0; i < MUXRIG_FILES; i++)
		muxrig_expect(&callers[i], "sm_lock", error);
	for (i = 0; i < MUXRIG_FILES; i++)
		FAILS(sm_lock(muxrig_files[i]), ENOTCONN);
	rig_end();
}

static void
a_server_that_closes_at_any_byte_is_econnreset_for_all_waiters(void **state)
{
	(void)state;
	for (reply_cut = 0; reply_cut < MUXRIG_GRANT_SIZE; reply_cut++)
		expect_all_to_fail(ECONNRESET);
}

static void
a_reply_that_no_call_waits_for_is_eproto_for_all(void **state)
{
	(void)state;
	stray_tag = 0x7000;
	expect_all_to_fail(EPROTO);
	stray_tag = 0xff00;
	expect_all_to_fail(EPROTO);
	stray_tag = 0;
}

/* Late refusals. */

#define ACQUIRED_OK "0000000000000009 00000001 00000000 00000002 6f6b"

static void
greet_mapped(void)
{
	rig_greet();
	rig_serve(OP_OPEN, "00000002 2f67", "00000008");
	rig_grant(U64_0, "0000000000000001", ACQUIRED_OK);
}

static void
serve_a_refusal_before_another_files_reply(void)
{
	uint16_t release;

	greet_mapped();
	rig_take_any(); /* RELEASE */
	release = rig.tag;
	rig_take(OP_STAT, "00000008");
	rig_answer_tag(release, ESTALE, "");
	rig_answer(0, MUXRIG_STAT_REPLY);
	rig_grant(U64_0, "0000000000000003", ACQUIRED_OK);
}

static void
a_late_refusal_is_reported_on_its_own_file_only(void **state)
{
	struct sm_file *other;
	struct sm_stat st;

	(void)state;
	rig_begin(serve_a_refusal_before_another_files_reply);
	other = rig_open_other();
	rig_publish('X');
	OK(sm_stat(other, &st));
	FAILS(sm_lock(rig.file), ESTALE);
	OK(sm_lock(rig.file));
	assert_memory_equal(rig.segment, "ok", 2);
	rig_end();
}

static void
serve_a_refusal_before_the_same_files_reply(void)
{
	uint16_t release;

	greet_mapped();
	rig_take_any(); /* RELEASE */
	release = rig.tag;
	rig_take(OP_ACQUIRE, "00000007 01 " FOREVER " 0000000000000001");
	rig_answer_tag(release, ESTALE, "");
	rig_answer(0, "0000000000000002 " ACQUIRED_OK);
	rig_take(OP_RELEASE, "00000007 0000000000000002 01 00000000");
	rig_grant(U64_0, "0000000000000003", ACQUIRED_OK);
}

static void
a_late_refusal_before_the_same_files_grant_releases_the_grant(void **state)
{
	(void)state;
	rig_begin(serve_a_refusal_before_the_same_files_reply);
	(void)rig_open_other();
	rig_publish('X');
	FAILS(sm_lock(rig.file), ESTALE);
	OK(sm_lock(rig.file));
	assert_memory_equal(rig.segment, "ok", 2);
	rig_end();
}

static bool has_retried; /* the thread that got a grant that it could not use */

/*
 * One thread sends an ACQUIRE with a since that the refusal makes wrong. The reply to another
 * thread's STAT of the same file comes before the grant, so that the refusal may be reported to
 * that thread.
 */
static void
serve_a_refusal_that_is_reported_to_another_thread(void)
{
	uint16_t release, acquire;

	greet_mapped();
	rig_take_any(); /* RELEASE */
	release = rig.tag;
	rig_take(OP_ACQUIRE, "00000007 01 " FOREVER " 0000000000000001");
	acquire = rig.tag;
	sem_post(&muxrig_reached);
	rig_take(OP_STAT, "00000007");
	rig_answer_tag(release, ESTALE, "");
	rig_answer(0, MUXRIG_STAT_REPLY);
	sem_wait(&muxrig_go_on);
	/*
	 * The master copy lacks what this client wrote, and the delta since 1 does not name block
	 * 0.
	 */
	rig_answer_tag(acquire, 0,
	    "0000000000000002 0000000000000009 00000001 00001000 00000002 6f6b");
	rig_take(OP_RELEASE, "00000007 0000000000000002 01 00000000");
	/* The next ACQUIRE comes from the same thread or from the main one. */
	rig_grant(U64_0, "0000000000000003", ACQUIRED_OK);
	rig_take(OP_RELEASE, "00000007 0000000000000003 01 00000000");
	sem_wait(&muxrig_go_on);
	if (has_retried) {
		rig_grant("0000000000000009", "0000000000000004", "0000000000000009 00000000");
		rig_take(OP_RELEASE, "00000007 0000000000000004 01 00000000");
	}
}

static void
a_late_refusal_reported_to_another_thread_does_not_let_a_wrong_grant_pass(void **state)
{
	struct muxrig_caller locker;
	struct sm_stat st;
	int result;

	(void)state;
	rig_begin(serve_a_refusal_that_is_reported_to_another_thread);
	(void)rig_open_other();
	rig_publish('X');
	muxrig_start(&locker, CALL_SECTION, rig.file);
	sem_wait(&muxrig_reached);
	result = sm_stat(rig.file, &st);
	sem_post(&muxrig_go_on);
	muxrig_finish(&locker);
	if (locker.error == 0 && memcmp(rig.segment, "ok", 2) != 0)
		fail_msg(
		    "sm_stat said %d, sm_lock 0: expected block 0 to begin with 6f6b, got %02x%02x",
		    result, rig.segment[0], rig.segment[1]);
	if (locker.error != 0)
		muxrig_expect(&locker, "sm_lock", ESTALE);
	has_retried = locker.error == 0;
	sem_post(&muxrig_go_on);
	OK(sm_lock(rig.file));
	assert_memory_equal(rig.segment, "ok", 2);
	OK(sm_unlock(rig.file));
	rig_end();
}

/* A reader that wants to join asks whether another process waits, and the refusal comes then. */
static void
serve_a_refusal_to_a_joining_reader(void)
{
	uint16_t release;

	greet_mapped();
	rig_take_any(); /* RELEASE */
	release = rig.tag;
	rig_serve(OP_ACQUIRE, "00000007 02 " FOREVER " 0000000000000001",
	    "0000000000000002 0000000000000001 00000000");
	rig_take(OP_STAT, "00000007");
	rig_answer_tag(release, ESTALE, "");
	do
		rig_answer(0, MUXRIG_STAT_REPLY);
	while (rig_take_any() == OP_STAT);
	rig_grant(U64_0, "0000000000000003", ACQUIRED_OK);
}

static void
a_late_refusal_that_a_joining_reader_meets_is_reported(void **state)
{
	struct muxrig_caller second, third;

	(void)state;
	rig_begin(serve_a_refusal_to_a_joining_reader);
	(void)rig_open_other();
	rig_publish('X');
	OK(sm_rdlock(rig.file));
	muxrig_start(&second, CALL_READ_UNTIL_TOLD, rig.file);
	sem_wait(&muxrig_reached);
	OK(sm_unlock(rig.file));
	muxrig_start(&third, CALL_READ, rig.file);
	muxrig_finish(&third);
	sem_post(&muxrig_go_on);
	muxrig_finish(&second);
	muxrig_expect(&second, "sm_rdlock, sm_unlock of the second reader", 0);
	muxrig_expect(&third, "sm_rdlock, sm_unlock of the third", 0);
	FAILS(sm_lock(rig.file), ESTALE);
	OK(sm_lock(rig.file));
	assert_memory_equal(rig.segment, "ok", 2);
	rig_end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		MUXRIG_TEST(a_server_that_closes_at_any_byte_is_econnreset_for_all_waiters),
		MUXRIG_TEST(a_reply_that_no_call_waits_for_is_eproto_for_all),
		MUXRIG_TEST(a_late_refusal_is_reported_on_its_own_file_only),
		MUXRIG_TEST(a_late_refusal_before_the_same_files_grant_releases_the_grant),
		MUXRIG_TEST(
		    a_late_refusal_reported_to_another_thread_does_not_let_a_wrong_grant_pass),
		MUXRIG_TEST(a_late_refusal_that_a_joining_reader_meets_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
