/*
 * The ticket lock across processes: one holder at a time, first come first served, and no process
 * that dies, gives up or comes back late stops the others (smc/FORMAT 7).
 *
 * A *seat* is a description, a mapping and a presence slot, as a process has them. Several seats of
 * one process work like several processes, unless one has to die.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/client/smclient.h"
#include "common/lock/ticketlock.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/lockbody.h"
#include "tests/stress/patience.h"
#include "tests/stress/smc.h"
#include "tests/stress/testpoint.h"

enum {
	PROCESSES = 4,
	THREADS = 4,
	SECTIONS = 10000, /* of each process */
	ROUNDS_MOST = 10,
	SHARED_SIZE = sizeof(struct lockbody) + PROCESSES * sizeof(struct lockbody_ways),
	THREAD_SECTIONS = 500,
	SOON_MS = 200,
	SHORT_MS = 30
};

/* Tickets begin shortly before they wrap around. */
#define FIRST_TICKET UINT32_C(0xfffffff0)

struct table {
	struct ticketlock_words words;
	uint8_t zeros[56];
	presence_slot slots[PRESENCE_SLOTS];
};

struct seat {
	int fd;
	struct table *table;
	struct presence presence;
	struct ticketlock lock;
};

static char path[SMC_PATH_SIZE], dir[SCRATCH_PATH_SIZE];
static atomic_bool never;               /* interrupts a wait */
static struct lockbody *body;           /* in memory that all share, followed by: */
static struct lockbody_ways *ways_gone; /* of each process */
static struct seat here, there;         /* two of the test's own process */

static void
sit_down(struct seat *s)
{
	struct ownfd descriptor;

	s->fd = open(path, O_RDWR | O_CLOEXEC);
	child_expect(s->fd >= 0, "the file");
	s->table = mmap(NULL, sizeof *s->table, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	child_expect(s->table != MAP_FAILED, "mmap");
	(void)madvise(s->table, sizeof *s->table, MADV_DONTFORK);
	descriptor = ownfd_of(s->fd);
	presence_init(&s->presence, s->table->slots, offsetof(struct table, slots), &descriptor,
	    true);
	child_expect(presence_claim(&s->presence) == 0, "a slot");
	ticketlock_init(&s->lock, &s->table->words, &s->presence);
}

static void
stand_up(struct seat *s)
{
	(void)munmap(s->table, sizeof *s->table);
	(void)close(s->fd);
}

static int
begin(void **state)
{
	int fd;

	(void)state;
	scratch_create(dir);
	snprintf(path, sizeof path, "%s/table", dir);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_int_not_equal(fd, -1);
	assert_int_equal(ftruncate(fd, sizeof(struct table)), 0);
	(void)close(fd);
	sit_down(&here);
	sit_down(&there);
	here.table->words.ticket_number = here.table->words.turn = FIRST_TICKET;
	body = child_share(SHARED_SIZE);
	ways_gone = (struct lockbody_ways *)(body + 1);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	stand_up(&here);
	stand_up(&there);
	scratch_remove(dir);
	return 0;
}

/* Forks a process with a seat of its own and none of the test's. */
static pid_t
begin_child(struct seat *s)
{
	pid_t pid = child_begin();

	if (pid == 0) {
		(void)close(here.fd);
		(void)close(there.fd);
		sit_down(s);
	}
	return pid;
}

static int
take_within(struct seat *s, uint64_t ms)
{
	return ticketlock_take(&s->lock, patience_until(ms), &never, NULL);
}

static void
take_and_release(struct seat *s)
{
	assert_int_equal(take_within(s, SOON_MS), 0);
	assert_true(ticketlock_is_held(&s->lock));
	assert_int_equal(ticketlock_release(&s->lock), 0);
}

/* Waits until that many tickets are out. */
static void
await_tickets(uint32_t count)
{
	uint64_t deadline = patience_until(PATIENCE_MS);

	while (ticketlock_count(&here.lock) != count && clock_now() < deadline)
		patience_breathe();
	assert_int_equal(ticketlock_count(&here.lock), count);
}

/* Here keeps the lock against there, and releases it to there. Afterwards no ticket is out. */
static void
hand_over(void)
{
	assert_int_equal(take_within(&there, SHORT_MS), -ETIMEDOUT);
	assert_true(ticketlock_is_held(&here.lock));
	assert_int_equal(ticketlock_release(&here.lock), 0);
	take_and_release(&there);
	take_and_release(&here);
	assert_int_equal(ticketlock_count(&here.lock), 0);
}

static void
lock_has_one_holder(void **state)
{
	(void)state;
	assert_int_equal(ticketlock_count(&here.lock), 0);
	assert_int_equal(ticketlock_take(&here.lock, 0, &never, NULL), 0);
	assert_int_equal(ticketlock_count(&here.lock), 1);
	assert_int_equal(ticketlock_take(&there.lock, 0, &never, NULL), -EAGAIN);
	assert_int_equal(ticketlock_count(&here.lock), 1);
	hand_over();
}

static void
abandoned_ticket_is_skipped(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 40; i++) {
		assert_int_equal(ticketlock_take(&here.lock, CLOCK_NEVER, &never, NULL), 0);
		assert_int_equal(ticketlock_take(&there.lock, 1, &never, NULL), -ETIMEDOUT);
		assert_int_equal(ticketlock_take(&there.lock, 0, &never, NULL), -EAGAIN);
		assert_int_equal(ticketlock_release(&here.lock), 0);
		/*
		 * The ticket of there is next, and its owner does not return. The first way to skip
		 * it is a try.
		 */
		if (i % 2 == 0) {
			assert_int_equal(ticketlock_take(&here.lock, 0, &never, NULL), 0);
			assert_int_equal(ticketlock_release(&here.lock), 0);
		} else {
			take_and_release(&here);
		}
		assert_int_equal(ticketlock_count(&here.lock), 0);
		take_and_release(&there);
	}
}

