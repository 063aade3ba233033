/*
 * smc where a library OS gives less than a kernel: no locks on byte ranges, no pread(2) and
 * pwrite(2), or neither; names of files that are gone. smc keeps what it can, reports silently
 * private mappings when it opens, and leaves foreign files alone.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/client/smclient.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/libos.h"
#include "tests/stress/patience.h"
#include "tests/stress/smc.h"

enum {
	ROUNDS = 20,
	PROCESSES = 4,
	INCREMENTS = 25,
	GIVES_UP_MS = 50,
	IN_VAIN_MS = 500,
	OBTAINABLE_MS = 2000,
	PAGE = 4096,
	LOCK_FILE = 2 * PAGE,
	BEHIND = 100, /* bytes of a foreign file after that */
	FOREIGN_MOST = LOCK_FILE + BEHIND,
	HANGS_MS = 30 * 1000 /* then a child is taken for hung */
};

/* System calls that are missing; a mode is a set of these. */
enum { NO_LOCKS = 1, NO_PREAD = 2, MODES = 4 };

static const char *const mode_names[MODES] = { "everything", "no locks", "no pread",
	"neither locks nor pread" };

/* Shared by the processes of a test. */
static struct page {
	atomic_int arrived, done, inside;
	atomic_bool were_two, is_held, may_lock;
	_Atomic int64_t total;
} * page;

static struct smc_world world;

static enum libos_mapping gives;

void *fake_mmap(void *hint, size_t size, int prot, int flags, int fd, off_t offset) __asm__("mmap");

void *
fake_mmap(void *hint, size_t size, int prot, int flags, int fd, off_t offset)
{
	return libos_mmap(gives, hint, size, prot, flags, fd, offset);
}

/* Names that this system believes to be files, until it removes them itself, or for ever. */
static const char *remembered[2];
static bool is_stubborn;

/* The size that this system believes regular files to have; -1: it asks for it. */
static off_t remembered_size = -1;

int fake_fstat(int fd, struct stat *st) __asm__("fstat");

int
fake_fstat(int fd, struct stat *st)
{
	int rc = (int)syscall(SYS_fstat, fd, st);

	if (rc == 0 && S_ISREG(st->st_mode) && remembered_size >= 0)
		st->st_size = remembered_size;
	return rc;
}

int fake_openat(int directory, const char *name, int flags, ...) __asm__("openat");
int fake_openat64(int directory, const char *name, int flags, ...) __asm__("openat64");

static const char **
find_remembered(const char *name)
{
	int i;

	for (i = 0; i < 2; i++)
		if (remembered[i] != NULL && strcmp(name, remembered[i]) == 0)
			return &remembered[i];
	return NULL;
}

int fake_unlinkat(int directory, const char *name, int flags) __asm__("unlinkat");

int
fake_unlinkat(int directory, const char *name, int flags)
{
	const char **found = find_remembered(name);
	int rc = (int)syscall(SYS_unlinkat, directory, name, flags);

	if (rc == 0 && found != NULL && !is_stubborn)
		*found = NULL;
	return rc;
}

static int
call_openat(int directory, const char *name, int flags, mode_t mode)
{
	if (find_remembered(name) != NULL && (flags & O_CREAT) != 0 &&
	    ((flags & O_EXCL) != 0 || is_stubborn)) {
		errno = EEXIST;
		return -1;
	}
	/* It has no files without a name. */
	if ((flags & O_TMPFILE) == O_TMPFILE) {
		errno = EISDIR;
		return -1;
	}
	return (int)syscall(SYS_openat, directory, name, flags, mode);
}

int
fake_openat(int directory, const char *name, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
	va_end(args);
	return call_openat(directory, name, flags, mode);
}

int
fake_openat64(int directory, const char *name, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
	va_end(args);
	return call_openat(directory, name, flags, mode);
}

/* Children in a mode. */

/* Installs the filters of a mode in this process and its children. False where there are none. */
static bool
forbid(int mode)
{
	static const int calls[] = { SYS_pread64, SYS_pwrite64 };

	return (!(mode & NO_PREAD) ||
		   libos_forbid(calls, sizeof calls / sizeof calls[0], EINVAL) == 0) &&
	    (!(mode & NO_LOCKS) || libos_forbid_locks(EINVAL) == 0);
}

/* child_fork(); the child ends by itself when it hangs. */
static pid_t
fork_child(void)
{
	pid_t pid = child_fork();

	if (pid == 0)
		patience_alarm(HANGS_MS);
	return pid;
}

/* Runs run in a child in that mode, which must exit with 0. */
static void
run_in(int mode, void (*run)(int mode))
{
	pid_t pid;

	memset(page, 0, sizeof *page);
	pid = fork_child();
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		child_expect(forbid(mode), "the filter is there");
		world.locks = mode & NO_LOCKS ? "none" : NULL;
		run(mode);
		_exit(EXIT_SUCCESS);
	}
	if (!child_has_ended_well(pid))
		fail_msg("with %s: the child did not end well", mode_names[mode]);
}

