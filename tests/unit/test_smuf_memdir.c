/*
 * smuf's directory on the host: one server owns it, all foreign files are left alone, and exactly
 * the files of a killed server are removed. "Killed" is a real SIGKILL of a process that uses
 * memdir.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <bsd/string.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/host/filename.h"
#include "smuf/layout.h"
#include "smuf/hostid.h"
#include "smuf/memdir.h"
#include "tests/stress/child.h"
#include "tests/stress/patience.h"
#include "tests/stress/scratch.h"

enum { LIFE = 0x1122334455, OTHER_LIFE = 0x99 }; /* apart: gcc 14 makes all of an enum as wide */
enum { KILLS = 300, KILL_WITHIN_US = 3000, RIVALS = 4, RIVALRY_MS = 500, FULL_PATH = PATH_MAX };

static char dir[SCRATCH_PATH_SIZE];

/* Shared by several processes. */
static struct shared {
	_Atomic unsigned owners, owned, doubles, leftovers;
	_Atomic int is_ready;
} * shared;

/* Of the files that were created last. */
static struct hostid lock_id, segment_id;

static void
remove_files(struct memdir *d, const char *name, bool has_segment)
{
	uint64_t cleared = 0;

	if (has_segment)
		assert_int_equal(memdir_remove_segment(d, name, &segment_id, &cleared), 0);
	assert_int_equal(memdir_remove_lock(d, name, &lock_id), 0);
}

static int
make_dir(void **state)
{
	(void)state;
	scratch_create(dir);
	memset(shared, 0, sizeof *shared);
	return 0;
}

static int
remove_dir(void **state)
{
	(void)state;
	scratch_remove(dir);
	return 0;
}

/* Files of the host, accessed without memdir. */