static void
waiter_that_comes_back_resumes_its_abandoned_ticket(void **state)
{
	uint32_t ticket;

	(void)state;
	assert_int_equal(ticketlock_take(&here.lock, CLOCK_NEVER, &never, NULL), 0);
	assert_int_equal(ticketlock_take(&there.lock, 1, &never, NULL), -ETIMEDOUT);
	ticket = there.lock.ticket;
	assert_int_equal(ticketlock_take(&there.lock, 1, &never, NULL), -ETIMEDOUT);
	assert_int_equal(there.lock.ticket, ticket);
	assert_int_equal(ticketlock_count(&here.lock), 2);
	assert_int_equal(ticketlock_release(&here.lock), 0);
	assert_int_equal(ticketlock_take(&there.lock, 0, &never, NULL), 0);
	assert_int_equal(there.lock.ticket, ticket);
	assert_int_equal(ticketlock_release(&there.lock), 0);
	assert_int_equal(ticketlock_count(&here.lock), 0);
	/* The same with waiting. */
	assert_int_equal(ticketlock_take(&here.lock, CLOCK_NEVER, &never, NULL), 0);
	assert_int_equal(ticketlock_take(&there.lock, 1, &never, NULL), -ETIMEDOUT);
	ticket = there.lock.ticket;
	assert_int_equal(ticketlock_release(&here.lock), 0);
	assert_int_equal(ticketlock_take(&there.lock, CLOCK_NEVER, &never, NULL), 0);
	assert_int_equal(there.lock.ticket, ticket);
	assert_int_equal(ticketlock_release(&there.lock), 0);
}

static void
pass_there(const char *step, void *arg)
{
	(void)step;
	(void)arg;
	take_and_release(&there);
}

/* The turn never seems to be ahead of the tickets. */
static void
a_count_beside_a_section_is_of_one_ticket(void **state)
{
	(void)state;
	testpoint_plan_call("ticketlock: counting", 1, pass_there, NULL);
	assert_int_equal(ticketlock_count(&here.lock), 1);
	testpoint_forget();
	assert_int_equal(ticketlock_count(&here.lock), 0);
}

static void
release_here(const char *step, void *arg)
{
	(void)step;
	(void)arg;
	assert_int_equal(ticketlock_release(&here.lock), 0);
}

static void
try_skips_no_ticket_of_its_own(void **state)
{
	uint32_t ticket;

	(void)state;
	assert_int_equal(ticketlock_take(&here.lock, 0, &never, NULL), 0);
	assert_int_equal(ticketlock_take(&there.lock, 1, &never, NULL), -ETIMEDOUT);
	ticket = there.lock.ticket;
	/* The turn of that ticket comes while the try looks. */
	testpoint_plan_call("ticketlock: turn read", 1, release_here, NULL);
	assert_int_equal(ticketlock_take(&there.lock, 0, &never, NULL), -EAGAIN);
	testpoint_forget();
	assert_int_equal(ticketlock_take(&there.lock, 0, &never, NULL), 0);
	assert_int_equal(there.lock.ticket, ticket);
	assert_int_equal(ticketlock_release(&there.lock), 0);
}