static bool
has_filters(void)
{
	pid_t pid = child_fork();

	if (pid == 0)
		_exit(forbid(NO_LOCKS) ? EXIT_SUCCESS : EXIT_FAILURE);
	return child_has_ended_well(pid);
}

static void
await_flag(atomic_bool *flag)
{
	child_expect(child_await(flag, HANGS_MS), "the other process went on");
}

/* Waits until all processes of a round are here. */
static void
meet(atomic_int *count)
{
	atomic_fetch_add(count, 1);
	while (atomic_load(count) < PROCESSES)
		sched_yield();
}

/* All processes at once. */

static void
increment(struct client *p)
{
	child_expect(sm_lock(p->file) == 0, "sm_lock");
	if (atomic_fetch_add(&page->inside, 1) != 0)
		atomic_store(&page->were_two, true);
	child_expect(smc_value(p->segment) >= 0, "the segment is whole");
	smc_count(p->segment);
	atomic_fetch_sub(&page->inside, 1);
	child_expect(sm_unlock(p->file) == 0, "sm_unlock");
}

static void __attribute__((noreturn)) be_one_of_many(const char *name)
{
	struct client p = { .sm = smc_mount(&world, world.key) };
	char path[64];
	int i;

	child_expect(p.sm != NULL, "sm_mount");
	snprintf(path, sizeof path, SMC_MOUNT "/%s", name);
	meet(&page->arrived);
	p.file = sm_open(p.sm, path);
	child_expect(p.file != NULL, "sm_open");
	p.segment = sm_map(p.file, NULL, SMC_SEGMENT);
	child_expect(p.segment != NULL, "sm_map");
	for (i = 0; i < INCREMENTS; i++)
		increment(&p);
	/* Wait for the others: a process that is the only one left would remove the file. */
	meet(&page->done);
	child_expect(sm_lock(p.file) == 0, "sm_lock, at the end");
	atomic_store(&page->total, smc_value(p.segment));
	child_expect(sm_unlock(p.file) == 0, "sm_unlock, at the end");
	client_close(&p);
	_exit(EXIT_SUCCESS);
}

/* Waits for all processes; when one fails, kills the others, which might wait for it for ever. */
static bool
have_ended_well(pid_t pids[PROCESSES])
{
	bool is_well = true;
	int i, left, status;
	pid_t pid;

	for (left = PROCESSES; left > 0; left--) {
		pid = wait(&status);
		child_expect(pid > 0, "wait");
		is_well = is_well && status == 0;
		for (i = 0; i < PROCESSES; i++) {
			if (pids[i] == pid)
				pids[i] = 0;
			else if (!is_well && pids[i] != 0)
				(void)kill(pids[i], SIGKILL);
		}
	}
	return is_well;
}

static void
run_round(int mode)
{
	pid_t pids[PROCESSES];
	char name[32];
	int i;

	snprintf(name, sizeof name, "many%d", mode);
	for (i = 0; i < PROCESSES; i++) {
		pids[i] = fork_child();
		child_expect(pids[i] != -1, "fork");
		if (pids[i] == 0)
			be_one_of_many(name);
	}
	child_expect(have_ended_well(pids), "every process went through");
	child_expect(!atomic_load(&page->were_two), "one at a time had the lock");
	child_expect(atomic_load(&page->total) == PROCESSES * INCREMENTS, "the total is exact");
	child_expect(access(smc_path(&world, name, ""), F_OK) != 0,
	    "the last one removed the file");
	child_expect(access(smc_path(&world, name, ".segment"), F_OK) != 0, "and the segment's");
}

static void
run_rounds(int mode)
{
	int round;

	for (round = 0; round < ROUNDS; round++) {
		memset(page, 0, sizeof *page);
		run_round(mode);
	}
}

static void
many_processes_that_open_map_and_count_at_once_lose_nothing(void **state)
{
	int mode;

	(void)state;
	for (mode = 0; mode < MODES; mode++)
		run_in(mode, run_rounds);
}

/* Giving up. */

static void __attribute__((noreturn)) give_up_and_close(void)
{
	struct client p;

	await_flag(&page->is_held);
	child_expect(smc_join(&p, &world, "given-up", 0) == 0, "the second opens it");
	child_expect(client_lock_for(&p, GIVES_UP_MS) == ETIMEDOUT, "the second gives up");
	client_close(&p);
	_exit(EXIT_SUCCESS);
}

static void
lock_once_more(struct client *p)
{
	child_expect(client_lock_within(p, OBTAINABLE_MS) == 0, "the lock can be had");
	child_expect(sm_unlock(p->file) == 0, "and given back");
}

