/*
 * fork(2): parent and child both go on with all files, each over its own connection (PROTOCOL 6).
 */
#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/daemon.h"
#include "tests/stress/patience.h"
#include "tests/stress/procfs.h"

enum { SEGMENT = 64 * 1024, IDLE_SECONDS = 2 };

static struct daemon server;
static struct client mine; /* of the running test, and inherited by its children */

static int
begin(void **state)
{
	(void)state;
	/* A new file for each test: pending forks keep files open for a while. */
	return client_open_new(&mine, &server, SEGMENT) ? 0 : -1;
}

static int
end(void **state)
{
	(void)state;
	client_close(&mine);
	return 0;
}

#define MUST(call) must(#call, call)

/* In parent and child: prints the call that failed. A child then exits with 1. */
static int
must(const char *call, int result)
{
	if (result != 0)
		fprintf(stderr, "process %ld: %s: %s\n", (long)getpid(), call, sm_error(mine.sm));
	return result != 0;
}

static int
increment(int times)
{
	int failures = 0;

	for (; times > 0 && failures == 0; times--) {
		failures += MUST(sm_lock(mine.file));
		++*mine.words;
		failures += MUST(sm_unlock(mine.file));
	}
	return failures;
}

static uint64_t
read_counter(void)
{
	uint64_t value;

	assert_int_equal(sm_rdlock(mine.file), 0);
	value = *mine.words;
	assert_int_equal(sm_unlock(mine.file), 0);
	return value;
}

static void
parent_and_children_count_to_the_exact_sum(void **state)
{
	enum { CHILDREN = 6, TIMES = 300 };

	(void)state;
	child_increment_together(CHILDREN, TIMES, increment);
	assert_int_equal(read_counter(), 2 * TIMES + CHILDREN * (10 + TIMES));
}

static void
a_lock_stays_with_the_parent(void **state)
{
	pid_t pid;
	int tried[2];
	char byte;

	(void)state;
	assert_int_equal(pipe(tried), 0);
	assert_int_equal(sm_lock(mine.file), 0);
	*mine.words = 41;
	pid = fork();
	if (pid == 0) {
		if (sm_unlock(mine.file) == 0 || errno != ENOLCK)
			_exit(1);
		if (sm_trylock(mine.file) == 0 || errno != EAGAIN)
			_exit(2);
		close(tried[1]);
		/*
		 * The parent wrote this without publishing it yet: the child waits for its release.
		 */
		if (sm_lock(mine.file) != 0 || *mine.words != 42)
			_exit(3);
		*mine.words = 43;
		_exit(sm_unlock(mine.file) == 0 ? 0 : 4);
	}
	close(tried[1]);
	assert_int_equal(read(tried[0], &byte, 1), 0);
	close(tried[0]);
	*mine.words = 42;
	assert_int_equal(sm_unlock(mine.file), 0);
	child_expect_success(pid);
	assert_int_equal(read_counter(), 43);
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

			if (increment(10) != 0)
				_exit(1);
			last = fork();
			if (last == 0)
				_exit(increment(10));
			_exit(waitpid(last, &status, 0) != last || status != 0);
		}
		if (waitpid(grandchild, &status, 0) != grandchild || status != 0)
			_exit(2);
		_exit(increment(10));
	}
	child_expect_success(pid);
	assert_int_equal(read_counter(), 30);
}

static _Atomic bool stop;

static void *
lock_and_unlock(void *failures)
{
	while (!stop)
		*(int *)failures += increment(1);
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
			_exit(increment(times));
		child_expect_success(pid);
	}
	stop = true;
	for (i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(failures[i], 0);
	}
	before = read_counter();
	assert_true(before >= (uint64_t)(FORKS * times));
	assert_int_equal(increment(1), 0);
	after = read_counter();
	assert_int_equal(after, before + 1);
}

static void
a_thousand_children_that_only_exec(void **state)
{
	enum { CHILDREN = 1000 };
	struct sm_stat before, after;
	int64_t fds = procfs_usage(getpid()).fds;
	int i;

	(void)state;
	assert_int_equal(sm_stat(mine.file, &before), 0);
	for (i = 0; i < CHILDREN; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			execl("/bin/true", "true", (char *)NULL);
			_exit(1);
		}
		child_expect_success(pid);
	}
	assert_int_equal(sm_stat(mine.file, &after), 0);
	/*
	 * The library closes unused copies together, a few at a time; and it leaves no descriptor
	 * here.
	 */
	if (after.open_count > before.open_count + 64)
		fail_msg("the server keeps %u descriptors for %d children that are gone",
		    after.open_count - before.open_count, CHILDREN);
	assert_true(procfs_usage(getpid()).fds <= fds + 64);
	assert_int_equal(increment(1), 0);
}

/* Opens and closes path; returns whether the file existed before. */
static bool
is_there(const char *path)
{
	struct sm *other = client_create(&server);
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
	struct sm *parents = client_create(&server);
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
		assert_int_equal(sm_stat(mine.file, &st), 0);
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
		child_expect(access(server.socket, W_OK) != 0, "a socket out of reach");
		_exit(increment(1));
	}
	child_expect_success(pid);
	assert_int_equal(read_counter(), 1);
}

