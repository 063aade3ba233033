/*
 * What a process maps for a segment, and so what a library OS copies at fork(2): the program's
 * mapping, and the library's shadow of it only where a critical section needs that (DESIGN 8,
 * DESIGN 9).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/size.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/daemon.h"
#include "tests/stress/libos.h"
#include "tests/stress/patience.h"
#include "tests/stress/procfs.h"
#include "tests/stress/smc.h"

enum {
	SEGMENT = 64 * SIZE_MIB,
	WORDS = SEGMENT / sizeof(uint64_t),
	SLACK = 16 * SIZE_MIB /* of all else that a process maps meanwhile */
};

static struct smc_world world;
static struct daemon server;
static int runs; /* each has a memory file of its own, as the forks of a run keep it for a while */

/* All below is of a child of the test. */
static struct client mine;
static int64_t at_first; /* what was mapped without a segment */
static int64_t at_fork; /* what was mapped when the last fork began, after the library's handlers */
static bool copies;     /* a fork copies all memory, as in a library OS */

static void
measure_fork(void)
{
	at_fork = procfs_private();
}

static void
expect_mapped(int64_t mapped, int count, const char *where)
{
	int64_t expected = (int64_t)count * SEGMENT;

	mapped -= at_first;
	if (mapped > expected - SLACK && mapped < expected + SLACK)
		return;
	fprintf(stderr, "process %ld, %s: %lld MiB are mapped for a segment, expected %lld\n",
	    (long)getpid(), where, (long long)mapped / SIZE_MIB, (long long)expected / SIZE_MIB);
	_exit(EXIT_FAILURE);
}

/* This process maps as much as so many segments. */
static void
expect_segments(int count, const char *where)
{
	expect_mapped(procfs_private(), count, where);
}

/*
 * Forks, which copies as much as so many segments. The child, which maps one, then runs fn, unless
 * that is NULL.
 */
static void
fork_and_expect(int count, const char *where, void (*fn)(void))
{
	pid_t pid = child_fork();

	child_expect(pid != -1, "fork");
	if (pid == 0) {
		if (copies)
			expect_mapped(at_fork, count, where);
		expect_segments(1, where);
		if (fn != NULL)
			fn();
		_exit(EXIT_SUCCESS);
	}
	child_expect(child_has_ended_well(pid), where);
}

static void
lock(void)
{
	child_expect(sm_lock(mine.file) == 0, "sm_lock");
	expect_segments(2, "in a critical section");
}

static void
unlock(void)
{
	child_expect(sm_unlock(mine.file) == 0, "sm_unlock");
}

/* In a forked child. */
static void
increment(void)
{
	lock();
	child_expect(mine.words[0] == 1 && mine.words[WORDS - 1] == 1, "the parent's words");
	mine.words[0]++;
	unlock();
	expect_segments(2, "a child after its critical section");
	/* It is a parent like the first one. */
	fork_and_expect(1, "a grandchild", NULL);
}

/* In a forked child. */
static void
fill(void)
{
	lock();
	memset(mine.segment, 'f', SEGMENT);
	unlock();
}

static void
fork_in_every_state(void)
{
	expect_segments(1, "after sm_map");
	fork_and_expect(1, "a child of a process that never had the lock", NULL);
	lock();
	mine.words[0] = mine.words[WORDS - 1] = 1;
	/* What changed is still to be found. */
	fork_and_expect(2, "a child of a holder", NULL);
	unlock();
	fork_and_expect(1, "a child, after a critical section of its parent", increment);
	expect_segments(copies ? 1 : 2, "a parent");
	fork_and_expect(1, "a second child", NULL);
	child_expect(sm_rdlock(mine.file) == 0, "sm_rdlock");
	child_expect(mine.words[0] == 2 && mine.words[WORDS - 1] == 1, "the child's words");
	fork_and_expect(2, "a child of a reader", NULL);
	unlock();
}

static void
fork_after_a_large_grant(void)
{
	fork_and_expect(1, "a child, before the grant", fill);
	child_expect(sm_lock(mine.file) == 0, "sm_lock");
	child_expect(mine.segment[SEGMENT - 1] == 'f', "all of the child's bytes");
	unlock();
	fork_and_expect(1, "a child, after the grant", NULL);
	expect_segments(copies ? 1 : 2, "the parent, after the grant");
}

/* Runs body in a child of the test, whose system calls are those of a library OS if asked. */
static void
run(bool is_library_os, bool (*open)(void), void (*body)(void))
{
	static const int calls[] = { SYS_madvise };
	pid_t pid;

	runs++;
	pid = child_begin();
	if (pid == 0) {
		copies = is_library_os;
		if (copies && libos_forbid(calls, 1, ENOSYS) != 0)
			_exit(CHILD_SKIPPED);
		at_first = procfs_private();
		child_expect(at_first > 0, "/proc/self/maps");
		child_expect(open(), "the file is open and mapped");
		body();
		client_close(&mine);
		expect_segments(0, "at the end");
		_exit(EXIT_SUCCESS);
	}
	child_expect_success_or_skip(pid, "this system has no seccomp filters");
}

static bool
open_smc(void)
{
	return smc_join(&mine, &world, "memory", SEGMENT) == 0;
}

static bool
open_smdish(void)
{
	char path[32];

	snprintf(path, sizeof path, CLIENT_MOUNT "/memory%d", runs);
	return client_open(&mine, &server, path, SEGMENT);
}

static void
a_fork_does_not_copy_the_shadow_outside_critical_sections(void **state)
{
	(void)state;
	run(false, open_smc, fork_in_every_state);
	run(false, open_smdish, fork_in_every_state);
	run(true, open_smc, fork_in_every_state);
	run(true, open_smdish, fork_in_every_state);
}

static void
a_fork_does_not_copy_the_buffer_of_a_large_grant(void **state)
{
	(void)state;
	if (patience_is_sanitized()) {
		printf("skipped: the memory that this variant frees stays mapped\n");
		skip();
	}
	run(false, open_smdish, fork_after_a_large_grant);
	run(true, open_smdish, fork_after_a_large_grant);
}

static int
begin(void **state)
{
	smc_world_create(&world);
	daemon_open(&server, &(struct daemon_config){ 0 });
	*state = &server;
	/* Before the library registers its handlers, which then run first. */
	assert_int_equal(pthread_atfork(measure_fork, NULL, NULL), 0);
	return 0;
}

static int
end(void **state)
{
	smc_world_destroy(&world);
	return daemon_teardown(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fork_does_not_copy_the_shadow_outside_critical_sections),
		cmocka_unit_test(a_fork_does_not_copy_the_buffer_of_a_large_grant),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
