/*
 * Sixteen threads in four processes take two locks in random order, by waiting, trying and with a
 * time limit, over TLS: every section counts exactly once, and no thread misses a wake-up.
 *
 * THREADS_SECONDS in the environment sets for how long (5).
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
#include <sys/wait.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/daemon.h"
#include "tests/stress/patience.h"

enum {
	PROCESSES = 4,
	THREADS = 4, /* a process */
	FILES = 2,
	SEGMENT = 3 * SIZE_BLOCK, /* the counter begins the first block, its copy the last */
	LIMIT_MS = 5,             /* of a timed lock, at most */
	TRY_LEAST_MS = 900,       /* of a try that has timed out */
	STEP_MS = 10 * 1000,      /* longer than this nobody waits for one lock */
	START_MS = 30 * 1000,
	DEFAULT_SECONDS = 5
};

/* The library's calls that take a lock. */
enum how { WAIT, TRY, TIMED, HOW_COUNT };

/* Of one thread; outlives its process. */
struct account {
	_Atomic uint64_t sections[FILES];
	_Atomic uint64_t taken[HOW_COUNT], refused[HOW_COUNT];
	_Atomic uint64_t since; /* when its running call began; 0: none runs */
	_Atomic int call;       /* the kind of that call */
};

/* Shared without the server's help. */
struct page {
	struct account accounts[PROCESSES][THREADS];
	_Atomic int ready; /* processes */
	_Atomic bool is_over;
	struct child_complaint complaint;
};

/* A thread of a process. */
struct worker {
	struct account *account;
	struct sm *sm;
	struct sm_file *const *files;
	uint8_t *const *segments;
	uint64_t random;
	pthread_t thread;
};

static const char *const how_names[HOW_COUNT] = { "sm_lock", "sm_trylock", "sm_timedlock" };

static struct daemon server;
static struct page *page;
static pid_t pids[PROCESSES];

/* xorshift64 */
static uint64_t
draw(struct worker *w, uint64_t below)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return (w->random >> 11) % below;
}

/* Takes the lock of the file. False when it is refused. */
static bool
take(struct worker *w, int file, enum how how)
{
	uint64_t at = clock_now() + draw(w, LIMIT_MS * CLOCK_MS);
	struct timespec limit = clock_timespec(at);
	static const int excuse[HOW_COUNT] = { 0, EAGAIN, ETIMEDOUT };
	uint64_t begun = clock_now();
	int result = -1;

	atomic_store(&w->account->call, (int)how);
	atomic_store(&w->account->since, begun);
	if (how == WAIT)
		result = sm_lock(w->files[file]);
	else if (how == TRY)
		result = sm_trylock(w->files[file]);
	else
		result = sm_timedlock(w->files[file], &limit);
	/* On a busy machine the server may not answer for a second: smclient(3). */
	if (result != 0 && how == TRY && errno == ETIMEDOUT &&
	    clock_now() - begun >= TRY_LEAST_MS * CLOCK_MS)
		errno = patience_is_busy() ? EAGAIN : ETIMEDOUT;
	if (result != 0 && errno != excuse[how])
		child_complain(&page->complaint, "%s: %s", how_names[how], sm_error(w->sm));
	atomic_store(&w->account->since, 0);
	atomic_fetch_add(result == 0 ? &w->account->taken[how] : &w->account->refused[how], 1);
	return result == 0;
}

/* With the lock: one section. */
static void
count(struct worker *w, int file)
{
	uint64_t *counter = (uint64_t *)w->segments[file];
	uint64_t *copy = (uint64_t *)(w->segments[file] + SEGMENT - SIZE_BLOCK);
	uint64_t was = *counter;

	if (*copy != was)
		child_complain(&page->complaint, "file %d: the counter is %lu, its copy %lu", file,
		    (unsigned long)was, (unsigned long)*copy);
	*counter = was + 1;
	if (draw(w, 8) == 0)
		sched_yield();
	*copy = was + 1;
	atomic_fetch_add(&w->account->sections[file], 1);
}

