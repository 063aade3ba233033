/*
 * Clients of smuf that work as the original's did share a counter through the host's files,
 * exactly; and they go on, within the times of PROTOCOL 4.3, when one of them dies at any step of
 * its critical section, and when the host forges the lock.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "tests/stress/child.h"
#include "tests/stress/daemon.h"
#include "tests/stress/patience.h"
#include "tests/stress/smuf_v1.h"

enum {
	CLIENTS = 4,
	INCREMENTS = 500, /* of each */
	SEGMENT = 10000,
	FAR = SEGMENT / 8 - 1,
	RUN_MS = 60 * 1000,
	DRIFT_MS = 100,
	UNCLAIMED_MS = 5000,
	AT_ONCE_MS = 500, /* what happens at once has happened */
	FORGE_MS = 3000,
	RETRY_MS = 20,     /* of a client whose turn does not come while the lock is forged */
	RECOVERY_MS = 2000 /* by themselves */
};

#define NAME "/counter"

/* Shared without the server's help. */
static struct shared {
	_Atomic uint64_t done[CLIENTS];  /* sections that UNLOCK has accepted */
	_Atomic uint64_t begun[CLIENTS]; /* and sections begun */
	_Atomic int inside;              /* how many hold the lock now */
	_Atomic int doubles;             /* how often that was more than one */
	_Atomic int stop, forge, refused;
	_Atomic int step;      /* the last step of a client that is to die */
	_Atomic uint64_t when; /* when it reached that step */
	_Atomic int complaint; /* an unexpected negative errno */
} * shared;

static struct daemon server;

static int
begin(void **state)
{
	const struct daemon_config config = { .is_smuf = true };

	(void)state;
	memset(shared, 0, sizeof *shared);
	daemon_init(&server, &config);
	daemon_start(&server);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	daemon_fini(&server);
	return 0;
}

/* In a child. */
static void __attribute__((noreturn)) complain(int error)
{
	atomic_store(&shared->complaint, error);
	_exit(2);
}

static uint64_t *
words(const struct smuf_v1 *c)
{
	return (uint64_t *)(void *)c->segment;
}

/* A section: checks that it is alone, and counts in the first and the last word. */
static int
count_once(struct smuf_v1 *c)
{
	int r;

	if (atomic_fetch_add(&shared->inside, 1) != 0)
		atomic_fetch_add(&shared->doubles, 1);
	if (words(c)[0] != words(c)[FAR])
		return -EILSEQ;
	words(c)[0]++;
	words(c)[FAR]++;
	sched_yield();
	if (atomic_load(&shared->inside) != 1)
		atomic_fetch_add(&shared->doubles, 1);
	atomic_fetch_sub(&shared->inside, 1);
	r = smuf_v1_publish(c);
	return r;
}

static void __attribute__((noreturn)) count(int self)
{
	uint64_t deadline = patience_until(RUN_MS);
	struct smuf_v1 c;
	int i, r;

	r = smuf_v1_open(&c, &server, NAME, SEGMENT);
	for (i = 0; i < INCREMENTS && r == 0; i++) {
		r = smuf_v1_lock(&c, deadline);
		if (r == 0)
			r = count_once(&c);
		if (r != 0)
			break;
		atomic_fetch_add(&shared->done[self], 1);
		smuf_v1_pass_on(&c);
	}
	if (r != 0)
		complain(r);
	smuf_v1_close(&c);
	_exit(0);
}

static pid_t
spawn(void (*run)(int), int self)
{
	pid_t pid = child_begin();

	if (pid == 0)
		run(self);
	return pid;
}

static void
expect_success(pid_t pid)
{
	int status, complaint;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	complaint = atomic_load(&shared->complaint);
	if (complaint != 0)
		fail_msg("a client failed: %s", strerror(-complaint));
	if (status != 0)
		fail_msg("a client ended with status 0x%x", status);
}

static void
open_here(struct smuf_v1 *c)
{
	int r = smuf_v1_open(c, &server, NAME, SEGMENT);

	if (r != 0)
		fail_msg("opening: %s", strerror(-r));
}

static void
lock_here(struct smuf_v1 *c)
{
	int r = smuf_v1_lock(c, patience_until(RUN_MS));

	if (r != 0)
		fail_msg("locking: %s", strerror(-r));
}

static void
expect_count(struct smuf_v1 *c, uint64_t expected)
{
	lock_here(c);
	if (words(c)[0] != expected || words(c)[FAR] != expected)
		fail_msg("expected a count of %lu, got %lu and %lu", (unsigned long)expected,
		    (unsigned long)words(c)[0], (unsigned long)words(c)[FAR]);
	assert_int_equal(smuf_v1_unlock(c), 0);
}

