/*
 * Handles that are closed while other threads wait through them, and readers that come while others
 * read: over all three kinds.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "tests/stress/client.h"
#include "tests/stress/kinds.h"
#include "tests/stress/patience.h"
#include "tests/stress/testpoint.h"

enum { SOON_MS = 1000, NOT_YET_MS = 100, WRITER_MS = 200 };

/* A thread that takes the lock, and lets it go when it is told to. */
struct locker {
	struct sm_file *file;
	int (*lock)(struct sm_file *);
	pthread_t thread;
	atomic_int tid;
	atomic_bool has_returned, may_go;
	int error; /* of the lock; 0: it was granted */
	int unlock_error;
	char words[256];
};

static void *
use_lock(void *arg)
{
	struct locker *l = arg;

	atomic_store(&l->tid, (int)syscall(SYS_gettid));
	l->error = l->lock(l->file) == 0 ? 0 : errno;
	snprintf(l->words, sizeof l->words, "%s", sm_error(NULL));
	atomic_store(&l->has_returned, true);
	while (l->error == 0 && !atomic_load(&l->may_go))
		patience_breathe();
	if (l->error == 0)
		l->unlock_error = sm_unlock(l->file) == 0 ? 0 : errno;
	return NULL;
}

static void
locker_begin(struct locker *l, struct sm_file *file, int (*lock)(struct sm_file *))
{
	*l = (struct locker){ .file = file, .lock = lock };
	assert_int_equal(pthread_create(&l->thread, NULL, use_lock, l), 0);
}

static bool
has_returned_within(struct locker *l, uint64_t ms)
{
	uint64_t deadline = patience_until(ms);

	while (!atomic_load(&l->has_returned) && clock_now() < deadline)
		patience_breathe();
	return atomic_load(&l->has_returned);
}

