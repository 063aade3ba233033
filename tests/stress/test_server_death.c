/*
 * kill -9 of the server: each blocked call of the library, whatever it waits for, returns an error
 * within a second; so does each later call; mappings stay readable; opening again connects again.
 *
 * A process of its own makes each blocked call. A call for the lock waits in the server; each other
 * call is made while the server is stopped (SIGSTOP), so that no reply comes.
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
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/daemon.h"
#include "tests/stress/patience.h"
#include "tests/stress/procfs.h"

#define HELD CLIENT_MOUNT "/held"
#define OWN CLIENT_MOUNT "/own" /* a caller's own file; its number follows */

enum {
	SEGMENT = 64 * SIZE_KIB,
	LARGE = 8 * SIZE_MIB, /* does not fit into a socket */
	RETURN_MS = 1000,
	TRY_MS = 900,     /* at least, until a trylock gives up */
	STILL_LOOKS = 30, /* a process is blocked when it sleeps at so many samples */
	PUBLISHED = 42
};

static struct daemon server;

/* A process with its files, before its call. */
struct caller {
	const char *address;
	struct sm *sm, *fresh; /* fresh: has no connection yet */
	struct sm_file *held, *own;
	const volatile uint64_t *words; /* of held */
	uint8_t *own_bytes;
	char own_path[32];
};

/* The result of a call: 0 on success, else errno. */
static int
errno_unless(bool ok)
{
	return ok ? 0 : errno;
}

static int
call_lock(struct caller *c)
{
	return errno_unless(sm_lock(c->held) == 0);
}

static int
call_rdlock(struct caller *c)
{
	return errno_unless(sm_rdlock(c->held) == 0);
}

static int
call_timedlock(struct caller *c)
{
	const struct timespec never = { .tv_sec = INT32_MAX };

	return errno_unless(sm_timedlock(c->held, &never) == 0);
}

static int
call_trylock(struct caller *c)
{
	return errno_unless(sm_trylock(c->own) == 0);
}

static int
call_unlock(struct caller *c)
{
	return errno_unless(sm_unlock(c->own) == 0);
}

static int
call_map(struct caller *c)
{
	return errno_unless(sm_map(c->own, NULL, SEGMENT) != NULL);
}

static int
call_close(struct caller *c)
{
	return errno_unless(sm_close(c->own) == 0);
}

static int
call_stat(struct caller *c)
{
	struct sm_stat stat;

	return errno_unless(sm_stat(c->held, &stat) == 0);
}

static int
call_open(struct caller *c)
{
	return errno_unless(sm_open(c->sm, CLIENT_MOUNT "/new") != NULL);
}

static int
call_open_fresh(struct caller *c)
{
	return errno_unless(sm_open(c->fresh, CLIENT_MOUNT "/new") != NULL);
}

/* Preparations for a call, while the server still replies. */

static int
prepare_nothing(struct caller *c)
{
	(void)c;
	return 0;
}

static int
prepare_own(struct caller *c)
{
	c->own = sm_open(c->sm, c->own_path);
	return errno_unless(c->own != NULL);
}

static int
prepare_own_locked(struct caller *c, size_t size)
{
	int error = prepare_own(c);

	if (error != 0)
		return error;
	c->own_bytes = sm_map(c->own, NULL, size);
	if (c->own_bytes == NULL || sm_lock(c->own) != 0)
		return errno;
	memset(c->own_bytes, 1, size);
	return 0;
}

static int
prepare_small_release(struct caller *c)
{
	return prepare_own_locked(c, SEGMENT);
}

static int
prepare_large_release(struct caller *c)
{
	return prepare_own_locked(c, LARGE);
}

static int
prepare_fresh(struct caller *c)
{
	c->fresh = client_create_as(&server, c->address, "client", NULL);
	return errno_unless(c->fresh != NULL);
}

/* Another thread waits for the lock already; this thread will wait for that one. */
static void *
lock_in_thread(void *argument)
{
	struct caller *c = argument;

	(void)call_lock(c);
	return NULL;
}

