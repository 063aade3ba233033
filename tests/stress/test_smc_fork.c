/*
 * fork(2) without a server, and descriptors closed behind the library's back: a holder is alone,
 * whatever a program does to its processes and descriptors; a dead process holds nothing; and no iv
 * is used twice (smc/FORMAT 7, smc/FORMAT 5).
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
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/client/smclient.h"
#include "tests/nonces/record.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/patience.h"
#include "tests/stress/smc.h"
#include "tests/stress/testpoint.h"

#define NAME "forked"

enum {
	OBTAINABLE_MS = 200,
	HELD_MS = 300,    /* another process tries in vain for this long */
	STOLEN_MS = 1000, /* the same, where there might be something to be stolen */
	CHILDREN = 3,
	INCREMENTS = 200,
	EXECS = 20,
	NUMBERS = 48, /* descriptors that a program opens again */
	RECOVERY_BYTE = 4096,
	OWN_SIZE = 64 * 1024,
	OWN_BYTE = 0x3c
};

struct page {
	atomic_int holders; /* processes that think they hold the lock */
	atomic_bool were_two;
	atomic_bool is_ready, may_go_on;
	/* of children that outlive the memory file */
	atomic_bool is_joined, is_closing, is_last, is_parent_gone, is_new;
	atomic_int pid;
};

static struct smc_world world;
static struct page *page;
static struct client mine; /* of the test's own process */

static void
await(atomic_bool *flag)
{
	child_expect(child_await(flag, PATIENCE_MS), "the others go on in time");
}

/* Between the lock's return and its release. */
static void
enter_alone(void)
{
	if (atomic_fetch_add(&page->holders, 1) != 0)
		atomic_store(&page->were_two, true);
}

static void
leave_alone(void)
{
	(void)atomic_fetch_sub(&page->holders, 1);
}

static int
begin(void **state)
{
	(void)state;
	memset(page, 0, sizeof *page);
	assert_int_equal(smc_join(&mine, &world, NAME, SMC_SEGMENT), 0);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	client_close(&mine);
	return 0;
}

static void
section(struct client *p)
{
	child_expect(sm_lock(p->file) == 0, "sm_lock");
	enter_alone();
	child_expect(smc_value(p->segment) >= 0, "the segment is whole");
	smc_count(p->segment);
	leave_alone();
	child_expect(sm_unlock(p->file) == 0, "sm_unlock");
}

/* The lock can be taken, and the counter is value; increments it. */
static void
expect_obtainable(int64_t value)
{
	int error = client_lock_within(&mine, OBTAINABLE_MS);

	if (error != 0)
		fail_msg("expected the lock within %d ms, got errno %d", OBTAINABLE_MS, error);
	assert_int_equal(smc_value(mine.segment), value);
	smc_count(mine.segment);
	assert_int_equal(sm_unlock(mine.file), 0);
}

/* Another process tries in vain for ms milliseconds. */
static void
expect_held(uint64_t ms)
{
	struct client p;
	pid_t pid = child_begin();

	if (pid == 0) {
		client_close(&mine);
		child_expect(smc_join(&p, &world, NAME, SMC_SEGMENT) == 0, "it can be opened");
		child_expect(sm_trylock(p.file) != 0 && errno == EAGAIN, "a try fails");
		child_expect(client_lock_for(&p, ms) == ETIMEDOUT, "the lock is held");
		client_close(&p);
		_exit(EXIT_SUCCESS);
	}
	assert_true(child_has_ended_well(pid));
}

/*
 * Forks a parent, which takes the lock before or after it forks an idle child, and kills the
 * parent.
 */
static void
kill_parent_of_idle_child(bool is_child_first)
{
	struct client p;
	pid_t pid = child_begin();

	if (pid == 0) {
		client_close(&mine);
		child_expect(smc_join(&p, &world, NAME, SMC_SEGMENT) == 0, "it can be opened");
		if (!is_child_first)
			child_expect(sm_lock(p.file) == 0, "sm_lock");
		pid = fork();
		if (pid == 0) {
			/* The test ends it. */
			await(&page->may_go_on);
			section(&p);
			client_close(&p);
			_exit(EXIT_SUCCESS);
		}
		if (is_child_first)
			child_expect(sm_lock(p.file) == 0, "sm_lock");
		smc_poison(p.segment);
		atomic_store(&page->pid, pid);
		atomic_store(&page->is_ready, true);
		for (;;)
			pause();
	}
	await(&page->is_ready);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_true(child_was_killed(pid));
}

