/*
 * The queue of a process for one memory file: first come first served, readers together, no
 * reader before a writer.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/client/filelock.h"
#include "tests/stress/patience.h"

enum { PATIENCE_S = 20, READERS = 20 };

static struct filelock lock;
static char handle[2];

/* The calling thread, through one of the handles. */
static struct filelock_holder
self(int i)
{
	return (struct filelock_holder){ .owner = filelock_thread(), .handle = &handle[i] };
}

/* The order in which the threads held the lock. */
static char order[64];
static pthread_mutex_t order_mutex = PTHREAD_MUTEX_INITIALIZER;

static void
note(char who)
{
	pthread_mutex_lock(&order_mutex);
	order[strlen(order)] = who;
	pthread_mutex_unlock(&order_mutex);
}

static bool
take(enum protocol_mode mode, uint64_t deadline)
{
	enum filelock_task task;
	int error = filelock_acquire(&lock, mode, self(0), deadline, NULL, &task);

	if (error != 0)
		fail_msg("expected the lock, got %s", strerror(-error));
	if (task == FILELOCK_GET_GRANT && mode == PROTOCOL_EXCLUSIVE)
		filelock_got(&lock, filelock_thread());
	return task == FILELOCK_GET_GRANT;
}

/* Returns the result of a try. */
static int
try(enum protocol_mode mode)
{
	enum filelock_task task;

	return filelock_acquire(&lock, mode, self(0), 0, NULL, &task);
}

static void *
try_from_a_thread(void *arg)
{
	return (void *)(intptr_t)try(*(enum protocol_mode *)arg);
}

static int
try_elsewhere(enum protocol_mode mode)
{
	pthread_t thread;
	void *result;

	pthread_create(&thread, NULL, try_from_a_thread, &mode);
	pthread_join(thread, &result);
	return (int)(intptr_t)result;
}

/* The kind of a thread: 'a' to 'z' writes, 'A' to 'Z' reads, '!' writes, but not for long. */
static void *
use(void *arg)
{
	char who = *(char *)arg;
	enum protocol_mode mode = who >= 'A' && who <= 'Z' ? PROTOCOL_SHARED : PROTOCOL_EXCLUSIVE;
	uint64_t deadline = who == '!' ? patience_until(50) : CLOCK_NEVER;
	enum filelock_task task;

	if (filelock_acquire(&lock, mode, self(1), deadline, NULL, &task) != 0)
		return NULL;
	note(who);
	if (task == FILELOCK_GET_GRANT && mode == PROTOCOL_SHARED)
		filelock_admit_readers(&lock);
	else if (task == FILELOCK_GET_GRANT)
		filelock_got(&lock, filelock_thread());
	if (filelock_release(&lock, filelock_thread()) == 1)
		filelock_hand_over(&lock);
	return NULL;
}

static size_t
waiters(void)
{
	size_t count;

	pthread_mutex_lock(&lock.mutex);
	count = lock.waiters;
	pthread_mutex_unlock(&lock.mutex);
	return count;
}

static void
wait_for_waiters(size_t count)
{
	uint64_t deadline = patience_until(PATIENCE_S * 1000);

	while (waiters() != count) {
		if (clock_now() > deadline)
			fail_msg("expected %zu waiters, got %zu", count, waiters());
		usleep(500);
	}
}

static int
setup(void **state)
{
	(void)state;
	memset(order, 0, sizeof order);
	return filelock_init(&lock);
}

static int
teardown(void **state)
{
	(void)state;
	filelock_fini(&lock);
	return 0;
}

static void
the_holder_may_not_lock_again(void **state)
{
	(void)state;
	assert_true(take(PROTOCOL_EXCLUSIVE, CLOCK_NEVER));
	assert_int_equal(try(PROTOCOL_EXCLUSIVE), -EDEADLK);
	assert_int_equal(try(PROTOCOL_SHARED), -EDEADLK);
	assert_int_equal(try_elsewhere(PROTOCOL_EXCLUSIVE), -EAGAIN);
	assert_int_equal(try_elsewhere(PROTOCOL_SHARED), -EAGAIN);
	assert_int_equal(filelock_release(&lock, filelock_thread()), 1);
	filelock_hand_over(&lock);
	assert_int_equal(filelock_release(&lock, filelock_thread()), -ENOLCK);
}

