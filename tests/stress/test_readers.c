/*
 * Readers and writers of one segment, over TLS: a reader never sees an unfinished release, and
 * neither side starves the other, with many processes and with many threads of one process.
 *
 * READERS_SECONDS in the environment sets how long each test runs (3).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/daemon.h"
#include "tests/stress/patience.h"

enum {
	TEAMS = 2,
	READERS = 0, /* the teams */
	WRITERS = 1,
	PROCESSES_MOST = 8, /* of a team */
	THREADS_MOST = 8,   /* of a process */
	SEGMENT = 64 * SIZE_KIB,
	HOLD_US = 1000,
	GAP_MS = 1000, /* longer than this nobody waits for his next section */
	SHARE = 100,   /* each side has at least one of so many sections of the other's */
	START_MS = 30 * 1000,
	END_MS = 10 * 1000,
	DEFAULT_SECONDS = 3
};

struct account {
	_Atomic uint64_t sections;
	_Atomic uint64_t last;    /* when it last held the lock, or began */
	_Atomic uint64_t longest; /* without it, nanoseconds */
};

/* Shared without the server's help. */
struct page {
	struct account accounts[TEAMS][PROCESSES_MOST][THREADS_MOST];
	_Atomic int ready; /* processes */
	_Atomic int has_begun;
	_Atomic int is_over;
	struct child_complaint complaint;
};

struct team {
	int processes, threads;
	unsigned hold_us; /* how long a section takes; 0: no longer than its work */
};

/* A thread of a process. */
struct worker {
	bool is_writer;
	unsigned hold_us;
	struct account *account;
	struct sm *sm;
	struct sm_file *file;
	volatile uint64_t *near, *far; /* two words in different blocks, always equal */
	pthread_t thread;
};

static const char *const team_names[TEAMS] = { "readers", "writers" };

static struct daemon server;
static struct page *page;
static pid_t pids[TEAMS][PROCESSES_MOST];

static void
expect_equal(const struct worker *w, const char *when)
{
	uint64_t near = *w->near, far = *w->far;

	if (near != far)
		child_complain(&page->complaint,
		    "%s, a %s: the first block says %lu, the last one %lu", when,
		    w->is_writer ? "writer" : "reader", (unsigned long)near, (unsigned long)far);
}

static void
note_section(struct account *a)
{
	uint64_t now = clock_now(), gap = now - atomic_load(&a->last);

	if (gap > atomic_load(&a->longest))
		atomic_store(&a->longest, gap);
	atomic_store(&a->last, now);
	atomic_fetch_add(&a->sections, 1);
}

static void
be_inside(struct worker *w)
{
	uint64_t was = *w->near;

	note_section(w->account);
	expect_equal(w, "at the begin of a section");
	if (w->is_writer)
		*w->near = was + 1;
	if (w->hold_us > 0)
		usleep(w->hold_us);
	else
		sched_yield();
	if (w->is_writer)
		*w->far = was + 1;
	expect_equal(w, "at the end of a section");
	if (!w->is_writer && *w->near != was)
		child_complain(&page->complaint, "a reader saw %lu, then %lu, in one section",
		    (unsigned long)was, (unsigned long)*w->near);
}

static void *
work(void *arg)
{
	struct worker *w = arg;

	while (!atomic_load(&page->has_begun))
		patience_breathe();
	atomic_store(&w->account->last, clock_now());
	while (!atomic_load(&page->is_over)) {
		if ((w->is_writer ? sm_lock(w->file) : sm_rdlock(w->file)) != 0)
			child_complain(&page->complaint, "%s: %s",
			    w->is_writer ? "sm_lock" : "sm_rdlock", sm_error(w->sm));
		be_inside(w);
		if (sm_unlock(w->file) != 0)
			child_complain(&page->complaint, "sm_unlock: %s", sm_error(w->sm));
	}
	return NULL;
}

static void __attribute__((noreturn)) run_process(int team, int self, const struct team *t)
{
	struct worker workers[THREADS_MOST], w = { .is_writer = team == WRITERS };
	uint8_t *segment;
	int i;

	w.hold_us = t->hold_us;
	w.sm = client_create(&server);
	if (w.sm == NULL)
		child_complain(&page->complaint, "client_create: %s", sm_error(NULL));
	w.file = sm_open(w.sm, CLIENT_MOUNT "/f");
	segment = w.file == NULL ? NULL : sm_map(w.file, NULL, SEGMENT);
	if (segment == NULL)
		child_complain(&page->complaint, "sm_map: %s", sm_error(w.sm));
	w.near = (volatile uint64_t *)segment;
	w.far = (volatile uint64_t *)(segment + SEGMENT - SIZE_BLOCK);
	for (i = 0; i < t->threads; i++) {
		workers[i] = w;
		workers[i].account = &page->accounts[team][self][i];
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
			child_complain(&page->complaint, "pthread_create");
	}
	atomic_fetch_add(&page->ready, 1);
	for (i = 0; i < t->threads; i++)
		pthread_join(workers[i].thread, NULL);
	sm_free(w.sm);
	/* Not _exit(): the sanitizers report at exit. */
	exit(EXIT_SUCCESS);
}

static void
wait_until(uint64_t deadline)
{
	while (clock_now() < deadline) {
		child_expect_no_complaint(&page->complaint);
		patience_breathe();
	}
}

static uint64_t
seconds_to_run(void)
{
	const char *text = getenv("READERS_SECONDS");

	return text != NULL ? strtoul(text, NULL, 10) : DEFAULT_SECONDS;
}

