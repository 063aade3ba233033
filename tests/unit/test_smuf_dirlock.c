/*
 * smufserver's directory where flock(2) says nothing of other servers, as in a library OS: the
 * count in the lock file keeps a second one out, and one that was replaced deletes nothing.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "smuf/dirlock.h"
#include "smuf/hostid.h"
#include "smuf/layout.h"
#include "smuf/memdir.h"
#include "tests/stress/child.h"
#include "tests/stress/libos.h"
#include "tests/stress/patience.h"
#include "tests/stress/scratch.h"

enum { LIFE = 77, OTHER_LIFE = 78, SIZE = 8192, KEEP_PAUSE_US = 100 * 1000 };

/* What a process's system offers. Only children ask: a process asks its system once. */
enum ground { NATIVE, LIBRARY_OS };

static char dir[SCRATCH_PATH_SIZE];

/* Shared by the processes of a test. */
static struct page {
	atomic_bool is_owner, is_halted, may_go_on, may_end, is_second, has_looked;
	atomic_int kept; /* the last result of memdir_keep() */
} * page;

static pid_t owner = -1, second = -1;

static bool
is_there(const char *name)
{
	char path[SCRATCH_PATH_SIZE + 32];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	return access(path, F_OK) == 0;
}

/* In a child. */
static void
stand_on(enum ground ground)
{
	static const int calls[] = { SYS_flock };

	if (ground == NATIVE)
		return;
	if (libos_forbid(calls, 1, ENOSYS) != 0 || libos_forbid_locks(EINVAL) != 0)
		_exit(CHILD_SKIPPED);
}

static void
make_files(struct memdir *d, uint64_t life, struct hostid *lock, struct hostid *segment)
{
	child_expect(memdir_create_lock(d, "m", life, lock) == 0, "the lock file is created");
	child_expect(memdir_create_segment(d, "m", life, SIZE, segment) == 0,
	    "the segment file is created");
}

/* A server with a memory file: counts until it may end, or is halted until it may go on. */
static void __attribute__((noreturn)) own(enum ground ground)
{
	struct hostid lock, segment;
	uint64_t cleared = 0;
	struct memdir *d;
	int error = 0;

	stand_on(ground);
	child_expect(memdir_open(&d, dir) == 0, "the first server starts");
	make_files(d, LIFE, &lock, &segment);
	atomic_store(&page->is_owner, true);
	while (!atomic_load(&page->may_end) && error == 0) {
		if (atomic_load(&page->is_halted))
			child_expect(child_await(&page->may_go_on, 3 * PATIENCE_MS), "it goes on");
		error = memdir_keep(d, clock_now());
		usleep(KEEP_PAUSE_US);
	}
	atomic_store(&page->kept, error);
	child_expect(memdir_remove_segment(d, "m", &segment, &cleared) == 0, "no error");
	child_expect(memdir_remove_lock(d, "m", &lock) == 0, "no error");
	memdir_close(d);
	_exit(EXIT_SUCCESS);
}

static void
begin_owner(enum ground ground)
{
	owner = child_begin();
	if (owner == 0)
		own(ground);
	if (!child_await(&page->is_owner, PATIENCE_MS))
		fail_msg("the first server does not start");
}

/* Expects of a second server that memdir_open() returns that. */
static void
expect_open(enum ground ground, int expected)
{
	struct memdir *d = NULL;
	pid_t pid = child_begin();

	if (pid == 0) {
		stand_on(ground);
		_exit(memdir_open(&d, dir) == expected ? EXIT_SUCCESS : EXIT_FAILURE);
	}
	child_expect_success_or_skip(pid, "no seccomp filters here");
}

static void
expect_refused(enum ground first, enum ground other)
{
	begin_owner(first);
	expect_open(other, -EEXIST);
	assert_true(is_there("m"));
	assert_true(is_there("m.segment"));
	atomic_store(&page->may_end, true);
	child_expect_success(owner);
	owner = -1;
	assert_int_equal(atomic_load(&page->kept), 0);
	assert_false(is_there("m"));
	assert_false(is_there("m.segment"));
	assert_false(is_there(LAYOUT_DIRECTORY_LOCK));
}

static void
the_count_keeps_a_second_server_out(void **state)
{
	(void)state;
	expect_refused(LIBRARY_OS, LIBRARY_OS);
}

static void
one_with_locks_believes_the_count_of_one_without(void **state)
{
	(void)state;
	expect_refused(LIBRARY_OS, NATIVE);
}

static void
one_without_locks_believes_the_count_of_one_with_them(void **state)
{
	(void)state;
	expect_refused(NATIVE, LIBRARY_OS);
}

