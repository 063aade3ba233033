/*
 * A critical section, frame by frame: the client's requests, and its use of the replies (PROTOCOL
 * 5, DESIGN 7).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/client/smclient.h"
#include "common/wire/wire.h"
#include "tests/stress/patience.h"
#include "tests/unit/rig.h"

/* The shortest path, frame by frame. */

static void
serve_two_sections(void)
{
	rig_greet();
	rig_grant(U64_0, "0000000000000005", U64_0 NO_BLOCKS);
	rig_take(OP_RELEASE, "00000007 0000000000000005 01 00000001 00001002 00000003 616263");
	rig_grant("0000000000000005", "0000000000000009",
	    "0000000000000008 00000001 00000000 00000002 7879");
	rig_take(OP_RELEASE, "00000007 0000000000000009 01 00000000");
	rig_serve(OP_CLOSE, "00000007", "");
}

static void
a_section_is_an_acquire_and_a_one_way_release(void **state)
{
	(void)state;
	rig_begin(serve_two_sections);
	OK(sm_lock(rig.file));
	memcpy(rig.segment + 4098, "abc", 3);
	OK(sm_unlock(rig.file));
	OK(sm_lock(rig.file));
	assert_memory_equal(rig.segment, "xy", 3);
	assert_memory_equal(rig.segment + 4098, "abc", 3);
	OK(sm_unlock(rig.file));
	OK(sm_unmap(rig.sm, rig.segment));
	OK(sm_close(rig.file));
	rig_end();
}

static void
serve_unpublished(void)
{
	rig_greet();
	rig_grant(U64_0, "0000000000000001", U64_0 NO_BLOCKS);
	rig_take(OP_RELEASE, "00000007 0000000000000001 01 00000001 00000000 00000005 6669727374");
}

static void
a_fresh_mapping_keeps_what_was_written_while_nothing_is_published(void **state)
{
	(void)state;
	rig_begin(serve_unpublished);
	memcpy(rig.segment, "first", 5);
	OK(sm_lock(rig.file));
	assert_memory_equal(rig.segment, "first", 5);
	OK(sm_unlock(rig.file));
	rig_end();
}

static void
serve_published(void)
{
	rig_greet();
	rig_grant(U64_0, "0000000000000002", "0000000000000001 00000001 00001000 00000003 6e6577");
	rig_take(OP_RELEASE, "00000007 0000000000000002 01 00000000");
}

static void
a_fresh_mapping_of_a_published_segment_is_replaced(void **state)
{
	(void)state;
	rig_begin(serve_published);
	memcpy(rig.segment, "first", 5);
	memcpy(rig.segment + 4090, "0123456789012345", 16);
	OK(sm_lock(rig.file));
	assert_memory_equal(rig.segment, "\0\0\0\0\0", 5);
	assert_memory_equal(rig.segment + 4090, "\0\0\0\0\0\0new\0\0\0\0\0\0\0", 16);
	OK(sm_unlock(rig.file));
	rig_end();
}

/* Waiting, trying, reading. */

/* Shared with the script, which reads it only while the client waits. */
static uint64_t deadline_ns;

static void
serve_tries(void)
{
	struct wire_reader r;
	uint64_t now;
	unsigned i;

	rig_greet();
	rig_take(OP_ACQUIRE, "00000007 01 00000000 " U64_0);
	rig_answer(11, "");
	rig_take(OP_ACQUIRE, "00000007 01 00000000 " U64_0);
	rig_answer(0, "0000000000000001 " U64_0 NO_BLOCKS);
	rig_take(OP_RELEASE, "00000007 0000000000000001 01 00000000");
	/* A deadline in the past is a try with another errno. */
	rig_take(OP_ACQUIRE, "00000007 01 00000000 " U64_0);
	rig_answer(11, "");
	for (i = 0; i < 20; i++) {
		if (rig_take_any() != OP_ACQUIRE || rig.body_size != 17)
			rig_surprise("expected an ACQUIRE");
		now = clock_now();
		r = wire_reader(rig.body + 5, 4);
		now += wire_get_u32(&r) * CLOCK_MS;
		if (now < deadline_ns || patience_is_over(now - deadline_ns, 10 * 1000))
			rig_surprise("expected to wait until %ju, got until %ju",
			    (uintmax_t)deadline_ns, (uintmax_t)now);
		rig_answer(110, "");
	}
}