static void
outlast_who_gives_up(int mode)
{
	struct client p, other;
	pid_t pid = fork_child();

	(void)mode;
	if (pid == 0)
		give_up_and_close();
	child_expect(smc_join(&p, &world, "given-up", 0) == 0, "the first opens it");
	child_expect(sm_lock(p.file) == 0, "the first has the lock");
	atomic_store(&page->is_held, true);
	child_expect(child_has_ended_well(pid), "the second ended well");
	child_expect(sm_unlock(p.file) == 0, "the first gives it back");
	lock_once_more(&p);
	child_expect(smc_join(&other, &world, "given-up", 0) == 0, "a third opens it");
	lock_once_more(&other);
	lock_once_more(&p);
	client_close(&other);
	client_close(&p);
}

static void
abandoned_ticket_of_a_closed_file_stops_no_process(void **state)
{
	int mode;

	(void)state;
	for (mode = 0; mode < MODES; mode++)
		run_in(mode, outlast_who_gives_up);
}

/* Private mappings. */

static void
try_private_mappings(int mode)
{
	struct sm *sm = smc_mount(&world, world.key);
	struct sm_file *f;

	(void)mode;
	child_expect(sm != NULL, "sm_mount");
	for (gives = LIBOS_COPY_ON_WRITE; gives <= LIBOS_COPY; gives++) {
		f = sm_open(sm, SMC_MOUNT "/private");
		child_expect(f == NULL, "a private mapping was noticed");
		child_expect(errno == ENOTSUP, "the error is ENOTSUP");
		child_expect(strstr(sm_error(sm), "untrusted_shm") != NULL,
		    "the words say what to do");
	}
	gives = LIBOS_SHARED;
	/* The failed attempts leave nothing in the way. */
	f = sm_open(sm, SMC_MOUNT "/private-no-more");
	child_expect(f != NULL, "sm_open, now that mappings are shared");
	child_expect(sm_map(f, NULL, SMC_SEGMENT) != NULL, "sm_map, now that mappings are shared");
	sm_free(sm);
}

static void
private_mappings_end_in_an_error_that_says_what_to_do(void **state)
{
	int mode;

	(void)state;
	for (mode = 0; mode < MODES; mode++)
		run_in(mode, try_private_mappings);
}

/* Death. */

static void __attribute__((noreturn)) hold_for_ever(void)
{
	struct client p;

	await_flag(&page->may_lock);
	child_expect(smc_join(&p, &world, "killed", 0) == 0, "the victim opens it");
	child_expect(sm_lock(p.file) == 0, "the victim has the lock");
	atomic_store(&page->is_held, true);
	for (;;)
		(void)pause();
}

static void
wait_for_a_dead_holder(int mode)
{
	struct client p;
	pid_t pid = fork_child();

	if (pid == 0)
		hold_for_ever();
	child_expect(smc_join(&p, &world, "killed", 0) == 0, "the survivor opens it");
	atomic_store(&page->may_lock, true);
	await_flag(&page->is_held);
	child_expect(kill(pid, SIGKILL) == 0 && child_was_killed(pid), "the holder is killed");
	if (mode & NO_LOCKS) {
		child_expect(client_lock_for(&p, IN_VAIN_MS) == ETIMEDOUT, "the dead has the lock");
		child_expect(sm_trylock(p.file) == -1 && errno == EAGAIN, "and keeps it");
	} else
		lock_once_more(&p);
	client_close(&p);
	/* The dead process still counts. */
	if (mode & NO_LOCKS)
		(void)unlink(smc_path(&world, "killed", ""));
}

static void
only_kernel_locks_tell_that_a_holder_is_dead(void **state)
{
	int mode;

	(void)state;
	for (mode = 0; mode < MODES; mode++)
		run_in(mode, wait_for_a_dead_holder);
}

/* Foreign files. */

/* Zeros at the begin, as in a lock file without a head; then something else. */
static const struct foreign {
	size_t size, zeros;
} foreign_files[] = {
	{ PAGE + BEHIND, PAGE },
	{ LOCK_FILE, LOCK_FILE - 1 },
	{ FOREIGN_MOST, PAGE },
	{ FOREIGN_MOST, FOREIGN_MOST },
};

static void
fill_foreign(const struct foreign *f, uint8_t bytes[FOREIGN_MOST])
{
	memset(bytes, 0, f->zeros);
	memset(bytes + f->zeros, 0x55, f->size - f->zeros);
}

static void
make_foreign(const struct foreign *f)
{
	int fd = open(smc_path(&world, "foreign", ""), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
	    0600);
	uint8_t bytes[FOREIGN_MOST];

	fill_foreign(f, bytes);
	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, bytes, f->size), f->size);
	assert_int_equal(close(fd), 0);
}