static void
they_come_in_the_order_they_came(void **state)
{
	char names[] = "abcAdBC";
	pthread_t threads[sizeof names];
	size_t i;

	(void)state;
	take(PROTOCOL_EXCLUSIVE, CLOCK_NEVER);
	for (i = 0; i < sizeof names - 1; i++) {
		pthread_create(&threads[i], NULL, use, &names[i]);
		wait_for_waiters(i + 1);
	}
	assert_int_equal(filelock_release(&lock, filelock_thread()), 1);
	filelock_hand_over(&lock);
	for (i = 0; i < sizeof names - 1; i++)
		pthread_join(threads[i], NULL);
	/* The last two read at the same time. */
	order[5] = order[6] = '.';
	assert_string_equal(order, "abcAd..");
}

static void
a_reader_does_not_overtake_a_writer_but_follows_one_that_gives_up(void **state)
{
	char writer = '!', reader = 'A';
	pthread_t threads[2];

	(void)state;
	assert_true(take(PROTOCOL_SHARED, CLOCK_NEVER));
	/* The grant has not come yet. */
	assert_int_equal(try_elsewhere(PROTOCOL_SHARED), -EAGAIN);
	filelock_admit_readers(&lock);
	pthread_create(&threads[0], NULL, use, &writer);
	wait_for_waiters(1);
	assert_int_equal(try_elsewhere(PROTOCOL_SHARED), -EAGAIN);
	pthread_create(&threads[1], NULL, use, &reader);
	/* Both threads have ended before the first reader leaves. */
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	assert_string_equal(order, "A");
	assert_int_equal(filelock_release(&lock, filelock_thread()), 1);
	/* While the grant is being released no thread joins. */
	assert_int_equal(try_elsewhere(PROTOCOL_SHARED), -EAGAIN);
	filelock_hand_over(&lock);
}

static pthread_barrier_t all_read;

static void *
read_together(void *arg)
{
	enum filelock_task task;
	intptr_t last;

	(void)arg;
	if (filelock_acquire(&lock, PROTOCOL_SHARED, self(0), CLOCK_NEVER, NULL, &task) != 0)
		return NULL;
	if (task == FILELOCK_GET_GRANT)
		filelock_admit_readers(&lock);
	pthread_barrier_wait(&all_read);
	last = filelock_release(&lock, filelock_thread());
	if (last == 1)
		filelock_hand_over(&lock);
	return (void *)(last + 1);
}

static void
any_number_of_readers_share_and_one_is_the_last(void **state)
{
	pthread_t threads[READERS];
	intptr_t last = 0;
	void *result;
	size_t i;

	(void)state;
	pthread_barrier_init(&all_read, NULL, READERS);
	for (i = 0; i < READERS; i++)
		pthread_create(&threads[i], NULL, read_together, NULL);
	for (i = 0; i < READERS; i++) {
		pthread_join(threads[i], &result);
		assert_non_null(result);
		last += (intptr_t)result - 1;
	}
	assert_int_equal(last, 1);
	pthread_barrier_destroy(&all_read);
}

static void
closing_a_handle_ends_what_was_taken_through_it(void **state)
{
	enum filelock_task task;

	(void)state;
	assert_false(filelock_release_handle(&lock, handle));
	take(PROTOCOL_EXCLUSIVE, CLOCK_NEVER);
	assert_false(filelock_release_handle(&lock, handle + 1));
	assert_true(filelock_release_handle(&lock, handle));
	filelock_hand_over(&lock);
	assert_int_equal(filelock_acquire(&lock, PROTOCOL_SHARED, self(1), 0, NULL, &task), 0);
	filelock_admit_readers(&lock);
	assert_int_equal(try_elsewhere(PROTOCOL_SHARED), 0);
	/* The other thread, which has ended, read through the first handle. */
	assert_false(filelock_release_handle(&lock, handle));
	assert_true(filelock_release_handle(&lock, handle + 1));
	filelock_hand_over(&lock);
}

static const struct filelock_holder owner = { .owner = (filelock_owner)handle, .handle = handle };

/* Threads of one handle, which owns the lock. Returns an error, or the task. */
static int
own(enum protocol_mode mode, uint64_t deadline)
{
	enum filelock_task task;
	int error = filelock_acquire(&lock, mode, owner, deadline, NULL, &task);

	return error != 0 ? error : (int)task;
}

