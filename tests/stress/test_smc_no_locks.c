/*
 * smc with locks=none: processes that have kernel locks and processes of a library OS that has none
 * share a memory file, and every count is exact. A process that cannot do as the file says gets an
 * error and disturbs no other. Forked children leave nothing behind. A dead holder is not noticed,
 * and is never taken for dead by mistake (smc/FORMAT 3, smc/FORMAT 6).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/client/smclient.h"
#include "common/lock/presence.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/libos.h"
#include "tests/stress/patience.h"
#include "tests/stress/smc.h"

#define NAME "mixed"

enum {
	PROCESSES = 4,
	INCREMENTS = 500,
	FORKS = 1000, /* more than the table has slots */
	GIVES_UP_MS = 5,
	IN_VAIN_MS = 300,
	OBTAINABLE_MS = 2000
};

static struct smc_world world;

/* Shared by the processes of a test. */
static struct page {
	atomic_bool is_held, may_go_on, is_over;
} * page;

/* A process's system and its mount option. */
struct kind {
	bool has_locks;
	const char *locks;
};

static const struct kind natives = { true, NULL }, strangers = { false, NULL },
			 native_none = { true, "none" }, stranger_none = { false, "none" },
			 native_kernel = { true, "kernel" }, stranger_kernel = { false, "kernel" };

/* Begins a child of that kind, which has nothing of smc open. */
static pid_t
begin_child(const struct kind *k)
{
	pid_t pid = child_begin();

	if (pid == 0) {
		world.locks = k->locks;
		child_expect(k->has_locks || libos_forbid_locks(EINVAL) == 0, "the filter");
	}
	return pid;
}

static unsigned
count_files(void)
{
	DIR *d = opendir(world.memory);
	struct dirent *e;
	unsigned count = 0;

	assert_non_null(d);
	while ((e = readdir(d)) != NULL)
		count += e->d_name[0] != '.';
	(void)closedir(d);
	return count;
}

static void
section(struct client *p)
{
	child_expect(sm_lock(p->file) == 0, "sm_lock");
	child_expect(smc_value(p->segment) >= 0, "the segment is whole");
	smc_count(p->segment);
	child_expect(sm_unlock(p->file) == 0, "sm_unlock");
}

static void __attribute__((noreturn)) count_and_exit(int increments)
{
	struct client p;

	child_expect(smc_join(&p, &world, NAME, SMC_SEGMENT) == 0, "it can be opened");
	for (; increments > 0; increments--)
		section(&p);
	client_close(&p);
	_exit(EXIT_SUCCESS);
}

static void
begin_mine(struct client *p, const char *locks)
{
	int error;

	memset(page, 0, sizeof *page);
	world.locks = locks;
	error = smc_join(p, &world, NAME, SMC_SEGMENT);
	if (error != 0)
		fail_msg("locks=%s: expected it to open, got errno %d (%s)",
		    locks != NULL ? locks : "", error, sm_error(NULL));
}

static void
expect_counter(struct client *p, int64_t value)
{
	assert_int_equal(client_lock_within(p, OBTAINABLE_MS), 0);
	assert_int_equal(smc_value(p->segment), value);
	assert_int_equal(sm_unlock(p->file), 0);
}

/* Closes it; the files go with their last process. */
static void
end_mine(struct client *p)
{
	client_close(p);
	assert_int_equal(count_files(), 0);
}

/* Mixed processes. */

static void
processes_with_and_without_kernel_locks_count_exactly(void **state)
{
	/* The test's own mount, and the others: who says nothing does as the file says. */
	const struct kind *const kinds[PROCESSES] = { &native_none, &stranger_none, &natives,
		&strangers };
	pid_t pids[PROCESSES];
	struct client mine;
	int i;

	(void)state;
	begin_mine(&mine, "none");
	for (i = 0; i < PROCESSES; i++) {
		pids[i] = begin_child(kinds[i]);
		if (pids[i] == 0) {
			client_close(&mine);
			count_and_exit(INCREMENTS);
		}
	}
	for (i = 0; i < INCREMENTS; i++)
		section(&mine);
	for (i = 0; i < PROCESSES; i++)
		child_expect_success(pids[i]);
	expect_counter(&mine, (PROCESSES + 1) * INCREMENTS);
	end_mine(&mine);
}

