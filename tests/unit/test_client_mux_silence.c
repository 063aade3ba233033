/*
 * One connection, many threads, and a server that is silent, slow, or sends without a pause: a call
 * with a deadline returns in time, and a server that answers pings is waited for (PROTOCOL 5,
 * DESIGN 7).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "common/client/smclient.h"
#include "common/wire/frame.h"
#include "tests/stress/patience.h"
#include "tests/unit/muxrig.h"
#include "tests/unit/rig.h"

enum {
	SILENCE_MS = 2000, /* the client's, see SILENCE */
	SLOW_MS = 1200,
	SLACK_MS = 1000,
	TRIES = 3,
	TICK_MS = 10,
	PINGS = 6,        /* two silences long, */
	PINGED_MS = 1000, /* of a second each */
	GIVEN_UP_MOST = 1200,
	LARGE = 8 * SIZE_MIB
};

#define SILENCE "silence=2"
#define PING "00000000" /* a tag of no ACQUIRE: any other may be that of a grant that is held */

/* Silence. */

static size_t silent_after; /* bytes of the reply to another thread */

/* The CANCEL of the timed call is as good as a ping: no other comes before the end. */
static void
serve_silence(void)
{
	uint8_t frame[MUXRIG_GRANT_SIZE];
	struct muxrig_request requests[MUXRIG_FILES];

	muxrig_greet();
	muxrig_take_acquires(requests);
	muxrig_grant_frame(frame, requests[1].tag, 1);
	rig_write(frame, silent_after);
	if (rig_take_any() != OP_CANCEL && rig.fd >= 0)
		rig_surprise("expected CANCEL");
	rig_take_end();
}

/* When the first of them began: a thread that begins late shares the silence of those before. */
static uint64_t
first_begun(const struct muxrig_caller callers[MUXRIG_FILES])
{
	uint64_t first = callers[0].begun;
	int i;

	for (i = 1; i < MUXRIG_FILES; i++)
		if (callers[i].begun < first)
			first = callers[i].begun;
	return first;
}

/*
 * The timed call returns in time, and costs the others nothing; these find out that the server is
 * gone when it has been silent for so long.
 */
static void
expect_silence_to_disconnect(size_t bytes)
{
	struct muxrig_caller callers[MUXRIG_FILES];
	uint64_t took;
	int i;

	silent_after = bytes;
	muxrig_begin_with(SILENCE, serve_silence);
	for (i = 0; i < MUXRIG_FILES; i++)
		muxrig_start(&callers[i], i == 0 ? CALL_TIMED_SECTION : CALL_LOCK, muxrig_files[i]);
	for (i = 0; i < MUXRIG_FILES; i++)
		muxrig_finish(&callers[i]);
	muxrig_expect(&callers[0], "sm_timedlock", ETIMEDOUT);
	if (patience_is_over(callers[0].net, muxrig_deadline_ms() + MUXRIG_LATE_MS))
		fail_msg(
		    "sm_timedlock: expected to give up after %lu ms, took %lu, without its "
		    "waits for a processor",
		    (unsigned long)muxrig_deadline_ms(),
		    (unsigned long)(callers[0].net / CLOCK_MS));
	for (i = 1; i < MUXRIG_FILES; i++) {
		muxrig_expect(&callers[i], "sm_lock of the others", ECONNRESET);
		took = callers[i].begun + callers[i].took - first_begun(callers);
		if (took < SILENCE_MS * CLOCK_MS ||
		    patience_is_over(took - SILENCE_MS * CLOCK_MS, SLACK_MS))
			fail_msg("sm_lock: expected to give up after about %d ms, took %lu",
			    SILENCE_MS, (unsigned long)(took / CLOCK_MS));
	}
	FAILS(sm_lock(muxrig_files[0]), ENOTCONN);
	assert_non_null(strstr(sm_error(rig.sm), "the server did not answer in time"));
	rig_end();
}

static void
a_silent_server_is_disconnected_after_its_silence(void **state)
{
	(void)state;
	expect_silence_to_disconnect(0);
}

static void
half_a_reply_to_another_thread_then_silence_disconnects(void **state)
{
	(void)state;
	expect_silence_to_disconnect(MUXRIG_GRANT_SIZE - 1);
}

/* ns, the longest time without an answer: on a busy machine the peer may stand still. */
static _Atomic uint64_t slowest;

static void
note_answer(uint64_t since)
{
	uint64_t took = clock_now() - since;

	if (took > slowest)
		slowest = took;
}

/* True when the peer has been silent indeed, for so long: the test has to begin again. */
static bool
was_silent(uint64_t ms, int tries)
{
	return slowest >= ms * CLOCK_MS && tries < TRIES;
}

