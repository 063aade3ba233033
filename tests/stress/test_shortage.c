/*
 * Limits of the process: with too small a limit for files (RLIMIT_FSIZE) or too few descriptors
 * (RLIMIT_NOFILE) a call fails with EFBIG or EMFILE, no signal ends the program, nothing is
 * published, and the same call works when the limit is raised.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/client/smclient.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/daemon.h"
#include "tests/stress/patience.h"
#include "tests/stress/smc.h"

enum {
	DESCRIPTORS_MOST = 16, /* that one call may need */
	LESS_THAN_A_LOCK_FILE = 4096,
	LESS_THAN_A_SEGMENT_FILE = 16384,
	ROUNDS = 100
};

enum kind { SMDISH, SMUF, SMC, KINDS };

static struct daemon daemons[SMC];
static struct smc_world world;

/* smdish over TCP, to a name that has to be resolved. */
static struct sm *
mount_kind(enum kind kind)
{
	const struct daemon *d = &daemons[kind];
	char address[DAEMON_ADDRESS_SIZE];

	if (kind == SMC)
		return smc_mount(&world, world.key);
	if (kind == SMUF)
		return client_create(d);
	snprintf(address, sizeof address, "tcp:localhost%s", strrchr(d->tcp, ':'));
	return client_create_as(d, address, "client", "name=server");
}

/* Limits the process to so many bytes a file, or so many descriptors. */
static void
limit_to(int resource, rlim_t most)
{
	struct rlimit limit;

	child_expect(getrlimit(resource, &limit) == 0, "getrlimit");
	limit.rlim_cur = most < limit.rlim_max ? most : limit.rlim_max;
	child_expect(setrlimit(resource, &limit) == 0, "setrlimit");
	/* sm_unlock() may look at a limit that is 10 ms old. */
	(void)usleep(20 * 1000);
}

static void
lift(int resource)
{
	limit_to(resource, RLIM_INFINITY);
}

/* Increments the counter, which has that value. Returns 0 or an errno. */
static int
section(struct client *p, int64_t expected)
{
	int error = client_lock_within(p, PATIENCE_MS);

	if (error != 0)
		return error;
	if (smc_value(p->segment) != expected) {
		(void)sm_unlock(p->file);
		return EILSEQ;
	}
	smc_count(p->segment);
	return sm_unlock(p->file) == 0 ? 0 : errno;
}

static bool
open_name(struct client *p, enum kind kind, const char *name)
{
	char path[32];

	snprintf(path, sizeof path, "%s/%s", kind == SMC ? SMC_MOUNT : CLIENT_MOUNT, name);
	p->file = sm_open(p->sm, path);
	return p->file != NULL;
}

static bool
map(struct client *p)
{
	p->segment = sm_map(p->file, NULL, SMC_SEGMENT);
	return p->segment != NULL;
}

/* Files that are too large. */

static void __attribute__((noreturn)) write_too_much(enum kind kind)
{
	struct client p = { .sm = mount_kind(kind) };

	(void)signal(SIGXFSZ, SIG_DFL);
	child_expect(p.sm != NULL, "a mount");
	if (kind == SMC) {
		limit_to(RLIMIT_FSIZE, LESS_THAN_A_LOCK_FILE);
		child_expect(!open_name(&p, kind, "large") && errno == EFBIG, "sm_open: EFBIG");
		limit_to(RLIMIT_FSIZE, LESS_THAN_A_SEGMENT_FILE);
		child_expect(open_name(&p, kind, "large"), "the lock file is small enough");
		child_expect(!map(&p) && errno == EFBIG, "sm_map: EFBIG");
		lift(RLIMIT_FSIZE);
	} else {
		child_expect(open_name(&p, kind, "large"), "sm_open");
	}
	child_expect(map(&p) && section(&p, 0) == 0, "it works without a limit");
	limit_to(RLIMIT_FSIZE, LESS_THAN_A_SEGMENT_FILE);
	child_expect(section(&p, 1) == EFBIG, "sm_unlock: EFBIG");
	child_expect(strstr(sm_error(p.sm), strerror(EFBIG)) != NULL, "words");
	child_expect(section(&p, 1) == EFBIG, "nothing was published; the lock is free");
	lift(RLIMIT_FSIZE);
	child_expect(section(&p, 1) == 0, "it works when the limit is lifted");
	client_close(&p);
	_exit(EXIT_SUCCESS);
}

static void
a_file_beyond_the_limit_is_efbig_and_no_signal(void **state)
{
	static const enum kind kinds[] = { SMC, SMUF };
	pid_t pid;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		pid = child_begin();
		if (pid == 0)
			write_too_much(kinds[i]);
		child_expect_success(pid);
	}
}

/* Too few descriptors. */

/* Leaves the process so many descriptors that it may still open. */
static void
leave(int count)
{
	int lowest = open("/dev/null", O_RDONLY);

	child_expect(lowest >= 0 && close(lowest) == 0, "/dev/null");
	limit_to(RLIMIT_NOFILE, (rlim_t)lowest + (rlim_t)count);
}

/*
 * Calls step with 0, 1, 2, ... descriptors left, until it works; each failure before is EMFILE.
 * Returns how many it needs.
 */
static int
starve(bool (*step)(struct client *p, enum kind kind), struct client *p, enum kind kind,
    const char *what)
{
	char text[160];
	int left;

	for (left = 0; left < DESCRIPTORS_MOST; left++) {
		leave(left);
		errno = 0;
		if (step(p, kind)) {
			lift(RLIMIT_NOFILE);
			return left;
		}
		snprintf(text, sizeof text, "%s: EMFILE with %d descriptors, not: %s", what, left,
		    sm_error(p->sm));
		child_expect(errno == EMFILE, text);
		lift(RLIMIT_NOFILE);
	}
	child_expect(false, what);
	return left;
}

