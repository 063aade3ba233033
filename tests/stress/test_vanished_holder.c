/*
 * A holder behind a cut network (TCP and TLS, in namespaces of the test's own) loses its lock
 * within 30 s, and the next waiter gets it then: an idle holder, and one to which the server sends
 * a grant shortly before an idle one has lost its lock.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/cutnet.h"
#include "tests/stress/daemon.h"
#include "tests/stress/patience.h"

enum { IDLE, BUSY, HOLDERS };
enum { GRANTER, HOLDER, HEIR = HOLDER + HOLDERS, PROCESSES = HEIR + HOLDERS };
enum { LOST_MOST_MS = 30000, GRANT_AFTER_MS = 10000 };

#define LATE CLIENT_MOUNT "/late" /* BUSY waits for it; the grant is sent after the cut */

static const char *const held[HOLDERS] = { CLIENT_MOUNT "/idle", CLIENT_MOUNT "/busy" };

/* Shared by all processes. */
static struct {
	atomic_bool is_ready[PROCESSES];
	atomic_bool is_waited; /* BUSY waits */
	atomic_bool is_cut;
	uint64_t cut; /* when it was; written before is_cut */
	uint64_t took[HOLDERS];
	struct child_complaint complaint;
} * shared;

static struct cutnet net;
static bool has_net;
static struct daemon server = { .pid = -1 };
static pid_t pids[PROCESSES];

/* The processes. */

static void
check(bool is_right, const char *what)
{
	if (!is_right)
		child_complain(&shared->complaint, "%s: %s (%s)", what, strerror(errno),
		    sm_error(NULL));
}

static void
wait_for_end(void)
{
	for (;;)
		pause();
}

/* Holds a lock behind the cut. BUSY waits for another one, too. */
static void
hold(int which)
{
	struct client c, late;

	check(cutnet_enter(&net), "setns");
	c.sm = late.sm = client_create_as(&server, server.tcp, "client", "name=server");
	check(client_open_file(&c, held[which], 0) && client_open_file(&late, LATE, 0), "open");
	check(sm_lock(c.file) == 0, "a free lock");
	atomic_store(&shared->is_ready[HOLDER + which], true);
	if (which == BUSY)
		(void)sm_lock(late.file);
	wait_for_end();
}

/* Makes the server send a grant to BUSY, which is gone. */
static void
grant_late(void)
{
	struct client c;
	uint64_t due;

	check(client_open(&c, &server, LATE, 0) && sm_lock(c.file) == 0, "the granter");
	atomic_store(&shared->is_ready[GRANTER], true);
	check(client_await_waiter(&c), "the waiter");
	atomic_store(&shared->is_waited, true);
	check(child_await(&shared->is_cut, PATIENCE_MS), "the cut");
	due = clock_after_ms(shared->cut, GRANT_AFTER_MS);
	while (clock_now() < due)
		patience_breathe();
	check(sm_unlock(c.file) == 0, "sm_unlock");
	wait_for_end();
}

/* Waits for the lock of a holder. */
static void
inherit(int which)
{
	struct client c;

	check(client_open(&c, &server, held[which], 0), "open");
	check(sm_trylock(c.file) != 0 && errno == EAGAIN, "the lock is not held");
	atomic_store(&shared->is_ready[HEIR + which], true);
	check(child_await(&shared->is_cut, PATIENCE_MS), "the cut");
	check(client_lock_within(&c, 2 * LOST_MOST_MS) == 0, held[which]);
	shared->took[which] = clock_now() - shared->cut;
	client_close(&c);
	_exit(EXIT_SUCCESS);
}

/* The test. */

static void
await(const atomic_bool *flag)
{
	(void)child_await(flag, PATIENCE_MS);
	child_expect_no_complaint(&shared->complaint);
	assert_true(atomic_load(flag));
}

static void
begin_process(int process)
{
	pids[process] = child_begin();
	if (pids[process] != 0)
		await(&shared->is_ready[process]);
	else if (process == GRANTER)
		grant_late();
	else if (process < HEIR)
		hold(process - HOLDER);
	else
		inherit(process - HEIR);
}

static void
expect_heir(int which)
{
	pid_t pid = pids[HEIR + which];
	bool has_lock;

	pids[HEIR + which] = -1;
	has_lock = child_has_ended_well(pid);
	child_expect_no_complaint(&shared->complaint);
	assert_true(has_lock);
	print_message("# %s: %.1f s\n", held[which], (double)shared->took[which] / CLOCK_SEC);
	/* The kernels' timers are right on a busy machine, too. */
	if (shared->took[which] > LOST_MOST_MS * CLOCK_MS)
		fail_msg("%s: expected the lock within %d ms of the cut, got it after %lu",
		    held[which], LOST_MOST_MS, (unsigned long)(shared->took[which] / CLOCK_MS));
}

static void
a_holder_behind_a_cut_loses_its_lock(void **state)
{
	int i;

	(void)state;
	if (!has_net) {
		print_message("# no network of namespaces can be made here\n");
		skip();
	}
	for (i = 0; i < PROCESSES; i++)
		begin_process(i);
	await(&shared->is_waited);
	shared->cut = clock_now();
	cutnet_cut(&net);
	atomic_store(&shared->is_cut, true);
	for (i = 0; i < HOLDERS; i++)
		expect_heir(i);
}

static int
begin_all(void **state)
{
	struct daemon_config config = { .has_keys = true, .tcp_host = CUTNET_SERVER };

	(void)state;
	shared = child_share(sizeof *shared);
	has_net = cutnet_create(&net);
	if (has_net)
		daemon_open(&server, &config);
	return 0;
}

static int
end_all(void **state)
{
	(void)state;
	child_kill_all(pids, PROCESSES);
	if (!has_net)
		return 0;
	daemon_close(&server);
	cutnet_destroy(&net);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_holder_behind_a_cut_loses_its_lock),
	};

	return cmocka_run_group_tests(tests, begin_all, end_all);
}