/* As long as it answers pings a server is not silent, however long a lock is held. */
static void
serve_pings(void)
{
	uint8_t frame[MUXRIG_GRANT_SIZE];
	struct muxrig_request requests[MUXRIG_FILES];
	uint64_t since;
	int i;

	muxrig_greet();
	muxrig_take_acquires(requests);
	for (i = 0; i < PINGS; i++) {
		since = clock_now();
		rig_take(OP_CANCEL, PING);
		rig_answer(0, "");
		note_answer(since);
	}
	for (i = 0; i < MUXRIG_FILES; i++) {
		muxrig_grant_frame(frame, requests[i].tag, 1);
		rig_write(frame, sizeof frame);
	}
	muxrig_take_releases();
}

static void
call_all_beside_pings(struct muxrig_caller callers[MUXRIG_FILES])
{
	slowest = 0;
	muxrig_begin_with("silence=1", serve_pings);
	muxrig_call_on_all(callers, CALL_SECTION);
}

static void
a_server_that_answers_pings_is_waited_for(void **state)
{
	struct muxrig_caller callers[MUXRIG_FILES];
	int i, tries;

	(void)state;
	call_all_beside_pings(callers);
	for (tries = 1; was_silent(2 * PINGED_MS / 3, tries); tries++) {
		rig_abandon();
		call_all_beside_pings(callers);
	}
	for (i = 0; i < MUXRIG_FILES; i++)
		muxrig_expect(&callers[i], "sm_lock, sm_unlock", 0);
	rig_end();
}

/* The server is gone at once after it has answered a ping. */
static void
serve_one_ping(void)
{
	muxrig_greet();
	(void)muxrig_take_request(); /* ACQUIRE */
	rig_serve(OP_CANCEL, PING, "");
	rig_take(OP_CANCEL, PING);
	rig_take_end();
}

static void
silence_is_counted_from_the_last_answer(void **state)
{
	uint64_t silence = 3 * CLOCK_SEC, last_answer = silence / 3;
	struct muxrig_caller waiter;

	(void)state;
	muxrig_begin_with("silence=3", serve_one_ping);
	muxrig_start(&waiter, CALL_LOCK, muxrig_files[0]);
	muxrig_finish(&waiter);
	muxrig_expect(&waiter, "sm_lock", ECONNRESET);
	/* The library may take the end of the silence from the clock's last tick. */
	if (waiter.took + TICK_MS * CLOCK_MS < last_answer + silence ||
	    (waiter.took > last_answer + silence &&
		patience_is_over(waiter.took - last_answer - silence, SLACK_MS)))
		fail_msg("sm_lock: expected to give up after about %lu ms, took %lu",
		    (unsigned long)((last_answer + silence) / CLOCK_MS),
		    (unsigned long)(waiter.took / CLOCK_MS));
	rig_end();
}

/* Each of two calls has its answer within the silence, both together do not. */
static void
serve_slowly(void)
{
	uint64_t since;
	int i;

	muxrig_greet();
	for (i = 0; i < 2; i++) {
		rig_take_any(); /* MMAP or CLOSE */
		since = clock_now();
		if (i == 0)
			sem_post(&muxrig_reached);
		usleep(SLOW_MS * 1000);
		rig_answer(0, "");
		note_answer(since);
	}
}

static void
call_both_in_turn(struct muxrig_caller callers[2], enum muxrig_kind first, enum muxrig_kind second)
{
	slowest = 0;
	muxrig_begin_with(SILENCE, serve_slowly);
	muxrig_start(&callers[0], first, muxrig_files[0]);
	sem_wait(&muxrig_reached);
	muxrig_start(&callers[1], second, muxrig_files[1]);
	muxrig_finish(&callers[0]);
	muxrig_finish(&callers[1]);
}

static void
expect_both_in_turn(enum muxrig_kind first, enum muxrig_kind second)
{
	struct muxrig_caller callers[2];
	int tries;

	call_both_in_turn(callers, first, second);
	for (tries = 1; was_silent(SILENCE_MS, tries); tries++) {
		rig_abandon();
		call_both_in_turn(callers, first, second);
	}
	muxrig_expect(&callers[0], "the first call", 0);
	muxrig_expect(&callers[1], "the call that waited for it", 0);
	rig_end();
}

static void
a_call_that_waits_for_another_thread_does_not_blame_the_server(void **state)
{
	(void)state;
	expect_both_in_turn(CALL_MAP, CALL_CLOSE);
	expect_both_in_turn(CALL_CLOSE, CALL_MAP);
}

/* Half of the reply to FORK comes before the fork gives it up, the rest later. */
static void
serve_half_a_fork_in_time(void)
{
	uint8_t frame[FRAME_HEADER_SIZE + 8] = { 0 };
	uint16_t acquire;

	muxrig_greet();
	rig_take(OP_FORK, "");
	frame_put(frame, (struct frame){ frame_tagged(rig.tag, 0), 8 });
	rig_write(frame, sizeof frame - 4);
	sem_wait(&muxrig_go_on);
	rig_write(frame + sizeof frame - 4, 4);
	rig_serve(OP_STAT, "00000010", MUXRIG_STAT_REPLY);
	acquire = muxrig_take_request().tag;
	rig_take_any(); /* CANCEL */
	rig_answer_tag(acquire, ECANCELED, "");
	rig_answer(0, "");
	rig_serve(OP_STAT, "00000010", MUXRIG_STAT_REPLY);
}

