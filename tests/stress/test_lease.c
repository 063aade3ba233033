/*
 * Time as the server measures it: leases (-t) begin and end when they should, a release that comes
 * too late is refused, and a lock times out. The server sleeps longer than these times before each
 * test, because a clock that it has not read for long must not count.
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

#include "common/base/clock.h"
#include "common/base/size.h"
#include "tests/stress/client.h"
#include "tests/stress/daemon.h"
#include "tests/stress/patience.h"

enum {
	LEASE_MS = 400,
	SILENCE_MS = 600, /* more than a lease */
	BRIEF_MS = 100,   /* much less than a lease */
	SEGMENT = 64 * SIZE_KIB,
	FAR = SEGMENT / 8 - 1 /* a word in another block than the first */
};

static struct daemon leasing, patient; /* with -t, without */

/* Sends nothing to the servers for that long: the test waits for the time itself. */
static void
be_silent(uint64_t ms)
{
	uint64_t until = clock_after_ms(clock_now(), patience_ms(ms));

	while (clock_now() < until)
		patience_breathe();
}

static void
lock(struct client *u)
{
	if (sm_lock(u->file) != 0)
		fail_msg("sm_lock: %s", sm_error(u->sm));
}

static void
unlock(struct client *u)
{
	if (sm_unlock(u->file) != 0)
		fail_msg("sm_unlock: %s", sm_error(u->sm));
}

static struct timespec
moment(uint64_t ms)
{
	return clock_timespec(clock_after_ms(clock_now(), ms));
}

static void
a_release_that_comes_too_late_is_refused_and_voids_the_replica(void **state)
{
	size_t mark = daemon_log_mark(&leasing);
	struct client late, other;

	(void)state;
	client_expect_open(&late, &leasing, CLIENT_MOUNT "/late", SEGMENT);
	client_expect_open(&other, &leasing, CLIENT_MOUNT "/late", SEGMENT);
	lock(&late);
	late.words[0] = 1;
	unlock(&late);
	/* It exceeds its lease; the other client waits for the lock until the lease has ended. */
	lock(&late);
	late.words[0] = 666;
	late.words[FAR] = 777;
	lock(&other);
	assert_int_equal(other.words[0], 1);
	assert_int_equal(other.words[FAR], 0);
	other.words[0] = 2;
	unlock(&other);
	/* Refused. The written bytes stay until the next lock, which replaces every block. */
	assert_int_equal(sm_unlock(late.file), -1);
	assert_int_equal(errno, ESTALE);
	assert_int_equal(late.words[0], 666);
	assert_int_equal(late.words[FAR], 777);
	lock(&late);
	assert_int_equal(late.words[0], 2);
	assert_int_equal(late.words[FAR], 0);
	late.words[0]++;
	unlock(&late);
	lock(&other);
	assert_int_equal(other.words[0], 3);
	assert_int_equal(other.words[FAR], 0);
	unlock(&other);
	daemon_log_await(&leasing, mark, "] warning: client (pid ", "and lost it");
	daemon_log_expect(&leasing, mark, 1);
	client_close(&late);
	client_close(&other);
}

static void
a_release_that_comes_too_late_while_nobody_waits_is_refused_too(void **state)
{
	size_t mark = daemon_log_mark(&leasing);
	struct client u;

	(void)state;
	client_expect_open(&u, &leasing, CLIENT_MOUNT "/alone", SEGMENT);
	lock(&u);
	u.words[0] = 1;
	unlock(&u);
	lock(&u);
	u.words[0] = 666;
	daemon_log_await(&leasing, mark, "and lost it", "");
	assert_int_equal(sm_unlock(u.file), -1);
	assert_int_equal(errno, ESTALE);
	lock(&u);
	assert_int_equal(u.words[0], 1);
	unlock(&u);
	client_close(&u);
}

static void
a_lease_begins_when_the_lock_is_granted(void **state)
{
	size_t mark = daemon_log_mark(&leasing);
	struct client u;

	(void)state;
	client_expect_open(&u, &leasing, CLIENT_MOUNT "/silent", SEGMENT);
	be_silent(SILENCE_MS);
	lock(&u);
	be_silent(BRIEF_MS);
	unlock(&u);
	daemon_log_expect(&leasing, mark, 0);
	client_close(&u);
}