/* Kills a process at that step of taking the lock; without a step, as the holder. */
static void
kill_at(const char *step)
{
	struct seat s;
	pid_t pid = begin_child(&s);

	if (pid == 0) {
		if (step != NULL)
			testpoint_plan(step, 1, SIGKILL);
		(void)ticketlock_take(&s.lock, patience_until(SHORT_MS), &never, NULL);
		raise(SIGKILL);
	}
	assert_true(child_was_killed(pid));
}

static void
tickets_of_dead_processes_are_passed_over(void **state)
{
	static const char *const steps[] = { "ticketlock: claiming", "ticketlock: ticket drawn",
		"ticketlock: waiting", NULL };
	size_t i;

	(void)state;
	/* The process died as the holder, or with the next ticket. */
	for (i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		kill_at(steps[i]);
		take_and_release(&here);
		kill_at(steps[i]);
		assert_int_equal(ticketlock_take(&there.lock, 0, &never, NULL), 0);
		assert_int_equal(ticketlock_release(&there.lock), 0);
		assert_int_equal(ticketlock_count(&here.lock), 0);
	}
	/* Several dead behind a living holder: some had waited, some had given up. */
	assert_int_equal(ticketlock_take(&here.lock, 0, &never, NULL), 0);
	for (i = 0; i < sizeof steps / sizeof steps[0]; i++)
		kill_at(steps[i]);
	kill_at("ticketlock: abandoned");
	hand_over();
}

/* A ticket that may be the turn's is not passed over while the process that is drawing it lives. */
static void
process_about_to_have_a_ticket_is_waited_for(void **state)
{
	(void)state;
	(void)atomic_fetch_add(&here.table->words.ticket_number, 1);
	presence_set(&there.presence, PRESENCE_CLAIMING, 0);
	assert_int_equal(take_within(&here, SOON_MS), -ETIMEDOUT);
	assert_int_equal(ticketlock_take(&here.lock, 0, &never, NULL), -EAGAIN);
	/* The process died, or drew another ticket. */
	presence_set(&there.presence, PRESENCE_WAITING, FIRST_TICKET + 17);
	take_and_release(&here);
}

static void
holder_whose_turn_was_taken_gets_ESTALE(void **state)
{
	(void)state;
	assert_int_equal(ticketlock_take(&here.lock, 0, &never, NULL), 0);
	(void)atomic_fetch_add(&here.table->words.turn, 1);
	assert_false(ticketlock_is_held(&here.lock));
	assert_int_equal(ticketlock_release(&here.lock), -ESTALE);
	take_and_release(&there);
}

static void
first_come_first_served(void **state)
{
	pid_t pids[PROCESSES];
	struct seat s;
	uint32_t i;

	(void)state;
	assert_int_equal(ticketlock_take(&here.lock, 0, &never, NULL), 0);
	for (i = 0; i < PROCESSES; i++) {
		pids[i] = begin_child(&s);
		if (pids[i] == 0) {
			child_expect(ticketlock_take(&s.lock, CLOCK_NEVER, &never, NULL) == 0,
			    "the lock");
			child_expect(body->steps[0] == i, "in the order of coming");
			body->steps[0]++;
			child_expect(ticketlock_release(&s.lock) == 0, "and back");
			_exit(EXIT_SUCCESS);
		}
		await_tickets(i + 2);
	}
	assert_int_equal(ticketlock_release(&here.lock), 0);
	for (i = 0; i < PROCESSES; i++)
		assert_true(child_has_ended_well(pids[i]));
	assert_int_equal(body->steps[0], PROCESSES);
}

/* The body, over processes. */

static int
seat_take(void *lock, uint64_t deadline)
{
	return ticketlock_take(lock, deadline, &never, NULL);
}

static int
seat_release(void *lock)
{
	return ticketlock_release(lock);
}

static const struct lockbody_ops seat_ops = { seat_take, seat_release };

/* So many sections in each of the processes at once; adds to *sum how they got the lock. */
static void
run_processes(unsigned sections, struct lockbody_ways *sum)
{
	pid_t pids[PROCESSES];
	bool is_well = true;
	const char *wrong;
	struct seat s;
	unsigned i;

	for (i = 0; i < PROCESSES; i++) {
		pids[i] = begin_child(&s);
		if (pids[i] != 0)
			continue;
		wrong = lockbody_run(body, &seat_ops, &s.lock, sections, i, &ways_gone[i]);
		child_expect(wrong == NULL, wrong);
		presence_release(&s.presence);
		_exit(EXIT_SUCCESS);
	}
	for (i = 0; i < PROCESSES; i++) {
		is_well &= child_has_ended_well(pids[i]);
		sum->tried += ways_gone[i].tried;
		sum->tried_in_vain += ways_gone[i].tried_in_vain;
		sum->timed += ways_gone[i].timed;
		sum->timed_out += ways_gone[i].timed_out;
	}
	assert_true(is_well);
}