/* Opens and closes all the time, so that each of them creates the file now and then. */
static void __attribute__((noreturn)) come_and_go(int times)
{
	struct client p;

	for (; times > 0; times--) {
		child_expect(smc_join(&p, &world, NAME, SMC_SEGMENT) == 0, "it can be opened");
		section(&p);
		client_close(&p);
	}
	_exit(EXIT_SUCCESS);
}

static void
any_of_them_may_create_the_file_and_close_it_last(void **state)
{
	enum { TIMES = 300 };
	pid_t pids[PROCESSES];
	int i;

	(void)state;
	for (i = 0; i < PROCESSES; i++) {
		pids[i] = begin_child(i % 2 == 0 ? &native_none : &stranger_none);
		if (pids[i] == 0)
			come_and_go(TIMES);
	}
	for (i = 0; i < PROCESSES; i++)
		child_expect_success(pids[i]);
	assert_int_equal(count_files(), 0);
}

/* A child of that kind that opens the file gets that errno, and words with all of these in them. */
static void
expect_refused(const struct kind *k, int error, const char *first, const char *second)
{
	pid_t pid = begin_child(k);
	struct client p;
	const char *words;
	int got;

	if (pid == 0) {
		got = smc_join(&p, &world, NAME, SMC_SEGMENT);
		words = sm_error(NULL);
		if (got != error || strstr(words, first) == NULL || strstr(words, second) == NULL) {
			fprintf(stderr, "expected errno %d, \"%s\" and \"%s\", got %d: %s\n", error,
			    first, second, got, words);
			_exit(EXIT_FAILURE);
		}
		_exit(EXIT_SUCCESS);
	}
	child_expect_success(pid);
}

static void
process_without_kernel_locks_is_kept_from_a_file_that_needs_them(void **state)
{
	struct client mine;
	int i;

	(void)state;
	begin_mine(&mine, NULL);
	for (i = 0; i < INCREMENTS; i++)
		section(&mine);
	expect_refused(&strangers, ENOTSUP, "locks=none on every mount", NAME);
	expect_refused(&stranger_kernel, ENOTSUP, "locks=none on every mount", NAME);
	expect_counter(&mine, INCREMENTS);
	end_mine(&mine);
}

static void
without_an_option_it_creates_nothing_either(void **state)
{
	(void)state;
	expect_refused(&strangers, ENOTSUP, "locks=none on every mount", NAME);
	expect_refused(&stranger_kernel, ENOTSUP, "locks=none on every mount", NAME);
	assert_int_equal(count_files(), 0);
}

static void
mount_that_says_otherwise_than_the_creator_gets_an_error_with_both(void **state)
{
	struct client mine;

	(void)state;
	begin_mine(&mine, NULL);
	section(&mine);
	expect_refused(&native_none, EINVAL, "created with locks=kernel", "says locks=none");
	expect_refused(&stranger_none, EINVAL, "created with locks=kernel", "says locks=none");
	expect_counter(&mine, 1);
	end_mine(&mine);
	begin_mine(&mine, "none");
	section(&mine);
	expect_refused(&native_kernel, EINVAL, "created with locks=none", "says locks=kernel");
	expect_refused(&stranger_kernel, EINVAL, "created with locks=none", "says locks=kernel");
	expect_counter(&mine, 1);
	end_mine(&mine);
}

static void
option_has_two_values_and_is_for_smc(void **state)
{
	struct sm *sm;

	(void)state;
	world.locks = "some";
	assert_null(smc_mount(&world, world.key));
	assert_int_equal(errno, EINVAL);
	sm = sm_new();
	assert_non_null(sm);
	assert_int_equal(sm_mount(sm, "unix:/nowhere", "/s", "smdish", "locks=none"), -1);
	assert_int_equal(errno, EINVAL);
	assert_non_null(strstr(sm_error(sm), "smdish"));
	sm_free(sm);
}

