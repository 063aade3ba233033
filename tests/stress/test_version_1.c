/*
 * Our client and a server that speaks version 1 only: it answers HELLO with ENOSYS, and the client
 * polls for its locks.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "tests/stress/client.h"
#include "tests/stress/daemon.h"
#include "tests/stress/patience.h"
#include "tests/stress/v1server.h"

enum {
	WORKERS = 2,
	INCREMENTS = 2000, /* of each */
	SEGMENT = 16 * SIZE_KIB + 100,
	BRIEF_MS = 100,
	LATE_MS = 20,         /* how late the last answer may be */
	FAR = SEGMENT / 8 - 1 /* the last word of the segment */
};

/* A directory without a daemon, for client_create(). */
static struct daemon place;
static pid_t server = -1;

static int
start_server(void **state)
{
	const struct daemon_config config = { .pki = NULL };

	(void)state;
	daemon_init(&place, &config);
	server = v1server_start(place.socket);
	return 0;
}

static int
stop_server(void **state)
{
	(void)state;
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	daemon_fini(&place);
	return 0;
}

/* In a child. */
static void __attribute__((noreturn)) count(const char *path)
{
	struct client u;
	int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!client_open(&u, &place, path, SEGMENT))
		_exit(2);
	for (i = 0; i < INCREMENTS; i++) {
		if (sm_lock(u.file) != 0)
			_exit(3);
		if (u.words[0] != u.words[FAR])
			_exit(4);
		u.words[0]++;
		u.words[FAR]++;
		if (sm_unlock(u.file) != 0)
			_exit(5);
	}
	client_close(&u);
	_exit(0);
}

static void
two_processes_count_exactly(void **state)
{
	struct client keeper;
	pid_t pids[WORKERS];
	int i, status;

	(void)state;
	client_expect_open(&keeper, &place, CLIENT_MOUNT "/counter", SEGMENT);
	for (i = 0; i < WORKERS; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			count(CLIENT_MOUNT "/counter");
	}
	for (i = 0; i < WORKERS; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(sm_lock(keeper.file), 0);
	assert_int_equal(keeper.words[0], WORKERS * INCREMENTS);
	assert_int_equal(keeper.words[FAR], WORKERS * INCREMENTS);
	assert_int_equal(sm_unlock(keeper.file), 0);
	client_close(&keeper);
}

/* The moment ms from now, for sm_timedlock(). */
static struct timespec
moment(uint64_t ms)
{
	return clock_timespec(clock_after_ms(clock_now(), ms));
}

static void
a_lock_that_is_held_is_waited_for_and_no_longer_than_asked(void **state)
{
	uint64_t begun, took;
	struct timespec when;
	struct client a, b;

	(void)state;
	client_expect_open(&a, &place, CLIENT_MOUNT "/pure", 0);
	client_expect_open(&b, &place, CLIENT_MOUNT "/pure", 0);
	assert_int_equal(sm_lock(a.file), 0);
	assert_int_equal(sm_trylock(b.file), -1);
	assert_int_equal(errno, EAGAIN);
	begun = clock_now();
	when = moment(BRIEF_MS);
	assert_int_equal(sm_timedlock(b.file, &when), -1);
	assert_int_equal(errno, ETIMEDOUT);
	took = clock_now() - begun;
	if (took < BRIEF_MS * CLOCK_MS || patience_is_over(took - BRIEF_MS * CLOCK_MS, 1000))
		fail_msg("sm_timedlock: expected ETIMEDOUT after %d ms, it came after %lu ms",
		    BRIEF_MS, (unsigned long)(took / CLOCK_MS));
	assert_int_equal(sm_unlock(a.file), 0);
	/* A server that was late with its last answer has cost the connection: smclient(3). */
	if (took > (BRIEF_MS + LATE_MS) * CLOCK_MS) {
		client_close(&b);
		client_expect_open(&b, &place, CLIENT_MOUNT "/pure", 0);
	}
	when = moment(patience_ms(PATIENCE_MS));
	assert_int_equal(sm_timedlock(b.file, &when), 0);
	assert_int_equal(sm_unlock(b.file), 0);
	client_close(&a);
	client_close(&b);
}

static void
a_killed_holder_publishes_nothing_and_its_lock_is_free(void **state)
{
	struct client a;
	int status;
	pid_t pid;

	(void)state;
	client_expect_open(&a, &place, CLIENT_MOUNT "/killed", SEGMENT);
	assert_int_equal(sm_lock(a.file), 0);
	a.words[0] = 1;
	assert_int_equal(sm_unlock(a.file), 0);
	pid = fork();
	if (pid == 0) {
		struct client dying;

		if (!client_open(&dying, &place, CLIENT_MOUNT "/killed", SEGMENT) ||
		    sm_lock(dying.file) != 0 || dying.words[0] != 1)
			_exit(2);
		dying.words[0] = 2;
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(sm_lock(a.file), 0);
	assert_int_equal(a.words[0], 1);
	assert_int_equal(sm_unlock(a.file), 0);
	client_close(&a);
}

static void
what_version_1_cannot_do_is_told(void **state)
{
	struct sm_stat stat;
	struct client a, b;

	(void)state;
	client_expect_open(&a, &place, CLIENT_MOUNT "/limits", SEGMENT);
	client_expect_open(&b, &place, CLIENT_MOUNT "/limits", 0);
	assert_int_equal(sm_stat(a.file, &stat), -1);
	assert_int_equal(errno, ENOTSUP);
	assert_null(sm_map(b.file, NULL, 0));
	assert_int_equal(errno, ENOTSUP);
	/* The file has a segment, but this client has not mapped it. */
	assert_int_equal(sm_lock(b.file), -1);
	assert_int_equal(errno, EBADE);
	assert_null(sm_map(b.file, NULL, SEGMENT + 1));
	assert_int_equal(errno, EINVAL);
	assert_int_equal(sm_lock(a.file), 0);
	assert_int_equal(sm_unlock(a.file), 0);
	client_close(&a);
	client_close(&b);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_processes_count_exactly),
		cmocka_unit_test(a_lock_that_is_held_is_waited_for_and_no_longer_than_asked),
		cmocka_unit_test(a_killed_holder_publishes_nothing_and_its_lock_is_free),
		cmocka_unit_test(what_version_1_cannot_do_is_told),
	};

	return cmocka_run_group_tests_name("version 1", tests, start_server, stop_server);
}