static int
prepare_thread(struct caller *c)
{
	pthread_t thread;
	int error = pthread_create(&thread, NULL, lock_in_thread, c);

	if (error == 0)
		pthread_detach(thread);
	return error;
}

static const struct {
	const char *name;
	int (*prepare)(struct caller *);
	int (*call)(struct caller *);
	/* in the running server; other calls wait for a reply of the stopped one */
	bool waits_for_lock;
} calls[] = {
	{ "sm_lock", prepare_nothing, call_lock, true },
	{ "sm_rdlock", prepare_nothing, call_rdlock, true },
	{ "sm_timedlock", prepare_nothing, call_timedlock, true },
	{ "sm_lock behind another thread", prepare_thread, call_lock, true },
	{ "sm_stat beside another thread", prepare_thread, call_stat, false },
	{ "sm_trylock", prepare_own, call_trylock, false },
	{ "sm_map", prepare_own, call_map, false },
	{ "sm_close", prepare_own, call_close, false },
	{ "sm_stat", prepare_nothing, call_stat, false },
	{ "sm_open", prepare_nothing, call_open, false },
	{ "sm_open that connects", prepare_fresh, call_open_fresh, false },
	{ "sm_unlock", prepare_small_release, call_unlock, false },
	{ "sm_unlock of much", prepare_large_release, call_unlock, false },
};
enum { CALLS = sizeof calls / sizeof calls[0], QUEUED = 5 /* ACQUIREs that wait in the server */ };

/* Shared by a caller's process and the test. */
struct report {
	_Atomic int stage; /* enum stage */
	_Atomic int go;    /* set by the test: make the call */
	_Atomic uint64_t begun, returned;
	_Atomic int error; /* of the call, or of the step that failed before it */
	_Atomic int again; /* of a later call */
	_Atomic int is_readable;
};

enum stage { STARTING, FAILED, READY, CALLING, DONE };

static struct report *reports;
static pid_t pids[CALLS];

static void
set_stage(struct report *r, int stage, int error)
{
	atomic_store(&r->error, error);
	atomic_store(&r->stage, stage);
}

/* Connects and reads the published segment once. */
static int
prepare_all(struct caller *c, size_t i)
{
	snprintf(c->own_path, sizeof c->own_path, OWN "%zu", i);
	c->sm = client_create_as(&server, c->address, "client", NULL);
	c->held = c->sm != NULL ? sm_open(c->sm, HELD) : NULL;
	c->words = c->held != NULL ? sm_map(c->held, NULL, SEGMENT) : NULL;
	if (c->words == NULL || sm_lock(c->held) != 0 || sm_unlock(c->held) != 0)
		return errno;
	return c->words[0] == PUBLISHED ? 0 : EBADMSG;
}

static void
await_go(struct report *r)
{
	while (!atomic_load(&r->go))
		patience_breathe();
}

/* The life of a caller's process. At first no process holds the lock: see start_callers(). */
static void __attribute__((noreturn)) run_caller(size_t i, const char *address)
{
	struct caller c = { .address = address };
	struct report *r = &reports[i];
	int error;

	error = prepare_all(&c, i);
	set_stage(r, error == 0 ? READY : FAILED, error);
	await_go(r);
	atomic_store(&r->go, 0);
	error = calls[i].prepare(&c);
	set_stage(r, error == 0 ? READY : FAILED, error);
	await_go(r);
	atomic_store(&r->begun, clock_now());
	set_stage(r, CALLING, 0);
	error = calls[i].call(&c);
	atomic_store(&r->returned, clock_now());
	atomic_store(&r->again, call_stat(&c));
	atomic_store(&r->is_readable, c.words[0] == PUBLISHED);
	set_stage(r, DONE, error);
	/* The test reads the report, then kills the process. */
	for (;;)
		pause();
}

/* The test's own side. */

