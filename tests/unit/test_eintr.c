/*
 * Sleeps that a caught signal ends: one whose handler has no SA_RESTART, however many others there
 * are; and none is lost between two sleeps.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/eintr.h"
#include "common/base/wakeup.h"
#include "tests/stress/patience.h"

enum {
	PERIOD_US = 3000, /* between two signals */
	SHORT_MS = 100,   /* for sleeps that none of them ends */
	OLD_MS = 5,       /* of a wait that has looked at the handlers */
	ROUNDS = 100
};

static volatile sig_atomic_t handled;
static _Atomic uint32_t word;

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

/* SIGALRM comes again and again from now on. */
static void
ring(void)
{
	const struct itimerval often = { .it_interval = { .tv_usec = PERIOD_US },
		.it_value = { .tv_usec = PERIOD_US } };

	handled = 0;
	assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
}

static int
teardown(void **state)
{
	const struct itimerval never = { 0 };
	sigset_t none;

	(void)state;
	setitimer(ITIMER_REAL, &never, NULL);
	signal(SIGALRM, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	return 0;
}

static int
sleep_in_poll(struct eintr *e, uint64_t until)
{
	return eintr_poll(e, NULL, until);
}

static int
sleep_in_poll_of_a_pipe(struct eintr *e, uint64_t until)
{
	struct pollfd p = { .events = POLLIN };
	int fds[2], error;

	assert_int_equal(pipe(fds), 0);
	p.fd = fds[0];
	error = eintr_poll(e, &p, until);
	close(fds[0]);
	close(fds[1]);
	return error;
}

/* It may wake without a reason. */
static int
sleep_on_a_futex(struct eintr *e, uint64_t until)
{
	int error;

	do
		error = eintr_futex(e, &word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0,
		    FUTEX_BITSET_MATCH_ANY, until);
	while (error == 0);
	return error;
}

static int (*const sleeps[])(struct eintr *, uint64_t) = { sleep_in_poll, sleep_in_poll_of_a_pipe,
	sleep_on_a_futex };
enum { SLEEPS = sizeof sleeps / sizeof sleeps[0] };

static void
expect_mask(const sigset_t *expected)
{
	sigset_t now;
	int number;

	sigprocmask(SIG_BLOCK, NULL, &now);
	for (number = 1; number < NSIG; number++)
		if (sigismember(&now, number) != sigismember(expected, number))
			fail_msg("the mask: expected %d for signal %d",
			    sigismember(expected, number), number);
}

/* Sleeps in each way while signals come; the result has to be that. */
static void
expect_each(int result)
{
	uint64_t begun, until;
	struct eintr e;
	sigset_t mask;
	int i, came;

	sigprocmask(SIG_BLOCK, NULL, &mask);
	for (i = 0; i < SLEEPS; i++) {
		ring();
		begun = clock_now();
		until = result == -EINTR ? patience_until(PATIENCE_MS) :
					   begun + SHORT_MS * CLOCK_MS;
		eintr_begin(&e);
		came = sleeps[i](&e, until);
		eintr_end(&e);
		if (came != result)
			fail_msg("sleep %d: expected %s, got %s after %lu ms", i, strerror(-result),
			    strerror(-came), (unsigned long)((clock_now() - begun) / CLOCK_MS));
		assert_true(result == -EINTR || clock_now() >= until);
		expect_mask(&mask);
	}
}

static void
a_handler_without_sa_restart_ends_a_sleep(void **state)
{
	(void)state;
	catch (SIGALRM, 0);
	expect_each(-EINTR);
	assert_true(handled > 0);
}

static void
a_handler_with_sa_restart_does_not(void **state)
{
	(void)state;
	catch (SIGALRM, SA_RESTART);
	expect_each(-ETIMEDOUT);
	assert_true(handled > 0);
}

static void
of_both_sorts_only_one_does(void **state)
{
	(void)state;
	catch (SIGALRM, 0);
	catch (SIGUSR1, SA_RESTART);
	expect_each(-EINTR);
	assert_true(handled > 0);
	catch (SIGALRM, SA_RESTART);
	catch (SIGUSR1, 0);
	expect_each(-ETIMEDOUT);
	assert_true(handled > 0);
}

static void
a_signal_that_the_program_blocks_does_not(void **state)
{
	sigset_t mask;

	(void)state;
	catch (SIGALRM, 0);
	catch (SIGUSR1, 0);
	sigemptyset(&mask);
	sigaddset(&mask, SIGALRM);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	expect_each(-ETIMEDOUT);
	assert_int_equal(handled, 0);
}

static void
without_a_wait_none_does(void **state)
{
	uint64_t until;

	(void)state;
	catch (SIGALRM, 0);
	ring();
	until = clock_now() + SHORT_MS * CLOCK_MS;
	assert_int_equal(sleep_on_a_futex(NULL, until), -ETIMEDOUT);
	assert_true(clock_now() >= until && handled > 0);
}

static void
a_signal_between_two_sleeps_ends_the_next_one(void **state)
{
	struct eintr e;
	int i;

	(void)state;
	catch (SIGUSR1, 0);
	for (i = 0; i < SLEEPS; i++) {
		handled = 0;
		eintr_begin(&e);
		assert_int_equal(sleeps[i](&e, clock_now() + OLD_MS * CLOCK_MS), -ETIMEDOUT);
		assert_int_equal(sleeps[i](&e, clock_now() + OLD_MS * CLOCK_MS), -ETIMEDOUT);
		raise(SIGUSR1);
		assert_int_equal(handled, 0);
		assert_int_equal(sleeps[i](&e, patience_until(PATIENCE_MS)), -EINTR);
		eintr_end(&e);
		assert_int_equal(handled, 1);
	}
}

static void
set_blocked(bool is_blocked)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGALRM);
	pthread_sigmask(is_blocked ? SIG_BLOCK : SIG_UNBLOCK, &mask, NULL);
}