/* fork(2). */

static void
children_that_exit_or_exec_leave_nothing(void **state)
{
	struct client mine, other;
	pid_t pid;
	int i;

	(void)state;
	begin_mine(&mine, "none");
	section(&mine);
	for (i = 0; i < FORKS; i++) {
		pid = child_begin();
		if (pid == 0) {
			if (i % 2 == 0)
				(void)execl("/bin/true", "true", (char *)NULL);
			_exit(EXIT_SUCCESS);
		}
		child_expect_success(pid);
	}
	section(&mine);
	assert_int_equal(smc_join(&other, &world, NAME, SMC_SEGMENT), 0);
	section(&other);
	client_close(&other);
	expect_counter(&mine, 3);
	end_mine(&mine);
}

static void
children_that_count_and_close_are_counted(void **state)
{
	enum { CHILDREN = 50 };
	struct client mine;
	struct sm_stat st;
	pid_t pid;
	int i;

	(void)state;
	begin_mine(&mine, "none");
	for (i = 0; i < CHILDREN; i++) {
		pid = child_begin();
		if (pid == 0) {
			section(&mine);
			child_expect(sm_stat(mine.file, &st) == 0 && st.open_count == 2,
			    "it is one of two");
			client_close(&mine);
			_exit(EXIT_SUCCESS);
		}
		child_expect_success(pid);
	}
	expect_counter(&mine, CHILDREN);
	assert_int_equal(sm_stat(mine.file, &st), 0);
	assert_int_equal(st.open_count, 1);
	end_mine(&mine);
}

static void
child_goes_on_when_its_parent_closes_or_is_too_late(void **state)
{
	struct client mine;
	pid_t pids[2];
	int i;

	(void)state;
	begin_mine(&mine, "none");
	for (i = 0; i < 2; i++) {
		pids[i] = child_begin();
		if (pids[i] != 0)
			continue;
		/* The first one calls in time. */
		if (i == 0) {
			section(&mine);
			atomic_store(&page->is_held, true);
		}
		child_expect(child_await(i == 0 ? &page->may_go_on : &page->is_over, PATIENCE_MS),
		    "the parent goes on");
		if (i == 0)
			section(&mine);
		else
			child_expect(sm_lock(mine.file) != 0 && errno == ESTALE, "ESTALE");
		client_close(&mine);
		_exit(EXIT_SUCCESS);
	}
	assert_true(child_await(&page->is_held, PATIENCE_MS));
	client_close(&mine);
	/* The first child is the last user, and removes the files, before the second one calls. */
	assert_int_equal(count_files(), 2);
	atomic_store(&page->may_go_on, true);
	child_expect_success(pids[0]);
	assert_int_equal(count_files(), 0);
	atomic_store(&page->is_over, true);
	child_expect_success(pids[1]);
}

/* Giving up, and death. */