static void
a_lease_of_who_had_to_wait_begins_when_the_lock_is_granted(void **state)
{
	size_t mark = daemon_log_mark(&leasing);
	struct client slow, waiter;

	(void)state;
	client_expect_open(&slow, &leasing, CLIENT_MOUNT "/waited", SEGMENT);
	client_expect_open(&waiter, &leasing, CLIENT_MOUNT "/waited", SEGMENT);
	lock(&slow);
	lock(&waiter); /* granted when the other client's lease has ended */
	be_silent(BRIEF_MS);
	unlock(&waiter);
	assert_int_equal(sm_unlock(slow.file), -1);
	assert_int_equal(errno, ESTALE);
	daemon_log_expect(&leasing, mark, 1);
	client_close(&slow);
	client_close(&waiter);
}

static void *
continue_later(void *unused)
{
	(void)unused;
	be_silent(SILENCE_MS);
	daemon_signal(&leasing, SIGCONT);
	return NULL;
}

/* The server sees that the lease is over before it sees that there is something to read. */
static void
a_release_counts_that_came_while_the_server_stood_still(void **state)
{
	size_t mark = daemon_log_mark(&leasing);
	pthread_t thread;
	struct client u;

	(void)state;
	client_expect_open(&u, &leasing, CLIENT_MOUNT "/still", SEGMENT);
	lock(&u);
	be_silent(BRIEF_MS);
	daemon_signal(&leasing, SIGSTOP);
	assert_int_equal(pthread_create(&thread, NULL, continue_later, NULL), 0);
	unlock(&u);
	pthread_join(thread, NULL);
	daemon_log_expect(&leasing, mark, 0);
	client_close(&u);
}

static void
a_timeout_is_not_over_too_early(void **state)
{
	uint64_t begun, took, ms = patience_ms(LEASE_MS);
	struct client holder, waiter;
	struct timespec when;

	(void)state;
	client_expect_open(&holder, &patient, CLIENT_MOUNT "/timeout", SEGMENT);
	client_expect_open(&waiter, &patient, CLIENT_MOUNT "/timeout", SEGMENT);
	lock(&holder);
	be_silent(SILENCE_MS);
	begun = clock_now();
	when = moment(ms);
	assert_int_equal(sm_timedlock(waiter.file, &when), -1);
	assert_int_equal(errno, ETIMEDOUT);
	took = clock_now() - begun;
	if (took < ms * CLOCK_MS || patience_is_over(took - ms * CLOCK_MS, 1000))
		fail_msg("sm_timedlock: expected ETIMEDOUT after %lu ms, it came after %lu ms",
		    (unsigned long)ms, (unsigned long)(took / CLOCK_MS));
	unlock(&holder);
	lock(&waiter);
	unlock(&waiter);
	client_close(&holder);
	client_close(&waiter);
}

static void
without_a_lease_a_lock_may_be_kept(void **state)
{
	size_t mark = daemon_log_mark(&patient);
	struct client u;

	(void)state;
	client_expect_open(&u, &patient, CLIENT_MOUNT "/kept", SEGMENT);
	lock(&u);
	u.words[0] = 1;
	be_silent(SILENCE_MS);
	unlock(&u);
	lock(&u);
	assert_int_equal(u.words[0], 1);
	unlock(&u);
	daemon_log_expect(&patient, mark, 0);
	client_close(&u);
}

static void
the_servers_exit_with_0(void **state)
{
	(void)state;
	daemon_stop(&leasing);
	daemon_stop(&patient);
}

static int
begin_all(void **state)
{
	static char lease[24];
	const struct daemon_config with_lease = { .has_keys = true, .args = { "-t", lease } };
	const struct daemon_config without = { .has_keys = true };

	(void)state;
	snprintf(lease, sizeof lease, "%lu", (unsigned long)patience_ms(LEASE_MS));
	daemon_open(&leasing, &with_lease);
	daemon_open(&patient, &without);
	return 0;
}

static int
end_all(void **state)
{
	(void)state;
	daemon_fini(&leasing);
	daemon_fini(&patient);
	return 0;
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_release_that_comes_too_late_is_refused_and_voids_the_replica),
		cmocka_unit_test(a_release_that_comes_too_late_while_nobody_waits_is_refused_too),
		cmocka_unit_test(a_lease_begins_when_the_lock_is_granted),
		cmocka_unit_test(a_lease_of_who_had_to_wait_begins_when_the_lock_is_granted),
		cmocka_unit_test(a_release_counts_that_came_while_the_server_stood_still),
		cmocka_unit_test(a_timeout_is_not_over_too_early),
		cmocka_unit_test(without_a_lease_a_lock_may_be_kept),
		cmocka_unit_test(the_servers_exit_with_0),
	};

	return cmocka_run_group_tests_name("leases", tests, begin_all, end_all);
}