static bool
step_open(struct client *p, enum kind kind)
{
	return open_name(p, kind, "few");
}

static bool
step_map(struct client *p, enum kind kind)
{
	(void)kind;
	return map(p);
}

static bool
step_section(struct client *p, enum kind kind)
{
	(void)kind;
	errno = section(p, 0);
	return errno == 0;
}

static void __attribute__((noreturn)) live_on_few(enum kind kind)
{
	struct client p = { .sm = mount_kind(kind) };

	child_expect(p.sm != NULL, "a mount");
	closefrom(3);
	child_expect(starve(step_open, &p, kind, "sm_open") > 0, "opening needs descriptors");
	(void)starve(step_map, &p, kind, "sm_map");
	(void)starve(step_section, &p, kind, "a critical section");
	client_close(&p);
	_exit(EXIT_SUCCESS);
}

static void
too_few_descriptors_are_emfile(void **state)
{
	pid_t pid;
	int kind;

	(void)state;
	for (kind = 0; kind < KINDS; kind++) {
		pid = child_begin();
		if (pid == 0)
			live_on_few((enum kind)kind);
		child_expect_success(pid);
	}
}

/* Tries to create a lock file, for which its limit is too small, again and again. */
static void __attribute__((noreturn)) create_in_vain(void)
{
	struct client p = { .sm = mount_kind(SMC) };

	child_expect(p.sm != NULL, "a mount");
	limit_to(RLIMIT_FSIZE, LESS_THAN_A_LOCK_FILE);
	for (;;) {
		if (open_name(&p, SMC, "shared"))
			child_expect(sm_close(p.file) == 0, "sm_close");
		else
			child_expect(errno == EFBIG, "sm_open: EFBIG");
	}
}

/* Another one opens the name while that process cannot go on: the file under it stays. */
static void
a_process_that_cannot_create_a_file_takes_it_from_nobody(void **state)
{
	struct client first, second;
	pid_t pid = child_begin();
	int64_t value;
	int i;

	(void)state;
	if (pid == 0)
		create_in_vain();
	for (i = 0; i < ROUNDS; i++) {
		assert_int_equal(smc_join(&first, &world, "shared", SMC_SEGMENT), 0);
		assert_int_equal(smc_join(&second, &world, "shared", SMC_SEGMENT), 0);
		assert_int_equal(client_lock_within(&first, PATIENCE_MS), 0);
		value = smc_value(first.segment);
		smc_count(first.segment);
		assert_int_equal(sm_unlock(first.file), 0);
		assert_int_equal(section(&second, value + 1), 0);
		client_close(&first);
		client_close(&second);
	}
	child_kill_all(&pid, 1);
}

/*
 * In a child whose parent had few descriptors at the fork: as long as it has none its first call is
 * EMFILE, unless the parent has made all that it needs.
 */
static void __attribute__((noreturn)) go_on(struct client *p, int64_t value, bool has_had_none)
{
	int error;

	lift(RLIMIT_NOFILE);
	leave(0);
	error = section(p, value);
	child_expect(error == EMFILE || (error == 0 && !has_had_none), "EMFILE");
	lift(RLIMIT_NOFILE);
	child_expect(error == 0 || section(p, value) == 0, "the child goes on");
	_exit(EXIT_SUCCESS);
}

/* Forks with 0, 1, 2, ... descriptors left. */
static void __attribute__((noreturn)) fork_on_few(enum kind kind)
{
	struct client p = { .sm = mount_kind(kind) };
	int left;
	pid_t pid;

	child_expect(p.sm != NULL && open_name(&p, kind, "forked") && map(&p), "a file");
	child_expect(section(&p, 0) == 0, "the parent");
	for (left = 0; left < DESCRIPTORS_MOST; left++) {
		leave(left);
		pid = child_fork();
		if (pid == 0)
			go_on(&p, left + 1, left == 0);
		child_expect(pid > 0 && child_has_ended_well(pid), "the child");
		lift(RLIMIT_NOFILE);
	}
	client_close(&p);
	_exit(EXIT_SUCCESS);
}

static void
a_forked_child_without_descriptors_gets_them_later(void **state)
{
	pid_t pid;
	int kind;

	(void)state;
	for (kind = 0; kind < KINDS; kind++) {
		pid = child_begin();
		if (pid == 0)
			fork_on_few((enum kind)kind);
		child_expect_success(pid);
	}
}

static int
begin_all(void **state)
{
	static const struct daemon_config configs[] = {
		[SMDISH] = { .has_keys = true, .tcp_host = "127.0.0.1" },
		[SMUF] = { .has_keys = true, .is_smuf = true },
	};
	int kind;

	*state = &world;
	/* The log would need a descriptor that stays. */
	assert_int_equal(unsetenv("NONCE_LOG"), 0);
	smc_world_create(&world);
	for (kind = 0; kind < SMC; kind++)
		daemon_open(&daemons[kind], &configs[kind]);
	return 0;
}

static int
end_all(void **state)
{
	int kind;

	for (kind = 0; kind < SMC; kind++)
		daemon_close(&daemons[kind]);
	return smc_world_teardown(state);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_beyond_the_limit_is_efbig_and_no_signal),
		cmocka_unit_test(a_process_that_cannot_create_a_file_takes_it_from_nobody),
		cmocka_unit_test(too_few_descriptors_are_emfile),
		cmocka_unit_test(a_forked_child_without_descriptors_gets_them_later),
	};

	return cmocka_run_group_tests_name("shortage", tests, begin_all, end_all);
}
