/*
 * Mapping the segment while the lock is held, over all three kinds: who finds no segment under the
 * lock makes it and fills it before anybody else has the lock.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/kinds.h"
#include "tests/stress/patience.h"

enum { CHILDREN = 4, ROUNDS = 10, SIZE = 3 * 4096, FIRST = 1000, MAPPINGS = 1000 };

static struct sm_file *
open_owner(struct sm *sm)
{
	return sm_open_flags(sm, kinds_path(), SM_OPEN_CREATE | SM_OPEN_OWNER);
}

static void
expect(bool is_right, const char *what)
{
	if (!is_right)
		fail_msg("%s: %s", what, sm_error(NULL));
}

/* In a child: begins the segment if there is none, and counts. */
static void
count(void)
{
	struct sm *sm = kinds_set();
	struct sm_file *file = sm == NULL ? NULL : open_owner(sm);
	uint64_t *words = NULL;
	struct sm_stat s;

	child_expect(file != NULL && sm_lock(file) == 0, sm_error(NULL));
	child_expect(sm_stat(file, &s) == 0, sm_error(NULL));
	words = sm_map(file, NULL, SIZE);
	child_expect(words != NULL, sm_error(NULL));
	if (s.size == 0)
		words[0] = FIRST;
	child_expect(words[0] >= FIRST, "a child sees a segment that is not begun");
	words[0]++;
	child_expect(sm_unlock(file) == 0, sm_error(NULL));
	/* Else the server may learn of the end of this process when the next round has begun. */
	sm_free(sm);
}

static void
begin_together(void)
{
	struct sm *sm;
	struct sm_file *file = NULL;
	uint64_t *words;
	pid_t children[CHILDREN];
	int i, round;

	for (round = 0; round < ROUNDS; round++) {
		sm = kinds_set();
		expect(sm != NULL && (file = open_owner(sm)) != NULL, "open");
		for (i = 0; i < CHILDREN; i++) {
			children[i] = child_begin();
			if (children[i] == 0) {
				count();
				_exit(0);
			}
		}
		for (i = 0; i < CHILDREN; i++)
			child_expect_success(children[i]);
		expect((words = sm_map(file, NULL, 0)) != NULL && sm_rdlock(file) == 0, "map");
		assert_int_equal(words[0], FIRST + CHILDREN);
		sm_free(sm);
	}
}

static void
one_process_begins_the_segment(void **state)
{
	(void)state;
	kinds_run(begin_together);
}

/* What another process has published is there at once, and what is written then is published. */
static void
map_published(void)
{
	struct sm *sm = kinds_set();
	struct sm_file *file = NULL;
	struct client other;
	uint64_t *words = NULL;

	expect(sm != NULL && (file = open_owner(sm)) != NULL && sm_lock(file) == 0 &&
		sm_unlock(file) == 0,
	    "open");
	kinds_open(&other, SIZE);
	expect(sm_lock(other.file) == 0, "lock");
	other.words[1] = 7;
	expect(sm_unlock(other.file) == 0, "unlock");

	expect(sm_lock(file) == 0 && (words = sm_map(file, NULL, 0)) != NULL, "map");
	assert_int_equal(words[1], 7);
	words[1]++;
	expect(sm_unlock(file) == 0, "unlock");
	expect(sm_lock(other.file) == 0, "lock");
	assert_int_equal(other.words[1], 8);
	client_close(&other);
	sm_free(sm);
}

static void
what_was_published_is_there_at_once(void **state)
{
	(void)state;
	kinds_run(map_published);
}

/* Neither for a reader nor for another handle; and a failure leaves the lock. */
static void
refuse(void)
{
	struct sm *sm = kinds_set();
	struct sm_file *file = NULL, *other = NULL;

	expect(sm != NULL && (file = open_owner(sm)) != NULL && (other = open_owner(sm)) != NULL,
	    "open");
	expect(sm_rdlock(file) == 0, "lock");
	assert_true(sm_map(file, NULL, SIZE) == NULL && errno == EBUSY);
	expect(sm_unlock(file) == 0 && sm_lock(file) == 0, "lock");
	assert_true(sm_map(other, NULL, SIZE) == NULL && errno == EBUSY);
	assert_true(sm_map(file, NULL, 0) == NULL && errno == EINVAL);
	assert_true(sm_trylock(other) == -1 && errno == EAGAIN);
	expect(sm_unlock(file) == 0, "the lock is still held");
	sm_free(sm);
}

static void
only_the_handle_that_writes_may_map(void **state)
{
	(void)state;
	kinds_run(refuse);
}

static struct {
	struct sm *sm;
	struct sm_file *file;
	atomic_bool is_over;
	atomic_uint mapped;
} shared;

static void *
map_and_unmap(void *arg)
{
	void *words;

	(void)arg;
	while (!atomic_load(&shared.is_over)) {
		words = sm_map(shared.file, NULL, SIZE);
		if (words == NULL && errno != EBUSY)
			return (void *)strdup(sm_error(NULL));
		atomic_fetch_add(&shared.mapped, words != NULL);
		if (words != NULL && sm_unmap(shared.sm, words) != 0 && errno != EBUSY)
			return (void *)strdup(sm_error(NULL));
	}
	return NULL;
}

/* A lock that another thread shares for a moment, to map, can be released all the while. */
static void
lock_beside_a_mapper(void)
{
	uint64_t deadline = patience_until(2000), life, grant;
	void *failure;
	pthread_t mapper;

	shared.sm = kinds_set();
	expect(shared.sm != NULL && (shared.file = open_owner(shared.sm)) != NULL, "open");
	atomic_store(&shared.is_over, false);
	atomic_store(&shared.mapped, 0);
	assert_int_equal(pthread_create(&mapper, NULL, map_and_unmap, NULL), 0);
	while (atomic_load(&shared.mapped) < MAPPINGS && clock_now() < deadline)
		expect(sm_lock(shared.file) == 0 && sm_grant(shared.file, &life, &grant) == 0 &&
			sm_downgrade(shared.file) == 0 && sm_unlock(shared.file) == 0,
		    "a section");
	atomic_store(&shared.is_over, true);
	assert_int_equal(pthread_join(mapper, &failure), 0);
	if (failure != NULL)
		fail_msg("the mapper: %s", (char *)failure);
	assert_true(atomic_load(&shared.mapped) > 0);
	sm_free(shared.sm);
}

static void
another_thread_maps_beside_sections(void **state)
{
	(void)state;
	kinds_run(lock_beside_a_mapper);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_process_begins_the_segment),
		cmocka_unit_test(what_was_published_is_there_at_once),
		cmocka_unit_test(only_the_handle_that_writes_may_map),
		cmocka_unit_test(another_thread_maps_beside_sections),
	};

	return cmocka_run_group_tests(tests, kinds_begin, kinds_end);
}
