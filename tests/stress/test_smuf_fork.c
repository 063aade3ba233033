/*
 * fork(2) over smuf: parent and children go on, publish and read each other's changes, and no nonce
 * of AES-GCM is used a second time, whichever process seals and whichever dies while it seals.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/size.h"
#include "tests/nonces/record.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/daemon.h"
#include "tests/stress/noncelog.h"
#include "tests/stress/testpoint.h"

enum { BLOCKS = 4, SEGMENT = BLOCKS * SIZE_BLOCK - 500, LOG_SIZE = SCRATCH_PATH_SIZE + 16 };

static struct daemon server;
static char nonce_log[LOG_SIZE], *whole_log; /* of this test; and of all tests, or NULL */
static struct client mine; /* of the running test, and inherited by its children */

static uint64_t *
counter(int block)
{
	return (uint64_t *)(mine.segment + block * SIZE_BLOCK);
}

/* In parent and child: increments a counter in each block; all have to agree. Returns 0 or 1. */
static int
increment(int times)
{
	int b;

	for (; times > 0; times--) {
		if (sm_lock(mine.file) != 0) {
			fprintf(stderr, "process %ld: sm_lock: %s\n", (long)getpid(),
			    sm_error(mine.sm));
			return 1;
		}
		for (b = 1; b < BLOCKS; b++)
			if (*counter(b) != *counter(0)) {
				fprintf(stderr, "process %ld: block %d says %lu, block 0 %lu\n",
				    (long)getpid(), b, (unsigned long)*counter(b),
				    (unsigned long)*counter(0));
				return 1;
			}
		for (b = 0; b < BLOCKS; b++)
			++*counter(b);
		if (sm_unlock(mine.file) != 0) {
			fprintf(stderr, "process %ld: sm_unlock: %s\n", (long)getpid(),
			    sm_error(mine.sm));
			return 1;
		}
	}
	return 0;
}

static void
expect_count(uint64_t expected)
{
	assert_int_equal(sm_rdlock(mine.file), 0);
	assert_int_equal(*counter(0), expected);
	assert_int_equal(*counter(BLOCKS - 1), expected);
	assert_int_equal(sm_unlock(mine.file), 0);
}

static void
parent_and_children_seal_in_turn(void **state)
{
	enum { CHILDREN = 5, TIMES = 200 };

	(void)state;
	child_increment_together(CHILDREN, TIMES, increment);
	expect_count(2 * TIMES + CHILDREN * (10 + TIMES));
}

static void
generations_seal_in_turn(void **state)
{
	enum { GENERATIONS = 6 };
	pid_t pid, first = getpid();
	int i, status = 0;

	(void)state;
	for (i = 0; i < GENERATIONS; i++) {
		pid = fork();
		if (pid == 0) {
			status = increment(5);
			continue;
		}
		if (getpid() == first) {
			child_expect_success(pid);
			break;
		}
		/* The processes in between seal while their children do. */
		status += increment(5);
		_exit(waitpid(pid, &i, 0) != pid || i != 0 || status != 0);
	}
	if (getpid() != first)
		_exit(status);
	expect_count(GENERATIONS * 5 + (GENERATIONS - 1) * 5);
}

static void
a_child_of_a_holder_seals_nothing_for_its_parents_grant(void **state)
{
	size_t sealed;
	pid_t pid;

	(void)state;
	assert_int_equal(increment(1), 0);
	sealed = noncelog_count(nonce_log);
	assert_int_equal(sm_lock(mine.file), 0);
	memset(mine.segment, 0xff, SEGMENT);
	pid = fork();
	if (pid == 0)
		_exit(sm_unlock(mine.file) == 0 || errno != ENOLCK || sm_close(mine.file) != 0);
	child_expect_success(pid);
	pid = (pid_t)syscall(SYS_fork);
	if (pid == 0)
		_exit(sm_unlock(mine.file) == 0 || errno != ENOLCK);
	child_expect_success(pid);
	assert_int_equal(noncelog_count(nonce_log), sealed);
	for (int b = 0; b < BLOCKS; b++)
		*counter(b) = 2;
	assert_int_equal(sm_unlock(mine.file), 0);
	assert_int_equal(noncelog_count(nonce_log), sealed + BLOCKS);
	assert_int_equal(increment(1), 0);
	expect_count(3);
}

/* A child dies while it seals under a grant; later children have grants of their own. */
static void
a_child_that_dies_while_it_seals_leaves_no_nonce_to_others(void **state)
{
	static const char *const steps[] = { "smuf release: collected",
		"smuf release: block sealed", "smuf release: prepared" };
	size_t sealed = noncelog_count(nonce_log);
	unsigned i, n = 0;
	int status;
	pid_t pid;

	(void)state;
	for (i = 0; i < 4 * sizeof steps / sizeof steps[0]; i++) {
		pid = fork();
		if (pid == 0) {
			testpoint_plan(steps[i % 3], 1 + (i % 3 == 1) * (i / 3), SIGKILL);
			_exit(increment(1));
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		assert_int_equal(increment(1), 0);
		expect_count(++n);
	}
	/* The children died between sealing and publishing. */
	assert_true(noncelog_count(nonce_log) > sealed + (size_t)n * BLOCKS);
}

static void
no_nonce_was_used_twice(void **state)
{
	(void)state;
	assert_true(noncelog_count(nonce_log) > 1000);
	assert_int_equal(noncelog_check(nonce_log, stdout), 0);
}

static int
begin(void **state)
{
	(void)state;
	return client_open_new(&mine, &server, SEGMENT) ? 0 : -1;
}

static int
end(void **state)
{
	(void)state;
	client_close(&mine);
	return 0;
}

static int
start(void **state)
{
	(void)state;
	daemon_open(&server, &(struct daemon_config){ .is_smuf = true, .has_keys = true });
	whole_log = getenv("NONCE_LOG");
	snprintf(nonce_log, sizeof nonce_log, "%s/nonces", server.dir);
	return setenv("NONCE_LOG", nonce_log, 1);
}

/* The log of the whole run has to contain these uses too. */
static void
append_to_whole_log(void)
{
	FILE *in = fopen(nonce_log, "re"), *out = fopen(whole_log, "ae");
	char bytes[1024 * sizeof(struct nonce_record)];
	size_t n;

	assert_true(in != NULL && out != NULL);
	while ((n = fread(bytes, 1, sizeof bytes, in)) > 0)
		assert_int_equal(fwrite(bytes, 1, n, out), n);
	fclose(in);
	assert_int_equal(fclose(out), 0);
}

static int
finish(void **state)
{
	(void)state;
	if (whole_log != NULL && *whole_log != '\0')
		append_to_whole_log();
	daemon_close_silent(&server);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(parent_and_children_seal_in_turn),
		TEST(generations_seal_in_turn),
		TEST(a_child_of_a_holder_seals_nothing_for_its_parents_grant),
		TEST(a_child_that_dies_while_it_seals_leaves_no_nonce_to_others),
		cmocka_unit_test(no_nonce_was_used_twice),
	};

	return cmocka_run_group_tests_name("smuf fork", tests, start, finish);
}
