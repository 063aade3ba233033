#include "tests/stress/crew.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>

#include "common/base/clock.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/daemon.h"
#include "tests/stress/patience.h"
#include "tests/stress/worker.h"

enum {
	INCREMENTS = 10 * 1000, /* of each worker */
	INCREMENTS_TCP = 1000,
	KILL_EVERY_MS = 50,
	TAKEOVER_MS = 50,
	RUN_MS = 5 * 60 * 1000
};

/*
 * The workers of a test, as the process sees them that keeps the file open, kills and replaces
 * them.
 */
struct crew {
	const char *address;
	struct client client;
	pid_t pids[WORKER_COUNT]; /* -1: has finished */
	size_t next;              /* the next victim */
	unsigned killed_inside, killed_after, killed_anywhere, measured;
	uint64_t longest; /* time until the next waiter held the lock, of all measured */
	unsigned late;    /* of these */
};

static bool is_smuf;
static struct daemon server;
static struct worker_page *page;
static struct crew crew; /* of the running test */

static void
hire(struct crew *c, size_t i)
{
	atomic_store(&page->accounts[i].order, WORKER_LIVE);
	c->pids[i] = child_begin();
	if (c->pids[i] == 0) {
		client_close(&c->client);
		worker_run(page, i, &server, c->address);
	}
}

/* A worker has ended by itself, which is right when it has finished. */
static void
judge_end(struct crew *c, size_t i, int status)
{
	c->pids[i] = -1;
	if (status == 0)
		return;
	child_expect_no_complaint(&page->complaint);
	fail_msg("worker %zu ended with status 0x%x", i, status);
}

/* Reaps the workers that have ended. Returns how many still work. */
static unsigned
count_working(struct crew *c)
{
	unsigned count = 0;
	int status;
	size_t i;

	for (i = 0; i < WORKER_COUNT; i++) {
		if (c->pids[i] != -1 && waitpid(c->pids[i], &status, WNOHANG) == c->pids[i])
			judge_end(c, i, status);
		count += c->pids[i] != -1;
	}
	return count;
}

static void
expect_time_left(uint64_t deadline, const char *what)
{
	if (clock_now() > deadline)
		fail_msg("%s did not happen in time", what);
}

/* Chooses a worker that still works; there must be one. */
static size_t
choose(struct crew *c)
{
	do
		c->next = (c->next + 3) % WORKER_COUNT;
	while (c->pids[c->next] == -1);
	return c->next;
}

static bool
somebody_waits(void)
{
	size_t i;

	for (i = 0; i < WORKER_COUNT; i++)
		if (atomic_load(&page->accounts[i].phase) == WORKER_WAITING)
			return true;
	return false;
}