static void
kill_owner(enum ground ground)
{
	begin_owner(ground);
	assert_int_equal(kill(owner, SIGKILL), 0);
	assert_true(child_was_killed(owner));
	owner = -1;
	assert_true(is_there("m"));
}

static void
a_dead_servers_directory_is_taken_over(void **state)
{
	static const enum ground grounds[][2] = { { LIBRARY_OS, LIBRARY_OS },
		{ LIBRARY_OS, NATIVE }, { NATIVE, LIBRARY_OS } };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof grounds / sizeof grounds[0]; i++) {
		atomic_store(&page->is_owner, false);
		kill_owner(grounds[i][0]);
		expect_open(grounds[i][1], 0);
		assert_false(is_there("m"));
		assert_false(is_there("m.segment"));
	}
}

static void
a_kernel_that_drops_the_lock_of_the_dead_makes_nobody_wait(void **state)
{
	uint64_t before;

	(void)state;
	kill_owner(NATIVE);
	before = clock_now();
	expect_open(NATIVE, 0);
	assert_false(is_there("m"));
	if (patience_is_over(clock_now() - before, DIRLOCK_BEAT_MS / 2))
		fail_msg("expected to start at once, took %lu ms",
		    (unsigned long)((clock_now() - before) / CLOCK_MS));
}

/* The second server, which has files of the same names, ends when the test has looked. */
static void __attribute__((noreturn)) replace(void)
{
	struct hostid lock, segment;
	struct memdir *d;

	stand_on(LIBRARY_OS);
	child_expect(memdir_open(&d, dir) == 0, "the second server takes the directory over");
	make_files(d, OTHER_LIFE, &lock, &segment);
	atomic_store(&page->is_second, true);
	child_expect(child_await(&page->has_looked, 3 * PATIENCE_MS), "the test goes on");
	child_expect(memdir_keep(d, clock_now()) == 0, "it owns the directory");
	memdir_close(d);
	_exit(EXIT_SUCCESS);
}

static void
a_server_that_was_replaced_stops_and_deletes_nothing(void **state)
{
	(void)state;
	atomic_store(&page->is_halted, true);
	begin_owner(LIBRARY_OS);
	second = child_begin();
	if (second == 0)
		replace();
	if (!child_await(&page->is_second, 3 * PATIENCE_MS))
		fail_msg("the second server does not take the directory over");
	atomic_store(&page->may_go_on, true);
	child_expect_success(owner);
	owner = -1;
	assert_int_equal(atomic_load(&page->kept), -ESTALE);
	assert_true(is_there("m"));
	assert_true(is_there("m.segment"));
	assert_true(is_there(LAYOUT_DIRECTORY_LOCK));
	atomic_store(&page->has_looked, true);
	child_expect_success(second);
	second = -1;
	assert_false(is_there(LAYOUT_DIRECTORY_LOCK));
}

/* As on a mount of type untrusted_shm. */
static void
a_directory_where_files_work_by_mapping_only_is_refused(void **state)
{
	static const int calls[] = { SYS_pread64, SYS_pwrite64 };
	struct memdir *d = NULL;
	pid_t pid = child_begin();

	(void)state;
	if (pid == 0) {
		if (libos_forbid(calls, 2, ESPIPE) != 0)
			_exit(CHILD_SKIPPED);
		_exit(memdir_open(&d, dir) == -ENOTSUP ? EXIT_SUCCESS : EXIT_FAILURE);
	}
	child_expect_success_or_skip(pid, "no seccomp filters here");
	assert_false(is_there(LAYOUT_DIRECTORY_LOCK));
}

static int
begin(void **state)
{
	(void)state;
	memset(page, 0, sizeof *page);
	scratch_create(dir);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	child_kill_all(&owner, 1);
	child_kill_all(&second, 1);
	scratch_remove(dir);
	return 0;
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	static const struct CMUnitTest tests[] = {
		TEST(the_count_keeps_a_second_server_out),
		TEST(one_with_locks_believes_the_count_of_one_without),
		TEST(one_without_locks_believes_the_count_of_one_with_them),
		TEST(a_dead_servers_directory_is_taken_over),
		TEST(a_kernel_that_drops_the_lock_of_the_dead_makes_nobody_wait),
		TEST(a_server_that_was_replaced_stops_and_deletes_nothing),
		TEST(a_directory_where_files_work_by_mapping_only_is_refused),
	};

	page = child_share(sizeof *page);
	return cmocka_run_group_tests_name("smuf dirlock", tests, NULL, NULL);
}
