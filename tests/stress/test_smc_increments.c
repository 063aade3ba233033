/*
 * Processes that count together without a server, while some are killed, or stopped for a second
 * and continued: inside, waiting, taking over, committing. No finished increment is lost, no
 * unfinished one appears, and none counts twice (smc/FORMAT 7, smc/FORMAT 8).
 *
 * In the segment there are a counter, a copy of it in the last block, and a slot for each worker.
 * Outside, in shared memory, each worker notes how many of its releases have returned. A holder
 * checks that counter, copy and the sum of the slots agree, and that no slot is below what its
 * worker had finished before. A worker that replaces a dead one finds its slot as noted, or one
 * more if the dead one was releasing.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/client/smclient.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/patience.h"
#include "tests/stress/smc.h"
#include "tests/stress/testpoint.h"

enum {
	WORKERS = 8,
	INCREMENTS = 10 * 1000, /* of each */
	INCREMENTS_SANITIZED = 500,
	SEGMENT = 64 * SIZE_KIB,
	COPY_BLOCK = SEGMENT / SIZE_BLOCK - 1,
	EVERY_MS = 50, /* between two orders, */
	SOON_MS = 10,  /* or two sacrifices while an order is open */
	STOPPED_MS = 1000,
	RUN_MS = 60 * 1000,
	POISON = 0x5eed
};

/* A signal for a worker, and the step of it; NULL: inside, after it has written. */
struct order {
	const char *step;
	int signal;
};

static const struct order kills[] = {
	{ NULL, SIGKILL },
	{ "ticketlock: found the turn dead", SIGKILL },
	{ NULL, SIGKILL },
	{ "ticketlock: recovery locked", SIGKILL },
	{ "ticketlock: waiting", SIGKILL },
	{ NULL, SIGKILL },
	{ "ticketlock: checked again", SIGKILL },
	{ "ticketlock: claiming", SIGKILL },
	{ "commit: entries written", SIGKILL },
	{ "ticketlock: turn moved", SIGKILL },
	{ "ticketlock: ticket drawn", SIGKILL },
	{ "commit: grant drawn", SIGKILL },
	{ "commit: leftover cleared", SIGKILL },
	{ "commit: before the store", SIGKILL },
	{ "commit: committed", SIGKILL },
	{ "ticketlock: idle", SIGKILL },
};
enum { KILLS = sizeof kills / sizeof kills[0] };

static const struct order stops[] = {
	{ "ticketlock: found the turn dead", SIGSTOP },
	{ "ticketlock: recovery locked", SIGSTOP },
	{ "ticketlock: checked again", SIGSTOP },
	{ "ticketlock: waiting", SIGSTOP },
	{ NULL, SIGSTOP },
	{ "commit: before the store", SIGSTOP },
};
enum { STOPS = sizeof stops / sizeof stops[0] };

struct account {
	_Atomic uint64_t done; /* releases that have returned */
	atomic_bool is_releasing;
};

struct page {
	struct account accounts[WORKERS];
	uint64_t target;
	const struct order *orders; /* static, so that all processes have them */
	unsigned order_count;
	atomic_uint order; /* how many were given; the last is for the first worker there: */
	atomic_bool is_open;
	atomic_int holder; /* the process that last held the lock */
};

struct crew {
	pid_t pids[WORKERS];          /* -1: has finished */
	uint64_t stopped_at[WORKERS]; /* 0: is not stopped */
	unsigned working, killed, stopped;
	unsigned obeyed, sacrificed;
};

static struct smc_world world;
static struct page *page;

static volatile uint64_t *
word(uint8_t *segment, int block)
{
	return (volatile uint64_t *)(segment + (size_t)block * SIZE_BLOCK);
}

/* A worker. */

static void
check(uint8_t *segment, const uint64_t finished[WORKERS])
{
	uint64_t sum = 0, slot;
	int i;

	for (i = 0; i < WORKERS; i++) {
		slot = *word(segment, 1 + i);
		child_expect(slot >= finished[i], "finished releases are there");
		sum += slot;
	}
	child_expect(*word(segment, 0) == sum, "the counter is the sum of the slots");
	child_expect(*word(segment, COPY_BLOCK) == sum, "its copy is the counter");
}

static void
poison(uint8_t *segment)
{
	int block;

	for (block = 0; block <= COPY_BLOCK; block++)
		*word(segment, block) += POISON;
}

/* At the step of the order: one of all workers executes it. */
static void
obey(const char *step, void *order)
{
	(void)step;
	if (atomic_exchange(&page->is_open, false))
		raise(((const struct order *)order)->signal);
}

/* Reads an order, once. Returns it when it is to be executed inside. */
static const struct order *
hear_order(void)
{
	static unsigned heard;
	static const struct order *last;
	unsigned given = atomic_load(&page->order);

	if (given == heard)
		return last;
	heard = given;
	last = &page->orders[(given - 1) % page->order_count];
	if (last->step == NULL)
		return last;
	testpoint_plan_call(last->step, 1, obey, (void *)last);
	return last = NULL;
}