static void
give(struct worker *w, int file)
{
	atomic_store(&w->account->since, clock_now());
	if (sm_unlock(w->files[file]) != 0)
		child_complain(&page->complaint, "sm_unlock: %s", sm_error(w->sm));
	atomic_store(&w->account->since, 0);
}

/* Takes one lock or both. A thread that holds one never waits for the other without a limit. */
static void *
work(void *arg)
{
	struct worker *w = arg;
	int first;

	while (!atomic_load(&page->is_over)) {
		first = (int)draw(w, FILES);
		if (!take(w, first, (enum how)draw(w, HOW_COUNT)))
			continue;
		count(w, first);
		if (draw(w, 2) == 0 && take(w, 1 - first, draw(w, 2) == 0 ? TRY : TIMED)) {
			count(w, 1 - first);
			if (draw(w, 2) == 0) {
				give(w, first);
				first = 1 - first;
			} else {
				give(w, 1 - first);
			}
		}
		give(w, first);
	}
	return NULL;
}

static void
open_files(struct sm *sm, struct sm_file *files[FILES], uint8_t *segments[FILES])
{
	char path[] = CLIENT_MOUNT "/0";
	int i;

	for (i = 0; i < FILES; i++) {
		path[sizeof path - 2] = (char)('0' + i);
		files[i] = sm_open(sm, path);
		segments[i] = files[i] == NULL ? NULL : sm_map(files[i], NULL, SEGMENT);
		if (segments[i] == NULL)
			child_complain(&page->complaint, "%s: %s", path, sm_error(sm));
	}
}

static void __attribute__((noreturn)) run_process(int self)
{
	struct worker workers[THREADS];
	struct sm_file *files[FILES];
	uint8_t *segments[FILES];
	struct sm *sm = client_create(&server);
	int i;

	if (sm == NULL)
		child_complain(&page->complaint, "client_create: %s", sm_error(NULL));
	open_files(sm, files, segments);
	atomic_fetch_add(&page->ready, 1);
	while (atomic_load(&page->ready) < PROCESSES)
		patience_breathe();
	for (i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .account = &page->accounts[self][i],
			.sm = sm,
			.files = files,
			.segments = segments,
			.random = UINT64_C(0x9e3779b97f4a7c15) *
			    (uint64_t)(self * THREADS + i + 1) };
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
			child_complain(&page->complaint, "pthread_create");
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	sm_free(sm);
	/* Not _exit(): the sanitizers report at exit. */
	exit(EXIT_SUCCESS);
}

/* In the parent: fails the test when a thread waits for too long, or complains. */
static void
look_after_them(void)
{
	struct account *a;
	uint64_t since, now = clock_now();
	int i, j;

	child_expect_no_complaint(&page->complaint);
	for (i = 0; i < PROCESSES; i++)
		for (j = 0; j < THREADS; j++) {
			a = &page->accounts[i][j];
			since = atomic_load(&a->since);
			if (since != 0 && since < now && patience_is_over(now - since, STEP_MS))
				fail_msg(
				    "process %d, thread %d: is in one call, the last %s, "
				    "for %lu ms",
				    i, j, how_names[atomic_load(&a->call)],
				    (unsigned long)((now - since) / CLOCK_MS));
		}
}

static void
expect_all_to_end(void)
{
	uint64_t deadline = patience_until(STEP_MS);
	int i, status, left = PROCESSES;

	while (left > 0) {
		look_after_them();
		for (i = 0; i < PROCESSES; i++) {
			if (pids[i] <= 0 || waitpid(pids[i], &status, WNOHANG) != pids[i])
				continue;
			pids[i] = -1;
			left--;
			if (status != 0 && !atomic_load(&page->complaint.is_made))
				fail_msg("process %d ended with status 0x%x", i, status);
		}
		if (left > 0 && clock_now() > deadline)
			fail_msg("%d processes have not ended %lu ms after they were told to", left,
			    (unsigned long)patience_ms(STEP_MS));
		patience_breathe();
	}
	look_after_them();
}

