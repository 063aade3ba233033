/*
 * SM_STATS=1: what a process prints when it exits is what it did, over all three kinds, a forked
 * child its own counts only; and nothing is printed without it, by _exit(2) and by exec(3).
 *
 * The processes whose lines are read are children of the test. Their standard error is a file.
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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/kinds.h"
#include "tests/stress/patience.h"
#include "tests/stress/scratch.h"

enum {
	SEGMENT = 8 * SIZE_BLOCK,
	WRITES = 20, /* sections that change something, */
	LOOKS = 7,   /* that read, */
	IDLE = 3,    /* and that change nothing */
	TRIES = 5,
	HELD_MS = 100,
	TEXT_SIZE = 8192,
	NAME_SIZE = SCRATCH_PATH_SIZE + 16
};

/* The numbers of a line. */
struct line {
	long process;
	unsigned long exclusive, shared, published, published_blocks, received, received_blocks;
	unsigned long waits;
	double waited, longest;
};

static struct {
	atomic_bool has_lock, keeps, may_leave;
	_Atomic long child, idle, bare; /* processes */
} * shared;

static char directory[SCRATCH_PATH_SIZE], output[NAME_SIZE];
static char text[TEXT_SIZE]; /* what was printed */

/* A child that counts, if is_on, and whose standard error is the file. */
static pid_t
begin_counting(bool is_on)
{
	pid_t pid;
	int fd;

	fflush(stdout);
	pid = child_begin();
	if (pid != 0)
		return pid;
	fd = open(output, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	child_expect(fd >= 0 && dup2(fd, STDERR_FILENO) >= 0, "standard error is a file");
	child_expect((is_on ? setenv("SM_STATS", "1", 1) : unsetenv("SM_STATS")) == 0, "setenv");
	return 0;
}

/* Opens and maps the file of the test, in a child. */
static struct client
open_client(size_t size)
{
	struct client c = { .sm = kinds_set() };

	child_expect(client_open_file(&c, kinds_path(), size), "the file is open");
	return c;
}

static void
expect(const struct client *c, int (*call)(struct sm_file *), const char *what)
{
	child_expect(call(c->file) == 0, what);
}

/* Changes a byte in each of two blocks, so many times. */
static void
write_times(struct client *c, int times)
{
	for (; times > 0; times--) {
		expect(c, sm_lock, "sm_lock");
		c->segment[10]++;
		c->segment[3 * SIZE_BLOCK]++;
		expect(c, sm_unlock, "sm_unlock");
	}
}

static void
take_times(const struct client *c, int (*lock)(struct sm_file *), int times)
{
	for (; times > 0; times--) {
		expect(c, lock, "lock");
		expect(c, sm_unlock, "sm_unlock");
	}
}

static void
read_output(void)
{
	FILE *f = fopen(output, "r");

	memset(text, 0, sizeof text);
	if (f == NULL)
		return;
	(void)!fread(text, 1, sizeof text - 1, f);
	fclose(f);
	(void)unlink(output);
}

/* The line of a process about the file of the test; fails the test unless there is exactly one. */
static struct line
line_of(pid_t process)
{
	struct line found = { 0 }, l;
	const char *s, *next;
	char program[65], name[128];
	int count = 0;

	for (s = text; *s != '\0'; s = next) {
		next = strchr(s, '\n');
		assert_non_null(next);
		next++;
		if (sscanf(s,
			"libsmclient: %64[^[][%ld]: %127[^:]: %lu exclusive and %lu shared sections, "
			"published %lu bytes in %lu blocks, received %lu bytes in %lu blocks, "
			"waited %lu times for %lf s, at most %lf s",
			program, &l.process, name, &l.exclusive, &l.shared, &l.published,
			&l.published_blocks, &l.received, &l.received_blocks, &l.waits, &l.waited,
			&l.longest) != 12)
			fail_msg("not such a line: %s", s);
		if (l.process != process || strcmp(name, kinds_path()) != 0)
			continue;
		assert_string_equal(program, "test_stats");
		found = l;
		count++;
	}
	if (count != 1)
		fail_msg("%d lines of process %ld about %s, not 1, in:\n%s", count, (long)process,
		    kinds_path(), text);
	return found;
}

static void
expect_number(const char *what, unsigned long expected, unsigned long came)
{
	if (expected != came)
		fail_msg("%s: expected %lu, got %lu, in:\n%s", what, expected, came, text);
}

static void
expect_sections(const struct line *l, unsigned long exclusive, unsigned long shared_count)
{
	expect_number("exclusive sections", exclusive, l->exclusive);
	expect_number("shared sections", shared_count, l->shared);
}

static void
expect_bytes(const struct line *l, unsigned long bytes, unsigned long blocks)
{
	expect_number("published bytes", bytes, l->published);
	expect_number("published blocks", blocks, l->published_blocks);
}

/* A process that has the file open until may_leave, so that it lives; it says nothing. */
static pid_t
keep(void)
{
	pid_t pid;

	atomic_store(&shared->keeps, false);
	atomic_store(&shared->may_leave, false);
	pid = begin_counting(true);
	if (pid == 0) {
		(void)open_client(SEGMENT);
		atomic_store(&shared->keeps, true);
		child_expect(child_await(&shared->may_leave, 4 * PATIENCE_MS), "the others end");
		exit(EXIT_SUCCESS);
	}
	assert_true(child_await(&shared->keeps, PATIENCE_MS));
	return pid;
}

/* One process writes; another one, which comes later, gets what it wrote. */
static void
count_two_processes(void)
{
	pid_t keeper = keep(), writer, reader;
	struct client c;
	struct line l;

	writer = begin_counting(true);
	if (writer == 0) {
		c = open_client(SEGMENT);
		write_times(&c, WRITES);
		take_times(&c, sm_rdlock, LOOKS);
		take_times(&c, sm_lock, IDLE);
		exit(EXIT_SUCCESS);
	}
	child_expect_success(writer);
	reader = begin_counting(true);
	if (reader == 0) {
		c = open_client(SEGMENT);
		take_times(&c, sm_rdlock, LOOKS);
		child_expect(c.segment[10] == WRITES, "the other's bytes are here");
		/* The counts of a file go on when it is closed and opened again. */
		client_close(&c);
		c = open_client(SEGMENT);
		write_times(&c, 1);
		exit(EXIT_SUCCESS);
	}
	child_expect_success(reader);
	atomic_store(&shared->may_leave, true);
	child_expect_success(keeper);
	read_output();

	l = line_of(writer);
	expect_sections(&l, WRITES + IDLE, LOOKS);
	expect_bytes(&l, 2 * WRITES, 2 * WRITES);
	expect_number("received blocks", 0, l.received_blocks);
	l = line_of(reader);
	expect_sections(&l, 1, LOOKS);
	expect_bytes(&l, 2, 2);
	/* Two blocks, each time it was opened. */
	expect_number("received blocks", 4, l.received_blocks);
	expect_number("received bytes", 4 * SIZE_BLOCK, l.received);
}

/* A pure lock has sections only. */
static void
count_pure_lock(void)
{
	struct client c;
	struct line l;
	pid_t pid = begin_counting(true);

	if (pid == 0) {
		c = open_client(0);
		/* nginx, say, writes over its name; the line has the one that it began with. */
		program_invocation_short_name = strdup("worker process");
		take_times(&c, sm_lock, WRITES);
		exit(EXIT_SUCCESS);
	}
	child_expect_success(pid);
	read_output();
	l = line_of(pid);
	expect_sections(&l, WRITES, 0);
	expect_bytes(&l, 0, 0);
	if (kinds_is_smc())
		expect_number("waits", 0, l.waits);
}

/* Holds the lock until another process has waited for it for so long. */
static void
hold(struct client *c)
{
	uint64_t until;

	expect(c, sm_lock, "sm_lock");
	atomic_store(&shared->has_lock, true);
	child_expect(client_await_waiter(c), "the other waits");
	until = clock_after_ms(clock_now(), HELD_MS);
	while (clock_now() < until)
		patience_breathe();
	expect(c, sm_unlock, "sm_unlock");
}

static void
show_waiting(void)
{
	pid_t holder, waiter;
	struct client c;
	struct line l;
	int i;

	atomic_store(&shared->has_lock, false);
	holder = begin_counting(true);
	if (holder == 0) {
		c = open_client(SEGMENT);
		hold(&c);
		exit(EXIT_SUCCESS);
	}
	waiter = begin_counting(true);
	if (waiter == 0) {
		c = open_client(SEGMENT);
		child_expect(child_await(&shared->has_lock, PATIENCE_MS), "the other holds");
		/* They also tell how fast the server answers. */
		for (i = 0; i < TRIES; i++)
			child_expect(sm_trylock(c.file) != 0, "a try fails");
		take_times(&c, sm_lock, 1);
		exit(EXIT_SUCCESS);
	}
	child_expect_success(holder);
	child_expect_success(waiter);
	read_output();

	l = line_of(waiter);
	expect_sections(&l, 1, 0);
	expect_number("waits", 1, l.waits);
	if (l.waited < HELD_MS / 1000.0 || l.longest != l.waited)
		fail_msg("a wait of %d ms shows as %f s, at most %f s", HELD_MS, l.waited,
		    l.longest);
	l = line_of(holder);
	expect_sections(&l, 1, 0);
	if (kinds_is_smc())
		expect_number("waits of the holder", 0, l.waits);
}

static void
expect_silent(long process)
{
	char number[32];

	snprintf(number, sizeof number, "[%ld]", process);
	if (strstr(text, number) != NULL)
		fail_msg("process %ld did nothing, but there is:\n%s", process, text);
}

/* A child of fork(2) begins with nothing, whether or not it uses the file. */
static void
count_forked(void)
{
	pid_t pid = begin_counting(true), child, idle, bare;
	struct client c;
	struct line l;

	if (pid == 0) {
		c = open_client(SEGMENT);
		write_times(&c, WRITES);
		child = fork();
		child_expect(child >= 0, "fork");
		if (child == 0) {
			write_times(&c, 2);
			exit(EXIT_SUCCESS);
		}
		child_expect(child_has_ended_well(child), "the child has ended");
		idle = fork();
		if (idle == 0)
			exit(EXIT_SUCCESS);
		child_expect(child_has_ended_well(idle), "the idle child has ended");
		/* Without the library's knowledge. */
		bare = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
		if (bare == 0)
			exit(EXIT_SUCCESS);
		child_expect(child_has_ended_well(bare), "the bare child has ended");
		atomic_store(&shared->child, child);
		atomic_store(&shared->idle, idle);
		atomic_store(&shared->bare, bare);
		exit(EXIT_SUCCESS);
	}
	child_expect_success(pid);
	read_output();

	l = line_of(pid);
	expect_sections(&l, WRITES, 0);
	expect_bytes(&l, 2 * WRITES, 2 * WRITES);
	l = line_of((pid_t)shared->child);
	expect_sections(&l, 2, 0);
	expect_bytes(&l, 4, 4);
	expect_silent(shared->idle);
	expect_silent(shared->bare);
}

/* A process that had closed all its files when it forked: no hook of the library runs. */
static void
count_after_a_fork_without_files(void)
{
	pid_t pid = begin_counting(true), child;
	struct client c;
	struct line l;

	if (pid == 0) {
		c = open_client(SEGMENT);
		write_times(&c, WRITES);
		client_close(&c);
		child = fork();
		child_expect(child >= 0, "fork");
		c = open_client(SEGMENT);
		write_times(&c, child == 0 ? 2 : 1);
		if (child == 0)
			exit(EXIT_SUCCESS);
		child_expect(child_has_ended_well(child), "the child has ended");
		atomic_store(&shared->child, child);
		exit(EXIT_SUCCESS);
	}
	child_expect_success(pid);
	read_output();

	l = line_of(pid);
	expect_sections(&l, WRITES + 1, 0);
	l = line_of((pid_t)shared->child);
	expect_sections(&l, 2, 0);
}

static void
end_in(void (*end)(void), bool is_on)
{
	struct client c;
	pid_t pid = begin_counting(is_on);

	if (pid == 0) {
		c = open_client(SEGMENT);
		write_times(&c, 1);
		end();
	}
	child_expect_success(pid);
	read_output();
	assert_string_equal(text, "");
}

static void
end_without_exit(void)
{
	_exit(EXIT_SUCCESS);
}

static void
end_by_exec(void)
{
	execl("/bin/true", "true", (char *)NULL);
	_exit(EXIT_FAILURE);
}

static void
end_as_usual(void)
{
	exit(EXIT_SUCCESS);
}

static void
print_nothing(void)
{
	end_in(end_without_exit, true);
	end_in(end_by_exec, true);
	end_in(end_as_usual, false);
}

static void
each_line_is_what_its_process_did(void **state)
{
	(void)state;
	kinds_run(count_two_processes);
}

static void
a_pure_lock_counts_sections(void **state)
{
	(void)state;
	kinds_run(count_pure_lock);
}

static void
a_wait_is_shown(void **state)
{
	(void)state;
	kinds_run(show_waiting);
}

static void
a_forked_child_counts_from_zero(void **state)
{
	(void)state;
	kinds_run(count_forked);
	kinds_run(count_after_a_fork_without_files);
}

static void
nothing_is_printed_unasked_or_without_exit(void **state)
{
	(void)state;
	kinds_run(print_nothing);
}

static int
begin(void **state)
{
	shared = child_share(sizeof *shared);
	scratch_create(directory);
	snprintf(output, sizeof output, "%s/output", directory);
	return kinds_begin(state);
}

static int
end(void **state)
{
	scratch_remove(directory);
	return kinds_end(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_line_is_what_its_process_did),
		cmocka_unit_test(a_pure_lock_counts_sections),
		cmocka_unit_test(a_wait_is_shown),
		cmocka_unit_test(a_forked_child_counts_from_zero),
		cmocka_unit_test(nothing_is_printed_unasked_or_without_exit),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