/* Waits until the worker has executed its order. False when it finished before. */
static bool
await_obedience(struct crew *c, size_t i, int phase)
{
	uint64_t deadline = patience_until(PATIENCE_MS);
	int status;

	for (;;) {
		if (waitpid(c->pids[i], &status, WNOHANG) == c->pids[i]) {
			if (phase < 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
				return true;
			judge_end(c, i, status);
			return false;
		}
		if (phase >= 0 && atomic_load(&page->accounts[i].phase) == phase)
			return true;
		expect_time_left(deadline, "an order's execution");
		patience_breathe();
	}
}

/* Kills a worker that holds the lock and has written; measures how long the next grant takes. */
static void
kill_inside(struct crew *c)
{
	uint64_t deadline, begin, took;
	size_t i = choose(c);
	bool is_measured;

	atomic_store(&page->accounts[i].order, WORKER_DIE_INSIDE);
	if (!await_obedience(c, i, WORKER_POISONED))
		return;
	is_measured = somebody_waits();
	atomic_store(&page->taken, 0);
	begin = clock_now();
	kill(c->pids[i], SIGKILL);
	waitpid(c->pids[i], NULL, 0);
	c->killed_inside++;
	deadline = patience_until(PATIENCE_MS);
	while (is_measured && atomic_load(&page->taken) == 0) {
		count_working(c);
		expect_time_left(deadline, "the next waiter's grant");
		patience_breathe();
	}
	if (is_measured) {
		took = atomic_load(&page->taken) - begin;
		c->longest = took > c->longest ? took : c->longest;
		c->late += patience_is_over(took, TAKEOVER_MS);
		c->measured++;
	}
	hire(c, i);
}

/*
 * A worker kills itself when sm_unlock() has returned: the server may not have read its release
 * yet.
 */
static void
kill_after_unlock(struct crew *c)
{
	size_t i = choose(c);

	atomic_store(&page->accounts[i].order, WORKER_DIE_AFTER_UNLOCK);
	if (!await_obedience(c, i, -1))
		return;
	c->killed_after++;
	hire(c, i);
}

/* Kills a worker in any state: connecting, waiting, inside, releasing. */
static void
kill_anywhere(struct crew *c)
{
	size_t i = choose(c);
	int status;

	kill(c->pids[i], SIGKILL);
	waitpid(c->pids[i], &status, 0);
	if (!WIFSIGNALED(status)) {
		judge_end(c, i, status);
		return;
	}
	c->killed_anywhere++;
	hire(c, i);
}

/* Watches the crew until then, or until all have finished. True when some still work. */
static bool
supervise(struct crew *c, uint64_t until, uint64_t deadline)
{
	while (clock_now() < until) {
		if (count_working(c) == 0)
			return false;
		expect_time_left(deadline, "the last increment");
		patience_breathe();
	}
	return count_working(c) > 0;
}

static void
kill_until_done(struct crew *c, uint64_t deadline)
{
	uint64_t tick = clock_now(), half = patience_ms(KILL_EVERY_MS) / 2 * CLOCK_MS;
	unsigned round;

	for (round = 0;; round++) {
		tick += half;
		if (!supervise(c, tick, deadline))
			return;
		kill_inside(c);
		tick += half;
		if (!supervise(c, tick, deadline))
			return;
		if (round % 2 == 0)
			kill_after_unlock(c);
		else
			kill_anywhere(c);
	}
}

static void
gather(struct crew *c, const char *address, uint64_t target)
{
	size_t i;

	*c = (struct crew){ .address = address };
	memset(page, 0, sizeof *page);
	page->target = target;
	client_expect_open(&c->client, &server, WORKER_FILE, WORKER_SEGMENT);
	for (i = 0; i < WORKER_COUNT; i++)
		hire(c, i);
}

static void
dismiss(struct crew *c)
{
	if (sm_lock(c->client.file) != 0)
		fail_msg("sm_lock: %s", sm_error(c->client.sm));
	worker_expect_done(page, c->client.segment);
	assert_int_equal(sm_unlock(c->client.file), 0);
	assert_int_equal(sm_close(c->client.file), 0);
	client_close(&c->client);
}

/* Ends all workers, after a test that has failed. */
static int
disband(void **state)
{
	(void)state;
	child_kill_all(crew.pids, WORKER_COUNT);
	client_close(&crew.client);
	return 0;
}

static void
count_together(const char *address, uint64_t target, bool with_kills)
{
	uint64_t deadline = patience_until(RUN_MS), begin = clock_now();
	struct crew *c = &crew;

	gather(c, address, target);
	if (with_kills)
		kill_until_done(c, deadline);
	else
		supervise(c, deadline, deadline);
	print_message("# %lu increments in %lu ms\n", (unsigned long)(WORKER_COUNT * target),
	    (unsigned long)((clock_now() - begin) / CLOCK_MS));
	dismiss(c);
	if (!with_kills)
		return;
	print_message(
	    "# killed: %u inside, %u after sm_unlock, %u anywhere; "
	    "the next waiter had the lock after at most %lu us (%u measured)\n",
	    c->killed_inside, c->killed_after, c->killed_anywhere,
	    (unsigned long)(c->longest / 1000), c->measured);
	assert_true(c->killed_inside > 0 && c->killed_after > 0 && c->measured > 0);
	/* On a busy machine the waiter may be the one that does not run. */
	if (c->late > 1 + c->measured / 10 || patience_is_over(c->longest, 20 * TAKEOVER_MS))
		fail_msg(
		    "after %u of %u deaths the next waiter had the lock later than %d ms, once %lu us",
		    c->late, c->measured, TAKEOVER_MS, (unsigned long)(c->longest / 1000));
}

static void
eight_processes_count_to_exactly_80000(void **state)
{
	(void)state;
	count_together(server.address, INCREMENTS, false);
}

static void
eight_processes_count_to_exactly_80000_while_some_are_killed(void **state)
{
	(void)state;
	count_together(server.address, INCREMENTS, true);
}

static void
the_same_over_tcp(void **state)
{
	(void)state;
	count_together(server.tcp, INCREMENTS_TCP, true);
}

static void
the_server_has_nothing_to_complain_about_and_exits_with_0(void **state)
{
	unsigned expected;

	(void)state;
	daemon_stop(&server);
	/* The server reports a worker that was killed while it connected as just that. */
	expected = daemon_log_count(&server, 0, "refused in the TLS handshake", "");
	/* If there were too many of these lines at a time, its last one counts those left out. */
	expected += daemon_log_count(&server, 0, "lines about this peer withheld", "") -
	    daemon_log_count(&server, 0, "(and ", "lines about this peer withheld");
	daemon_log_expect(&server, 0, expected);
}

static int
begin_all(void **state)
{
	*state = &server;
	page = child_share(sizeof *page);
	daemon_open(&server,
	    &(struct daemon_config){ .is_smuf = is_smuf,
		.has_keys = true,
		.tcp_host = "127.0.0.1" });
	return 0;
}

int
crew_main(const char *name, bool serves_smuf)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(eight_processes_count_to_exactly_80000, disband),
		cmocka_unit_test_teardown(
		    eight_processes_count_to_exactly_80000_while_some_are_killed, disband),
		cmocka_unit_test_teardown(the_same_over_tcp, disband),
		cmocka_unit_test(the_server_has_nothing_to_complain_about_and_exits_with_0),
	};

	is_smuf = serves_smuf;
	return cmocka_run_group_tests_name(name, tests, begin_all, daemon_teardown);
}
