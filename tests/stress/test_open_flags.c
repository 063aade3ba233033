/*
 * sm_open_flags(): files that must exist, or must not, and handles that own their locks, over all
 * three kinds.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/kinds.h"
#include "tests/stress/patience.h"

enum { RACERS = 8, ROUNDS = 20, COUNTS = 200 };

#define NEW (SM_OPEN_CREATE | SM_OPEN_EXCLUSIVE)

#define NOT_OPENED(c, flags, error) \
	kinds_expect(#flags, sm_open_flags((c)->sm, kinds_path(), flags) == NULL ? -1 : 0, error)

static struct sm *
new_set(void)
{
	struct sm *sm = kinds_set();

	if (sm == NULL)
		fail_msg("a set: %s", sm_error(NULL));
	return sm;
}

static struct sm_file *
open_flags(const struct client *c, int flags)
{
	struct sm_file *f = sm_open_flags(c->sm, kinds_path(), flags);

	if (f == NULL)
		fail_msg("%s: %s", kinds_path(), sm_error(NULL));
	return f;
}

static void
open_each_way(void)
{
	struct client here = { .sm = new_set() }, there = { .sm = new_set() };

	NOT_OPENED(&here, SM_OPEN_EXCLUSIVE, EINVAL);
	NOT_OPENED(&here, 8 | SM_OPEN_CREATE, EINVAL);
	NOT_OPENED(&here, -1, EINVAL);
	NOT_OPENED(&here, 0, ENOENT);
	NOT_OPENED(&here, SM_OPEN_OWNER, ENOENT);
	here.file = open_flags(&here, NEW);
	/* In this process, and in another one. */
	NOT_OPENED(&here, NEW, EEXIST);
	NOT_OPENED(&there, NEW, EEXIST);
	assert_int_equal(sm_close(open_flags(&here, 0)), 0);
	there.file = open_flags(&there, 0);
	assert_int_equal(sm_close(here.file), 0);
	NOT_OPENED(&here, NEW, EEXIST);
	assert_non_null(sm_map(there.file, NULL, SIZE_BLOCK));
	assert_int_equal(sm_close(there.file), 0);
	/* It is mapped, and so exists. */
	NOT_OPENED(&here, NEW, EEXIST);
	NOT_OPENED(&there, NEW, EEXIST);
	assert_int_equal(sm_close(open_flags(&here, 0)), 0);
	client_close(&there);
	NOT_OPENED(&here, 0, ENOENT);
	assert_int_equal(sm_close(open_flags(&here, NEW | SM_OPEN_OWNER)), 0);
	NOT_OPENED(&here, 0, ENOENT);
	client_close(&here);
}

static void
files_exist_from_their_first_open_to_their_last_close(void **state)
{
	(void)state;
	kinds_run(open_each_way);
}

/* Shared by the racers. */
static struct {
	struct child_complaint complaint;
	atomic_uint arrived; /* processes, all rounds together */
	atomic_uint decided; /* that have tried */
	atomic_uint winners;
} * race;

/* Waits for all racers. */
static void
meet(atomic_uint *count, unsigned all)
{
	uint64_t deadline = patience_until(PATIENCE_MS);

	atomic_fetch_add(count, 1);
	while (atomic_load(count) < all && clock_now() < deadline)
		patience_breathe();
	if (atomic_load(count) < all)
		child_complain(&race->complaint, "expected %u processes, got %u", all,
		    atomic_load(count));
}

static void
run_races(void)
{
	struct client c = { .sm = kinds_set() };
	unsigned round;

	if (c.sm == NULL)
		child_complain(&race->complaint, "a set: %s", sm_error(NULL));
	for (round = 1; round <= ROUNDS; round++) {
		meet(&race->arrived, round * RACERS);
		c.file = sm_open_flags(c.sm, kinds_path(), NEW);
		if (c.file != NULL)
			atomic_fetch_add(&race->winners, 1);
		else if (errno != EEXIST)
			child_complain(&race->complaint, "the racer: %s", sm_error(NULL));
		meet(&race->decided, round * RACERS);
		if (atomic_load(&race->winners) != round)
			child_complain(&race->complaint, "round %u: %u processes created it", round,
			    atomic_load(&race->winners));
		if (c.file != NULL && sm_close(c.file) != 0)
			child_complain(&race->complaint, "sm_close: %s", sm_error(NULL));
	}
	client_close(&c);
	_exit(EXIT_SUCCESS);
}

static void
race_to_create(void)
{
	pid_t racers[RACERS];
	int i;

	race = child_share(sizeof *race);
	for (i = 0; i < RACERS; i++) {
		racers[i] = child_begin();
		if (racers[i] == 0)
			run_races();
	}
	for (i = 0; i < RACERS; i++) {
		if (!child_has_ended_well(racers[i]))
			child_expect_no_complaint(&race->complaint);
	}
}

static void
one_of_eight_processes_creates_a_file(void **state)
{
	(void)state;
	kinds_run(race_to_create);
}

/* A call of another thread. */
struct errand {
	int (*call)(struct sm_file *);
	struct sm_file *file;
	int error; /* 0: success */
};

static void *
run(void *arg)
{
	struct errand *e = arg;

	e->error = e->call(e->file) == 0 ? 0 : errno;
	return NULL;
}

/* Returns what the call returns in another thread. */
static int
elsewhere(int (*call)(struct sm_file *), struct sm_file *file)
{
	struct errand e = { .call = call, .file = file };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, run, &e), 0);
	pthread_join(thread, NULL);
	return e.error;
}