static void
expect_untouched(const struct foreign *f)
{
	int fd = open(smc_path(&world, "foreign", ""), O_RDONLY | O_CLOEXEC);
	uint8_t bytes[FOREIGN_MOST], seen[FOREIGN_MOST + 1];

	fill_foreign(f, bytes);
	assert_int_not_equal(fd, -1);
	assert_int_equal(read(fd, seen, sizeof seen), f->size);
	assert_memory_equal(seen, bytes, f->size);
	assert_int_equal(close(fd), 0);
	assert_int_not_equal(access(smc_path(&world, "foreign", ".segment"), F_OK), 0);
}

static void
open_foreign(int mode)
{
	struct client p;

	(void)mode;
	child_expect(smc_join(&p, &world, "foreign", 0) == EEXIST, "it is foreign: EEXIST");
}

static void
zeros_with_other_bytes_behind_them_are_foreign(void **state)
{
	const struct foreign *f;
	int mode;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof foreign_files / sizeof foreign_files[0]; i++) {
		f = &foreign_files[i];
		make_foreign(f);
		for (mode = 0; mode < MODES; mode++) {
			print_message("# %zu bytes, the first %zu are zeros; with %s\n", f->size,
			    f->zeros, mode_names[mode]);
			run_in(mode, open_foreign);
			expect_untouched(f);
		}
	}
}

/* Sizes: a library OS remembers what a name had when it was first seen. */

static void
open_foreign_of_another_size(int mode)
{
	for (remembered_size = 0; remembered_size <= LOCK_FILE; remembered_size += LOCK_FILE)
		open_foreign(mode);
}

static void
remembered_size_cuts_no_foreign_file(void **state)
{
	static const struct foreign larger = { FOREIGN_MOST, LOCK_FILE };
	int mode;

	(void)state;
	make_foreign(&larger);
	/* Without pread nothing tells how long it is. */
	for (mode = 0; mode < NO_PREAD; mode++) {
		run_in(mode, open_foreign_of_another_size);
		expect_untouched(&larger);
	}
	assert_int_equal(unlink(smc_path(&world, "foreign", "")), 0);
}

/* A process has died before the file had a size; this one saw another file of the name before. */
static void
open_what_was_larger(int mode)
{
	struct client p;

	(void)mode;
	close(open(smc_path(&world, "begun", ""), O_WRONLY | O_CREAT, 0660));
	remembered_size = LOCK_FILE;
	child_expect(smc_join(&p, &world, "begun", 0) == 0, "it can be opened");
	lock_once_more(&p);
	client_close(&p);
}

static void
remembered_size_of_an_empty_file_kills_no_process(void **state)
{
	int mode;

	(void)state;
	for (mode = 0; mode < MODES; mode++)
		run_in(mode, open_what_was_larger);
}

/* Names. */

static void
open_remembered(int mode)
{
	struct client p;
	int i;

	for (i = 0; i < 3 && (mode & NO_LOCKS) != 0; i++) {
		remembered[0] = "gone";
		remembered[1] = "gone.segment";
		child_expect(smc_join(&p, &world, "gone", SMC_SEGMENT) == 0, "it can be opened");
		increment(&p);
		client_close(&p);
		child_expect(access(smc_path(&world, "gone", ""), F_OK) != 0, "it is gone");
	}
	remembered[0] = "gone";
	is_stubborn = true;
	child_expect(smc_join(&p, &world, "gone", 0) == ESTALE, "an error, in the end");
	child_expect(strstr(sm_error(NULL), "remember") != NULL, "its words say why");
	child_expect(smc_join(&p, &world, "other", 0) == 0, "other names work");
	client_close(&p);
}

static void
name_of_a_file_that_is_gone_is_opened_another_way_or_an_error(void **state)
{
	int mode;

	(void)state;
	for (mode = 0; mode < MODES; mode++)
		run_in(mode, open_remembered);
}

static int
begin_all(void **state)
{
	*state = &world;
	if (!has_filters()) {
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
		cmocka_unit_test(many_processes_that_open_map_and_count_at_once_lose_nothing),
		cmocka_unit_test(abandoned_ticket_of_a_closed_file_stops_no_process),
		cmocka_unit_test(private_mappings_end_in_an_error_that_says_what_to_do),
		cmocka_unit_test(only_kernel_locks_tell_that_a_holder_is_dead),
		cmocka_unit_test(name_of_a_file_that_is_gone_is_opened_another_way_or_an_error),
		cmocka_unit_test(zeros_with_other_bytes_behind_them_are_foreign),
		cmocka_unit_test(remembered_size_cuts_no_foreign_file),
		cmocka_unit_test(remembered_size_of_an_empty_file_kills_no_process),
	};

	return cmocka_run_group_tests_name("smc library OS", tests, begin_all, smc_world_teardown);
}
