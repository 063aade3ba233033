/*
 * A client is killed at every step of a release, and before every system call of a critical
 * section: the next holder sees the last published state, all of it or nothing, and can publish.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/size.h"
#include "common/host/hostwriter.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/daemon.h"
#include "tests/stress/testpoint.h"
#include "tests/stress/tracer.h"

enum {
	FEW = 5,
	MANY = HOSTWRITER_BLOCKS + 6, /* more than the client writes at a time */
	BLOCKS = MANY + 11,
	SEGMENT = (BLOCKS - 1) * SIZE_BLOCK + 100, /* the last one is short */
	STEPS_MOST = 4 * MANY,
	WAITS_MOST = 8 /* system calls */
};

#define PATH CLIENT_MOUNT "/killed"

/* The blocks that a critical section changes: some adjacent, some not, and the short one. */
static int changed[MANY];
static unsigned changed_count;

static struct daemon server;
static struct testpoint_steps *steps; /* of a release, as a child has recorded them */
static struct client holder;          /* locks after each victim */
static struct sm *fresh_sm;
static uint8_t before[SEGMENT], after[SEGMENT];
static uint32_t generation;

/* The change that a critical section makes to a segment. */
static void
change(uint8_t *bytes, uint32_t number)
{
	uint32_t *words;
	size_t i, size;
	unsigned b;

	for (b = 0; b < changed_count; b++) {
		words = (uint32_t *)(bytes + changed[b] * SIZE_BLOCK);
		size = changed[b] == BLOCKS - 1 ? SEGMENT % SIZE_BLOCK : SIZE_BLOCK;
		for (i = 0; i < size / sizeof *words; i++)
			words[i] = number * 4096 + (uint32_t)i;
	}
}

/* The victim. */

/* One critical section, with the change number; prepare is called before it, finish after it. */
static void __attribute__((noreturn))
be_victim(uint32_t number, void (*prepare)(unsigned), unsigned n, void (*finish)(void))
{
	struct client c;

	client_close(&holder);
	sm_free(fresh_sm);
	child_expect(client_open(&c, &server, PATH, SEGMENT), "sm_map");
	child_expect(sm_lock(c.file) == 0, "sm_lock");
	child_expect(sm_unlock(c.file) == 0, "sm_unlock");
	prepare(n);
	child_expect(sm_lock(c.file) == 0, "sm_lock");
	change(c.segment, number);
	child_expect(sm_unlock(c.file) == 0, "sm_unlock");
	finish();
	client_close(&c);
	_exit(EXIT_SUCCESS);
}

static void
plan_nothing(unsigned n)
{
	(void)n;
	testpoint_record(steps);
}

static void
plan_step(unsigned n)
{
	testpoint_plan(NULL, n, SIGKILL);
}

static void
stop_for_tracer(unsigned n)
{
	(void)n;
	child_expect(tracer_stop() == 0, "ptrace");
}

static void
stop_again(void)
{
	raise(SIGSTOP);
}

/* Closing has steps of its own, which come after those of a release. */
static void
end_without_closing(void)
{
	_exit(EXIT_SUCCESS);
}

static pid_t
fork_victim(uint32_t number, void (*prepare)(unsigned), unsigned n, void (*finish)(void))
{
	pid_t pid = child_begin();

	if (pid == 0)
		be_victim(number, prepare, n, finish);
	return pid;
}

static bool
was_killed(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return true;
	if (status != 0)
		fail_msg("the victim ended with status 0x%x", status);
	return false;
}

/* All other processes. */

/* With the lock: the segment is in one of the two states. True for the later one. */
static bool
judge(const uint8_t *seen, const char *who, const char *when)
{
	if (memcmp(seen, before, SEGMENT) == 0)
		return false;
	if (memcmp(seen, after, SEGMENT) != 0)
		fail_msg(
		    "%s, %s: %s sees neither what was published before nor what the victim did",
		    when, server.log, who);
	return true;
}

/*
 * The next holder, and a client whose replica is void; both publish. Returns whether the victim has
 * published.
 */
