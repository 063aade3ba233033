/*
 * fork(2), and the end of a child, of its parent, or of the server: the file, its lock and the
 * descriptors at the server do not outlive those that had them.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "tests/stress/child.h"
#include "tests/stress/forkrig.h"
#include "tests/stress/patience.h"
#include "tests/stress/procfs.h"

static void
a_thousand_children_that_only_exec(void **state)
{
	enum { CHILDREN = 1000 };
	struct sm_stat before, after;
	int64_t fds = procfs_usage(getpid()).fds;
	int i;

	(void)state;
	assert_int_equal(sm_stat(forkrig_mine.file, &before), 0);
	for (i = 0; i < CHILDREN; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			execl("/bin/true", "true", (char *)NULL);
			_exit(1);
		}
		child_expect_success(pid);
	}
	assert_int_equal(sm_stat(forkrig_mine.file, &after), 0);
	/*
	 * The library closes unused copies together, a few at a time; and it leaves no descriptor
	 * here.
	 */
	if (after.open_count > before.open_count + 64)
		fail_msg("the server keeps %u descriptors for %d children that are gone",
		    after.open_count - before.open_count, CHILDREN);
	assert_true(procfs_usage(getpid()).fds <= fds + 64);
	assert_int_equal(forkrig_increment(1), 0);
}

/* Opens and closes path; returns whether the file existed before. */
static bool
is_there(const char *path)
{
	struct sm *other = client_create(&forkrig_server);
	struct sm_file *f = other == NULL ? NULL : sm_open(other, path);
	struct sm_stat st;

	assert_non_null(f);
	assert_int_equal(sm_stat(f, &st), 0);
	sm_free(other);
	return st.open_count > 1;
}

static void
a_file_does_not_outlive_those_who_had_it_open(void **state)
{
	struct sm *parents = client_create(&forkrig_server);
	pid_t pid;

	(void)state;
	assert_non_null(sm_open(parents, CLIENT_MOUNT "/gone"));
	pid = fork();
	if (pid == 0)
		_exit(0);
	child_expect_success(pid);
	assert_true(is_there(CLIENT_MOUNT "/gone"));
	sm_free(parents);
	assert_false(is_there(CLIENT_MOUNT "/gone"));
}

/* Waits until the file is open count times. */
static void
await_opens(uint32_t count, uint64_t ms)
{
	uint64_t deadline = patience_until(ms);
	struct sm_stat st;

	do {
		assert_int_equal(sm_stat(forkrig_mine.file, &st), 0);
		if (st.open_count == count)
			return;
		patience_breathe();
	} while (clock_now() < deadline);
	fail_msg("the file is open %u times, not %u", st.open_count, count);
}

static void
a_child_that_dies_before_its_first_call_is_noticed(void **state)
{
	enum { NOTICED_MS = 2000 };
	pid_t pid;

	(void)state;
	await_opens(1, NOTICED_MS);
	pid = child_begin();
	if (pid == 0) {
		pause();
		_exit(1);
	}
	await_opens(2, NOTICED_MS);
	assert_int_equal(kill(pid, SIGKILL), 0);
	await_opens(1, NOTICED_MS);
	assert_true(child_was_killed(pid));
}

/* Shared by the processes of a test. */
struct shared {
	_Atomic pid_t pid;
	_Atomic int result; /* of the grandchild: 1 more than its failures */
};

static void
a_killed_parents_lock_is_free_though_its_child_idles(void **state)
{
	struct shared *s = child_share(sizeof *s);
	uint64_t begun, deadline;
	pid_t parent, child;
	int status;

	(void)state;
	assert_int_equal(forkrig_increment(5), 0);
	parent = fork();
	if (parent == 0) {
		if (sm_lock(forkrig_mine.file) != 0)
			_exit(1);
		*forkrig_mine.words = 666;
		child = fork();
		if (child == 0) {
			/* Idles until its parent is dead, then uses the files that it inherited. */
			while (s->result == 0)
				usleep(1000);
			s->result = 100 + forkrig_increment(1);
			_exit(0);
		}
		s->pid = child;
		pause();
	}
	deadline = patience_until(PATIENCE_MS);
	while (s->pid == 0 && clock_now() < deadline)
		patience_breathe();
	assert_int_equal(kill(parent, SIGKILL), 0);
	begun = clock_now();
	assert_int_equal(sm_lock(forkrig_mine.file), 0);
	if (patience_is_over(clock_now() - begun, 50))
		fail_msg("the lock was free after %lu us",
		    (unsigned long)(clock_now() - begun) / 1000);
	assert_int_equal(*forkrig_mine.words, 5);
	assert_int_equal(sm_unlock(forkrig_mine.file), 0);
	assert_int_equal(waitpid(parent, &status, 0), parent);
	s->result = 1;
	while (s->result < 100 && clock_now() < deadline)
		patience_breathe();
	assert_int_equal(s->result, 100);
	assert_int_equal(forkrig_read(), 6);
}

static void
a_child_can_free_all_without_having_called(void **state)
{
	pid_t pid;

	(void)state;
	assert_int_equal(forkrig_increment(1), 0);
	pid = fork();
	if (pid == 0) {
		sm_free(forkrig_mine.sm);
		_exit(0);
	}
	child_expect_success(pid);
	pid = fork();
	if (pid == 0) {
		int failures = forkrig_increment(1);

		failures += FORKRIG_MUST(sm_unmap(forkrig_mine.sm, forkrig_mine.words));
		failures += FORKRIG_MUST(sm_close(forkrig_mine.file));
		sm_free(forkrig_mine.sm);
		_exit(failures);
	}
	child_expect_success(pid);
	assert_int_equal(forkrig_read(), 2);
}

static void
a_child_comes_after_its_server_ended(void **state)
{
	pid_t pid;
	int go[2];
	char byte;

	(void)state;
	assert_int_equal(pipe(go), 0);
	pid = fork();
	if (pid == 0) {
		close(go[1]);
		if (read(go[0], &byte, 1) != 0)
			_exit(1);
		if (sm_lock(forkrig_mine.file) == 0 || (errno != ENOTCONN && errno != ECONNRESET))
			_exit(2);
		_exit(0);
	}
	close(go[0]);
	daemon_stop(&forkrig_server);
	daemon_start(&forkrig_server);
	close(go[1]);
	child_expect_success(pid);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		FORKRIG_TEST(a_thousand_children_that_only_exec),
		FORKRIG_TEST(a_file_does_not_outlive_those_who_had_it_open),
		FORKRIG_TEST(a_child_that_dies_before_its_first_call_is_noticed),
		FORKRIG_TEST(a_killed_parents_lock_is_free_though_its_child_idles),
		FORKRIG_TEST(a_child_can_free_all_without_having_called),
		FORKRIG_TEST(a_child_comes_after_its_server_ended),
	};

	return cmocka_run_group_tests_name("fork_ends", tests, forkrig_start, forkrig_finish);
}