static void *
own_and_release(void *arg)
{
	(void)arg;
	if (own(PROTOCOL_EXCLUSIVE, CLOCK_NEVER) != 1)
		return "the second thread";
	filelock_got(&lock, owner.owner);
	if (filelock_release(&lock, owner.owner) != 1)
		return "its release";
	filelock_hand_over(&lock);
	return NULL;
}

static void *
release_elsewhere(void *arg)
{
	*(int *)arg = filelock_release(&lock, owner.owner);
	return NULL;
}

static void
any_thread_releases_what_a_handle_owns_but_only_once(void **state)
{
	pthread_t thread;
	void *result;
	int released;

	(void)state;
	assert_int_equal(own(PROTOCOL_EXCLUSIVE, 0), 1);
	/* The grant has not come yet: there is nothing to release, and others queue. */
	assert_int_equal(filelock_release(&lock, owner.owner), -ENOLCK);
	assert_int_equal(filelock_check_holder(&lock, owner.owner), -ENOLCK);
	assert_int_equal(own(PROTOCOL_EXCLUSIVE, 0), -EAGAIN);
	pthread_create(&thread, NULL, own_and_release, NULL);
	wait_for_waiters(1);
	filelock_got(&lock, owner.owner);
	assert_int_equal(filelock_check_holder(&lock, owner.owner), 0);
	assert_int_equal(own(PROTOCOL_EXCLUSIVE, CLOCK_NEVER), -EDEADLK);
	assert_int_equal(own(PROTOCOL_SHARED, CLOCK_NEVER), -EDEADLK);
	assert_int_equal(try(PROTOCOL_EXCLUSIVE), -EAGAIN);
	assert_int_equal(filelock_release(&lock, filelock_thread()), -ENOLCK);
	assert_int_equal(filelock_release(&lock, owner.owner), 1);
	/* While the grant is given back it is not released again. */
	assert_int_equal(filelock_release(&lock, owner.owner), -ENOLCK);
	filelock_hand_over(&lock);
	pthread_join(thread, &result);
	assert_null(result);
	assert_int_equal(own(PROTOCOL_SHARED, 0), 1);
	assert_int_equal(filelock_release(&lock, owner.owner), -ENOLCK);
	filelock_admit_readers(&lock);
	assert_int_equal(try(PROTOCOL_SHARED), 0);
	pthread_create(&thread, NULL, release_elsewhere, &released);
	pthread_join(thread, NULL);
	assert_int_equal(released, 0);
	assert_int_equal(filelock_release(&lock, filelock_thread()), 1);
	filelock_hand_over(&lock);
}

static void *
own_shared(void *arg)
{
	(void)arg;
	return (void *)(intptr_t)own(PROTOCOL_SHARED, CLOCK_NEVER);
}

static void
a_handle_has_the_lock_for_one_reader_at_a_time(void **state)
{
	pthread_t thread;
	void *result;

	(void)state;
	assert_int_equal(own(PROTOCOL_SHARED, 0), FILELOCK_GET_GRANT);
	pthread_create(&thread, NULL, own_shared, NULL);
	wait_for_waiters(1);
	filelock_admit_readers(&lock);
	assert_int_equal(waiters(), 1);
	/* One release is enough, and then the next thread comes. */
	assert_int_equal(filelock_release(&lock, owner.owner), 1);
	assert_int_equal(filelock_release(&lock, owner.owner), -ENOLCK);
	filelock_hand_over(&lock);
	pthread_join(thread, &result);
	assert_int_equal((intptr_t)result, FILELOCK_GET_GRANT);
	filelock_admit_readers(&lock);
	/* Nor does one join in the end of the others. */
	assert_int_equal(try(PROTOCOL_SHARED), 0);
	assert_int_equal(try_elsewhere(PROTOCOL_SHARED), 0);
	assert_int_equal(filelock_release(&lock, filelock_thread()), 0);
	assert_false(filelock_join(&lock, owner));
	assert_true(filelock_join(&lock, self(0)));
	filelock_hand_over(&lock);
}

static void
wait_for_upgrader(void)
{
	uint64_t deadline = patience_until(PATIENCE_S * 1000);

	while (!filelock_has_upgrader(&lock)) {
		if (clock_now() > deadline)
			fail_msg("no reader waits to write");
		usleep(500);
	}
}