/* The grandchild became a child of the test: see begin_all(). */
static void
idle_child_does_not_keep_what_its_killed_parent_held(void **state)
{
	int64_t value = 0;
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		atomic_store(&page->is_ready, false);
		atomic_store(&page->may_go_on, false);
		kill_parent_of_idle_child(i == 0);
		expect_obtainable(value);
		atomic_store(&page->may_go_on, true);
		assert_true(child_has_ended_well(atomic_load(&page->pid)));
		expect_obtainable(value + 2);
		value += 3;
	}
}

/*
 * Opens the file and, when it may go on, forks a child that makes its first call when the file is
 * another one. The child has closed its parent's descriptors when it says that it is ready.
 */
static void
fork_an_heir(void)
{
	struct client p;
	pid_t pid;

	client_close(&mine);
	child_expect(smc_join(&p, &world, NAME, SMC_SEGMENT) == 0, "it can be opened");
	atomic_store(&page->is_joined, true);
	await(&page->may_go_on);
	pid = fork();
	if (pid == 0) {
		atomic_store(&page->is_ready, true);
		await(&page->is_new);
		child_expect(sm_trylock(p.file) != 0 && errno == ESTALE,
		    "the file that the child inherited is gone");
		_exit(EXIT_SUCCESS);
	}
	atomic_store(&page->pid, pid);
	await(&page->is_ready);
}

static void
await_heir(const char *step, void *arg)
{
	(void)step;
	(void)arg;
	atomic_store(&page->may_go_on, true);
	await(&page->is_parent_gone);
}

/* The other process forks and exits when this one has found the first slot free. */
static void
close_beside_fork(void)
{
	struct client p;

	client_close(&mine);
	child_expect(smc_join(&p, &world, NAME, SMC_SEGMENT) == 0, "it can be opened");
	atomic_store(&page->is_closing, true);
	await(&page->is_last);
	testpoint_plan_call("presence: first slot looked at", 1, await_heir, NULL);
	client_close(&p);
}

static void
last_close_beside_a_fork_leaves_one_lock(void **state)
{
	pid_t parent, closer;

	(void)state;
	parent = child_begin();
	if (parent == 0) {
		fork_an_heir();
		_exit(EXIT_SUCCESS);
	}
	await(&page->is_joined);
	closer = child_begin();
	if (closer == 0) {
		close_beside_fork();
		_exit(EXIT_SUCCESS);
	}
	await(&page->is_closing);
	/* This process has the first slot. */
	client_close(&mine);
	atomic_store(&page->is_last, true);
	assert_true(child_has_ended_well(parent));
	atomic_store(&page->is_parent_gone, true);
	assert_true(child_has_ended_well(closer));
	assert_int_equal(smc_join(&mine, &world, NAME, SMC_SEGMENT), 0);
	assert_int_equal(sm_lock(mine.file), 0);
	atomic_store(&page->is_new, true);
	assert_true(child_has_ended_well(atomic_load(&page->pid)));
	assert_int_equal(sm_unlock(mine.file), 0);
}

/* The recovery lock, taken by a process that stops with it: its descriptor. */
static int
lock_recovery(void)
{
	struct flock l = { .l_type = F_WRLCK, .l_start = RECOVERY_BYTE, .l_len = 1 };
	int fd = open(smc_path(&world, NAME, ""), O_RDWR | O_CLOEXEC);

	assert_int_not_equal(fd, -1);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &l), 0);
	return fd;
}

static void
child_without_a_slot_notices_that_its_file_began_anew(void **state)
{
	struct client p;
	pid_t pid;
	int fd;

	(void)state;
	pid = child_begin();
	if (pid == 0) {
		fork_an_heir();
		raise(SIGKILL);
	}
	await(&page->is_joined);
	client_close(&mine);
	/* The fork gives up waiting. */
	fd = lock_recovery();
	atomic_store(&page->may_go_on, true);
	assert_true(child_was_killed(pid));
	assert_int_equal(close(fd), 0);
	/* The next process that opens the file dies half way. */
	pid = child_begin();
	if (pid == 0) {
		testpoint_plan("lockfile: magic taken away", 1, SIGKILL);
		(void)smc_join(&p, &world, NAME, SMC_SEGMENT);
		_exit(EXIT_FAILURE);
	}
	assert_true(child_was_killed(pid));
	atomic_store(&page->is_new, true);
	assert_true(child_has_ended_well(atomic_load(&page->pid)));
	assert_int_equal(smc_join(&mine, &world, NAME, SMC_SEGMENT), 0);
	expect_obtainable(0);
}