static void
a_try_and_a_deadline_are_told_to_the_server(void **state)
{
	struct timespec ts = { .tv_sec = 0, .tv_nsec = 1 };
	unsigned i;

	(void)state;
	rig_begin(serve_tries);
	FAILS(sm_trylock(rig.file), EAGAIN);
	OK(sm_trylock(rig.file));
	FAILS(sm_trylock(rig.file), EDEADLK);
	FAILS(sm_lock(rig.file), EDEADLK);
	FAILS(sm_rdlock(rig.file), EDEADLK);
	OK(sm_unlock(rig.file));
	FAILS(sm_timedlock(rig.file, &ts), ETIMEDOUT);
	for (i = 0; i < 20; i++) {
		deadline_ns = clock_now() + 90 * CLOCK_SEC;
		ts = clock_timespec(deadline_ns);
		FAILS(sm_timedlock(rig.file, &ts), ETIMEDOUT);
	}
	ts.tv_nsec = 1000000000;
	FAILS(sm_timedlock(rig.file, &ts), EINVAL);
	ts = (struct timespec){ .tv_sec = -1 };
	FAILS(sm_timedlock(rig.file, &ts), EINVAL);
	FAILS(sm_unlock(rig.file), ENOLCK);
	rig_end();
}

static void
serve_readers(void)
{
	rig_greet();
	rig_serve(OP_ACQUIRE, "00000007 02 " FOREVER " " U64_0,
	    "0000000000000004 0000000000000003 00000001 00000000 00000001 41");
	rig_take(OP_RELEASE, "00000007 0000000000000004 01 00000000");
	/*
	 * A change under the shared lock, which is an error, goes out with the next exclusive one.
	 */
	rig_grant("0000000000000003", "0000000000000005", "0000000000000003" NO_BLOCKS);
	rig_take(OP_RELEASE, "00000007 0000000000000005 01 00000001 00000001 00000001 42");
}

static void *
read_in_a_thread(void *arg)
{
	(void)arg;
	if (sm_rdlock(rig.file) != 0 || rig.segment[0] != 'A' || sm_unlock(rig.file) != 0)
		return "the second reader";
	return NULL;
}

static void
readers_share_one_grant_and_publish_nothing(void **state)
{
	pthread_t thread;
	void *result;

	(void)state;
	rig_begin(serve_readers);
	OK(sm_rdlock(rig.file));
	FAILS(sm_rdlock(rig.file), EDEADLK);
	FAILS(sm_lock(rig.file), ENOTSUP);
	pthread_create(&thread, NULL, read_in_a_thread, NULL);
	pthread_join(thread, &result);
	assert_null(result);
	rig.segment[1] = 'B';
	OK(sm_unlock(rig.file));
	OK(sm_lock(rig.file));
	OK(sm_unlock(rig.file));
	rig_end();
}

/* The begin of a session. */

static uint32_t hello_status;
static const char *hello_reply;

static void
serve_bad_hello(void)
{
	rig_accept();
	rig_take(OP_HELLO, "00000002 00000000");
	rig_answer(hello_status, hello_reply);
	rig_take_end();
}

static void
expect_bad_hello(uint32_t status, const char *body, int error)
{
	char uri[200];

	hello_status = status;
	hello_reply = body;
	rig_listen(uri, serve_bad_hello);
	rig.sm = sm_new();
	assert_int_equal(sm_mount(rig.sm, uri, "/m", "smdish", NULL), 0);
	FAILS(sm_open(rig.sm, "/m/f") == NULL ? -1 : 0, error);
	rig_end();
}

static void
a_hello_that_cannot_be_is_an_error(void **state)
{
	(void)state;
	expect_bad_hello(0, "", EPROTO);
	expect_bad_hello(0, "00000002 00000000 00001000 00100000 00", EPROTO);
	expect_bad_hello(0, "00000003 00000000 00001000 00100000 " RIG_INSTANCE, EPROTONOSUPPORT);
	expect_bad_hello(0, "00000002 00000000 00002000 00100000 " RIG_INSTANCE, EPROTONOSUPPORT);
	expect_bad_hello(1, "", EPERM);
	expect_bad_hello(38, "00", EPROTO);
}

static void
serve_open_refused(void)
{
	rig_greet_with("00000000");
	rig_take(OP_OPEN, "00000002 2f66");
	rig_answer(36, "");
	rig_serve(OP_OPEN, "00000002 2f66", "00000000");
	rig_take(OP_MMAP, "00000000 00000010");
	rig_answer(22, "");
	rig_take(OP_STAT, "00000000");
	rig_answer(0,
	    "0000000000000011 0000000000000020 0000000000000000 02 " U64_0
	    " 00000001 00000000 " U64_0);
	rig_serve(OP_MMAP, "00000000 00000020", "");
	rig_take(OP_STAT, "00000000");
	rig_answer(0,
	    "0000000000000011 0000000000000020 0000000000001000 01 0000000000000007"
	    " 00000003 00000002 0000000000000009");
	/* A release was accepted, and nothing was published. */
	rig_take(OP_STAT, "00000000");
	rig_answer(0,
	    "0000000000000011 0000000000000020 0000000000000000 01 " U64_0
	    " 00000003 00000002 0000000000000009");
}