/* At the fork the server's socket is out of reach. */
static void
a_child_connects_by_itself_when_its_parent_could_not(void **state)
{
	char away[DAEMON_PATH_SIZE + 8];
	atomic_bool *go = child_share(2 * sizeof *go), *has_tried = go + 1;
	pid_t pid;

	(void)state;
	snprintf(away, sizeof away, "%s.away", server.socket);
	assert_int_equal(rename(server.socket, away), 0);
	pid = child_begin();
	if (pid == 0) {
		child_expect(sm_lock(mine.file) != 0, "no connection");
		atomic_store(has_tried, true);
		child_expect(child_await(go, PATIENCE_MS), "the parent's word");
		_exit(increment(1));
	}
	assert_true(child_await(has_tried, PATIENCE_MS));
	assert_int_equal(increment(1), 0);
	assert_int_equal(rename(away, server.socket), 0);
	atomic_store(go, true);
	child_expect_success(pid);
	assert_int_equal(read_counter(), 2);
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
			_exit(increment(1));
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
	assert_int_equal(read_counter(), CHILDREN);
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
	assert_int_equal(increment(1), 0);
	pid = fork();
	if (pid == 0) {
		sleep(idle_seconds());
		_exit(increment(1));
	}
	child_expect_success(pid);
	assert_int_equal(read_counter(), 2);
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
	assert_int_equal(increment(5), 0);
	parent = fork();
	if (parent == 0) {
		if (sm_lock(mine.file) != 0)
			_exit(1);
		*mine.words = 666;
		child = fork();
		if (child == 0) {
			/* Idles until its parent is dead, then uses the files that it inherited. */
			while (s->result == 0)
				usleep(1000);
			s->result = 100 + increment(1);
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
	assert_int_equal(sm_lock(mine.file), 0);
	if (patience_is_over(clock_now() - begun, 50))
		fail_msg("the lock was free after %lu us",
		    (unsigned long)(clock_now() - begun) / 1000);
	assert_int_equal(*mine.words, 5);
	assert_int_equal(sm_unlock(mine.file), 0);
	assert_int_equal(waitpid(parent, &status, 0), parent);
	s->result = 1;
	while (s->result < 100 && clock_now() < deadline)
		patience_breathe();
	assert_int_equal(s->result, 100);
	assert_int_equal(read_counter(), 6);
}

static void
a_fork_that_skips_the_handlers_is_noticed(void **state)
{
	pid_t pid;

	(void)state;
	assert_int_equal(increment(1), 0);
	pid = (pid_t)syscall(SYS_fork);
	if (pid == 0) {
		struct sm_file *again;

		if (sm_unlock(mine.file) == 0 || errno != ENOLCK)
			_exit(1);
		if (sm_lock(mine.file) == 0 || errno != ESTALE)
			_exit(2);
		/* The child can open anew, over its own connection. */
		again = sm_open(mine.sm, CLIENT_MOUNT "/again");
		if (again == NULL || sm_lock(again) != 0 || sm_unlock(again) != 0)
			_exit(3);
		_exit(0);
	}
	child_expect_success(pid);
	assert_int_equal(increment(1), 0);
	assert_int_equal(read_counter(), 2);
}

static void
a_child_can_free_all_without_having_called(void **state)
{
	pid_t pid;

	(void)state;
	assert_int_equal(increment(1), 0);
	pid = fork();
	if (pid == 0) {
		sm_free(mine.sm);
		_exit(0);
	}
	child_expect_success(pid);
	pid = fork();
	if (pid == 0) {
		int failures = increment(1);

		failures += MUST(sm_unmap(mine.sm, mine.words));
		failures += MUST(sm_close(mine.file));
		sm_free(mine.sm);
		_exit(failures);
	}
	child_expect_success(pid);
	assert_int_equal(read_counter(), 2);
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
		if (sm_lock(mine.file) == 0 || (errno != ENOTCONN && errno != ECONNRESET))
			_exit(2);
		_exit(0);
	}
	close(go[0]);
	daemon_stop(&server);
	daemon_start(&server);
	close(go[1]);
	child_expect_success(pid);
}

static int
start(void **state)
{
	*state = &server;
	daemon_open(&server, &(struct daemon_config){ .has_keys = true });
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(parent_and_children_count_to_the_exact_sum),
		TEST(a_lock_stays_with_the_parent),
		TEST(grandchildren_inherit_too),
		TEST(threads_are_in_calls_meanwhile),
		TEST(a_thousand_children_that_only_exec),
		TEST(a_file_does_not_outlive_those_who_had_it_open),
		TEST(a_child_that_dies_before_its_first_call_is_noticed),
		TEST(a_child_without_privileges_uses_what_it_inherited),
		TEST(a_child_connects_by_itself_when_its_parent_could_not),
		TEST(many_children_that_wait_at_a_time),
		TEST(a_child_may_idle_as_long_as_its_parent_lives),
		TEST(a_killed_parents_lock_is_free_though_its_child_idles),
		TEST(a_fork_that_skips_the_handlers_is_noticed),
		TEST(a_child_can_free_all_without_having_called),
		TEST(a_child_comes_after_its_server_ended),
	};

	return cmocka_run_group_tests(tests, start, daemon_teardown);
}