static void
childs_end_does_not_free_its_parents_lock(void **state)
{
	enum { EXITS, CLOSES, FREES, UNLOCKS, IS_KILLED, ENDS };
	pid_t pid;
	int how;

	(void)state;
	assert_int_equal(sm_lock(mine.file), 0);
	for (how = EXITS; how < ENDS; how++) {
		pid = child_begin();
		if (pid == 0) {
			if (how == CLOSES)
				child_expect(sm_close(mine.file) == 0, "sm_close");
			if (how == FREES)
				client_close(&mine);
			if (how == UNLOCKS)
				child_expect(sm_unlock(mine.file) != 0 && errno == ENOLCK,
				    "ENOLCK");
			if (how == IS_KILLED)
				raise(SIGKILL);
			_exit(EXIT_SUCCESS);
		}
		assert_true(how == IS_KILLED ? child_was_killed(pid) : child_has_ended_well(pid));
		expect_held(how == EXITS ? HELD_MS : 2 * OBTAINABLE_MS / 5);
	}
	smc_count(mine.segment);
	assert_int_equal(sm_unlock(mine.file), 0);
	expect_obtainable(1);
}

static void
parents_children_and_grandchildren_count_exactly(void **state)
{
	pid_t pids[CHILDREN], pid;
	int i, j;

	(void)state;
	for (i = 0; i < CHILDREN; i++) {
		pids[i] = child_begin();
		if (pids[i] != 0)
			continue;
		section(&mine);
		pid = fork();
		child_expect(pid != -1, "fork");
		for (j = 1; j < INCREMENTS; j++)
			section(&mine);
		if (pid == 0) {
			section(&mine);
			_exit(EXIT_SUCCESS);
		}
		child_expect(child_has_ended_well(pid), "the grandchild's end");
		_exit(EXIT_SUCCESS);
	}
	for (j = 0; j < INCREMENTS; j++)
		section(&mine);
	for (i = 0; i < CHILDREN; i++)
		assert_true(child_has_ended_well(pids[i]));
	assert_false(atomic_load(&page->were_two));
	expect_obtainable(2 * CHILDREN * INCREMENTS + INCREMENTS);
}