static bool
take_over(const char *when)
{
	struct sm_file *f;
	uint8_t *map;
	bool has_published;

	if (sm_lock(holder.file) != 0)
		fail_msg("%s: the next holder: sm_lock: %s", when, sm_error(holder.sm));
	has_published = judge(holder.segment, "the next holder", when);
	if (sm_unlock(holder.file) != 0)
		fail_msg("%s: the next holder: sm_unlock: %s", when, sm_error(holder.sm));
	f = sm_open(fresh_sm, PATH);
	map = f == NULL ? NULL : sm_map(f, NULL, SEGMENT);
	assert_non_null(map);
	if (sm_lock(f) != 0)
		fail_msg("%s: a new client: sm_lock: %s", when, sm_error(fresh_sm));
	assert_int_equal(judge(map, "a new client", when), has_published);
	change(map, ++generation);
	memcpy(before, map, SEGMENT);
	assert_int_equal(sm_unlock(f), 0);
	assert_int_equal(sm_unmap(fresh_sm, map), 0);
	assert_int_equal(sm_close(f), 0);
	if (sm_lock(holder.file) != 0)
		fail_msg("%s: after the next release: %s", when, sm_error(holder.sm));
	assert_memory_equal(holder.segment, before, SEGMENT);
	change(holder.segment, ++generation);
	memcpy(before, holder.segment, SEGMENT);
	assert_int_equal(sm_unlock(holder.file), 0);
	return has_published;
}

static uint32_t
next_victim(void)
{
	memcpy(after, before, SEGMENT);
	change(after, ++generation);
	return generation;
}

static void
choose_blocks(unsigned count)
{
	unsigned i;

	for (i = 0; i < count; i++)
		changed[i] = (int)(i + (i > count / 2) * 2);
	changed[count - 1] = BLOCKS - 1;
	changed_count = count;
}

static void
kill_at_every_step(unsigned count)
{
	unsigned n, reached;

	choose_blocks(count);
	atomic_store(&steps->count, 0);
	assert_false(was_killed(fork_victim(next_victim(), plan_nothing, 0, end_without_closing)));
	assert_true(take_over("no client was killed"));
	reached = atomic_load(&steps->count);
	/* Each block twice, the begin, and the end. */
	assert_in_range(reached, 2 * count + 2, STEPS_MOST);
	for (n = 1; n <= reached; n++) {
		if (!was_killed(fork_victim(next_victim(), plan_step, n, end_without_closing)))
			fail_msg("step %u (%s) was not reached", n, steps->names[n - 1]);
		if (take_over(steps->names[n - 1]))
			fail_msg("killed at step %u (%s), and has published", n,
			    steps->names[n - 1]);
	}
	print_message("# %u blocks: killed at each of %u steps\n", count, reached);
}

static void
killed_at_every_step_of_a_release(void **state)
{
	(void)state;
	kill_at_every_step(FEW);
	kill_at_every_step(MANY);
}

static void
kill_at_every_call(unsigned count)
{
	unsigned n = 1, first = 0;
	int result;
	bool was_reached, has_published;
	char when[64];
	uint64_t call = 0;
	pid_t pid;

	choose_blocks(count);
	do {
		pid = fork_victim(next_victim(), stop_for_tracer, 0, stop_again);
		result = tracer_kill_at_call(pid, n, NULL, &call);
		assert_true(result >= 0);
		was_reached = result == 1;
		assert_int_equal(was_killed(pid), was_reached);
		snprintf(when, sizeof when, "killed before call %u (number %lu)", n,
		    (unsigned long)call);
		has_published = take_over(when);
		if (has_published && first == 0)
			first = n;
		/* A wait for the server takes some calls more or less, each time. */
		if (!has_published && first != 0 && n >= first + WAITS_MOST)
			fail_msg(
			    "%s it has not published, and before call %u it had: that is no moment",
			    when, first);
		n++;
	} while (was_reached);
	print_message(
	    "# %u blocks: killed before each of %u system calls; published from number %u on\n",
	    count, n - 2, first);
	/* The whole section publishes, but not before its first message. */
	assert_in_range(first, 2, n - 1);
}

static void
killed_before_every_system_call_of_a_section(void **state)
{
	(void)state;
	if (!tracer_is_allowed()) {
		print_message("# tracing is forbidden here\n");
		skip();
	}
	kill_at_every_call(FEW);
	kill_at_every_call(MANY);
}

static int
begin_all(void **state)
{
	(void)state;
	steps = child_share(sizeof *steps);
	daemon_open(&server, &(struct daemon_config){ .is_smuf = true, .has_keys = true });
	client_expect_open(&holder, &server, PATH, SEGMENT);
	fresh_sm = client_create(&server);
	assert_non_null(fresh_sm);
	choose_blocks(MANY);
	assert_int_equal(sm_lock(holder.file), 0);
	change(holder.segment, ++generation);
	memcpy(before, holder.segment, SEGMENT);
	assert_int_equal(sm_unlock(holder.file), 0);
	return 0;
}

static int
end_all(void **state)
{
	(void)state;
	client_close(&holder);
	sm_free(fresh_sm);
	daemon_close_silent(&server);
	return 0;
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(killed_at_every_step_of_a_release),
		cmocka_unit_test(killed_before_every_system_call_of_a_section),
	};

	return cmocka_run_group_tests_name("smuf killed", tests, begin_all, end_all);
}