static const char *
path_of(const char *name)
{
	static char path[FULL_PATH];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static bool
is_there(const char *name)
{
	struct stat st;

	return lstat(path_of(name), &st) == 0;
}

static void
expect_there(const char *name)
{
	if (!is_there(name))
		fail_msg("%s: expected to be there, is gone", name);
}

static void
expect_gone(const char *name)
{
	if (is_there(name))
		fail_msg("%s: expected to be gone, is there", name);
}

static void
put_file(const char *name, const void *bytes, size_t size)
{
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	close(fd);
}

/* Fails the test unless the file has that content, untouched. */
static void
expect_content(const char *name, const void *bytes, size_t size)
{
	uint8_t found[2 * LAYOUT_LOCK_SIZE];
	int fd = open(path_of(name), O_RDONLY);

	if (fd < 0)
		fail_msg("%s: expected to be there: %s", name, strerror(errno));
	assert_int_equal(read(fd, found, sizeof found), size);
	assert_memory_equal(found, bytes, size);
	close(fd);
}

/* A lock file as a server leaves it. */
static void
put_lock(const char *name, uint64_t segment, size_t size)
{
	uint8_t bytes[LAYOUT_LOCK_SIZE] = { 0 };
	uint64_t life = LIFE;

	memcpy(bytes + LAYOUT_MAGIC_AT, LAYOUT_MAGIC, sizeof LAYOUT_MAGIC - 1);
	memcpy(bytes + LAYOUT_LIFE_AT, &life, sizeof life);
	memcpy(bytes + LAYOUT_SEGMENT_AT, &segment, sizeof segment);
	put_file(name, bytes, size);
}

static unsigned
count_entries(void)
{
	unsigned count = 0;
	struct dirent *e;
	DIR *list = opendir(dir);

	assert_non_null(list);
	while ((e = readdir(list)) != NULL)
		count += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	closedir(list);
	return count;
}

static struct memdir *
open_dir(void)
{
	struct memdir *d = NULL;

	assert_int_equal(memdir_open(&d, dir), 0);
	assert_non_null(d);
	return d;
}

/* A server starts and stops. */
static void
open_and_close(void)
{
	memdir_close(open_dir());
}

/* Processes. */

/* Runs run in a process of its own, which reports when it is ready and is then killed. */
static void
run_and_kill(void (*run)(struct memdir *))
{
	uint64_t deadline = patience_until(2 * PATIENCE_MS);
	struct memdir *d;
	pid_t pid;

	atomic_store(&shared->is_ready, 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (memdir_open(&d, dir) != 0)
			_exit(1);
		run(d);
		atomic_store(&shared->is_ready, 1);
		for (;;)
			pause();
	}
	assert_true(pid > 0);
	while (atomic_load(&shared->is_ready) == 0) {
		if (waitpid(pid, NULL, WNOHANG) == pid || clock_now() > deadline)
			fail_msg("the other process is not ready in time");
		poll(NULL, 0, 1);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Files as memdir makes them. */

static void
a_lock_file_is_4096_bytes_with_zeros_magic_and_life_and_mode_0660(void **state)
{
	uint8_t expected[LAYOUT_LOCK_SIZE] = { 0 };
	uint64_t life = LIFE;
	struct stat st;
	struct memdir *d;
	mode_t mask;

	(void)state;
	memcpy(expected + 64, "smuf lock file 1", 16);
	memcpy(expected + 80, &life, sizeof life);
	mask = umask(0077);
	d = open_dir();
	assert_int_equal(memdir_create_lock(d, "m", LIFE, &lock_id), 0);
	umask(mask);
	expect_content("m", expected, sizeof expected);
	assert_int_equal(stat(path_of("m"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	remove_files(d, "m", false);
	expect_gone("m");
	memdir_close(d);
	assert_int_equal(count_entries(), 0);
}

static void
a_segment_file_is_sparse_and_goes_with_its_lock_file(void **state)
{
	struct memdir *d = open_dir();
	struct stat st;

	(void)state;
	assert_int_equal(memdir_create_lock(d, "m", LIFE, &lock_id), 0);
	assert_int_equal(memdir_create_segment(d, "m", LIFE, UINT64_C(1) << 32, &segment_id), 0);
	assert_int_equal(stat(path_of("m.segment"), &st), 0);
	assert_true(st.st_size == (off_t)(UINT64_C(1) << 32));
	assert_true(st.st_blocks < 16);
	assert_int_equal(st.st_mode & 07777, 0660);
	remove_files(d, "m", true);
	expect_gone("m");
	expect_gone("m.segment");
	memdir_close(d);
	assert_int_equal(count_entries(), 0);
}

static void
ticket_and_turn_are_read_and_written_in_host_byte_order(void **state)
{
	uint32_t words[2] = { 0x01020304, 0xfffffffe }, ticket, turn;
	struct memdir *d = open_dir();
	int fd;

	(void)state;
	assert_int_equal(memdir_create_lock(d, "m", LIFE, &lock_id), 0);
	assert_int_equal(memdir_read_lock(d, "m", LIFE, &ticket, &turn), 0);
	assert_int_equal(ticket, 0);
	assert_int_equal(turn, 0);
	fd = open(path_of("m"), O_RDWR);
	assert_int_equal(pwrite(fd, words, sizeof words, 0), sizeof words);
	assert_int_equal(memdir_read_lock(d, "m", LIFE, &ticket, &turn), 0);
	assert_true(ticket == words[0] && turn == words[1]);
	/* Only the turn changes: the ticket belongs to the clients. */
	assert_int_equal(memdir_write_turn(d, "m", LIFE, 7), 0);
	assert_int_equal(pread(fd, words, sizeof words, 0), sizeof words);
	assert_true(words[0] == 0x01020304 && words[1] == 7);
	assert_int_equal(memdir_write_lock(d, "m", LIFE, 9, 8), 0);
	assert_int_equal(pread(fd, words, sizeof words, 0), sizeof words);
	assert_true(words[0] == 9 && words[1] == 8);
	close(fd);
	remove_files(d, "m", false);
	memdir_close(d);
}

/* Foreign files while a server runs. */

struct foreign {
	const char *name;
	void (*put)(const char *name);
};

static void
put_text(const char *name)
{
	put_file(name, "precious", 8);
}

static void
put_nothing(const char *name)
{
	put_file(name, "", 0);
}

static void
put_directory(const char *name)
{
	assert_int_equal(mkdir(path_of(name), 0700), 0);
}

static void
put_fifo(const char *name)
{
	assert_int_equal(mkfifo(path_of(name), 0600), 0);
}

static void
put_dangling_link(const char *name)
{
	assert_int_equal(symlink("nowhere", path_of(name)), 0);
}

static void
put_link(const char *name)
{
	char target[FULL_PATH];

	put_text("precious");
	snprintf(target, sizeof target, "%s/precious", dir);
	assert_int_equal(symlink(target, path_of(name)), 0);
}

static void
put_hard_link(const char *name)
{
	char target[FULL_PATH];

	put_text("precious");
	snprintf(target, sizeof target, "%s/precious", dir);
	assert_int_equal(link(target, path_of(name)), 0);
}

static void
put_zeros(const char *name)
{
	static const uint8_t zeros[LAYOUT_LOCK_SIZE];

	put_file(name, zeros, sizeof zeros);
}

/* It has the magic, but is a byte too short for a lock file. */
static void
put_short_lock(const char *name)
{
	put_lock(name, 0, LAYOUT_LOCK_SIZE - 1);
}

/* A link to a valid lock file. */
static void
put_link_to_lock(const char *name)
{
	char target[FULL_PATH];

	/* Its name is too long to be ours. */
	snprintf(target, sizeof target, "%0*d", FILENAME_LIMIT, 0);
	put_lock(target, 4096, LAYOUT_LOCK_SIZE);
	assert_int_equal(symlink(target, path_of(name)), 0);
}

static const struct foreign foreigners[] = {
	{ "a file", put_text },
	{ "an empty file", put_nothing },
	{ "a directory", put_directory },
	{ "a FIFO", put_fifo },
	{ "a dangling symbolic link", put_dangling_link },
	{ "a symbolic link to something precious", put_link },
	{ "a hard link to something precious", put_hard_link },
	{ "4096 zeros", put_zeros },
	{ "a lock file that is shorter", put_short_lock },
	{ "a symbolic link to a lock file", put_link_to_lock },
};

enum { FOREIGNERS = sizeof foreigners / sizeof foreigners[0] };

/* Returns the result of lstat(2), which must stay the same. */
static struct stat
status_of(const char *name)
{
	struct stat st;

	if (lstat(path_of(name), &st) != 0)
		fail_msg("%s: expected to be there, is gone", name);
	return st;
}

static void
expect_same(const char *what, const char *name, const struct stat *before)
{
	struct stat st;

	if (lstat(path_of(name), &st) != 0)
		fail_msg("%s (%s): expected to be left alone, is gone", what, name);
	if (st.st_ino != before->st_ino || st.st_size != before->st_size ||
	    st.st_mode != before->st_mode || st.st_nlink != before->st_nlink ||
	    st.st_mtim.tv_sec != before->st_mtim.tv_sec ||
	    st.st_mtim.tv_nsec != before->st_mtim.tv_nsec)
		fail_msg("%s (%s): expected to be left alone, was changed", what, name);
}

static void
with_each_foreigner(void (*test)(const struct foreign *f, const char *name), const char *name)
{
	int i;

	for (i = 0; i < FOREIGNERS; i++) {
		foreigners[i].put(name);
		test(&foreigners[i], name);
		assert_int_equal(remove_dir(NULL), 0);
		assert_int_equal(make_dir(NULL), 0);
	}
}

static void
open_is_refused(const struct foreign *f, const char *name)
{
	struct stat before = status_of(name);
	struct memdir *d = open_dir();
	int r = memdir_create_lock(d, name, LIFE, &lock_id);

	if (r != -EEXIST)
		fail_msg("%s: expected -EEXIST, got %d", f->name, r);
	expect_same(f->name, name, &before);
	memdir_close(d);
	expect_same(f->name, name, &before);
}

static void
a_lock_file_takes_no_foreign_name(void **state)
{
	(void)state;
	with_each_foreigner(open_is_refused, "m");
}

static void
map_is_refused(const struct foreign *f, const char *name)
{
	struct stat before = status_of(name);
	struct memdir *d = open_dir();
	int r;

	assert_int_equal(memdir_create_lock(d, "m", LIFE, &lock_id), 0);
	r = memdir_create_segment(d, "m", LIFE, 4096, &segment_id);
	if (r != -EEXIST)
		fail_msg("%s: expected -EEXIST, got %d", f->name, r);
	expect_same(f->name, name, &before);
	remove_files(d, "m", false);
	memdir_close(d);
	expect_same(f->name, name, &before);
}

static void
a_segment_file_takes_no_foreign_name(void **state)
{
	(void)state;
	with_each_foreigner(map_is_refused, "m.segment");
}

static void
try_to_map(struct memdir *d)
{
	if (memdir_create_lock(d, "m", LIFE, &lock_id) != 0 ||
	    memdir_create_segment(d, "m", LIFE, 4096, &segment_id) != -EEXIST)
		_exit(2);
}

static void
refused_and_killed(const struct foreign *f, const char *name)
{
	struct stat before = status_of(name);

	run_and_kill(try_to_map);
	open_and_close();
	expect_same(f->name, name, &before);
	expect_gone("m");
}

static void
a_foreign_segment_file_outlives_a_server_that_was_refused_its_name_and_killed(void **state)
{
	(void)state;
	with_each_foreigner(refused_and_killed, "m.segment");
}

/* Leftovers. */

static void
start_leaves_it_alone(const struct foreign *f, const char *name)
{
	struct stat before = status_of(name);

	open_and_close();
	expect_same(f->name, name, &before);
}

static void
foreign_files_are_left_alone_at_start(void **state)
{
	(void)state;
	with_each_foreigner(start_leaves_it_alone, "m");
	with_each_foreigner(start_leaves_it_alone, "m.segment");
}

static void
a_lock_file_without_and_with_a_segment_file_is_removed(void **state)
{
	(void)state;
	put_lock("pure", 0, LAYOUT_LOCK_SIZE);
	put_lock("m", 8192, LAYOUT_LOCK_SIZE);
	put_file("m.segment", "sealed", 6);
	open_and_close();
	assert_int_equal(count_entries(), 0);
}

static void
a_lock_file_whose_segment_file_never_came_is_removed(void **state)
{
	(void)state;
	put_lock("m", 8192, LAYOUT_LOCK_SIZE);
	open_and_close();
	assert_int_equal(count_entries(), 0);
}

static void
a_segment_file_that_no_lock_file_announces_is_left_alone(void **state)
{
	(void)state;
	put_text("alone.segment");
	put_lock("m", 0, LAYOUT_LOCK_SIZE);
	put_text("m.segment");
	open_and_close();
	expect_gone("m");
	expect_content("m.segment", "precious", 8);
	expect_content("alone.segment", "precious", 8);
	assert_int_equal(count_entries(), 2);
}

static void
a_segment_name_that_is_a_symbolic_link_costs_the_link_only(void **state)
{
	(void)state;
	put_lock("m", 8192, LAYOUT_LOCK_SIZE);
	put_link("m.segment");
	open_and_close();
	expect_gone("m");
	expect_content("precious", "precious", 8);
}

static void
a_segment_name_that_is_a_directory_is_left_alone(void **state)
{
	(void)state;
	put_lock("m", 8192, LAYOUT_LOCK_SIZE);
	put_directory("m.segment");
	open_and_close();
	expect_there("m.segment");
}

static void
a_lock_file_under_a_name_too_long_is_left_alone(void **state)
{
	char longest[FILENAME_LIMIT], too_long[FILENAME_LIMIT + 1];

	(void)state;
	memset(longest, 'n', sizeof longest);
	longest[sizeof longest - 1] = '\0';
	memset(too_long, 'n', sizeof too_long);
	too_long[sizeof too_long - 1] = '\0';
	put_lock(longest, 0, LAYOUT_LOCK_SIZE);
	put_lock(too_long, 0, LAYOUT_LOCK_SIZE);
	open_and_close();
	expect_gone(longest);
	expect_there(too_long);
}

static void
a_magic_that_is_not_whole_is_no_magic(void **state)
{
	uint8_t bytes[LAYOUT_LOCK_SIZE] = { 0 };
	char name[] = "m0";
	int i;

	(void)state;
	for (i = 0; i < 16; i++) {
		memcpy(bytes + LAYOUT_MAGIC_AT, LAYOUT_MAGIC, 16);
		bytes[LAYOUT_MAGIC_AT + i] ^= 1;
		name[1] = (char)('a' + i);
		put_file(name, bytes, sizeof bytes);
	}
	open_and_close();
	assert_int_equal(count_entries(), 16);
}

/* The directory's lock file as a killed server leaves it, with size bytes recorded. */
static void
put_record(const void *record, size_t size)
{
	uint8_t bytes[LAYOUT_RECORD_AT + 3 * FULL_PATH] = { 0 };
	const uint64_t yes = 1;

	assert_true(size <= sizeof bytes - LAYOUT_RECORD_AT);
	memcpy(bytes + LAYOUT_KERNEL_LOCK_AT, &yes, sizeof yes);
	memcpy(bytes + LAYOUT_RECORD_AT, record, size);
	put_file(LAYOUT_DIRECTORY_LOCK, bytes, LAYOUT_RECORD_AT + size);
}

/* As a server does that is killed between creating the lock file and writing to it. */
static void
leave_half_made(const char *announced, const char *name, off_t size)
{
	int fd;

	put_record(announced, strlen(announced));
	fd = open(path_of(name), O_WRONLY | O_CREAT | O_EXCL, 0660);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
}

static void
a_half_made_lock_file_that_was_announced_is_removed(void **state)
{
	(void)state;
	leave_half_made("m", "m", 0);
	open_and_close();
	assert_int_equal(count_entries(), 0);
	leave_half_made("m", "m", LAYOUT_LOCK_SIZE);
	open_and_close();
	assert_int_equal(count_entries(), 0);
}

static void
an_empty_file_that_was_not_announced_is_left_alone(void **state)
{
	(void)state;
	leave_half_made("m", "n", 0);
	open_and_close();
	expect_there("n");
	leave_half_made("nn", "nnn", LAYOUT_LOCK_SIZE);
	open_and_close();
	expect_there("nnn");
	/* The announcement is removed. */
	put_nothing("nn");
	open_and_close();
	expect_there("nn");
}

static void
what_is_announced_and_has_something_in_it_is_left_alone(void **state)
{
	char up[FULL_PATH];
	int fd;

	(void)state;
	put_record("m", 1);
	put_text("m");
	open_and_close();
	expect_content("m", "precious", 8);
	put_record("z", 1);
	put_zeros("z");
	open_and_close();
	expect_there("z");
	leave_half_made("o", "o", LAYOUT_LOCK_SIZE + 1);
	open_and_close();
	expect_there("o");
	put_record("d", 1);
	put_directory("d");
	open_and_close();
	expect_there("d");
	put_record("l", 1);
	put_dangling_link("l");
	open_and_close();
	expect_there("l");
	/* No file outside of the directory is removed. */
	snprintf(up, sizeof up, "%s.up", dir);
	fd = open(up, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	close(fd);
	snprintf(up, sizeof up, "../%s.up", strrchr(dir, '/') + 1);
	put_record(up, strlen(up));
	open_and_close();
	snprintf(up, sizeof up, "%s.up", dir);
	assert_int_equal(unlink(up), 0);
}

static void
an_announcement_that_is_garbage_does_no_harm(void **state)
{
	char garbage[3 * NAME_MAX];

	(void)state;
	put_text("precious");
	memset(garbage, 'x', sizeof garbage);
	put_record(garbage, sizeof garbage);
	open_and_close();
	memset(garbage, 0, sizeof garbage);
	put_record(garbage, sizeof garbage);
	open_and_close();
	put_record("..", 2);
	open_and_close();
	put_record(LAYOUT_DIRECTORY_LOCK, sizeof LAYOUT_DIRECTORY_LOCK - 1);
	open_and_close();
	assert_int_equal(count_entries(), 1);
}

/* The owner. */

static void
a_second_server_is_kept_out_until_the_first_has_gone(void **state)
{
	struct memdir *d = open_dir(), *second = NULL;

	(void)state;
	assert_int_equal(memdir_create_lock(d, "m", LIFE, &lock_id), 0);
	assert_int_equal(memdir_open(&second, dir), -EEXIST);
	assert_null(second);
	/* And it has removed nothing. */
	expect_there("m");
	expect_there(LAYOUT_DIRECTORY_LOCK);
	assert_int_equal(memdir_open(&second, dir), -EEXIST);
	remove_files(d, "m", false);
	memdir_close(d);
	expect_gone(LAYOUT_DIRECTORY_LOCK);
	open_and_close();
	assert_int_equal(count_entries(), 0);
}

static void
make_both(struct memdir *d)
{
	if (memdir_create_lock(d, "m", LIFE, &lock_id) != 0 ||
	    memdir_create_segment(d, "m", LIFE, 4096, &segment_id) != 0)
		_exit(2);
}

static void
another_process_is_kept_out_too_and_gets_in_after_kill_9(void **state)
{
	uint64_t deadline = patience_until(2 * PATIENCE_MS);
	struct memdir *d = NULL;
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (memdir_open(&d, dir) != 0)
			_exit(1);
		make_both(d);
		atomic_store(&shared->is_ready, 1);
		for (;;)
			pause();
	}
	while (atomic_load(&shared->is_ready) == 0) {
		assert_true(clock_now() < deadline);
		poll(NULL, 0, 1);
	}
	assert_int_equal(memdir_open(&d, dir), -EEXIST);
	expect_there("m");
	expect_there("m.segment");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	d = open_dir();
	expect_gone("m");
	expect_gone("m.segment");
	memdir_close(d);
	assert_int_equal(count_entries(), 0);
}

/* In a child: opens the directory again and again, and counts when it was not alone. */
static void __attribute__((noreturn)) contend(uint64_t until)
{
	uint64_t deadline = patience_until(4 * PATIENCE_MS);
	struct memdir *d;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (clock_now() < until ||
	    (atomic_load(&shared->owned) <= RIVALS && clock_now() < deadline)) {
		if (memdir_open(&d, dir) != 0)
			continue;
		if (atomic_fetch_add(&shared->owners, 1) != 0)
			atomic_fetch_add(&shared->doubles, 1);
		atomic_fetch_add(&shared->owned, 1);
		sched_yield();
		atomic_fetch_sub(&shared->owners, 1);
		memdir_close(d);
	}
	_exit(0);
}

static void
never_two_at_once_however_they_come_and_go(void **state)
{
	uint64_t until = clock_after_ms(clock_now(), RIVALRY_MS);
	pid_t pids[RIVALS];
	int i, status;

	(void)state;
	for (i = 0; i < RIVALS; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			contend(until);
	}
	for (i = 0; i < RIVALS; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(atomic_load(&shared->doubles), 0);
	assert_true(atomic_load(&shared->owned) > RIVALS);
	assert_int_equal(count_entries(), 0);
}

static void
a_lock_file_of_the_directory_that_was_replaced_is_not_removed_at_exit(void **state)
{
	struct memdir *d = open_dir(), *second;

	(void)state;
	assert_int_equal(unlink(path_of(LAYOUT_DIRECTORY_LOCK)), 0);
	second = open_dir();
	memdir_close(d);
	/* This file keeps a third server out. */
	expect_there(LAYOUT_DIRECTORY_LOCK);
	assert_int_equal(memdir_open(&d, dir), -EEXIST);
	memdir_close(second);
	expect_gone(LAYOUT_DIRECTORY_LOCK);
}

static void
a_directory_that_cannot_be_opened_is_an_error(void **state)
{
	struct memdir *d = NULL;
	char path[FULL_PATH];

	(void)state;
	snprintf(path, sizeof path, "%s/none", dir);
	assert_int_equal(memdir_open(&d, path), -ENOENT);
	put_text("file");
	snprintf(path, sizeof path, "%s/file", dir);
	assert_int_equal(memdir_open(&d, path), -ENOTDIR);
	assert_int_equal(symlink("file", path_of(LAYOUT_DIRECTORY_LOCK)), 0);
	assert_int_equal(memdir_open(&d, dir), -ELOOP);
	assert_null(d);
	expect_content("file", "precious", 8);
	expect_there(LAYOUT_DIRECTORY_LOCK);
	assert_int_equal(unlink(path_of(LAYOUT_DIRECTORY_LOCK)), 0);
	put_directory(LAYOUT_DIRECTORY_LOCK);
	assert_int_equal(memdir_open(&d, dir), -EISDIR);
	memdir_close(NULL);
}

/* Killed at any moment. */

/* In a child: creates and removes files at full speed. */
static void __attribute__((noreturn)) make_files(void)
{
	char name[FILENAME_LIMIT];
	struct memdir *d;
	unsigned i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (memdir_open(&d, dir) != 0)
		_exit(1);
	atomic_store(&shared->is_ready, 1);
	for (i = 0;; i++) {
		snprintf(name, sizeof name, "%s%u", i % 2 == 0 ? "m" : "a-longer-name-", i % 7);
		if (memdir_create_lock(d, name, i + 1, &lock_id) != 0 ||
		    (i % 3 != 0 && memdir_create_segment(d, name, i + 1, 8192, &segment_id) != 0))
			_exit(2);
		remove_files(d, name, i % 3 != 0);
	}
}

static void
killed_at_any_moment_nothing_stays(void **state)
{
	uint64_t deadline = patience_until(6 * PATIENCE_MS);
	struct timespec pause = { 0 };
	unsigned round, entries = 0;
	int status;
	pid_t pid;

	(void)state;
	put_text("foreign");
	for (round = 0; round < KILLS; round++) {
		atomic_store(&shared->is_ready, 0);
		pid = fork();
		if (pid == 0)
			make_files();
		assert_true(pid > 0);
		while (atomic_load(&shared->is_ready) == 0) {
			assert_true(clock_now() < deadline);
			sched_yield();
		}
		pause.tv_nsec = random() % (KILL_WITHIN_US * 1000);
		nanosleep(&pause, NULL);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		entries += count_entries() > 2;
		open_and_close();
		if (count_entries() != 1)
			fail_msg("round %u: expected the foreign file alone, got %u entries", round,
			    count_entries());
	}
	expect_content("foreign", "precious", 8);
	/* Otherwise it was never killed at work. */
	assert_true(entries > KILLS / 10);
}

/* Changes by the host to a lock file in use. */

static struct memdir *used;

static void
begin_use(void)
{
	used = open_dir();
	assert_int_equal(memdir_create_lock(used, "m", LIFE, &lock_id), 0);
	assert_int_equal(memdir_write_lock(used, "m", LIFE, 5, 4), 0);
}

static void
expect_lost(const char *what)
{
	uint32_t ticket = 1, turn = 1;
	int r;

	if ((r = memdir_read_lock(used, "m", LIFE, &ticket, &turn)) != -ESTALE)
		fail_msg("%s: reading: expected -ESTALE, got %d", what, r);
	if ((r = memdir_write_turn(used, "m", LIFE, 9)) != -ESTALE)
		fail_msg("%s: writing the turn: expected -ESTALE, got %d", what, r);
	if ((r = memdir_write_lock(used, "m", LIFE, 9, 9)) != -ESTALE)
		fail_msg("%s: writing both: expected -ESTALE, got %d", what, r);
	if ((r = memdir_create_segment(used, "m", LIFE, 4096, &segment_id)) != -ESTALE)
		fail_msg("%s: a segment: expected -ESTALE, got %d", what, r);
	expect_gone("m.segment");
}

static void
end_use(void)
{
	memdir_close(used);
}

static void
a_lock_file_that_was_unlinked_is_lost(void **state)
{
	(void)state;
	begin_use();
	assert_int_equal(unlink(path_of("m")), 0);
	expect_lost("unlinked");
	expect_gone("m");
	end_use();
}

static void
a_lock_file_that_was_cut_short_is_lost(void **state)
{
	static const off_t sizes[] = { 4095, 96, 95, 64, 8, 7, 1, 0 };
	struct stat st;
	size_t i;

	(void)state;
	begin_use();
	for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		assert_int_equal(truncate(path_of("m"), sizes[i]), 0);
		expect_lost("cut short");
		assert_int_equal(stat(path_of("m"), &st), 0);
		assert_int_equal(st.st_size, sizes[i]);
	}
	end_use();
}

static void
a_file_that_replaced_a_lock_file_is_not_written_to(void **state)
{
	struct stat before;
	int i;

	(void)state;
	for (i = 0; i < FOREIGNERS; i++) {
		begin_use();
		assert_int_equal(unlink(path_of("m")), 0);
		foreigners[i].put("m");
		before = status_of("m");
		expect_lost(foreigners[i].name);
		expect_same(foreigners[i].name, "m", &before);
		end_use();
		assert_int_equal(remove_dir(NULL), 0);
		assert_int_equal(make_dir(NULL), 0);
	}
}

static void
a_lock_file_of_another_life_is_not_written_to(void **state)
{
	uint8_t bytes[LAYOUT_LOCK_SIZE] = { 0 };
	uint64_t life = OTHER_LIFE;

	(void)state;
	begin_use();
	memcpy(bytes + LAYOUT_MAGIC_AT, LAYOUT_MAGIC, sizeof LAYOUT_MAGIC - 1);
	memcpy(bytes + LAYOUT_LIFE_AT, &life, sizeof life);
	assert_int_equal(unlink(path_of("m")), 0);
	put_file("m", bytes, sizeof bytes);
	expect_lost("another life");
	expect_content("m", bytes, sizeof bytes);
	end_use();
}

static int
begin_all(void **state)
{
	(void)state;
	log_open("test_smuf_memdir", NULL, LOG_LEVEL_NONE);
	shared = child_share(sizeof *shared);
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_lock_file_is_4096_bytes_with_zeros_magic_and_life_and_mode_0660),
		TEST(a_segment_file_is_sparse_and_goes_with_its_lock_file),
		TEST(ticket_and_turn_are_read_and_written_in_host_byte_order),
		TEST(a_lock_file_takes_no_foreign_name),
		TEST(a_segment_file_takes_no_foreign_name),
		TEST(a_foreign_segment_file_outlives_a_server_that_was_refused_its_name_and_killed),
		TEST(foreign_files_are_left_alone_at_start),
		TEST(a_lock_file_without_and_with_a_segment_file_is_removed),
		TEST(a_lock_file_whose_segment_file_never_came_is_removed),
		TEST(a_segment_file_that_no_lock_file_announces_is_left_alone),
		TEST(a_segment_name_that_is_a_symbolic_link_costs_the_link_only),
		TEST(a_segment_name_that_is_a_directory_is_left_alone),
		TEST(a_lock_file_under_a_name_too_long_is_left_alone),
		TEST(a_magic_that_is_not_whole_is_no_magic),
		TEST(a_half_made_lock_file_that_was_announced_is_removed),
		TEST(an_empty_file_that_was_not_announced_is_left_alone),
		TEST(what_is_announced_and_has_something_in_it_is_left_alone),
		TEST(an_announcement_that_is_garbage_does_no_harm),
		TEST(a_second_server_is_kept_out_until_the_first_has_gone),
		TEST(another_process_is_kept_out_too_and_gets_in_after_kill_9),
		TEST(never_two_at_once_however_they_come_and_go),
		TEST(a_lock_file_of_the_directory_that_was_replaced_is_not_removed_at_exit),
		TEST(a_directory_that_cannot_be_opened_is_an_error),
		TEST(killed_at_any_moment_nothing_stays),
		TEST(a_lock_file_that_was_unlinked_is_lost),
		TEST(a_lock_file_that_was_cut_short_is_lost),
		TEST(a_file_that_replaced_a_lock_file_is_not_written_to),
		TEST(a_lock_file_of_another_life_is_not_written_to),
	};

	return cmocka_run_group_tests_name("smuf memdir", tests, begin_all, NULL);
}