static void
child_that_only_execs_costs_nothing(void **state)
{
	struct sm_stat before, after;
	int i, status;
	pid_t pid;

	(void)state;
	assert_int_equal(sm_stat(mine.file, &before), 0);
	assert_int_equal(sm_lock(mine.file), 0);
	for (i = 0; i < EXECS; i++) {
		pid = fork();
		if (pid == 0) {
			execl("/bin/true", "true", (char *)NULL);
			_exit(127);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
	expect_held(HELD_MS);
	assert_int_equal(sm_unlock(mine.file), 0);
	assert_int_equal(sm_stat(mine.file, &after), 0);
	assert_int_equal(after.open_count, before.open_count);
	assert_int_equal(before.open_count, 1);
}

/* Makes a child whose fork runs no handlers. */
static pid_t
clone_bare(void)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

static void
bare_clone_is_a_process_of_its_own(void **state)
{
	pid_t pid;

	(void)state;
	/*
	 * The clone may copy a locked AddressSanitizer allocator, or a locked malloc(3); but there
	 * is no other thread here.
	 */
	assert_int_equal(sm_lock(mine.file), 0);
	pid = clone_bare();
	if (pid == 0) {
		child_expect(sm_unlock(mine.file) != 0 && errno == ENOLCK,
		    "the lock is not the child's");
		child_expect(client_lock_for(&mine, HELD_MS) == ETIMEDOUT, "it is the parent's");
		atomic_store(&page->is_ready, true);
		child_expect(client_lock_within(&mine, PATIENCE_MS) == 0, "the child gets it then");
		child_expect(smc_value(mine.segment) == 1, "the child sees the parent's change");
		smc_count(mine.segment);
		child_expect(sm_unlock(mine.file) == 0, "and publishes");
		_exit(EXIT_SUCCESS);
	}
	assert_int_not_equal(pid, -1);
	await(&page->is_ready);
	smc_count(mine.segment);
	assert_int_equal(sm_unlock(mine.file), 0);
	assert_true(child_has_ended_well(pid));
	expect_obtainable(2);
	/* A clone that ends without a call. */
	assert_int_equal(sm_lock(mine.file), 0);
	pid = clone_bare();
	if (pid == 0)
		_exit(EXIT_SUCCESS);
	assert_true(child_has_ended_well(pid));
	expect_held(HELD_MS);
	assert_int_equal(sm_unlock(mine.file), 0);
}

/* Descriptors of the program. */

enum moment { BEFORE_LOCK, WHILE_HOLDING, BEFORE_UNLOCK, MOMENTS };
enum own { NOTHING, FILES, PIPES, MEMORY_FILES, OWNS };

static struct {
	int numbers[NUMBERS]; /* -1: none */
	struct stat stats[NUMBERS];
	unsigned count;
} own;

/*
 * The program opens so many files or pipes that all numbers that were open before are now its own.
 */
static void
open_own(enum own what)
{
	char path[2 * SMC_PATH_SIZE];
	int ends[2], i;

	own.count = 0;
	if (what == NOTHING)
		return;
	snprintf(path, sizeof path, "%s/own.%ld", world.dir, (long)getpid());
	child_expect(smc_write_file(path, OWN_BYTE, OWN_SIZE), "a file of one's own");
	if (what == MEMORY_FILES)
		snprintf(path, sizeof path, "%s/%s", world.memory, NAME);
	while (own.count < NUMBERS) {
		if (what == PIPES) {
			child_expect(pipe2(ends, O_NONBLOCK) == 0, "pipe2");
			own.numbers[own.count++] = ends[0];
			own.numbers[own.count++] = ends[1];
		} else {
			own.numbers[own.count++] = open(path, O_RDWR);
		}
	}
	for (i = 0; i < NUMBERS; i++)
		child_expect(fstat(own.numbers[i], &own.stats[i]) == 0,
		    "a descriptor of one's own");
}

static void
expect_own_untouched(enum own what)
{
	static uint8_t bytes[OWN_SIZE + 1];
	struct stat st;
	unsigned i;
	int left;
	size_t n;

	/* The library cannot tell its lock file from the same file opened by the program. */
	if (what == MEMORY_FILES)
		return;
	for (i = 0; i < own.count; i++) {
		child_expect(fstat(own.numbers[i], &st) == 0 && st.st_ino == own.stats[i].st_ino,
		    "the program's own descriptor is still open");
		if (what == PIPES)
			child_expect(ioctl(own.numbers[i], FIONREAD, &left) == 0 && left == 0,
			    "nothing is in the program's own pipe");
	}
	if (what != FILES || own.count == 0)
		return;
	child_expect(pread(own.numbers[0], bytes, sizeof bytes, 0) == OWN_SIZE, "its length");
	for (n = 0; n < OWN_SIZE; n++)
		child_expect(bytes[n] == OWN_BYTE, "no byte of the program's own file was written");
}

static void
close_all(enum own what)
{
	closefrom(3);
	open_own(what);
}

/*
 * While the test holds the lock or waits for it, this process closes all descriptors. Its calls may
 * fail after that, but there are never two holders. Exits with 0, or 1 with a message.
 */
static void __attribute__((noreturn)) lose_descriptors(enum moment moment, enum own what)
{
	struct client p;
	int error;

	client_close(&mine);
	child_expect(smc_join(&p, &world, NAME, SMC_SEGMENT) == 0, "it can be opened");
	/* Gives the writer its pipe. */
	section(&p);
	if (moment == BEFORE_LOCK) {
		close_all(what);
		atomic_store(&page->is_ready, true);
		await(&page->may_go_on);
	}
	error = client_lock_within(&p, moment == BEFORE_LOCK ? 2 * STOLEN_MS : PATIENCE_MS);
	child_expect(error == 0 || moment == BEFORE_LOCK, "sm_timedlock");
	if (error == 0) {
		enter_alone();
		if (moment == WHILE_HOLDING)
			close_all(what);
		smc_count(p.segment);
		if (moment != BEFORE_LOCK) {
			atomic_store(&page->is_ready, true);
			await(&page->may_go_on);
		}
		if (moment == BEFORE_UNLOCK)
			close_all(what);
		leave_alone();
		error = sm_unlock(p.file) == 0 ? 0 : errno;
		child_expect(error == 0 || error == EBADF, "sm_unlock works or says EBADF");
	}
	expect_own_untouched(what);
	client_close(&p);
	expect_own_untouched(what);
	_exit(EXIT_SUCCESS);
}

static void
lose_and_look(enum moment moment, enum own what)
{
	int64_t before, value;
	pid_t pid;
	int error;

	memset(page, 0, sizeof *page);
	if (moment == BEFORE_LOCK) {
		/* The test holds the lock; the other process wants it, without descriptors. */
		pid = child_begin();
		if (pid == 0)
			lose_descriptors(moment, what);
		await(&page->is_ready);
		assert_int_equal(sm_lock(mine.file), 0);
		enter_alone();
		before = smc_value(mine.segment);
		atomic_store(&page->may_go_on, true);
		usleep(STOLEN_MS * 1000);
		leave_alone();
		if (sm_unlock(mine.file) != 0)
			fail_msg("expected the holder to be the only one, got %s",
			    sm_error(mine.sm));
	} else {
		/* The other process holds the lock, without descriptors; the test wants it. */
		pid = child_begin();
		if (pid == 0)
			lose_descriptors(moment, what);
		await(&page->is_ready);
		before = smc_value(mine.segment);
		error = client_lock_for(&mine, STOLEN_MS);
		if (error == 0) {
			enter_alone();
			leave_alone();
			(void)sm_unlock(mine.file);
		}
		atomic_store(&page->may_go_on, true);
		assert_int_equal(error, ETIMEDOUT);
	}
	assert_true(child_has_ended_well(pid));
	assert_false(atomic_load(&page->were_two));
	error = client_lock_within(&mine, OBTAINABLE_MS);
	if (error != 0)
		fail_msg("expected the lock within %d ms, got errno %d", OBTAINABLE_MS, error);
	value = smc_value(mine.segment);
	assert_in_range(value, before, before + 2);
	assert_int_equal(sm_unlock(mine.file), 0);
}

static void
closed_descriptors_never_make_two_holders(void **state)
{
	static const char *const moments[] = { "before the lock", "while holding",
		"before the unlock" };
	static const char *const owns[] = { "nothing", "files", "pipes", "the lock file" };
	int moment, what;

	(void)state;
	for (moment = BEFORE_LOCK; moment < MOMENTS; moment++)
		for (what = NOTHING; what < OWNS; what++) {
			print_message("# closed %s, %s opened there\n", moments[moment],
			    owns[what]);
			lose_and_look((enum moment)moment, (enum own)what);
		}
}

/* Compares by key, nonce and first. */
static int
compare(const void *a, const void *b)
{
	return memcmp(a, b, offsetof(struct nonce_record, count));
}

/*
 * Reads all records that are logged from now on, for releases of a parent, a child and a bare clone
 * at the same time.
 */
static void
no_iv_repeats_after_a_fork(void **state)
{
	enum { RELEASES = 50, PROCESSES = 3, MOST = 1 << 20 };
	struct nonce_record *records = calloc(MOST, sizeof *records);
	FILE *log = fopen(getenv("NONCE_LOG"), "r");
	size_t count, i;
	pid_t pids[2];
	int j;

	(void)state;
	assert_true(log != NULL && records != NULL);
	section(&mine);
	assert_int_equal(fseek(log, 0, SEEK_END), 0);
	for (j = 0; j < 2; j++) {
		pids[j] = j == 0 ? fork() : clone_bare();
		if (pids[j] == 0) {
			for (j = 0; j < RELEASES; j++)
				section(&mine);
			_exit(EXIT_SUCCESS);
		}
	}
	for (j = 0; j < RELEASES; j++)
		section(&mine);
	for (j = 0; j < 2; j++)
		assert_true(child_has_ended_well(pids[j]));
	count = fread(records, sizeof *records, MOST, log);
	(void)fclose(log);
	/* Other processes may log there too. */
	assert_in_range(count, PROCESSES * RELEASES * SMC_BLOCKS, MOST - 1);
	qsort(records, count, sizeof *records, compare);
	for (i = 1; i < count; i++)
		if (compare(&records[i - 1], &records[i]) == 0)
			fail_msg("an iv was used twice, %zu uses", count);
	free(records);
}

static int
begin_all(void **state)
{
	char log[2 * SMC_PATH_SIZE];

	*state = &world;
	page = child_share(sizeof *page);
	smc_world_create(&world);
	snprintf(log, sizeof log, "%s/nonces", world.dir);
	assert_int_equal(setenv("NONCE_LOG", log, 0), 0);
	/* So that the test can wait for the children of a killed child. */
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(idle_child_does_not_keep_what_its_killed_parent_held),
		TEST(last_close_beside_a_fork_leaves_one_lock),
		TEST(child_without_a_slot_notices_that_its_file_began_anew),
		TEST(childs_end_does_not_free_its_parents_lock),
		TEST(parents_children_and_grandchildren_count_exactly),
		TEST(child_that_only_execs_costs_nothing),
		TEST(bare_clone_is_a_process_of_its_own),
		TEST(closed_descriptors_never_make_two_holders),
		TEST(no_iv_repeats_after_a_fork),
	};

	return cmocka_run_group_tests_name("smc fork", tests, begin_all, smc_world_teardown);
}
