/* sm_holder(): which process holds the lock, and how, over all three kinds. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdatomic.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/kinds.h"
#include "tests/stress/patience.h"

static struct {
	atomic_bool has_lock;
	atomic_bool is_to_end;
	struct child_complaint complaint;
} * shared;

static pid_t child;

static struct sm_holder
holder_of(const struct client *c)
{
	struct sm_holder h = { .mode = 77, .pid = 77 };

	if (sm_holder(c->file, &h) != 0)
		fail_msg("sm_holder: %s", sm_error(NULL));
	return h;
}

static void
expect(const struct client *c, uint32_t mode, pid_t pid)
{
	struct sm_holder h = holder_of(c);

	if (h.mode != mode || h.pid != pid)
		fail_msg("expected mode %u, process %d, got %u, %d", mode, pid, h.mode, (int)h.pid);
}

/* As other processes see it: those of smc see neither readers nor the holder's number. */
static void
expect_of_another(const struct client *c, uint32_t mode, pid_t pid)
{
	expect(c, kinds_is_smc() ? SM_WRITE : mode, kinds_is_smc() ? -1 : pid);
}

static void
see_this_process(void)
{
	struct client here, there;

	kinds_open(&here, 0);
	kinds_open(&there, 0);
	expect(&here, 0, -1);
	assert_int_equal(sm_lock(here.file), 0);
	expect(&here, SM_WRITE, getpid());
	expect_of_another(&there, SM_WRITE, getpid());
	assert_int_equal(sm_trylock(there.file), -1);
	assert_int_equal(sm_unlock(here.file), 0);
	expect(&here, 0, -1);
	/* Also after a wait that was given up. */
	assert_int_equal(sm_lock(here.file), 0);
	assert_int_equal(client_lock_for(&there, 1), ETIMEDOUT);
	assert_int_equal(sm_unlock(here.file), 0);
	expect(&here, 0, -1);
	expect(&there, 0, -1);
	assert_int_equal(sm_rdlock(there.file), 0);
	expect(&there, SM_READ, getpid());
	expect_of_another(&here, SM_READ, getpid());
	assert_int_equal(sm_unlock(there.file), 0);
	expect(&there, 0, -1);
	client_close(&here);
	client_close(&there);
}

static void
the_holder_is_this_process(void **state)
{
	(void)state;
	kinds_run(see_this_process);
}

/* In a child. */
static void
hold(struct client *c, int (*lock)(struct sm_file *))
{
	struct sm_holder h;

	if (lock(c->file) != 0)
		child_complain(&shared->complaint, "lock: %s", sm_error(NULL));
	if (sm_holder(c->file, &h) != 0 || h.pid != getpid() ||
	    h.mode != (lock == sm_lock ? SM_WRITE : SM_READ))
		child_complain(&shared->complaint, "the holder: expected %d, got %d", getpid(),
		    (int)h.pid);
	atomic_store(&shared->has_lock, true);
	(void)child_await(&shared->is_to_end, PATIENCE_MS);
	_exit(EXIT_SUCCESS);
}

static void
await_child(void)
{
	if (!child_await(&shared->has_lock, PATIENCE_MS))
		child_expect_no_complaint(&shared->complaint);
	assert_true(shared->has_lock);
}

static void
begin_round(void)
{
	atomic_store(&shared->has_lock, false);
	atomic_store(&shared->is_to_end, false);
}

/* The child goes on with what it inherits: a connection that this process has made. */
static void
see_a_child(int (*lock)(struct sm_file *))
{
	struct client c;
	pid_t ended;

	begin_round();
	kinds_open(&c, 0);
	child = child_begin();
	if (child == 0)
		hold(&c, lock);
	await_child();
	expect_of_another(&c, lock == sm_lock ? SM_WRITE : SM_READ, child);
	atomic_store(&shared->is_to_end, true);
	ended = child;
	child = -1;
	child_expect_success(ended);
	client_close(&c);
}

static void
see_children(void)
{
	see_a_child(sm_lock);
	see_a_child(sm_rdlock);
}

static void
the_holder_is_a_child(void **state)
{
	(void)state;
	kinds_run(see_children);
}

/* With a connection of its own, up to its end. */
static void
see_a_death(void)
{
	uint64_t deadline;
	struct client c, other;

	begin_round();
	kinds_open(&c, 0);
	kinds_open(&other, 0);
	child = child_begin();
	if (child == 0)
		hold(&other, sm_lock);
	client_close(&other);
	await_child();
	expect_of_another(&c, SM_WRITE, child);
	child_kill_all(&child, 1);
	deadline = patience_until(PATIENCE_MS);
	while (holder_of(&c).mode != 0 && clock_now() < deadline)
		patience_breathe();
	expect(&c, 0, -1);
	client_close(&c);
}

static void
a_dead_process_holds_nothing(void **state)
{
	(void)state;
	kinds_run(see_a_death);
}

static int
begin(void **state)
{
	shared = child_share(sizeof *shared);
	return kinds_begin(state);
}

static int
kill_child(void **state)
{
	(void)state;
	child_kill_all(&child, 1);
	return 0;
}

#define TEST(f) cmocka_unit_test_teardown(f, kill_child)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_holder_is_this_process),
		TEST(the_holder_is_a_child),
		TEST(a_dead_process_holds_nothing),
	};

	return cmocka_run_group_tests(tests, begin, kinds_end);
}