static uint64_t
sum(const _Atomic uint64_t counts[CLIENTS])
{
	uint64_t all = 0;
	int i;

	for (i = 0; i < CLIENTS; i++)
		all += atomic_load(&counts[i]);
	return all;
}

static void
four_processes_count_to_exactly_2000(void **state)
{
	struct smuf_v1 keeper;
	pid_t pids[CLIENTS];
	uint64_t begun = clock_now();
	int i;

	(void)state;
	open_here(&keeper);
	for (i = 0; i < CLIENTS; i++)
		pids[i] = spawn(count, i);
	for (i = 0; i < CLIENTS; i++)
		expect_success(pids[i]);
	print_message("# %d increments in %lu ms\n", CLIENTS * INCREMENTS,
	    (unsigned long)((clock_now() - begun) / CLOCK_MS));
	assert_int_equal(atomic_load(&shared->doubles), 0);
	expect_count(&keeper, CLIENTS * INCREMENTS);
	smuf_v1_close(&keeper);
	daemon_stop(&server);
	assert_int_equal(rmdir(server.memdir), 0);
}

/* Deaths. A step is where the client stops and waits to be killed. */

enum step { STEP_TICKET = 1, STEP_TURN, STEP_HOLDS, STEP_WROTE, STEP_UNLOCKED };

static void
reach(enum step step, enum step last)
{
	if (step != last)
		return;
	atomic_store(&shared->when, clock_now());
	atomic_store(&shared->step, (int)step);
	for (;;)
		pause();
}

static void __attribute__((noreturn)) die_at(int last)
{
	struct smuf_v1 c;
	int r;

	r = smuf_v1_open(&c, &server, NAME, SEGMENT);
	if (r != 0)
		complain(r);
	smuf_v1_take_ticket(&c);
	reach(STEP_TICKET, last);
	r = smuf_v1_wait_for_turn(&c, NULL, patience_until(RUN_MS));
	reach(STEP_TURN, last);
	if (r == 0)
		r = smuf_v1_ask(&c);
	if (r != 0)
		complain(r);
	reach(STEP_HOLDS, last);
	words(&c)[0] += 1000;
	words(&c)[FAR] += 1000;
	reach(STEP_WROTE, last);
	r = smuf_v1_publish(&c);
	if (r != 0)
		complain(r);
	reach(STEP_UNLOCKED, last);
	complain(-ECANCELED);
}

/* Runs a client to that step, where it stops. */
static pid_t
bring_to(enum step step)
{
	uint64_t deadline = patience_until(PATIENCE_MS);
	pid_t pid;

	atomic_store(&shared->step, 0);
	pid = spawn(die_at, (int)step);
	while (atomic_load(&shared->step) != (int)step) {
		if (clock_now() > deadline || waitpid(pid, NULL, WNOHANG) == pid)
			fail_msg("the client does not come to step %d: %s", (int)step,
			    strerror(-atomic_load(&shared->complaint)));
		patience_breathe();
	}
	return pid;
}

