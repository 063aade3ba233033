/* The client speaks version 1 with a server that answers HELLO with ENOSYS (PROTOCOL 4). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/client/smclient.h"
#include "tests/stress/patience.h"
#include "tests/unit/rig.h"

enum { REFUSALS = 20, LOCK_MOST_MS = 1000 };

/* Version 1. */

static void
greet_v1(void)
{
	rig_accept();
	rig_take(OP_HELLO, "00000002 00000000");
	rig_answer(38, "");
	rig_serve(OP_NEW_FDTABLE, "", "");
	rig_serve(OP_OPEN, "00000002 2f66", "00000000");
}

static void
serve_v1(void)
{
	greet_v1();
	rig_take(OP_LOCK, "00000000 00");
	rig_answer(11, "");
	rig_take(OP_LOCK, "00000000 00");
	rig_answer(11, "");
	rig_serve(OP_LOCK, "00000000 00", "00");
	rig_serve(OP_UNLOCK, "00000000 00", "");
	rig_take(OP_LOCK, "00000000 00");
	rig_answer(11, "");
	rig_serve(OP_MMAP, "00000000 00000004", "");
	rig_serve(OP_LOCK, "00000000 01", "02");
	rig_serve(OP_UNLOCK, "00000000 01 00000004 61620000", "");
	rig_serve(OP_LOCK, "00000000 01", "01 00000004 77787980");
	rig_take(OP_UNLOCK, "00000000 01 00000004 7778797a");
	rig_answer(22, "");
	/* The replica is void, which version 1 does not show. */
	rig_serve(OP_LOCK, "00000000 01", "01 00000004 31323334");
	rig_serve(OP_UNLOCK, "00000000 01 00000004 31323334", "");
	rig_serve(OP_LOCK, "00000000 01", "01 00000004 31323334");
	rig_serve(OP_UNLOCK, "00000000 01 00000004 31323334", "");
	rig_serve(OP_CLOSE, "00000000", "");
}

static void
the_client_speaks_version_1_with_a_version_1_server(void **state)
{
	struct sm_file *second;
	struct sm_stat st;

	(void)state;
	rig_begin_with(NULL, serve_v1);
	OK(sm_lock(rig.file));
	OK(sm_unlock(rig.file));
	FAILS(sm_trylock(rig.file), EAGAIN);
	FAILS(sm_stat(rig.file, &st), ENOTSUP);
	FAILS(sm_map(rig.file, NULL, 0) == NULL ? -1 : 0, ENOTSUP);
	rig.segment = sm_map(rig.file, NULL, 4);
	assert_non_null(rig.segment);
	rig.segment[0] = 'a';
	OK(sm_lock(rig.file));
	rig.segment[1] = 'b';
	OK(sm_unlock(rig.file));
	OK(sm_lock(rig.file));
	assert_memory_equal(rig.segment, "wxy\x80", 4);
	rig.segment[3] = 'z';
	FAILS(sm_unlock(rig.file), EINVAL);
	OK(sm_rdlock(rig.file));
	assert_memory_equal(rig.segment, "1234", 4);
	OK(sm_unlock(rig.file));
	/* Closing the holder sends back what the server sent. */
	second = sm_open(rig.sm, "/m/f");
	assert_non_null(second);
	OK(sm_lock(second));
	rig.segment[0] = 'X';
	OK(sm_close(second));
	OK(sm_unmap(rig.sm, rig.segment));
	OK(sm_close(rig.file));
	rig_end();
}

static void
serve_v1_busy(void)
{
	int i;

	greet_v1();
	for (i = 0; i < REFUSALS; i++) {
		rig_take(OP_LOCK, "00000000 00");
		rig_answer(11, "");
	}
	rig_serve(OP_LOCK, "00000000 00", "00");
	rig_serve(OP_UNLOCK, "00000000 00", "");
	rig_serve(OP_CLOSE, "00000000", "");
}

/* Pauses of 50 us that double up to 5 ms: seven, and then thirteen. */
static void
a_version_1_lock_is_polled_with_growing_pauses(void **state)
{
	const uint64_t least = 127 * 50 * 1000 + 13 * 5 * CLOCK_MS;
	struct timespec limit = clock_timespec(patience_until(PATIENCE_MS));
	uint64_t begun, took;

	(void)state;
	rig_begin_with(NULL, serve_v1_busy);
	begun = clock_now();
	OK(sm_timedlock(rig.file, &limit));
	took = clock_now() - begun;
	if (took < least || patience_is_over(took, LOCK_MOST_MS))
		fail_msg("expected the lock after %lu us, it took %lu us",
		    (unsigned long)(least / 1000), (unsigned long)(took / 1000));
	OK(sm_unlock(rig.file));
	OK(sm_close(rig.file));
	rig_end();
}

static void
serve_v1_without_an_answer_to_fork(void)
{
	greet_v1();
	rig_take(OP_FORK, "");
	rig_take_end();
}

/* Its reply, which comes late, would be taken for that to the next request. */
static void
a_version_1_server_that_does_not_answer_a_fork_is_disconnected(void **state)
{
	pid_t pid;

	(void)state;
	rig_begin_with(NULL, serve_v1_without_an_answer_to_fork);
	pid = fork();
	if (pid == 0)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	FAILS(sm_lock(rig.file), ENOTCONN);
	rig_end();
}

static const char *bad_grant;

static void
serve_v1_bad(void)
{
	greet_v1();
	rig_serve(OP_MMAP, "00000000 00000004", "");
	rig_take(OP_LOCK, "00000000 01");
	rig_answer(0, bad_grant);
	rig_take_end();
}

static void
a_malformed_version_1_reply_touches_nothing(void **state)
{
	const char *bad[] = { "", "00", "03", "01", "01 00000003 616263", "01 00000004 616263",
		"02 00", "01 00000005 6162636465" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		bad_grant = bad[i];
		rig_begin_with(NULL, serve_v1_bad);
		rig.segment = sm_map(rig.file, NULL, 4);
		assert_non_null(rig.segment);
		FAILS(sm_lock(rig.file), EPROTO);
		assert_int_equal(rig.segment[0], 0);
		FAILS(sm_lock(rig.file), ENOTCONN);
		rig_end();
	}
}

static void
serve_v1_and_forget(void)
{
	greet_v1();
	rig_serve(OP_MMAP, "00000000 00000004", "");
	rig_serve(OP_LOCK, "00000000 01", "01 00000004 61626364");
	rig_serve(OP_UNLOCK, "00000000 01 00000004 61626364", "");
	rig_serve(OP_LOCK, "00000000 01", "02");
	rig_take_end();
}

static void
a_version_1_server_does_not_take_back_what_was_published(void **state)
{
	(void)state;
	rig_begin_with(NULL, serve_v1_and_forget);
	rig.segment = sm_map(rig.file, NULL, 4);
	assert_non_null(rig.segment);
	OK(sm_lock(rig.file));
	OK(sm_unlock(rig.file));
	FAILS(sm_lock(rig.file), EPROTO);
	rig_end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_client_speaks_version_1_with_a_version_1_server),
		cmocka_unit_test(a_version_1_lock_is_polled_with_growing_pauses),
		cmocka_unit_test(a_version_1_server_that_does_not_answer_a_fork_is_disconnected),
		cmocka_unit_test(a_malformed_version_1_reply_touches_nothing),
		cmocka_unit_test(a_version_1_server_does_not_take_back_what_was_published),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
