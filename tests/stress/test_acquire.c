/*
 * sm_acquire(), over all three kinds: how it acquires, and the signals that end its waits, where a
 * thread sleeps: for the connection, for another thread that reads it, or for one of this process
 * that has the lock.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/kinds.h"
#include "tests/stress/patience.h"
#include "tests/stress/scratch.h"
#include "tests/stress/v1server.h"

enum { PERIOD_US = 3000, SHORT_MS = 60, CHILDREN = 4, COUNTS = 300 };

static const struct timespec *
in_ms(uint64_t ms)
{
	static _Thread_local struct timespec ts;

	ts = clock_timespec(clock_after_ms(clock_now(), ms));
	return &ts;
}

static void
acquire_each_way(void)
{
	struct timespec wrong = { .tv_nsec = -1 };
	struct client here, there;

	kinds_open(&here, SIZE_BLOCK);
	kinds_open(&there, SIZE_BLOCK);
	FAILS(sm_acquire(here.file, 0, NULL), EINVAL);
	FAILS(sm_acquire(here.file, SM_WRITE | SM_READ, NULL), EINVAL);
	FAILS(sm_acquire(here.file, SM_TRY, NULL), EINVAL);
	FAILS(sm_acquire(here.file, SM_WRITE | 16, NULL), EINVAL);
	FAILS(sm_acquire(here.file, -1, NULL), EINVAL);
	FAILS(sm_acquire(here.file, SM_WRITE, &wrong), EINVAL);
	FAILS(sm_unlock(here.file), ENOLCK);
	OK(sm_acquire(here.file, SM_WRITE | SM_TRY, &wrong));
	*here.words = 1;
	FAILS(sm_acquire(here.file, SM_WRITE, NULL), EDEADLK);
	FAILS(sm_acquire(here.file, SM_READ, NULL), EDEADLK);
	FAILS(sm_acquire(there.file, SM_WRITE | SM_TRY, NULL), EAGAIN);
	FAILS(sm_acquire(there.file, SM_READ | SM_TRY | SM_INTERRUPTIBLE, NULL), EAGAIN);
	FAILS(sm_acquire(there.file, SM_WRITE, in_ms(10)), ETIMEDOUT);
	FAILS(sm_acquire(there.file, SM_READ | SM_INTERRUPTIBLE, in_ms(10)), ETIMEDOUT);
	OK(sm_unlock(here.file));
	OK(sm_acquire(there.file, SM_READ, NULL));
	assert_int_equal(*there.words, 1);
	FAILS(sm_acquire(here.file, SM_WRITE | SM_TRY, NULL), EAGAIN);
	if (!kinds_is_smc()) {
		OK(sm_acquire(here.file, SM_READ | SM_TRY, NULL));
		OK(sm_unlock(here.file));
	}
	OK(sm_unlock(there.file));
	OK(sm_acquire(here.file, SM_WRITE | SM_INTERRUPTIBLE, in_ms(patience_ms(PATIENCE_MS))));
	OK(sm_unlock(here.file));
	client_close(&here);
	client_close(&there);
}

static void
it_acquires_as_it_is_told(void **state)
{
	(void)state;
	kinds_run(acquire_each_way);
}

/* Signals */

static volatile sig_atomic_t handled;

static void
handle(int number)
{
	(void)number;
	handled++;
}

static void catch (int number, int flags)
{
	struct sigaction action = { .sa_handler = handle, .sa_flags = flags };

	assert_int_equal(sigaction(number, &action, NULL), 0);
}

/* SIGALRM comes again and again, every period; 0: no longer. */
static void
ring(suseconds_t period)
{
	const struct itimerval often = { .it_interval = { .tv_usec = period },
		.it_value = { .tv_usec = period } };

	handled = 0;
	setitimer(ITIMER_REAL, &often, NULL);
}