static void
what_the_server_refuses_is_the_callers_errno(void **state)
{
	struct sm_stat st;
	char uri[200];

	(void)state;
	rig_listen(uri, serve_open_refused);
	rig.sm = sm_new();
	assert_int_equal(sm_mount(rig.sm, uri, "/m", "smdish", NULL), 0);
	FAILS(sm_open(rig.sm, "/m/f") == NULL ? -1 : 0, ENAMETOOLONG);
	rig.file = sm_open(rig.sm, "/m/f");
	assert_non_null(rig.file);
	FAILS(sm_dirty(rig.file, 0, 0), EINVAL);
	FAILS(sm_map(rig.file, NULL, 16) == NULL ? -1 : 0, EINVAL);
	FAILS(sm_map(rig.file, NULL, (size_t)3 << 30) == NULL ? -1 : 0, EMSGSIZE);
	rig.segment = sm_map(rig.file, NULL, 0);
	assert_non_null(rig.segment);
	assert_ptr_equal(sm_map(rig.file, NULL, 32), rig.segment);
	FAILS(sm_map(rig.file, NULL, 33) == NULL ? -1 : 0, EINVAL);
	OK(sm_dirty(rig.file, 0, 32));
	OK(sm_dirty(rig.file, 32, 0));
	FAILS(sm_dirty(rig.file, 32, 1), EINVAL);
	FAILS(sm_dirty(rig.file, 1, SIZE_MAX), EINVAL);
	OK(sm_stat(rig.file, &st));
	assert_int_equal(st.life, 0x11);
	assert_int_equal(st.size, 32);
	assert_int_equal(st.committed, 4096);
	assert_int_equal(st.type, SM_TYPE_SEGMENT);
	assert_int_equal(st.version, 7);
	assert_int_equal(st.open_count, 3);
	assert_int_equal(st.waiters, 2);
	assert_int_equal(st.grants, 9);
	assert_memory_equal(st.instance, "\0\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17", 16);
	OK(sm_stat(rig.file, &st));
	assert_int_equal(st.type, SM_TYPE_UNPUBLISHED);
	rig_end();
}

static void
serve_unmapped(void)
{
	rig_greet_with("00000000");
	rig_serve(OP_OPEN, "00000002 2f66", "00000007");
	/* The reply carries the segment that another process has mapped; the client ignores it. */
	rig_grant(U64_0, "0000000000000001", "0000000000000001 00000001 00000000 00000002 6f6b");
	rig_take(OP_RELEASE, "00000007 0000000000000001 01 00000000");
	rig_grant("0000000000000001", "0000000000000002", "0000000000000001 00000000");
	rig_take(OP_RELEASE, "00000007 0000000000000002 01 00000000");
	rig_serve(OP_MMAP, "00000007 00003005", "");
	rig_grant(U64_0, "0000000000000003", "0000000000000001 00000001 00000000 00000002 6f6b");
	rig_take(OP_RELEASE, "00000007 0000000000000003 01 00000000");
}

static void
a_file_is_locked_without_a_mapping_and_mapped_when_free(void **state)
{
	(void)state;
	rig_begin_with(NULL, serve_unmapped);
	OK(sm_lock(rig.file));
	FAILS(sm_map(rig.file, NULL, RIG_SEGMENT) == NULL ? -1 : 0, EBUSY);
	OK(sm_unlock(rig.file));
	OK(sm_lock(rig.file));
	OK(sm_unlock(rig.file));
	rig.segment = sm_map(rig.file, NULL, RIG_SEGMENT);
	assert_non_null(rig.segment);
	OK(sm_lock(rig.file));
	assert_memory_equal(rig.segment, "ok", 3);
	FAILS(sm_unmap(rig.sm, rig.segment), EBUSY);
	FAILS(sm_unmap(rig.sm, rig.segment + 1), EINVAL);
	OK(sm_unlock(rig.file));
	OK(sm_unmap(rig.sm, rig.segment));
	FAILS(sm_unmap(rig.sm, rig.segment), EINVAL);
	rig_end();
}