/* Until it has come to the stage, or beyond. */
static void
await_stage(size_t i, int stage)
{
	uint64_t deadline = patience_until(PATIENCE_MS);
	struct report *r = &reports[i];

	while (atomic_load(&r->stage) < stage) {
		if (atomic_load(&r->stage) == FAILED)
			fail_msg("%s: preparing it failed: %s", calls[i].name,
			    strerror(atomic_load(&r->error)));
		if (clock_now() > deadline)
			fail_msg("%s: stage %d was expected, it is at %d", calls[i].name, stage,
			    atomic_load(&r->stage));
		patience_breathe();
	}
}

/* A trylock waits a second for its server, which may be silent for so long on a busy machine. */
static bool
has_reached_limit(size_t i)
{
	const struct report *r = &reports[i];

	return calls[i].call == call_trylock && atomic_load(&r->stage) == DONE &&
	    atomic_load(&r->error) == ETIMEDOUT &&
	    atomic_load(&r->returned) - atomic_load(&r->begun) >= TRY_MS * (uint64_t)CLOCK_MS;
}

/* Waits until the process sleeps in its call. */
static void
await_blocked(size_t i)
{
	uint64_t deadline = patience_until(PATIENCE_MS);
	int looks = 0;

	await_stage(i, CALLING);
	while (looks < STILL_LOOKS && !has_reached_limit(i)) {
		if (atomic_load(&reports[i].stage) == DONE)
			fail_msg("%s: expected it to block, it returned %d", calls[i].name,
			    atomic_load(&reports[i].error));
		if (clock_now() > deadline)
			fail_msg("%s: it neither returns nor sleeps", calls[i].name);
		looks = procfs_state(pids[i]) == 'S' ? looks + 1 : 0;
		patience_breathe();
	}
}

static void
tell_to_go(size_t i)
{
	atomic_store(&reports[i].stage, STARTING);
	atomic_store(&reports[i].go, 1);
}

static void
await_waiters(struct sm_file *held, uint32_t count)
{
	uint64_t deadline = patience_until(PATIENCE_MS);
	struct sm_stat stat = { 0 };

	while (sm_stat(held, &stat) == 0 && stat.waiters != count) {
		if (clock_now() > deadline)
			fail_msg("waiters in the server: expected %u, got %u", count, stat.waiters);
		patience_breathe();
	}
	assert_int_equal(stat.waiters, count);
}

/*
 * All callers have read the published segment; then holder has the lock, and all are ready for
 * their calls.
 */
static void
start_callers(struct caller *holder, const char *address)
{
	size_t i;

	memset(reports, 0, CALLS * sizeof *reports);
	for (i = 0; i < CALLS; i++) {
		pids[i] = child_begin();
		if (pids[i] == 0)
			run_caller(i, address);
	}
	for (i = 0; i < CALLS; i++)
		await_stage(i, READY);
	assert_int_equal(sm_lock(holder->held), 0);
	for (i = 0; i < CALLS; i++)
		tell_to_go(i);
	for (i = 0; i < CALLS; i++)
		await_stage(i, READY);
}

/* All callers make their calls, and none returns. */
static void
block_callers(struct caller *holder)
{
	size_t i;

	for (i = 0; i < CALLS; i++)
		if (calls[i].waits_for_lock)
			tell_to_go(i);
	await_waiters(holder->held, QUEUED);
	daemon_signal(&server, SIGSTOP);
	for (i = 0; i < CALLS; i++)
		if (!calls[i].waits_for_lock)
			tell_to_go(i);
	for (i = 0; i < CALLS; i++)
		await_blocked(i);
}

static bool
means_gone(int error)
{
	return error == ENOTCONN || error == ECONNRESET;
}

static void
expect_return(size_t i, uint64_t death)
{
	struct report *r = &reports[i];
	uint64_t took;

	await_stage(i, DONE);
	if (has_reached_limit(i))
		return;
	took = atomic_load(&r->returned) - death;
	if (!means_gone(atomic_load(&r->error)))
		fail_msg("%s: expected ENOTCONN or ECONNRESET, got %s", calls[i].name,
		    strerror(atomic_load(&r->error)));
	if (patience_is_over(took, RETURN_MS))
		fail_msg("%s: it returned %lu ms after the server's death", calls[i].name,
		    (unsigned long)(took / CLOCK_MS));
	if (!means_gone(atomic_load(&r->again)))
		fail_msg("sm_stat after %s: expected ENOTCONN or ECONNRESET, got %s", calls[i].name,
		    strerror(atomic_load(&r->again)));
	if (!atomic_load(&r->is_readable))
		fail_msg("%s: the mapping is not what it was", calls[i].name);
}