/*
 * A waiter for a lock sleeps for a millisecond, again and again. SIGALRM comes when a sleep ends,
 * or hardly later: it has to end the wait, and its handler has run when the wait is over. Returns
 * how many have not.
 */
static void *
wait_in_short_sleeps(void *unused)
{
	uint64_t until, next;
	intptr_t missed = 0;
	struct eintr e;
	int i, error;

	(void)unused;
	set_blocked(false);
	for (i = 0; i < ROUNDS; i++) {
		const struct itimerval once = { .it_value = { .tv_usec = 2000 + i } };

		handled = 0;
		eintr_begin(&e);
		while (!e.has_looked)
			sleep_on_a_futex(&e, clock_now() + CLOCK_MS);
		next = clock_now();
		until = patience_until(PATIENCE_MS);
		setitimer(ITIMER_REAL, &once, NULL);
		do {
			next += CLOCK_MS;
			error = sleep_on_a_futex(&e, next);
		} while (error == -ETIMEDOUT && handled == 0 && next < until);
		eintr_end(&e);
		missed += error != -EINTR || handled != 1;
	}
	return (void *)missed;
}

static void
a_signal_at_the_end_of_a_short_sleep_ends_the_wait(void **state)
{
	(void)state;
	catch (SIGALRM, 0);
	assert_null(wait_in_short_sleeps(NULL));
}

/* The kernel gives SIGALRM to the waiter, as the main thread blocks it. */
static void
so_it_does_in_another_thread_than_main(void **state)
{
	pthread_t thread;
	void *missed;

	(void)state;
	catch (SIGALRM, 0);
	set_blocked(true);
	pthread_create(&thread, NULL, wait_in_short_sleeps, NULL);
	pthread_join(thread, &missed);
	assert_null(missed);
}

/* wakeup */

static struct wakeup wakeup;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static bool is_asleep, is_over;

static void *
sleep_until_woken(void *arg)
{
	int error = 0;

	(void)arg;
	pthread_mutex_lock(&mutex);
	is_asleep = true;
	while (!is_over && error == 0)
		error = wakeup_sleep(&wakeup, &mutex, NULL, patience_until(PATIENCE_MS));
	pthread_mutex_unlock(&mutex);
	return (void *)(intptr_t)error;
}

static void
a_sleeper_is_woken(void **state)
{
	pthread_t thread;
	void *result;
	bool is_ready;
	int i;

	(void)state;
	for (i = 0; i < 100; i++) {
		is_asleep = is_over = false;
		pthread_create(&thread, NULL, sleep_until_woken, NULL);
		do {
			pthread_mutex_lock(&mutex);
			is_ready = is_asleep;
			if (is_ready)
				is_over = true;
			wakeup_wake(&wakeup);
			pthread_mutex_unlock(&mutex);
		} while (!is_ready);
		pthread_join(thread, &result);
		assert_int_equal((intptr_t)result, 0);
	}
}

static void
a_sleeper_gives_up(void **state)
{
	struct eintr e;
	int error;

	(void)state;
	pthread_mutex_lock(&mutex);
	do
		error = wakeup_sleep(&wakeup, &mutex, NULL, clock_now() + OLD_MS * CLOCK_MS);
	while (error == 0);
	assert_int_equal(error, -ETIMEDOUT);
	catch (SIGALRM, 0);
	ring();
	eintr_begin(&e);
	do
		error = wakeup_sleep(&wakeup, &mutex, &e, patience_until(PATIENCE_MS));
	while (error == 0);
	eintr_end(&e);
	assert_int_equal(error, -EINTR);
	pthread_mutex_unlock(&mutex);
}

#define TEST(f) cmocka_unit_test_teardown(f, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_handler_without_sa_restart_ends_a_sleep),
		TEST(a_handler_with_sa_restart_does_not),
		TEST(of_both_sorts_only_one_does),
		TEST(a_signal_that_the_program_blocks_does_not),
		TEST(without_a_wait_none_does),
		TEST(a_signal_between_two_sleeps_ends_the_next_one),
		TEST(a_signal_at_the_end_of_a_short_sleep_ends_the_wait),
		TEST(so_it_does_in_another_thread_than_main),
		TEST(a_sleeper_is_woken),
		TEST(a_sleeper_gives_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