static void
abandoned_tickets_of_more_processes_than_slots_are_skipped(void **state)
{
	struct client mine, other;
	pid_t pid;
	int i;

	(void)state;
	begin_mine(&mine, "none");
	assert_int_equal(smc_join(&other, &world, NAME, SMC_SEGMENT), 0);
	assert_int_equal(sm_lock(mine.file), 0);
	for (i = 0; i < PRESENCE_SLOTS + 20; i++) {
		pid = child_begin();
		if (pid == 0) {
			child_expect(client_lock_for(&other, GIVES_UP_MS) == ETIMEDOUT,
			    "it gives up");
			/* Closed and exited: nobody comes back for the ticket. */
			client_close(&other);
			_exit(EXIT_SUCCESS);
		}
		child_expect_success(pid);
	}
	assert_int_equal(sm_trylock(other.file), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(sm_unlock(mine.file), 0);
	/* It had no slot; now it takes the abandoned tickets out of the table. */
	section(&other);
	section(&mine);
	expect_counter(&mine, 2);
	client_close(&other);
	end_mine(&mine);
}

static void __attribute__((noreturn)) hold_for_ever(const struct kind *k)
{
	struct client p;

	world.locks = k->locks;
	child_expect(smc_join(&p, &world, NAME, SMC_SEGMENT) == 0, "the victim opens it");
	child_expect(sm_lock(p.file) == 0, "the victim has the lock");
	smc_poison(p.segment);
	atomic_store(&page->is_held, true);
	for (;;)
		(void)pause();
}

/* Times out, and says which files to remove. */
static void
expect_stuck(struct client *p)
{
	const char *words;

	assert_int_equal(client_lock_for(p, IN_VAIN_MS), ETIMEDOUT);
	words = sm_error(p->sm);
	if (strstr(words, smc_path(&world, NAME, "")) == NULL ||
	    strstr(words, smc_path(&world, NAME, ".segment")) == NULL)
		fail_msg("expected the names of the two files, got: %s", words);
	assert_int_equal(sm_trylock(p->file), -1);
	assert_int_equal(errno, EAGAIN);
}

static void
dead_holder_is_waited_for_and_harms_no_other_file(void **state)
{
	static const struct kind *const victims[] = { &native_none, &stranger_none };
	struct client mine, other;
	pid_t pid;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof victims / sizeof victims[0]; i++) {
		begin_mine(&mine, "none");
		assert_int_equal(smc_join(&other, &world, "another", SMC_SEGMENT), 0);
		pid = begin_child(victims[i]);
		if (pid == 0)
			hold_for_ever(victims[i]);
		assert_true(child_await(&page->is_held, PATIENCE_MS));
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_true(child_was_killed(pid));
		expect_stuck(&mine);
		/* A process with kernel locks that opens it now takes nobody for dead either. */
		pid = begin_child(&natives);
		if (pid == 0) {
			child_expect(smc_join(&mine, &world, NAME, SMC_SEGMENT) == 0, "it opens");
			child_expect(client_lock_for(&mine, IN_VAIN_MS) == ETIMEDOUT, "in vain");
			_exit(EXIT_SUCCESS);
		}
		child_expect_success(pid);
		section(&other);
		client_close(&other);
		client_close(&mine);
		/* The dead still count: an operator removes the files, and then all is new. */
		assert_int_equal(count_files(), 2);
		assert_int_equal(unlink(smc_path(&world, NAME, "")), 0);
		assert_int_equal(unlink(smc_path(&world, NAME, ".segment")), 0);
		begin_mine(&mine, "none");
		expect_counter(&mine, 0);
		end_mine(&mine);
	}
}

static int
begin_all(void **state)
{
	pid_t pid = child_fork();

	*state = &world;
	if (pid == 0)
		_exit(libos_forbid_locks(EINVAL) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
	if (!child_has_ended_well(pid)) {
		print_message("# no seccomp filters here\n");
		exit(EXIT_SUCCESS);
	}
	page = child_share(sizeof *page);
	smc_world_create(&world);
	return 0;
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(processes_with_and_without_kernel_locks_count_exactly),
		cmocka_unit_test(any_of_them_may_create_the_file_and_close_it_last),
		cmocka_unit_test(process_without_kernel_locks_is_kept_from_a_file_that_needs_them),
		cmocka_unit_test(without_an_option_it_creates_nothing_either),
		cmocka_unit_test(
		    mount_that_says_otherwise_than_the_creator_gets_an_error_with_both),
		cmocka_unit_test(option_has_two_values_and_is_for_smc),
		cmocka_unit_test(children_that_exit_or_exec_leave_nothing),
		cmocka_unit_test(children_that_count_and_close_are_counted),
		cmocka_unit_test(child_goes_on_when_its_parent_closes_or_is_too_late),
		cmocka_unit_test(abandoned_tickets_of_more_processes_than_slots_are_skipped),
		cmocka_unit_test(dead_holder_is_waited_for_and_harms_no_other_file),
	};

	return cmocka_run_group_tests_name("smc no locks", tests, begin_all, smc_world_teardown);
}