/* Writes, having read. */
static void *
own_exclusively(void *arg)
{
	(void)arg;
	return (void *)(intptr_t)own(PROTOCOL_EXCLUSIVE, CLOCK_NEVER);
}

static pthread_t
begin_upgrade(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, own_exclusively, NULL);
	wait_for_upgrader();
	return thread;
}

static void
expect_task(pthread_t thread, int task)
{
	void *result;

	pthread_join(thread, &result);
	assert_int_equal((intptr_t)result, task);
}

/* The handle reads, and this thread does. */
static void
read_both(void)
{
	assert_int_equal(own(PROTOCOL_SHARED, 0), FILELOCK_GET_GRANT);
	filelock_admit_readers(&lock);
	assert_int_equal(try(PROTOCOL_SHARED), 0);
}

static void
a_reader_writes_once_it_is_alone_and_in_front_of_all(void **state)
{
	char reader = 'A';
	enum filelock_task task;
	pthread_t upgrader, thread;

	(void)state;
	read_both();
	assert_int_equal(own(PROTOCOL_EXCLUSIVE, 0), -EAGAIN);
	assert_int_equal(own(PROTOCOL_EXCLUSIVE, 1), -ETIMEDOUT);
	upgrader = begin_upgrade();
	/* Another one would wait for the first one, and the first one for it. */
	assert_int_equal(try(PROTOCOL_EXCLUSIVE), -EAGAIN);
	assert_int_equal(filelock_acquire(&lock, PROTOCOL_EXCLUSIVE, self(0), CLOCK_NEVER, NULL,
			     &task),
	    -EDEADLK);
	assert_int_equal(try_elsewhere(PROTOCOL_SHARED), -EAGAIN);
	pthread_create(&thread, NULL, use, &reader);
	wait_for_waiters(1);
	assert_int_equal(filelock_release(&lock, filelock_thread()), 0);
	expect_task(upgrader, FILELOCK_UPGRADE_GRANT);
	assert_int_equal(own(PROTOCOL_SHARED, 0), -EDEADLK);
	assert_int_equal(own(PROTOCOL_EXCLUSIVE, 0), -EDEADLK);
	filelock_upgraded(&lock, owner.owner);
	assert_int_equal(filelock_mode(&lock), PROTOCOL_EXCLUSIVE);
	assert_string_equal(order, "");
	/* It reads again, and the next reader comes. */
	assert_int_equal(filelock_change(&lock, filelock_thread()), -ENOLCK);
	assert_int_equal(filelock_change(&lock, owner.owner), 0);
	assert_int_equal(filelock_release(&lock, owner.owner), -EBUSY);
	assert_int_equal(filelock_change(&lock, owner.owner), -EBUSY);
	assert_int_equal(filelock_check_holder(&lock, owner.owner), -EBUSY);
	assert_int_equal(filelock_check_holder(&lock, filelock_thread()), -ENOLCK);
	filelock_admit_readers(&lock);
	pthread_join(thread, NULL);
	assert_string_equal(order, "A");
	assert_int_equal(filelock_release(&lock, owner.owner), 1);
	filelock_hand_over(&lock);
}

static void
a_reader_that_cannot_write_reads_on_with_those_that_came(void **state)
{
	char reader = 'A';
	pthread_t thread;

	(void)state;
	assert_int_equal(own(PROTOCOL_SHARED, 0), FILELOCK_GET_GRANT);
	filelock_admit_readers(&lock);
	assert_int_equal(own(PROTOCOL_EXCLUSIVE, 0), FILELOCK_UPGRADE_GRANT);
	assert_int_equal(filelock_mode(&lock), PROTOCOL_SHARED);
	pthread_create(&thread, NULL, use, &reader);
	wait_for_waiters(1);
	filelock_not_upgraded(&lock);
	pthread_join(thread, NULL);
	assert_string_equal(order, "A");
	assert_int_equal(filelock_check_holder(&lock, owner.owner), 0);
	assert_int_equal(filelock_release(&lock, owner.owner), 1);
	filelock_hand_over(&lock);
}

static void
an_upgrade_of_a_lock_that_is_released_is_an_acquire(void **state)
{
	pthread_t upgrader;

	(void)state;
	read_both();
	upgrader = begin_upgrade();
	assert_int_equal(filelock_release(&lock, owner.owner), 0);
	wait_for_waiters(1);
	assert_int_equal(filelock_release(&lock, filelock_thread()), 1);
	filelock_hand_over(&lock);
	expect_task(upgrader, FILELOCK_GET_GRANT);
	filelock_hand_over(&lock);
}