/* One critical section; false when the worker has reached the target. */
static bool
increment(struct client *p, int self, bool is_first)
{
	struct account *account = &page->accounts[self];
	uint64_t finished[WORKERS], own;
	const struct order *order = hear_order();
	int i;

	for (i = 0; i < WORKERS; i++)
		finished[i] = atomic_load(&page->accounts[i].done);
	child_expect(sm_lock(p->file) == 0, "sm_lock");
	atomic_store(&page->holder, (int)getpid());
	check(p->segment, finished);
	own = *word(p->segment, 1 + self);
	if (is_first) {
		child_expect(own == finished[self] ||
			(own == finished[self] + 1 && atomic_load(&account->is_releasing)),
		    "what its predecessor had finished, and no more");
		atomic_store(&account->done, own);
		atomic_store(&account->is_releasing, false);
	}
	if (own >= page->target) {
		child_expect(sm_unlock(p->file) == 0, "sm_unlock");
		return false;
	}
	if (order != NULL && atomic_exchange(&page->is_open, false)) {
		if (order->signal == SIGKILL)
			poison(p->segment);
		raise(order->signal);
	}
	*word(p->segment, 1 + self) = own + 1;
	++*word(p->segment, 0);
	++*word(p->segment, COPY_BLOCK);
	atomic_store(&account->is_releasing, true);
	child_expect(sm_unlock(p->file) == 0, "sm_unlock");
	atomic_store(&account->done, own + 1);
	atomic_store(&account->is_releasing, false);
	return true;
}

static void __attribute__((noreturn)) work(int self)
{
	struct client p;
	bool is_first = true;

	child_expect(smc_join(&p, &world, "counter", SEGMENT) == 0, "it can be opened");
	while (increment(&p, self, is_first))
		is_first = false;
	testpoint_forget();
	client_close(&p);
	_exit(EXIT_SUCCESS);
}

/* The parent. */

static void
hire(struct crew *c, int i)
{
	c->pids[i] = child_begin();
	if (c->pids[i] == 0)
		work(i);
}

static void
look_after(struct crew *c, int i)
{
	int status;

	if (c->stopped_at[i] != 0 && clock_now() >= clock_after_ms(c->stopped_at[i], STOPPED_MS)) {
		c->stopped_at[i] = 0;
		assert_int_equal(kill(c->pids[i], SIGCONT), 0);
	}
	if (c->pids[i] == -1 || waitpid(c->pids[i], &status, WNOHANG | WUNTRACED) != c->pids[i])
		return;
	if (WIFSTOPPED(status)) {
		c->stopped_at[i] = clock_now();
		c->stopped++;
	} else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
		c->killed++;
		hire(c, i);
	} else {
		assert_int_equal(status, 0);
		c->pids[i] = -1;
		c->working--;
	}
}

/*
 * Gives the next order when the last one has been executed: true. Until then kills the holder,
 * since some steps happen only to its successors.
 */
static bool
give_order(struct crew *c, unsigned most)
{
	int i, holder = atomic_load(&page->holder);

	if (!atomic_load(&page->is_open)) {
		c->obeyed = atomic_load(&page->order);
		if (c->obeyed == most)
			return true;
		atomic_store(&page->is_open, true);
		(void)atomic_fetch_add(&page->order, 1);
		return true;
	}
	for (i = 0; i < WORKERS; i++)
		if (c->pids[i] == holder && c->stopped_at[i] == 0) {
			assert_int_equal(kill(holder, SIGKILL), 0);
			c->sacrificed++;
		}
	return false;
}

static void
expect_exact(void)
{
	struct client p;
	int i;

	assert_int_equal(smc_join(&p, &world, "counter", SEGMENT), 0);
	assert_int_equal(sm_lock(p.file), 0);
	for (i = 0; i < WORKERS; i++)
		assert_int_equal(*word(p.segment, 1 + i), page->target);
	assert_int_equal(*word(p.segment, 0), WORKERS * page->target);
	assert_int_equal(*word(p.segment, COPY_BLOCK), WORKERS * page->target);
	for (i = 1 + WORKERS; i < COPY_BLOCK; i++)
		assert_int_equal(*word(p.segment, i), 0);
	assert_int_equal(sm_unlock(p.file), 0);
	client_close(&p);
}

/* All workers count, and get at most that many orders (0: none), in the order of the table. */
static void
run(const struct order *orders, unsigned count, unsigned most)
{
	uint64_t begun = clock_now(), next = patience_until(EVERY_MS);
	struct crew c = { .working = WORKERS };
	struct client p;
	int i;

	memset(page, 0, sizeof *page);
	page->target = patience_is_sanitized() ? INCREMENTS_SANITIZED : INCREMENTS;
	page->orders = orders;
	page->order_count = count;
	/* So that the file keeps its life, whichever workers die. */
	assert_int_equal(smc_join(&p, &world, "counter", SEGMENT), 0);
	for (i = 0; i < WORKERS; i++)
		hire(&c, i);
	while (c.working > 0) {
		for (i = 0; i < WORKERS; i++)
			look_after(&c, i);
		if (clock_now() >= next) {
			next = patience_until(give_order(&c, most) ? EVERY_MS : SOON_MS);
		}
		if (patience_is_over(clock_now() - begun, RUN_MS))
			fail_msg("the last increment did not come in time");
		patience_breathe();
	}
	expect_exact();
	print_message("# %u were killed, %u stopped; %u orders, %u sacrificed for them\n", c.killed,
	    c.stopped, c.obeyed, c.sacrificed);
	if (most > 0 && !patience_is_sanitized())
		assert_in_range(c.obeyed, count / 2, most);
	client_close(&p);
}

static void
processes_count_exactly(void **state)
{
	(void)state;
	run(NULL, 0, 0);
}

static void
processes_count_exactly_while_some_are_killed(void **state)
{
	(void)state;
	run(kills, KILLS, UINT16_MAX);
}

static void
processes_count_exactly_while_some_are_stopped(void **state)
{
	(void)state;
	run(stops, STOPS, STOPS);
}

static int
begin(void **state)
{
	*state = &world;
	page = child_share(sizeof *page);
	smc_world_create(&world);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, smc_world_teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(processes_count_exactly),
		TEST(processes_count_exactly_while_some_are_killed),
		TEST(processes_count_exactly_while_some_are_stopped),
	};

	return cmocka_run_group_tests_name("smc increments", tests, NULL, NULL);
}
