/*
 * fork(2): parent and child both go on with all files, each over its own connection (PROTOCOL 6).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "tests/stress/child.h"
#include "tests/stress/forkrig.h"
#include "tests/stress/patience.h"
#include "tests/stress/testpoint.h"

enum { IDLE_SECONDS = 2 };

static void
parent_and_children_count_to_the_exact_sum(void **state)
{
	enum { CHILDREN = 6, TIMES = 300 };

	(void)state;
	child_increment_together(CHILDREN, TIMES, forkrig_increment);
	assert_int_equal(forkrig_read(), 2 * TIMES + CHILDREN * (10 + TIMES));
}

static void
a_lock_stays_with_the_parent(void **state)
{
	pid_t pid;
	int tried[2];
	char byte;

	(void)state;
	assert_int_equal(pipe(tried), 0);
	assert_int_equal(sm_lock(forkrig_mine.file), 0);
	*forkrig_mine.words = 41;
	pid = fork();
	if (pid == 0) {
		if (sm_unlock(forkrig_mine.file) == 0 || errno != ENOLCK)
			_exit(1);
		if (sm_trylock(forkrig_mine.file) == 0 || errno != EAGAIN)
			_exit(2);
		close(tried[1]);
		/*
		 * The parent wrote this without publishing it yet: the child waits for its release.
		 */
		if (sm_lock(forkrig_mine.file) != 0 || *forkrig_mine.words != 42)
			_exit(3);
		*forkrig_mine.words = 43;
		_exit(sm_unlock(forkrig_mine.file) == 0 ? 0 : 4);
	}
	close(tried[1]);
	assert_int_equal(read(tried[0], &byte, 1), 0);
	close(tried[0]);
	*forkrig_mine.words = 42;
	assert_int_equal(sm_unlock(forkrig_mine.file), 0);
	child_expect_success(pid);
	assert_int_equal(forkrig_read(), 43);
}

static void
grandchildren_inherit_too(void **state)
{
	pid_t pid;
	int status;

	(void)state;
	pid = fork();
	if (pid == 0) {
		/* The child has made no call yet when it forks. */
		pid_t grandchild = fork();

		if (grandchild == 0) {
			pid_t last;

			if (forkrig_increment(10) != 0)
				_exit(1);
			last = fork();
			if (last == 0)
				_exit(forkrig_increment(10));
			_exit(waitpid(last, &status, 0) != last || status != 0);
		}
		if (waitpid(grandchild, &status, 0) != grandchild || status != 0)
			_exit(2);
		_exit(forkrig_increment(10));
	}
	child_expect_success(pid);
	assert_int_equal(forkrig_read(), 30);
}

static _Atomic bool stop;

static void *
lock_and_unlock(void *failures)
{
	while (!stop)
		*(int *)failures += forkrig_increment(1);
	return NULL;
}

/*
 * Returns how often a child locks whose parent has other threads. AddressSanitizer (that of gcc 12
 * and of clang 14) does not hold the locks of its allocator across a fork: a child that allocates
 * may wait for ever for a thread that it does not have. With it the child makes no call; the parent
 * does the same as otherwise.
 */
static int
times_in_child(void)
{
	const char *variant = getenv("VARIANT");

	return variant != NULL && strcmp(variant, "asan") == 0 ? 0 : 5;
}

static void
threads_are_in_calls_meanwhile(void **state)
{
	enum { THREADS = 4, FORKS = 30 };
	pthread_t threads[THREADS];
	int failures[THREADS] = { 0 }, times = times_in_child(), i;
	uint64_t before, after;
	pid_t pid;

	(void)state;
	stop = false;
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, lock_and_unlock, &failures[i]),
		    0);
	for (i = 0; i < FORKS; i++) {
		pid = fork();
		if (pid == 0)
			_exit(forkrig_increment(times));
		child_expect_success(pid);
	}
	stop = true;
	for (i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(failures[i], 0);
	}
	before = forkrig_read();
	assert_true(before >= (uint64_t)(FORKS * times));
	assert_int_equal(forkrig_increment(1), 0);
	after = forkrig_read();
	assert_int_equal(after, before + 1);
}