static sem_t is_kept, may_go_on;

/* Keeps the thread that it comes to from going on. */
static void
keep_thread(int signal)
{
	(void)signal;
	sem_post(&is_kept);
	while (sem_wait(&may_go_on) != 0)
		continue;
}

/* Its wait had ended, as its lock was released; meanwhile it was taken again, with others. */
static void
an_upgrade_that_goes_on_late_is_alone_or_waits_again(void **state)
{
	const struct filelock_holder third = { .owner = (filelock_owner)&handle[1],
		.handle = &handle[1] };
	const char *variant = getenv("VARIANT");
	pthread_t upgrader;

	(void)state;
	/* ThreadSanitizer calls the handler when the wait has ended, which is too late. */
	if (variant != NULL && strcmp(variant, "tsan") == 0)
		skip();
	sem_init(&is_kept, 0, 0);
	sem_init(&may_go_on, 0, 0);
	signal(SIGUSR1, keep_thread);
	read_both();
	upgrader = begin_upgrade();
	pthread_kill(upgrader, SIGUSR1);
	sem_wait(&is_kept);
	assert_int_equal(filelock_release(&lock, owner.owner), 0);
	assert_true(filelock_join(&lock, owner));
	assert_int_equal(filelock_release(&lock, filelock_thread()), 0);
	assert_true(filelock_join(&lock, third));
	sem_post(&may_go_on);
	wait_for_upgrader();
	assert_int_equal(filelock_release(&lock, third.owner), 0);
	expect_task(upgrader, FILELOCK_UPGRADE_GRANT);
	filelock_upgraded(&lock, owner.owner);
	assert_int_equal(filelock_release(&lock, owner.owner), 1);
	filelock_hand_over(&lock);
}

static void
closing_a_handle_ends_its_upgrade(void **state)
{
	pthread_t upgrader;
	bool is_getting;

	(void)state;
	read_both();
	upgrader = begin_upgrade();
	assert_true(filelock_expel(&lock, owner.handle, &is_getting));
	assert_false(is_getting);
	expect_task(upgrader, -ECANCELED);
	filelock_leave(&lock);
	assert_false(filelock_expel(&lock, owner.handle, &is_getting));
	/* Both read through that handle. */
	assert_true(filelock_release_handle(&lock, owner.handle));
	filelock_hand_over(&lock);
}

static void
closing_the_handle_of_an_upgrade_leaves_what_was_read_through_another(void **state)
{
	enum filelock_task task;
	bool is_getting;

	(void)state;
	take(PROTOCOL_SHARED, CLOCK_NEVER);
	filelock_admit_readers(&lock);
	assert_int_equal(filelock_acquire(&lock, PROTOCOL_EXCLUSIVE, self(1), 0, NULL, &task), 0);
	assert_int_equal(task, FILELOCK_UPGRADE_GRANT);
	assert_true(filelock_expel(&lock, &handle[1], &is_getting));
	assert_true(is_getting);
	filelock_not_upgraded(&lock);
	assert_false(filelock_release_handle(&lock, &handle[1]));
	assert_int_equal(filelock_check_holder(&lock, filelock_thread()), 0);
	assert_true(filelock_release_handle(&lock, &handle[0]));
	filelock_hand_over(&lock);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_holder_may_not_lock_again),
		TEST(they_come_in_the_order_they_came),
		TEST(a_reader_does_not_overtake_a_writer_but_follows_one_that_gives_up),
		TEST(any_number_of_readers_share_and_one_is_the_last),
		TEST(closing_a_handle_ends_what_was_taken_through_it),
		TEST(any_thread_releases_what_a_handle_owns_but_only_once),
		TEST(a_handle_has_the_lock_for_one_reader_at_a_time),
		TEST(a_reader_writes_once_it_is_alone_and_in_front_of_all),
		TEST(a_reader_that_cannot_write_reads_on_with_those_that_came),
		TEST(an_upgrade_of_a_lock_that_is_released_is_an_acquire),
		TEST(an_upgrade_that_goes_on_late_is_alone_or_waits_again),
		TEST(closing_a_handle_ends_its_upgrade),
		TEST(closing_the_handle_of_an_upgrade_leaves_what_was_read_through_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