static void
expect_exact_counters(void)
{
	struct sm *sm = client_create(&server);
	struct sm_file *files[FILES];
	uint8_t *segments[FILES];
	uint64_t sum, counter;
	int file, i, j;

	assert_non_null(sm);
	open_files(sm, files, segments);
	for (file = 0; file < FILES; file++) {
		sum = 0;
		for (i = 0; i < PROCESSES; i++)
			for (j = 0; j < THREADS; j++)
				sum += atomic_load(&page->accounts[i][j].sections[file]);
		assert_int_equal(sm_lock(files[file]), 0);
		counter = *(uint64_t *)segments[file];
		assert_int_equal(*(uint64_t *)(segments[file] + SEGMENT - SIZE_BLOCK), counter);
		assert_int_equal(sm_unlock(files[file]), 0);
		print_message("# file %d: %lu sections\n", file, (unsigned long)sum);
		assert_true(sum > 0);
		assert_int_equal(counter, sum);
	}
	sm_free(sm);
}

/* Each kind of call has succeeded, and each but the waiting one has been refused. */
static void
expect_all_kinds(void)
{
	uint64_t taken, refused;
	int how, i, j;

	for (how = 0; how < HOW_COUNT; how++) {
		taken = refused = 0;
		for (i = 0; i < PROCESSES; i++)
			for (j = 0; j < THREADS; j++) {
				taken += atomic_load(&page->accounts[i][j].taken[how]);
				refused += atomic_load(&page->accounts[i][j].refused[how]);
			}
		print_message("# %s: %lu times, refused %lu\n", how_names[how],
		    (unsigned long)taken, (unsigned long)refused);
		assert_true(taken > 0 && (how == WAIT || refused > 0));
	}
}

static uint64_t
seconds_to_run(void)
{
	const char *text = getenv("THREADS_SECONDS");

	return text != NULL ? strtoul(text, NULL, 10) : DEFAULT_SECONDS;
}

static void
sixteen_threads_in_four_processes_count_exactly(void **state)
{
	uint64_t deadline;
	struct sm *sm;
	struct sm_file *files[FILES];
	uint8_t *segments[FILES];
	int i;

	(void)state;
	for (i = 0; i < PROCESSES; i++) {
		pids[i] = child_begin();
		if (pids[i] == 0)
			run_process(i);
	}
	/* Keep the files open until the counters are compared. */
	sm = client_create(&server);
	assert_non_null(sm);
	open_files(sm, files, segments);
	deadline = patience_until(START_MS);
	while (atomic_load(&page->ready) < PROCESSES) {
		look_after_them();
		if (clock_now() > deadline)
			fail_msg("the processes have not begun in time");
		patience_breathe();
	}
	deadline = clock_now() + seconds_to_run() * CLOCK_SEC;
	while (clock_now() < deadline) {
		look_after_them();
		patience_breathe();
	}
	atomic_store(&page->is_over, true);
	expect_all_to_end();
	expect_exact_counters();
	expect_all_kinds();
	sm_free(sm);
}

static void
the_server_has_nothing_to_complain_about(void **state)
{
	(void)state;
	daemon_log_expect(&server, 0, 0);
	daemon_stop(&server);
}

static int
begin_all(void **state)
{
	const struct daemon_config config = { .has_keys = true };

	(void)state;
	page = child_share(sizeof *page);
	daemon_open(&server, &config);
	return 0;
}

static int
end_all(void **state)
{
	(void)state;
	child_kill_all(pids, PROCESSES);
	daemon_fini(&server);
	return 0;
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(sixteen_threads_in_four_processes_count_exactly),
		cmocka_unit_test(the_server_has_nothing_to_complain_about),
	};

	return cmocka_run_group_tests_name("threads", tests, begin_all, end_all);
}