static int
end_callers(void **state)
{
	(void)state;
	child_kill_all(pids, CALLS);
	daemon_fini(&server);
	return 0;
}

static void
start_server(void)
{
	const struct daemon_config config = { .has_keys = true,
		.tcp_host = "127.0.0.1",
		.args = { "-t", "3600000" } }; /* with leases sm_unlock() waits for a reply */

	daemon_open(&server, &config);
}

/* Publishes the word that all callers read. */
static void
publish(struct caller *c)
{
	uint64_t *words;

	c->sm = client_create_as(&server, c->address, "client", NULL);
	assert_non_null(c->sm);
	c->held = sm_open(c->sm, HELD);
	assert_non_null(c->held);
	words = sm_map(c->held, NULL, SEGMENT);
	assert_non_null(words);
	c->words = words;
	assert_int_equal(sm_lock(c->held), 0);
	words[0] = PUBLISHED;
	assert_int_equal(sm_unlock(c->held), 0);
}

/* The holder gets errors, too, and can go on when there is a server again. */
static void
expect_new_life(struct caller *c, const struct sm_stat *before)
{
	struct sm_file *file;
	struct sm_stat stat;
	uint64_t *words;

	assert_int_equal(sm_unlock(c->held), -1);
	assert_true(means_gone(errno));
	assert_null(sm_open(c->sm, HELD));
	assert_int_equal(errno, ENOTCONN);
	daemon_start(&server);
	assert_int_equal(sm_lock(c->held), -1);
	assert_true(means_gone(errno));
	assert_int_equal(c->words[0], PUBLISHED);
	file = sm_open(c->sm, HELD);
	if (file == NULL)
		fail_msg("opening again: %s", sm_error(c->sm));
	words = sm_map(file, NULL, SEGMENT);
	if (words == NULL)
		fail_msg("mapping again: %s", sm_error(c->sm));
	assert_int_equal(sm_lock(file), 0);
	assert_int_equal(words[0], 0);
	words[0] = 1;
	assert_int_equal(sm_unlock(file), 0);
	assert_int_equal(sm_stat(file, &stat), 0);
	assert_memory_not_equal(stat.instance, before->instance, sizeof stat.instance);
	assert_int_not_equal(stat.life, before->life);
	assert_int_equal(c->words[0], PUBLISHED);
	assert_int_equal(sm_lock(c->held), -1);
	assert_true(means_gone(errno));
}

static void
survive(const char *address)
{
	struct caller holder = { .address = address };
	struct sm_stat stat;
	uint64_t death;
	size_t i;

	publish(&holder);
	start_callers(&holder, address);
	assert_int_equal(sm_stat(holder.held, &stat), 0);
	block_callers(&holder);
	death = clock_now();
	daemon_signal(&server, SIGKILL);
	for (i = 0; i < CALLS; i++)
		expect_return(i, death);
	expect_new_life(&holder, &stat);
	sm_free(holder.sm);
	daemon_stop(&server);
}

static void
every_blocked_call_returns_an_error_within_a_second(void **state)
{
	(void)state;
	start_server();
	survive(server.address);
}

static void
every_blocked_call_returns_an_error_within_a_second_over_tcp(void **state)
{
	(void)state;
	start_server();
	survive(server.tcp);
}

static int
begin_all(void **state)
{
	(void)state;
	reports = child_share(CALLS * sizeof *reports);
	return 0;
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(every_blocked_call_returns_an_error_within_a_second,
		    end_callers),
		cmocka_unit_test_teardown(
		    every_blocked_call_returns_an_error_within_a_second_over_tcp, end_callers),
	};

	return cmocka_run_group_tests_name("death of the server", tests, begin_all, NULL);
}