/* The socket is in a directory of the test's user alone. */
static void
a_child_without_privileges_uses_what_it_inherited(void **state)
{
	enum { NOBODY = 65534 };
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	pid = child_begin();
	if (pid == 0) {
		child_expect(setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0,
		    "another user");
		child_expect(access(forkrig_server.socket, W_OK) != 0, "a socket out of reach");
		_exit(forkrig_increment(1));
	}
	child_expect_success(pid);
	assert_int_equal(forkrig_read(), 1);
}

/* At the fork the server's socket is out of reach. */
static void
a_child_connects_by_itself_when_its_parent_could_not(void **state)
{
	char away[DAEMON_PATH_SIZE + 8];
	atomic_bool *go = child_share(2 * sizeof *go), *has_tried = go + 1;
	pid_t pid;

	(void)state;
	snprintf(away, sizeof away, "%s.away", forkrig_server.socket);
	assert_int_equal(rename(forkrig_server.socket, away), 0);
	pid = child_begin();
	if (pid == 0) {
		child_expect(sm_lock(forkrig_mine.file) != 0, "no connection");
		atomic_store(has_tried, true);
		child_expect(child_await(go, PATIENCE_MS), "the parent's word");
		_exit(forkrig_increment(1));
	}
	assert_true(child_await(has_tried, PATIENCE_MS));
	assert_int_equal(forkrig_increment(1), 0);
	assert_int_equal(rename(away, forkrig_server.socket), 0);
	atomic_store(go, true);
	child_expect_success(pid);
	assert_int_equal(forkrig_read(), 2);
}

static void
many_children_that_wait_at_a_time(void **state)
{
	enum { CHILDREN = 200 };
	int i, status, ready[2], connecting = 1 + (int)((CHILDREN - 1) * 100 / patience_ms(100));
	char byte = 0;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	for (i = 0; i < CHILDREN; i++) {
		if (fork() == 0) {
			close(ready[1]);
			/* Wait until the parent lets this child go. */
			if (read(ready[0], &byte, 1) != 1)
				_exit(2);
			_exit(forkrig_increment(1));
		}
	}
	close(ready[0]);
	/*
	 * A busy machine does not complete 200 handshakes at a time within the 10 s that each may
	 * take.
	 */
	for (i = 0; i < connecting; i++)
		assert_int_equal(write(ready[1], &byte, 1), 1);
	for (i = 0; i < CHILDREN; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
		if (connecting + i < CHILDREN)
			assert_int_equal(write(ready[1], &byte, 1), 1);
	}
	close(ready[1]);
	assert_int_equal(forkrig_read(), CHILDREN);
}

static void
stop_server(const char *step, void *unused)
{
	(void)step;
	(void)unused;
	daemon_signal(&forkrig_server, SIGSTOP);
}

/* Forks a child whose server stops before it sees that child's CHILD_ATTACH. */
static pid_t
fork_at_a_silent_server(void)
{
	pid_t pid;

	testpoint_plan_call("inherit: connected", 1, stop_server, NULL);
	pid = child_begin();
	testpoint_forget();
	return pid;
}

/* The child ends well; with its two sections the next one is the third. */
static void
continue_and_count_three(pid_t pid)
{
	daemon_signal(&forkrig_server, SIGCONT);
	child_expect_success(pid);
	assert_int_equal(forkrig_increment(1), 0);
	assert_int_equal(forkrig_read(), 3);
}

/* It was sent, so the server may have used the ident up. */
static void
a_child_waits_for_the_answer_that_its_parent_did_not_get(void **state)
{
	pid_t pid = fork_at_a_silent_server();

	(void)state;
	if (pid == 0)
		_exit(forkrig_increment(2));
	continue_and_count_three(pid);
}

static void
a_child_that_waits_for_that_answer_may_fork_and_free(void **state)
{
	pid_t pid = fork_at_a_silent_server(), grandchild;

	(void)state;
	if (pid == 0) {
		grandchild = fork();
		if (grandchild == 0) {
			/* It has inherited nothing, and can still free. */
			sm_free(forkrig_mine.sm);
			_exit(EXIT_SUCCESS);
		}
		daemon_signal(&forkrig_server, SIGCONT);
		child_expect(grandchild > 0 && child_has_ended_well(grandchild), "the grandchild");
		_exit(forkrig_increment(2));
	}
	child_expect_success(pid);
	pid = fork_at_a_silent_server();
	if (pid == 0) {
		sm_free(forkrig_mine.sm);
		_exit(EXIT_SUCCESS);
	}
	continue_and_count_three(pid);
}