static int
stop_signals(void **state)
{
	(void)state;
	ring(0);
	signal(SIGALRM, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	return 0;
}

/*
 * The lock of c is held elsewhere. Waits for it, while signals come whose handlers end the wait or
 * do not, or whose neighbours do or do not.
 */
static void
wait_with_signals(const struct client *c, int how)
{
	static const int flags[][2] = { { 0, -1 }, { SA_RESTART, -1 }, { 0, SA_RESTART },
		{ SA_RESTART, 0 } };
	size_t i;

	for (i = 0; i < sizeof flags / sizeof flags[0]; i++) {
		catch (SIGALRM, flags[i][0]);
		if (flags[i][1] >= 0)
			catch (SIGUSR1, flags[i][1]);
		else
			signal(SIGUSR1, SIG_IGN);
		ring(PERIOD_US);
		if (flags[i][0] == 0) {
			FAILS(sm_acquire(c->file, how | SM_INTERRUPTIBLE, NULL), EINTR);
			if (strstr(sm_error(c->sm), "a signal ended the wait") == NULL)
				fail_msg("after EINTR: %s", sm_error(c->sm));
		} else {
			FAILS(sm_acquire(c->file, how | SM_INTERRUPTIBLE, in_ms(SHORT_MS)),
			    ETIMEDOUT);
		}
		ring(PERIOD_US);
		FAILS(sm_acquire(c->file, how, in_ms(SHORT_MS)), ETIMEDOUT);
		if (handled == 0)
			fail_msg("expected signals, got none");
		ring(0);
	}
}

/* The holder releases: the one that was interrupted gets the lock like any other. */
static void
expect_usable(const struct client *holder, const struct client *waiter)
{
	OK(sm_unlock(holder->file));
	OK(sm_acquire(waiter->file, SM_WRITE | SM_INTERRUPTIBLE, in_ms(patience_ms(PATIENCE_MS))));
	OK(sm_unlock(waiter->file));
	OK(sm_acquire(holder->file, SM_WRITE, in_ms(patience_ms(PATIENCE_MS))));
	OK(sm_unlock(holder->file));
}

static void
wait_for_another_process(void)
{
	struct client holder, waiter;

	kinds_open(&holder, 0);
	kinds_open(&waiter, 0);
	OK(sm_lock(holder.file));
	wait_with_signals(&waiter, SM_WRITE);
	wait_with_signals(&waiter, SM_READ);
	expect_usable(&holder, &waiter);
	client_close(&holder);
	client_close(&waiter);
}

static void
a_signal_ends_the_wait_of_a_thread_that_reads_the_connection(void **state)
{
	(void)state;
	kinds_run(wait_for_another_process);
}

static void *
lock_and_unlock(void *arg)
{
	const struct client *c = arg;

	return sm_lock(c->file) == 0 && sm_unlock(c->file) == 0 ? NULL : "the first waiter";
}

/* A thread that handles no signals. */
static pthread_t
begin_deaf(void *(*run)(void *), void *arg)
{
	sigset_t all, before;
	pthread_t thread;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	assert_int_equal(pthread_create(&thread, NULL, run, arg), 0);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return thread;
}

static void
expect_end(pthread_t thread)
{
	void *wrong;

	pthread_join(thread, &wrong);
	if (wrong != NULL)
		fail_msg("%s: failed", (const char *)wrong);
}

/* A second file in the sets of both. */
static void
open_second(struct client *out, const struct client *c)
{
	char path[80];

	snprintf(path, sizeof path, "%s.second", kinds_path());
	*out = (struct client){ .sm = c->sm };
	if (!client_open_file(out, path, 0))
		fail_msg("%s: %s", path, sm_error(NULL));
}

static void
wait_beside_a_reader(void)
{
	struct client holder, waiter, held, awaited;
	pthread_t thread;

	kinds_open(&holder, 0);
	kinds_open(&waiter, 0);
	open_second(&held, &holder);
	open_second(&awaited, &waiter);
	OK(sm_lock(holder.file));
	OK(sm_lock(held.file));
	/* This thread came first, and reads for both. */
	thread = begin_deaf(lock_and_unlock, &awaited);
	if (!client_await_waiter(&held))
		fail_msg("no thread waits");
	wait_with_signals(&waiter, SM_WRITE);
	wait_with_signals(&waiter, SM_READ);
	OK(sm_unlock(held.file));
	expect_end(thread);
	expect_usable(&holder, &waiter);
	client_close(&holder);
	client_close(&waiter);
}

static void
a_signal_ends_the_wait_of_a_thread_that_another_reads_for(void **state)
{
	(void)state;
	kinds_run(wait_beside_a_reader);
}

static void *
take(void *arg)
{
	const struct client *c = arg;

	return sm_acquire(c->file, SM_WRITE, in_ms(patience_ms(PATIENCE_MS))) == 0 ?
	    NULL :
	    "a holder that is a handle";
}

/* This process has the lock: a handle of it does. */
static void
wait_for_another_thread(void)
{
	struct client waiter, holder;

	kinds_open(&waiter, 0);
	holder = waiter;
	holder.file = sm_open_flags(waiter.sm, kinds_path(), SM_OPEN_CREATE | SM_OPEN_OWNER);
	assert_non_null(holder.file);
	expect_end(begin_deaf(take, &holder));
	wait_with_signals(&waiter, SM_WRITE);
	wait_with_signals(&waiter, SM_READ);
	expect_usable(&holder, &waiter);
	client_close(&waiter);
}

static void
a_signal_ends_the_wait_for_another_thread(void **state)
{
	(void)state;
	kinds_run(wait_for_another_thread);
}

/* In a child: counts under a hail of signals, which end some waits. */
static void
count_in_a_hail(struct client *c)
{
	unsigned i = 0, ended = 0;

	catch (SIGALRM, 0);
	ring(PERIOD_US);
	while (i < COUNTS) {
		if (sm_acquire(c->file, SM_WRITE | SM_INTERRUPTIBLE, NULL) != 0) {
			child_expect(errno == EINTR, sm_error(NULL));
			ended++;
			continue;
		}
		++*c->words;
		i++;
		/* Others have to wait. */
		if (i % 16 == 0)
			usleep(PERIOD_US);
		child_expect(sm_unlock(c->file) == 0, sm_error(NULL));
	}
	ring(0);
	child_expect(ended > 0, "a signal ends a wait");
	_exit(EXIT_SUCCESS);
}

static void
count_together(void)
{
	struct client here;
	pid_t pids[CHILDREN];
	int i;

	kinds_open(&here, SIZE_BLOCK);
	for (i = 0; i < CHILDREN; i++) {
		pids[i] = child_begin();
		if (pids[i] == 0)
			count_in_a_hail(&here);
	}
	for (i = 0; i < CHILDREN; i++)
		child_expect_success(pids[i]);
	OK(sm_lock(here.file));
	assert_int_equal(*here.words, CHILDREN * COUNTS);
	client_close(&here);
}

static void
waits_that_signals_end_cost_no_grant(void **state)
{
	(void)state;
	kinds_run(count_together);
}

/* Version 1, which polls. */

static pid_t v1server;

static void
join_v1(struct client *c, const char *uri)
{
	*c = (struct client){ .sm = sm_new() };
	OK(sm_mount(c->sm, uri, CLIENT_MOUNT, "smdish", NULL));
	if (!client_open_file(c, CLIENT_MOUNT "/f", 0))
		fail_msg("%s", sm_error(NULL));
}

static void
a_signal_ends_the_wait_with_a_version_1_server(void **state)
{
	char dir[SCRATCH_PATH_SIZE], path[SCRATCH_PATH_SIZE + 8], uri[SCRATCH_PATH_SIZE + 16];
	struct client holder, waiter;

	(void)state;
	scratch_create(dir);
	snprintf(path, sizeof path, "%s/s", dir);
	snprintf(uri, sizeof uri, "unix:%s", path);
	v1server = v1server_start(path);
	join_v1(&holder, uri);
	join_v1(&waiter, uri);
	OK(sm_lock(holder.file));
	wait_with_signals(&waiter, SM_WRITE);
	expect_usable(&holder, &waiter);
	client_close(&holder);
	client_close(&waiter);
	child_kill_all(&v1server, 1);
	scratch_remove(dir);
}

static int
end(void **state)
{
	stop_signals(state);
	child_kill_all(&v1server, 1);
	return 0;
}

#define TEST(f) cmocka_unit_test_teardown(f, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_acquires_as_it_is_told),
		TEST(a_signal_ends_the_wait_of_a_thread_that_reads_the_connection),
		TEST(a_signal_ends_the_wait_of_a_thread_that_another_reads_for),
		TEST(a_signal_ends_the_wait_for_another_thread),
		TEST(waits_that_signals_end_cost_no_grant),
		TEST(a_signal_ends_the_wait_with_a_version_1_server),
	};

	return cmocka_run_group_tests(tests, kinds_begin, kinds_end);
}