static void
kill_it(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* Takes the lock, which must be granted between least_ms and most_ms after from. */
static void
expect_lock_between(struct smuf_v1 *c, uint64_t from, uint64_t least_ms, uint64_t most_ms)
{
	uint64_t took;

	lock_here(c);
	took = clock_now() - from;
	print_message("# the next one had the lock after %lu ms\n",
	    (unsigned long)(took / CLOCK_MS));
	if (took < least_ms * CLOCK_MS ||
	    patience_is_over(took - least_ms * CLOCK_MS, most_ms - least_ms))
		fail_msg("expected the lock after %lu to %lu ms, got it after %lu us",
		    (unsigned long)least_ms,
		    (unsigned long)(least_ms + patience_ms(most_ms - least_ms)),
		    (unsigned long)(took / 1000));
}

/* Another client publishes one increment first, so that there is something to lose. */
static void
begin_with_one(struct smuf_v1 *c)
{
	open_here(c);
	lock_here(c);
	words(c)[0] = words(c)[FAR] = 1;
	assert_int_equal(smuf_v1_unlock(c), 0);
}

static void
finish_with(struct smuf_v1 *c, uint64_t expected)
{
	if (words(c)[0] != expected || words(c)[FAR] != expected)
		fail_msg("expected a count of %lu, got %lu", (unsigned long)expected,
		    (unsigned long)words(c)[0]);
	assert_int_equal(smuf_v1_unlock(c), 0);
	/* And the next lock comes without delay. */
	expect_lock_between(c, clock_now(), 0, DRIFT_MS);
	assert_int_equal(smuf_v1_unlock(c), 0);
	smuf_v1_close(c);
}

static void
a_killed_holder_publishes_nothing_and_the_next_client_locks_at_once(void **state)
{
	struct smuf_v1 c;
	uint64_t from;
	pid_t pid;

	(void)state;
	begin_with_one(&c);
	pid = bring_to(STEP_WROTE);
	from = clock_now();
	kill_it(pid);
	expect_lock_between(&c, from, 0, AT_ONCE_MS);
	finish_with(&c, 1);
}

static void
when_a_holder_is_killed_a_waiter_locks_at_once(void **state)
{
	struct smuf_v1 c;
	pid_t holder, waiters[CLIENTS];
	uint64_t from;
	int i;

	(void)state;
	begin_with_one(&c);
	holder = bring_to(STEP_HOLDS);
	for (i = 0; i < CLIENTS; i++)
		waiters[i] = spawn(count, i);
	while (atomic_load(&c.untrusted_words[0]) != 2 + CLIENTS)
		patience_breathe();
	assert_int_equal(sum(shared->done), 0);
	from = clock_now();
	kill_it(holder);
	while (sum(shared->done) == 0) {
		if (patience_is_over(clock_now() - from, AT_ONCE_MS))
			fail_msg("nobody had the lock within %d ms", AT_ONCE_MS);
		patience_breathe();
	}
	for (i = 0; i < CLIENTS; i++)
		expect_success(waiters[i]);
	expect_count(&c, 1 + CLIENTS * INCREMENTS);
	smuf_v1_close(&c);
}

static void
a_ticket_whose_owner_died_before_its_turn_is_skipped_after_5_s(void **state)
{
	struct smuf_v1 c;
	uint64_t from;
	pid_t pid;

	(void)state;
	begin_with_one(&c);
	pid = bring_to(STEP_TICKET);
	kill_it(pid);
	/* From now on a client waits behind the ticket. */
	from = clock_now();
	expect_lock_between(&c, from, UNCLAIMED_MS - 1, UNCLAIMED_MS + 1500);
	finish_with(&c, 1);
}

static void
a_client_that_saw_its_turn_and_never_asks_is_skipped_too_and_refused_later(void **state)
{
	struct smuf_v1 c, slow;
	uint64_t from;

	(void)state;
	begin_with_one(&c);
	open_here(&slow);
	smuf_v1_take_ticket(&slow);
	assert_int_equal(smuf_v1_wait_for_turn(&slow, NULL, patience_until(PATIENCE_MS)), 0);
	from = clock_now();
	expect_lock_between(&c, from, UNCLAIMED_MS - 1, UNCLAIMED_MS + 1500);
	assert_int_equal(smuf_v1_ask(&slow), -EINVAL);
	finish_with(&c, 1);
	smuf_v1_close(&slow);
}

static void
a_client_that_dies_between_its_unlock_and_the_files_turn_costs_100_ms(void **state)
{
	struct smuf_v1 c;
	uint64_t from;
	pid_t pid;

	(void)state;
	begin_with_one(&c);
	pid = bring_to(STEP_UNLOCKED);
	from = atomic_load(&shared->when);
	kill_it(pid);
	expect_lock_between(&c, from, DRIFT_MS - 10, DRIFT_MS + AT_ONCE_MS);
	/* The client had published. */
	finish_with(&c, 1001);
}

/* Forgery. */

/* A client that abandons a ticket whose turn does not come, unlike the original's clients. */
static void __attribute__((noreturn)) count_under_attack(int self)
{
	struct smuf_v1 c;
	uint64_t ms;
	int r;

	r = smuf_v1_open(&c, &server, NAME, SEGMENT);
	while (r == 0) {
		smuf_v1_take_ticket(&c);
		/* Afterwards on a busy machine the client before it may sleep for long. */
		ms = atomic_load(&shared->forge) != 0 ? RETRY_MS : AT_ONCE_MS;
		r = smuf_v1_wait_for_turn(&c, &shared->stop, patience_until(ms));
		if (r == -ETIMEDOUT) {
			r = 0;
			continue;
		}
		if (r == 0)
			r = smuf_v1_ask(&c);
		if (r == -EINVAL) {
			atomic_fetch_add(&shared->refused, 1);
			r = 0;
			continue;
		}
		if (r != 0)
			break;
		atomic_fetch_add(&shared->begun[self], 1);
		r = count_once(&c);
		if (r != 0)
			break;
		atomic_fetch_add(&shared->done[self], 1);
		smuf_v1_pass_on(&c);
	}
	if (r != -ECANCELED)
		complain(r);
	smuf_v1_close(&c);
	_exit(0);
}

/*
 * In a child: writes ticket_number and turn every millisecond: a little lower or higher, or random.
 */
static void __attribute__((noreturn)) forge(int self)
{
	struct smuf_v1 c;
	uint32_t turn;

	srandom((unsigned)self);
	if (smuf_v1_open(&c, &server, NAME, SEGMENT) != 0)
		complain(-EIO);
	while (atomic_load(&shared->forge) != 0) {
		turn = atomic_load(&c.untrusted_words[1]);
		if (random() % 50 == 0) {
			turn = (uint32_t)random() * 2;
		} else if (random() % 20 == 0) {
			/* Near the true turn: the number of finished sections. */
			turn = (uint32_t)sum(shared->done);
		}
		atomic_store(&c.untrusted_words[1], turn + (uint32_t)(random() % 5) - 2);
		atomic_store(&c.untrusted_words[0], turn + (uint32_t)(random() % 7) - 2);
		patience_breathe();
	}
	smuf_v1_close(&c);
	_exit(0);
}

static void
let_pass_ms(uint64_t ms)
{
	uint64_t until = clock_after_ms(clock_now(), ms);

	while (clock_now() < until && atomic_load(&shared->complaint) == 0)
		patience_breathe();
}

/* Waits until each client has counted further. False at the deadline. */
static bool
all_go_on(uint64_t deadline)
{
	uint64_t before[CLIENTS];
	int i;

	for (i = 0; i < CLIENTS; i++)
		before[i] = atomic_load(&shared->done[i]);
	for (i = 0; i < CLIENTS; i++)
		while (atomic_load(&shared->done[i]) == before[i]) {
			if (clock_now() > deadline)
				return false;
			patience_breathe();
		}
	return true;
}

/* Sets the next ticket to the turn that the server has restored, as an operator can. */
static void
mend_ticket(struct smuf_v1 *c)
{
	let_pass_ms(patience_ms(2 * DRIFT_MS));
	atomic_store(&c->untrusted_words[0], atomic_load(&c->untrusted_words[1]));
}

static void
a_host_that_forges_the_lock_makes_no_second_holder_and_loses_no_increment(void **state)
{
	uint64_t during, begun, deadline = patience_until(PATIENCE_MS);
	struct smuf_v1 keeper;
	pid_t pids[CLIENTS], forger;
	bool goes_on;
	int i;

	(void)state;
	open_here(&keeper);
	atomic_store(&shared->forge, 1);
	for (i = 0; i < CLIENTS; i++)
		pids[i] = spawn(count_under_attack, i);
	forger = spawn(forge, 5);
	let_pass_ms(FORGE_MS);
	while ((sum(shared->done) <= CLIENTS || atomic_load(&shared->refused) == 0) &&
	    clock_now() < deadline)
		patience_breathe();
	atomic_store(&shared->forge, 0);
	expect_success(forger);
	during = sum(shared->done);
	begun = clock_now();
	goes_on = all_go_on(patience_until(RECOVERY_MS));
	print_message(
	    "# %lu sections while the lock was forged, %d turns refused; then %s %lu ms\n",
	    (unsigned long)during, atomic_load(&shared->refused),
	    goes_on ? "all went on within" : "not all went on, in",
	    (unsigned long)((clock_now() - begun) / CLOCK_MS));
	/*
	 * The server does not repair the next ticket, which belongs to the clients and the host.
	 * All clients go on once it equals the turn again. On a busy machine a client may give up
	 * a ticket once more, because the client before it slept for AT_ONCE_MS.
	 */
	deadline = patience_until(PATIENCE_MS);
	do {
		mend_ticket(&keeper);
		goes_on = all_go_on(patience_until(RECOVERY_MS));
	} while (!goes_on && clock_now() < deadline);
	assert_true(goes_on);
	atomic_store(&shared->stop, 1);
	for (i = 0; i < CLIENTS; i++)
		expect_success(pids[i]);
	assert_int_equal(atomic_load(&shared->doubles), 0);
	assert_int_equal(sum(shared->begun), sum(shared->done));
	/* Otherwise nothing was tested. */
	assert_true(during > CLIENTS && atomic_load(&shared->refused) > 0);
	/* The clients that have stopped left tickets behind. */
	mend_ticket(&keeper);
	lock_here(&keeper);
	if (words(&keeper)[0] != sum(shared->done) || words(&keeper)[FAR] != sum(shared->done))
		fail_msg("expected a count of %lu, got %lu", (unsigned long)sum(shared->done),
		    (unsigned long)words(&keeper)[0]);
	smuf_v1_close(&keeper);
}

static int
begin_all(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	shared = child_share(sizeof *shared);
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(four_processes_count_to_exactly_2000),
		TEST(a_killed_holder_publishes_nothing_and_the_next_client_locks_at_once),
		TEST(when_a_holder_is_killed_a_waiter_locks_at_once),
		TEST(a_ticket_whose_owner_died_before_its_turn_is_skipped_after_5_s),
		TEST(a_client_that_saw_its_turn_and_never_asks_is_skipped_too_and_refused_later),
		TEST(a_client_that_dies_between_its_unlock_and_the_files_turn_costs_100_ms),
		TEST(a_host_that_forges_the_lock_makes_no_second_holder_and_loses_no_increment),
	};

	return cmocka_run_group_tests_name("smuf version 1", tests, begin_all, NULL);
}