/* Its parent's server is silent, and each of its files is one that it would attach for. */
static void
a_child_without_a_connection_frees_all_at_once(void **state)
{
	enum { FILES = 8, BOUND_MS = 1000 };
	char away[DAEMON_PATH_SIZE + 8], path[32];
	uint64_t begun, took;
	pid_t pid;
	int i;

	(void)state;
	for (i = 0; i < FILES; i++) {
		snprintf(path, sizeof path, CLIENT_MOUNT "/free%d", i);
		assert_non_null(sm_open(forkrig_mine.sm, path));
	}
	snprintf(away, sizeof away, "%s.away", forkrig_server.socket);
	assert_int_equal(rename(forkrig_server.socket, away), 0);
	pid = child_begin();
	if (pid == 0) {
		child_expect(rename(away, forkrig_server.socket) == 0, "the socket is back");
		daemon_signal(&forkrig_server, SIGSTOP);
		begun = clock_now();
		sm_free(forkrig_mine.sm);
		took = clock_now() - begun;
		daemon_signal(&forkrig_server, SIGCONT);
		child_expect(!patience_is_over(took, BOUND_MS), "freed at once");
		_exit(EXIT_SUCCESS);
	}
	child_expect_success(pid);
	assert_int_equal(forkrig_increment(1), 0);
}

/* IDLE in the environment sets the seconds; 120 covers two full minutes. */
static unsigned
idle_seconds(void)
{
	const char *text = getenv("IDLE");

	return text == NULL ? IDLE_SECONDS : (unsigned)atoi(text);
}

static void
a_child_may_idle_as_long_as_its_parent_lives(void **state)
{
	pid_t pid;

	(void)state;
	assert_int_equal(forkrig_increment(1), 0);
	pid = fork();
	if (pid == 0) {
		sleep(idle_seconds());
		_exit(forkrig_increment(1));
	}
	child_expect_success(pid);
	assert_int_equal(forkrig_read(), 2);
}

static void
a_fork_that_skips_the_handlers_is_noticed(void **state)
{
	pid_t pid;

	(void)state;
	assert_int_equal(forkrig_increment(1), 0);
	pid = (pid_t)syscall(SYS_fork);
	if (pid == 0) {
		struct sm_file *again;

		if (sm_unlock(forkrig_mine.file) == 0 || errno != ENOLCK)
			_exit(1);
		if (sm_lock(forkrig_mine.file) == 0 || errno != ESTALE)
			_exit(2);
		/* The child can open anew, over its own connection. */
		again = sm_open(forkrig_mine.sm, CLIENT_MOUNT "/again");
		if (again == NULL || sm_lock(again) != 0 || sm_unlock(again) != 0)
			_exit(3);
		_exit(0);
	}
	child_expect_success(pid);
	assert_int_equal(forkrig_increment(1), 0);
	assert_int_equal(forkrig_read(), 2);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		FORKRIG_TEST(parent_and_children_count_to_the_exact_sum),
		FORKRIG_TEST(a_lock_stays_with_the_parent),
		FORKRIG_TEST(grandchildren_inherit_too),
		FORKRIG_TEST(threads_are_in_calls_meanwhile),
		FORKRIG_TEST(a_child_without_privileges_uses_what_it_inherited),
		FORKRIG_TEST(a_child_connects_by_itself_when_its_parent_could_not),
		FORKRIG_TEST(a_child_waits_for_the_answer_that_its_parent_did_not_get),
		FORKRIG_TEST(a_child_that_waits_for_that_answer_may_fork_and_free),
		FORKRIG_TEST(a_child_without_a_connection_frees_all_at_once),
		FORKRIG_TEST(many_children_that_wait_at_a_time),
		FORKRIG_TEST(a_child_may_idle_as_long_as_its_parent_lives),
		FORKRIG_TEST(a_fork_that_skips_the_handlers_is_noticed),
	};

	return cmocka_run_group_tests_name("fork", tests, forkrig_start, forkrig_finish);
}