static int
token(struct sm_file *file)
{
	uint64_t life, grant;

	return sm_grant(file, &life, &grant);
}

static void
lock_through_handles(void)
{
	struct client here = { .sm = new_set() };
	struct sm_file *plain, *owner, *other;

	owner = open_flags(&here, SM_OPEN_CREATE | SM_OPEN_OWNER);
	other = open_flags(&here, SM_OPEN_CREATE | SM_OPEN_OWNER);
	plain = open_flags(&here, SM_OPEN_CREATE);
	/* Taken by one thread, released by another. */
	assert_int_equal(elsewhere(sm_lock, owner), 0);
	assert_int_equal(token(owner), 0);
	FAILS(sm_lock(owner), EDEADLK);
	FAILS(sm_rdlock(owner), EDEADLK);
	FAILS(sm_trylock(plain), EAGAIN);
	FAILS(sm_trylock(other), EAGAIN);
	FAILS(sm_unlock(plain), ENOLCK);
	FAILS(sm_unlock(other), ENOLCK);
	FAILS(token(other), ENOLCK);
	assert_int_equal(elsewhere(token, owner), 0);
	assert_int_equal(sm_unlock(owner), 0);
	assert_int_equal(elsewhere(sm_unlock, owner), ENOLCK);
	/* Readers, of which one is this thread. */
	assert_int_equal(sm_rdlock(owner), 0);
	assert_int_equal(sm_rdlock(plain), 0);
	assert_int_equal(sm_rdlock(other), 0);
	assert_int_equal(elsewhere(sm_rdlock, owner), EDEADLK);
	assert_int_equal(elsewhere(sm_unlock, plain), ENOLCK);
	assert_int_equal(elsewhere(sm_unlock, owner), 0);
	FAILS(sm_unlock(owner), ENOLCK);
	assert_int_equal(elsewhere(sm_trylock, owner), EAGAIN);
	assert_int_equal(elsewhere(sm_close, other), 0);
	assert_int_equal(sm_unlock(plain), 0);
	/* Closing releases. */
	assert_int_equal(sm_lock(owner), 0);
	assert_int_equal(elsewhere(sm_close, owner), 0);
	assert_int_equal(sm_trylock(plain), 0);
	client_close(&here);
}

static void
any_thread_releases_what_a_handle_owns(void **state)
{
	(void)state;
	kinds_run(lock_through_handles);
}

struct counter {
	struct client *client;
	struct sm_file *owner;
	const char *wrong;
};

/* Every section begins in one thread of the pair, and ends in the other. */
static void *
count_in_a_thread(void *arg)
{
	struct counter *c = arg;
	int i;

	for (i = 0; i < COUNTS && c->wrong == NULL; i++) {
		if (sm_lock(c->owner) != 0)
			c->wrong = sm_error(NULL);
		++*c->client->words;
		if (elsewhere(sm_unlock, c->owner) != 0)
			c->wrong = "sm_unlock";
	}
	return NULL;
}

/* Two handles of one process, each of two threads that wait for the lock. */
static void
count_together(void)
{
	struct client here;
	struct counter counters[4] = { 0 };
	pthread_t threads[4];
	int i;

	kinds_open(&here, SIZE_BLOCK);
	for (i = 0; i < 4; i++) {
		counters[i].client = &here;
		counters[i].owner = i % 2 == 0 ? open_flags(&here, SM_OPEN_OWNER) :
						 counters[i - 1].owner;
		if (i % 2 == 0)
			assert_int_equal(pthread_create(&threads[i], NULL, count_in_a_thread,
					     &counters[i]),
			    0);
	}
	for (i = 0; i < 4; i += 2) {
		pthread_join(threads[i], NULL);
		if (counters[i].wrong != NULL)
			fail_msg("%s", counters[i].wrong);
	}
	assert_int_equal(sm_lock(here.file), 0);
	assert_int_equal(*here.words, 2 * COUNTS);
	client_close(&here);
}

static void
sections_that_change_threads_count_exactly(void **state)
{
	(void)state;
	kinds_run(count_together);
}

static void
inherit_handles(void)
{
	struct client here = { .sm = new_set() };
	struct sm_file *owner = open_flags(&here, SM_OPEN_CREATE | SM_OPEN_OWNER);
	pid_t pid;

	assert_int_equal(sm_lock(owner), 0);
	pid = child_begin();
	if (pid == 0) {
		child_expect(sm_unlock(owner) == -1 && errno == ENOLCK, "the child holds nothing");
		child_expect(sm_trylock(owner) == -1 && errno == EAGAIN, "its parent does");
		_exit(EXIT_SUCCESS);
	}
	child_expect_success(pid);
	assert_int_equal(elsewhere(sm_unlock, owner), 0);
	pid = child_begin();
	if (pid == 0) {
		child_expect(elsewhere(sm_lock, owner) == 0, "a thread of the child locks");
		child_expect(sm_unlock(owner) == 0, "another one unlocks");
		_exit(EXIT_SUCCESS);
	}
	child_expect_success(pid);
	client_close(&here);
}

static void
a_forked_child_has_the_handle_and_not_the_lock(void **state)
{
	(void)state;
	kinds_run(inherit_handles);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_exist_from_their_first_open_to_their_last_close),
		cmocka_unit_test(one_of_eight_processes_creates_a_file),
		cmocka_unit_test(any_thread_releases_what_a_handle_owns),
		cmocka_unit_test(sections_that_change_threads_count_exactly),
		cmocka_unit_test(a_forked_child_has_the_handle_and_not_the_lock),
	};

	return cmocka_run_group_tests(tests, kinds_begin, kinds_end);
}