/* A try gets the lock only when nobody waits: now and then not in a whole round. */
static void
processes_exclude_each_other(void **state)
{
	unsigned sections = patience_is_sanitized() ? SECTIONS / 10 : SECTIONS, rounds = 0;
	struct lockbody_ways sum = { 0 };
	bool has_all;

	(void)state;
	do {
		run_processes(sections, &sum);
		rounds++;
		has_all = sum.tried > 0 && sum.tried_in_vain > 0 && sum.timed > 0 &&
		    sum.timed_out > 0;
	} while (!has_all && rounds < ROUNDS_MOST);
	print_message("# had by a try %u times, not %u; within a time %u times, not %u\n",
	    sum.tried, sum.tried_in_vain, sum.timed, sum.timed_out);
	assert_true(has_all);
	assert_true(lockbody_is_exact(body, (uint64_t)rounds * PROCESSES * sections));
	take_and_release(&here);
	assert_int_equal(ticketlock_count(&here.lock), 0);
	/* The tickets wrapped around. */
	assert_in_range(atomic_load(&here.table->words.turn), 1, FIRST_TICKET - 1);
}

/* The body, over threads, which queue above the ticket lock, in the library. */

static struct client party;

static int
file_take(void *file, uint64_t deadline)
{
	struct timespec ts = clock_timespec(deadline);
	int rc;

	if (deadline == 0)
		rc = sm_trylock(file);
	else if (deadline == CLOCK_NEVER)
		rc = sm_lock(file);
	else
		rc = sm_timedlock(file, &ts);
	return rc == 0 ? 0 : -errno;
}

static int
file_release(void *file)
{
	return sm_unlock(file) == 0 ? 0 : -errno;
}

static const struct lockbody_ops file_ops = { file_take, file_release };

static void *
run_thread(void *seed)
{
	return (void *)lockbody_run(body, &file_ops, party.file, THREAD_SECTIONS,
	    (unsigned)(uintptr_t)seed, NULL);
}

static void
run_threads(const struct smc_world *world, unsigned process)
{
	pthread_t threads[THREADS];
	void *wrong;
	uintptr_t i;

	child_expect(smc_join(&party, world, "threads", 0) == 0, "it can be opened");
	for (i = 0; i < THREADS; i++)
		child_expect(pthread_create(&threads[i], NULL, run_thread,
				 (void *)(process * THREADS + i)) == 0,
		    "pthread_create");
	for (i = 0; i < THREADS; i++) {
		child_expect(pthread_join(threads[i], &wrong) == 0, "pthread_join");
		child_expect(wrong == NULL, wrong);
	}
	client_close(&party);
}

static void
threads_of_processes_exclude_each_other(void **state)
{
	enum { OF_THREADS = 2 };
	struct smc_world world;
	pid_t pids[OF_THREADS];
	bool is_well = true;
	unsigned i;

	(void)state;
	smc_world_create(&world);
	for (i = 0; i < OF_THREADS; i++) {
		pids[i] = child_begin();
		if (pids[i] == 0) {
			run_threads(&world, i);
			_exit(EXIT_SUCCESS);
		}
	}
	for (i = 0; i < OF_THREADS; i++)
		is_well &= child_has_ended_well(pids[i]);
	assert_true(is_well);
	assert_true(lockbody_is_exact(body, OF_THREADS * THREADS * THREAD_SECTIONS));
	smc_world_destroy(&world);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(lock_has_one_holder),
		TEST(abandoned_ticket_is_skipped),
		TEST(waiter_that_comes_back_resumes_its_abandoned_ticket),
		TEST(a_count_beside_a_section_is_of_one_ticket),
		TEST(try_skips_no_ticket_of_its_own),
		TEST(tickets_of_dead_processes_are_passed_over),
		TEST(process_about_to_have_a_ticket_is_waited_for),
		TEST(holder_whose_turn_was_taken_gets_ESTALE),
		TEST(first_come_first_served),
		TEST(processes_exclude_each_other),
		TEST(threads_of_processes_exclude_each_other),
	};

	return cmocka_run_group_tests_name("ticketlock", tests, NULL, NULL);
}