/* The state of that thread of this process, as the kernel names it. */
static char
state_of(int tid)
{
	char path[64], state = '?';
	FILE *f;

	snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
	f = fopen(path, "r");
	if (f != NULL && fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		state = '?';
	if (f != NULL)
		fclose(f);
	return state;
}

/* Waits until the thread sleeps in its wait for the lock: ten looks find it so. */
static void
locker_await_sleep(struct locker *l)
{
	uint64_t deadline = patience_until(PATIENCE_MS);
	int looks = 0;

	while (looks < 10) {
		looks = atomic_load(&l->tid) != 0 && state_of(l->tid) == 'S' ? looks + 1 : 0;
		if (clock_now() >= deadline)
			fail_msg("the thread does not sleep");
		patience_breathe();
	}
	assert_false(atomic_load(&l->has_returned));
}

static void
locker_end(struct locker *l)
{
	atomic_store(&l->may_go, true);
	pthread_join(l->thread, NULL);
}

/* sm_close() in a thread of its own. */
static struct {
	struct sm_file *file;
	pthread_t thread;
	atomic_int tid;
	atomic_bool has_returned;
	int result;
} closer;

static void *
call_close(void *arg)
{
	(void)arg;
	atomic_store(&closer.tid, (int)syscall(SYS_gettid));
	closer.result = sm_close(closer.file);
	atomic_store(&closer.has_returned, true);
	return NULL;
}

/* Begins it, and waits until it sleeps or has returned. */
static void
begin_close(struct sm_file *file)
{
	uint64_t deadline = patience_until(PATIENCE_MS);

	closer.file = file;
	atomic_store(&closer.tid, 0);
	atomic_store(&closer.has_returned, false);
	assert_int_equal(pthread_create(&closer.thread, NULL, call_close, NULL), 0);
	while (!atomic_load(&closer.has_returned) &&
	    (atomic_load(&closer.tid) == 0 || state_of(closer.tid) != 'S')) {
		if (clock_now() >= deadline)
			fail_msg("sm_close neither sleeps nor returns");
		patience_breathe();
	}
}

static void
await_close(void)
{
	pthread_join(closer.thread, NULL);
	assert_int_equal(closer.result, 0);
}

static void
expect_closed(struct locker *l)
{
	if (!has_returned_within(l, SOON_MS))
		fail_msg("the thread waits through a handle that is closed");
	if (l->error != EBADF || strstr(l->words, "closed the handle") == NULL)
		fail_msg("expected EBADF and its words, got %s, %s", strerror(l->error), l->words);
	locker_end(l);
}

static void
expect_granted(struct locker *l)
{
	if (!has_returned_within(l, PATIENCE_MS) || l->error != 0)
		fail_msg("expected the lock, got %s", l->error != 0 ? l->words : "nothing");
}

static void
expect_held(struct sm_file *f)
{
	if (sm_trylock(f) == 0 || errno != EAGAIN)
		fail_msg("the lock is not held: %s", sm_error(NULL));
}

static void
await_waiter(const struct client *c)
{
	uint64_t deadline = patience_until(PATIENCE_MS);
	struct sm_stat st;

	do {
		assert_int_equal(sm_stat(c->file, &st), 0);
		if (clock_now() >= deadline)
			fail_msg("nobody waits");
		patience_breathe();
	} while (st.waiters == 0);
}

static void
wait_for_another_process(void)
{
	struct client here = { 0 }, there = { 0 };
	struct locker waiter, next;
	struct sm_file *handle;

	kinds_open(&here, 0);
	kinds_open(&there, 0);
	handle = kinds_handle(&here);
	assert_int_equal(sm_lock(there.file), 0);
	locker_begin(&waiter, here.file, sm_lock);
	await_waiter(&there);
	locker_await_sleep(&waiter);
	assert_int_equal(sm_close(here.file), 0);
	expect_closed(&waiter);
	/* The lock is where it was, and the file works on. */
	expect_held(handle);
	locker_begin(&next, handle, sm_lock);
	locker_await_sleep(&next);
	assert_int_equal(sm_unlock(there.file), 0);
	expect_granted(&next);
	expect_held(there.file);
	locker_end(&next);
	assert_int_equal(next.unlock_error, 0);
	assert_int_equal(client_lock_within(&there, PATIENCE_MS), 0);
	assert_int_equal(sm_unlock(there.file), 0);
	client_close(&here);
	client_close(&there);
}

static void
a_close_ends_a_wait_for_another_process(void **state)
{
	(void)state;
	kinds_run(wait_for_another_process);
}

static void
wait_for_another_thread(void)
{
	struct client here = { 0 }, there = { 0 };
	struct locker waiter;
	struct sm_file *handle;

	kinds_open(&here, 0);
	kinds_open(&there, 0);
	handle = kinds_handle(&here);
	assert_int_equal(sm_lock(here.file), 0);
	locker_begin(&waiter, handle, sm_lock);
	locker_await_sleep(&waiter);
	assert_int_equal(sm_close(handle), 0);
	expect_closed(&waiter);
	expect_held(there.file);
	assert_int_equal(sm_unlock(here.file), 0);
	assert_int_equal(client_lock_within(&there, PATIENCE_MS), 0);
	client_close(&here);
	client_close(&there);
}

static void
a_close_ends_a_wait_for_another_thread(void **state)
{
	(void)state;
	kinds_run(wait_for_another_thread);
}

static void
wait_behind_a_closed_handle(void)
{
	struct client here = { 0 }, there = { 0 };
	struct locker first, second;
	struct sm_file *handle;

	kinds_open(&here, 0);
	kinds_open(&there, 0);
	handle = kinds_handle(&here);
	assert_int_equal(sm_lock(there.file), 0);
	locker_begin(&first, here.file, sm_lock);
	await_waiter(&there);
	locker_begin(&second, handle, sm_lock);
	locker_await_sleep(&second);
	assert_int_equal(sm_close(here.file), 0);
	expect_closed(&first);
	assert_false(has_returned_within(&second, NOT_YET_MS));
	assert_int_equal(sm_unlock(there.file), 0);
	expect_granted(&second);
	expect_held(there.file);
	locker_end(&second);
	assert_int_equal(second.unlock_error, 0);
	client_close(&here);
	client_close(&there);
}

static void
a_close_leaves_the_waits_of_other_handles(void **state)
{
	(void)state;
	kinds_run(wait_behind_a_closed_handle);
}

static int
lock_soon(struct sm_file *f)
{
	struct timespec deadline = clock_timespec(patience_until(SOON_MS));

	return sm_timedlock(f, &deadline);
}

/* Two threads that wait for the lock of one file, the second behind the first. */
struct queue {
	struct locker first, second;
	const struct client *holder;
};

/* The closing thread: the first gives up, and the second waits for the holder in its place. */
static void
let_the_second_wait(const char *step, void *arg)
{
	struct queue *q = arg;
	uint64_t deadline = patience_until(PATIENCE_MS);
	struct sm_stat st = { 0 };

	(void)step;
	while (clock_now() < deadline &&
	    (!atomic_load(&q->first.has_returned) || sm_stat(q->holder->file, &st) != 0 ||
		st.waiters == 0 || state_of(atomic_load(&q->second.tid)) != 'S'))
		patience_breathe();
}

static void
interrupt_the_next(void)
{
	struct client here = { 0 }, there = { 0 };
	struct queue q = { .holder = &there };
	struct sm_file *handle;

	kinds_open(&here, 0);
	kinds_open(&there, 0);
	handle = kinds_handle(&here);
	assert_int_equal(sm_lock(there.file), 0);
	locker_begin(&q.first, here.file, lock_soon);
	await_waiter(&there);
	locker_begin(&q.second, handle, sm_lock);
	locker_await_sleep(&q.second);
	testpoint_plan_call("close: interrupts", 1, let_the_second_wait, &q);
	assert_int_equal(sm_close(here.file), 0);
	testpoint_forget();
	if (has_returned_within(&q.second, NOT_YET_MS))
		fail_msg("the wait through another handle has ended: %s", q.second.words);
	assert_int_equal(sm_unlock(there.file), 0);
	expect_granted(&q.second);
	locker_end(&q.second);
	locker_end(&q.first);
	client_close(&here);
	client_close(&there);
}

static void
a_close_that_interrupts_too_late_ends_no_other_wait(void **state)
{
	(void)state;
	kinds_run(interrupt_the_next);
}

static int
write_for_a_while(struct sm_file *f)
{
	struct timespec deadline = clock_timespec(patience_until(WRITER_MS));

	return sm_timedlock(f, &deadline);
}

static void
read_together(void)
{
	struct client here = { 0 }, there = { 0 };
	struct locker first, reader, writer;
	struct sm_file *handle;
	uint64_t begun;

	kinds_open(&here, 0);
	kinds_open(&there, 0);
	handle = kinds_handle(&here);
	locker_begin(&first, here.file, sm_rdlock);
	expect_granted(&first);
	/* Another one reads and leaves. */
	assert_int_equal(sm_rdlock(handle), 0);
	assert_int_equal(sm_unlock(handle), 0);
	locker_begin(&reader, handle, sm_rdlock);
	expect_granted(&reader);
	locker_end(&reader);
	/* A writer elsewhere is not overtaken, but while it waits only. */
	begun = clock_now();
	locker_begin(&writer, there.file, write_for_a_while);
	await_waiter(&here);
	locker_begin(&reader, handle, sm_rdlock);
	expect_granted(&reader);
	if (clock_now() - begun < WRITER_MS * CLOCK_MS)
		fail_msg("a reader has overtaken a writer of another process");
	locker_end(&writer);
	assert_int_equal(writer.error, ETIMEDOUT);
	locker_end(&reader);
	locker_end(&first);
	client_close(&here);
	client_close(&there);
}

/* A reader asks the server whether it may join others; the handle is closed before the answer. */
static void
close_while_asking(void)
{
	struct client here;
	struct sm_file *second;
	struct locker reader;

	kinds_open(&here, 0);
	second = kinds_handle(&here);
	assert_int_equal(sm_rdlock(here.file), 0);
	/* After this reader has come and gone, another one has to ask. */
	locker_begin(&reader, second, sm_rdlock);
	expect_granted(&reader);
	locker_end(&reader);
	if (kinds_signal(SIGSTOP)) {
		locker_begin(&reader, second, sm_rdlock);
		locker_await_sleep(&reader);
		begin_close(second);
		assert_true(kinds_signal(SIGCONT));
		await_close();
		expect_closed(&reader);
	}
	assert_int_equal(sm_unlock(here.file), 0);
	assert_int_equal(sm_lock(here.file), 0);
	assert_int_equal(sm_unlock(here.file), 0);
	client_close(&here);
}

static void
a_close_ends_the_wait_of_a_reader_that_asks(void **state)
{
	(void)state;
	kinds_run(close_while_asking);
}

static void
a_reader_joins_others_while_no_writer_waits(void **state)
{
	(void)state;
	kinds_run(read_together);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_close_ends_a_wait_for_another_process),
		cmocka_unit_test(a_close_ends_a_wait_for_another_thread),
		cmocka_unit_test(a_close_leaves_the_waits_of_other_handles),
		cmocka_unit_test(a_close_that_interrupts_too_late_ends_no_other_wait),
		cmocka_unit_test(a_close_ends_the_wait_of_a_reader_that_asks),
		cmocka_unit_test(a_reader_joins_others_while_no_writer_waits),
	};

	return cmocka_run_group_tests(tests, kinds_begin, kinds_end);
}
