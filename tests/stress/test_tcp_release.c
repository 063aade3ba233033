/*
 * A release over TCP counts when sm_unlock() has returned, also when the process is killed then.
 * The kernel resets a connection whose process has not read all that came, and drops the bytes that
 * the server had no room for. So sm_unlock() waits while there are such bytes, and only then.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/size.h"
#include "common/client/smclient.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/daemon.h"
#include "tests/stress/patience.h"

enum {
	LARGE = 2 * SIZE_MIB, /* more than the server's socket takes */
	SMALL = 64,
	SOON_MS = 300 /* within which a release that waits must not return */
};

static struct daemon d;

/* What a child and the test see of each other. */
static struct shared {
	atomic_bool is_ready; /* the child has the lock, and has changed all bytes */
	atomic_bool may_unlock;
	atomic_bool is_unlocked;
} * shared;

static bool
open_over_tcp(struct client *c, uint32_t size)
{
	c->sm = client_create_as(&d, d.tcp, "client", "name=server,sync=full");
	return client_open_file(c, size == LARGE ? CLIENT_MOUNT "/large" : CLIENT_MOUNT "/small",
	    size);
}

static void
change_and_unlock(uint32_t size)
{
	struct client c = { 0 };

	child_expect(open_over_tcp(&c, size) && sm_lock(c.file) == 0, "the lock");
	memset(c.segment, 'x', size);
	atomic_store(&shared->is_ready, true);
	child_expect(child_await(&shared->may_unlock, PATIENCE_MS), "to be let on");
	child_expect(sm_unlock(c.file) == 0, "sm_unlock");
	atomic_store(&shared->is_unlocked, true);
	/* The process is killed. */
	for (;;)
		pause();
}

static pid_t
begin(uint32_t size)
{
	pid_t child;

	*shared = (struct shared){ 0 };
	child = child_begin();
	if (child == 0)
		change_and_unlock(size);
	assert_true(child_await(&shared->is_ready, PATIENCE_MS));
	return child;
}

/* The first bytes and the last ones are those of the child, or are not. */
static void
expect_published(uint32_t size)
{
	struct client c = { 0 };

	assert_true(open_over_tcp(&c, size));
	assert_int_equal(client_lock_within(&c, PATIENCE_MS), 0);
	assert_int_equal(c.segment[0], 'x');
	assert_int_equal(c.segment[size - 1], 'x');
	client_close(&c);
}

static void
a_release_that_the_server_has_no_room_for_waits(void **state)
{
	struct client keeper = { 0 };
	pid_t child;

	(void)state;
	/* The memory file outlives the child. */
	assert_true(open_over_tcp(&keeper, LARGE));
	child = begin(LARGE);
	daemon_signal(&d, SIGSTOP);
	atomic_store(&shared->may_unlock, true);
	(void)usleep(SOON_MS * 1000);
	assert_false(atomic_load(&shared->is_unlocked));
	daemon_signal(&d, SIGCONT);
	assert_true(child_await(&shared->is_unlocked, PATIENCE_MS));
	child_kill_all(&child, 1);
	expect_published(LARGE);
	client_close(&keeper);
}

static void
a_release_of_a_few_bytes_does_not_wait(void **state)
{
	struct client keeper = { 0 };
	pid_t child;

	(void)state;
	assert_true(open_over_tcp(&keeper, SMALL));
	child = begin(SMALL);
	daemon_signal(&d, SIGSTOP);
	atomic_store(&shared->may_unlock, true);
	assert_true(child_await(&shared->is_unlocked, PATIENCE_MS));
	child_kill_all(&child, 1);
	daemon_signal(&d, SIGCONT);
	expect_published(SMALL);
	client_close(&keeper);
}

static int
setup(void **state)
{
	(void)state;
	shared = child_share(sizeof *shared);
	daemon_open(&d, &(struct daemon_config){ .has_keys = true, .tcp_host = "127.0.0.1" });
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	daemon_close(&d);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_release_that_the_server_has_no_room_for_waits),
		cmocka_unit_test(a_release_of_a_few_bytes_does_not_wait),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