static int
hire(const struct team teams[TEAMS])
{
	int team, i, count = 0;

	memset(page, 0, sizeof *page);
	for (team = 0; team < TEAMS; team++)
		for (i = 0; i < teams[team].processes; i++) {
			pids[team][i] = child_begin();
			if (pids[team][i] == 0)
				run_process(team, i, &teams[team]);
			count++;
		}
	return count;
}

static void
await_ready(int count)
{
	uint64_t deadline = patience_until(START_MS);

	while (atomic_load(&page->ready) < count) {
		child_expect_no_complaint(&page->complaint);
		if (clock_now() > deadline)
			fail_msg("expected %d processes to begin, got %d", count,
			    atomic_load(&page->ready));
		patience_breathe();
	}
}

/* Fails the test unless all processes end soon. */
static void
await_end(const struct team teams[TEAMS])
{
	uint64_t deadline = patience_until(END_MS);
	int team, i, status;

	for (team = 0; team < TEAMS; team++)
		for (i = 0; i < teams[team].processes; i++) {
			while (waitpid(pids[team][i], &status, WNOHANG) != pids[team][i]) {
				child_expect_no_complaint(&page->complaint);
				if (clock_now() > deadline)
					fail_msg("a process of the %s has not ended",
					    team_names[team]);
				patience_breathe();
			}
			pids[team][i] = -1;
			child_expect_no_complaint(&page->complaint);
			if (status != 0)
				fail_msg("a process of the %s ended with status 0x%x",
				    team_names[team], status);
		}
}

/*
 * Counts the sections of a team; fails the test when one of its threads was without the lock for
 * too long, up to the moment end.
 */
static uint64_t
count_sections(const struct team *t, int team, uint64_t end)
{
	uint64_t sum = 0, longest = 0, last, gap;
	struct account *a;
	int i, j;

	for (i = 0; i < t->processes; i++)
		for (j = 0; j < t->threads; j++) {
			a = &page->accounts[team][i][j];
			sum += atomic_load(&a->sections);
			gap = atomic_load(&a->longest);
			last = atomic_load(&a->last);
			if (last < end && end - last > gap)
				gap = end - last;
			longest = gap > longest ? gap : longest;
		}
	print_message("# %d x %d %s: %lu sections, none without for longer than %lu ms\n",
	    t->processes, t->threads, team_names[team], (unsigned long)sum,
	    (unsigned long)(longest / CLOCK_MS));
	if (patience_is_over(longest, GAP_MS))
		fail_msg("one of the %s was without the lock for %lu ms, at most %lu were expected",
		    team_names[team], (unsigned long)(longest / CLOCK_MS),
		    (unsigned long)patience_ms(GAP_MS));
	return sum;
}

static void
expect_progress(const struct team teams[TEAMS], uint64_t end)
{
	uint64_t reads = count_sections(&teams[READERS], READERS, end);
	uint64_t writes = count_sections(&teams[WRITERS], WRITERS, end);

	if (reads * SHARE < writes || writes * SHARE < reads || reads == 0 || writes == 0)
		fail_msg(
		    "expected at least 1 %% of the other side's sections for each, got %lu "
		    "and %lu",
		    (unsigned long)reads, (unsigned long)writes);
}

static void
run(const struct team teams[TEAMS])
{
	uint64_t end;

	await_ready(hire(teams));
	atomic_store(&page->has_begun, 1);
	wait_until(clock_now() + seconds_to_run() * CLOCK_SEC);
	end = clock_now();
	atomic_store(&page->is_over, 1);
	await_end(teams);
	expect_progress(teams, end);
}

static void
eight_reading_processes_see_whole_releases_of_two_writers(void **state)
{
	const struct team teams[TEAMS] = { { 8, 1, 0 }, { 2, 1, 0 } };

	(void)state;
	run(teams);
}

static void
eight_reading_threads_leave_a_writer_elsewhere_its_turn(void **state)
{
	const struct team teams[TEAMS] = { { 1, 8, HOLD_US }, { 1, 1, 0 } };

	(void)state;
	run(teams);
}

static void
eight_writing_threads_leave_a_reader_elsewhere_its_turn(void **state)
{
	const struct team teams[TEAMS] = { { 1, 1, 0 }, { 1, 8, 0 } };

	(void)state;
	run(teams);
}

static void
threads_of_two_processes_on_each_side_make_progress(void **state)
{
	const struct team teams[TEAMS] = { { 2, 4, HOLD_US }, { 2, 2, 0 } };

	(void)state;
	run(teams);
}

static void
the_server_has_nothing_to_complain_about(void **state)
{
	(void)state;
	daemon_log_expect(&server, 0, 0);
	daemon_stop(&server);
}

/* Ends all processes, after a test that has failed. */
static int
disband(void **state)
{
	(void)state;
	child_kill_all(&pids[0][0], (size_t)TEAMS * PROCESSES_MOST);
	return 0;
}

static int
begin_all(void **state)
{
	const struct daemon_config config = { .has_keys = true };

	*state = &server;
	page = child_share(sizeof *page);
	daemon_open(&server, &config);
	return 0;
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(eight_reading_processes_see_whole_releases_of_two_writers,
		    disband),
		cmocka_unit_test_teardown(eight_reading_threads_leave_a_writer_elsewhere_its_turn,
		    disband),
		cmocka_unit_test_teardown(eight_writing_threads_leave_a_reader_elsewhere_its_turn,
		    disband),
		cmocka_unit_test_teardown(threads_of_two_processes_on_each_side_make_progress,
		    disband),
		cmocka_unit_test(the_server_has_nothing_to_complain_about),
	};

	return cmocka_run_group_tests_name("readers", tests, begin_all, daemon_teardown);
}