static void
serve_full(void)
{
	rig_greet();
	rig_grant(U64_0, "0000000000000001", U64_0 NO_BLOCKS);
	if (rig_take_any() != OP_RELEASE || rig.body_size != 13 + 4 + 8 + RIG_SEGMENT ||
	    rig.body[13 + 4 + 8] != 'X')
		rig_surprise("expected the whole rig.segment, got %u bytes", rig.body_size);
	rig_grant(U64_0, "0000000000000002", "0000000000000001 00000001 00000000 00000001 58");
}

static void
sync_full_asks_for_and_sends_everything(void **state)
{
	(void)state;
	rig_begin_with("sync=full", serve_full);
	rig.segment = sm_map(rig.file, NULL, RIG_SEGMENT);
	assert_non_null(rig.segment);
	rig_publish('X');
	OK(sm_lock(rig.file));
	rig_end();
}

/* The process around it. */

static void
serve_a_wait(void)
{
	rig_greet();
	rig_take(OP_ACQUIRE, "00000007 01 " FOREVER " " U64_0);
	usleep(100 * 1000);
	rig_answer(0, "0000000000000001 " U64_0 NO_BLOCKS);
	rig_take(OP_RELEASE, "00000007 0000000000000001 01 00000000");
}

static volatile sig_atomic_t signals;

static void
count_signal(int number)
{
	(void)number;
	signals++;
}

static void
a_lock_goes_on_waiting_after_a_signal(void **state)
{
	const struct itimerval often = { { 0, 5000 }, { 0, 5000 } }, never = { { 0, 0 }, { 0, 0 } };
	struct sigaction act = { .sa_handler = count_signal };

	(void)state;
	rig_begin(serve_a_wait);
	sigaction(SIGALRM, &act, NULL);
	signals = 0;
	setitimer(ITIMER_REAL, &often, NULL);
	OK(sm_lock(rig.file));
	setitimer(ITIMER_REAL, &never, NULL);
	assert_true(signals > 0);
	OK(sm_unlock(rig.file));
	rig_end();
}

static void
serve_a_parent(void)
{
	rig_greet();
	rig_grant(U64_0, "0000000000000001", U64_0 NO_BLOCKS);
	rig_serve(OP_FORK, "", "0123456789abcdef");
	/* The child has changed nothing here. */
	rig_take(OP_RELEASE, "00000007 0000000000000001 01 00000001 00000000 00000001 70");
	rig_serve(OP_CLOSE, "00000007", "");
}

/* In the child: every call fails, and sends nothing to the server. Returns the exit status. */
/* The calls of a child without a connection of its own. Returns the number of failures. */
static int
use_what_is_here(void)
{
	int failures = 0;

	failures += sm_unlock(rig.file) == 0 || errno != ENOLCK;
	failures += *sm_error(rig.sm) == '\0';
	failures += rig.segment[0] != 'p';
	return failures;
}

static void
a_forked_child_sends_nothing_on_its_parents_connection(void **state)
{
	int status, over[2];
	pid_t pid;
	char byte;

	(void)state;
	assert_int_equal(pipe(over), 0);
	rig_begin(serve_a_parent);
	OK(sm_lock(rig.file));
	rig.segment[0] = 'p';
	pid = fork();
	if (pid == 0) {
		int failures = use_what_is_here();

		/*
		 * Stay until the parent is done, so that no new connection closes the child's copy.
		 */
		close(over[1]);
		_exit(read(over[0], &byte, 1) != 0 ? 1 : failures);
	}
	OK(sm_unlock(rig.file));
	OK(sm_unmap(rig.sm, rig.segment));
	OK(sm_close(rig.file));
	rig_end();
	close(over[0]);
	close(over[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_section_is_an_acquire_and_a_one_way_release),
		cmocka_unit_test(a_fresh_mapping_keeps_what_was_written_while_nothing_is_published),
		cmocka_unit_test(a_fresh_mapping_of_a_published_segment_is_replaced),
		cmocka_unit_test(a_try_and_a_deadline_are_told_to_the_server),
		cmocka_unit_test(readers_share_one_grant_and_publish_nothing),
		cmocka_unit_test(a_hello_that_cannot_be_is_an_error),
		cmocka_unit_test(what_the_server_refuses_is_the_callers_errno),
		cmocka_unit_test(a_file_is_locked_without_a_mapping_and_mapped_when_free),
		cmocka_unit_test(sync_full_asks_for_and_sends_everything),
		cmocka_unit_test(a_lock_goes_on_waiting_after_a_signal),
		cmocka_unit_test(a_forked_child_sends_nothing_on_its_parents_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