static void
half_a_reply_that_a_fork_gave_up_is_no_silence(void **state)
{
	struct timespec deadline;
	struct sm_stat st;
	pid_t pid;

	(void)state;
	muxrig_begin_with(SILENCE, serve_half_a_fork_in_time);
	pid = fork();
	if (pid == 0)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	sem_post(&muxrig_go_on);
	OK(sm_stat(muxrig_files[0], &st));
	usleep(SILENCE_MS * 1000);
	deadline = muxrig_soon();
	FAILS(sm_timedlock(muxrig_files[0], &deadline), ETIMEDOUT);
	OK(sm_stat(muxrig_files[0], &st));
	rig_end();
}

/* The server takes every request and answers none. */
static void
serve_nothing(void)
{
	uint8_t requests[SIZE_KIB];

	muxrig_greet();
	while (read(rig.fd, requests, sizeof requests) > 0)
		continue;
}

/* Gives up waits for the lock, until the connection ends. Returns NULL when it has. */
static void *
give_up_until_the_end(void *arg)
{
	static const struct timespec past = { .tv_sec = 1 };
	int i;

	for (i = 0; i < GIVEN_UP_MOST; i++)
		if (sm_timedlock(arg, &past) == 0 || errno != ETIMEDOUT)
			return errno == ECONNRESET || errno == ENOTCONN ? NULL : arg;
	return arg;
}

static void
calls_that_are_given_up_are_bounded(void **state)
{
	pthread_t threads[MUXRIG_FILES];
	void *failed;
	int i;

	(void)state;
	muxrig_begin(serve_nothing);
	for (i = 0; i < MUXRIG_FILES; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, give_up_until_the_end,
				     muxrig_files[i]),
		    0);
	for (i = 0; i < MUXRIG_FILES; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	rig_end();
}

/* Bytes for others come without a pause, faster than the client can read them. */
static void
serve_without_a_pause(void)
{
	static uint8_t frames[LARGE];
	struct muxrig_request release, acquire;
	size_t i;

	muxrig_greet();
	(void)muxrig_take_request(); /* ACQUIRE */
	rig_answer(0, "0000000000000001 " U64_0);
	release = muxrig_take_request();
	for (i = 0; i < sizeof frames; i += FRAME_HEADER_SIZE)
		frame_put(frames + i, (struct frame){ frame_tagged(release.tag, ESTALE), 0 });
	acquire = muxrig_take_request();
	while (sem_trywait(&muxrig_go_on) != 0 && rig.fd >= 0)
		rig_write(frames, sizeof frames);
	rig_take_any(); /* CANCEL */
	rig_answer_tag(acquire.tag, ECANCELED, "");
	rig_answer(0, "");
	rig_take(OP_STAT, "00000010");
	rig_answer(0, MUXRIG_STAT_REPLY);
}

static void
a_timed_call_returns_while_bytes_for_others_come(void **state)
{
	struct muxrig_caller timed;
	struct sm_stat st;

	(void)state;
	muxrig_begin(serve_without_a_pause);
	OK(sm_lock(muxrig_files[1]));
	OK(sm_unlock(muxrig_files[1]));
	muxrig_start(&timed, CALL_TIMED_SECTION, muxrig_files[0]);
	muxrig_finish(&timed);
	muxrig_expect(&timed, "sm_timedlock", ETIMEDOUT);
	if (patience_is_over(timed.net, muxrig_deadline_ms() + MUXRIG_LATE_MS))
		fail_msg(
		    "sm_timedlock: expected to give up after %lu ms, took %lu, without its "
		    "waits for a processor",
		    (unsigned long)muxrig_deadline_ms(), (unsigned long)(timed.net / CLOCK_MS));
	sem_post(&muxrig_go_on);
	OK(sm_stat(muxrig_files[0], &st));
	rig_end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		MUXRIG_TEST(a_silent_server_is_disconnected_after_its_silence),
		MUXRIG_TEST(half_a_reply_to_another_thread_then_silence_disconnects),
		MUXRIG_TEST(a_server_that_answers_pings_is_waited_for),
		MUXRIG_TEST(silence_is_counted_from_the_last_answer),
		MUXRIG_TEST(a_call_that_waits_for_another_thread_does_not_blame_the_server),
		MUXRIG_TEST(half_a_reply_that_a_fork_gave_up_is_no_silence),
		MUXRIG_TEST(calls_that_are_given_up_are_bounded),
		MUXRIG_TEST(a_timed_call_returns_while_bytes_for_others_come),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
