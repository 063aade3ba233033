/*
 * fork(2) while another thread keeps a mount busy for longer than a fork waits: it opens a file of
 * a silent server, or is stopped at a step of opening, mapping or closing one. The fork leaves this
 * mount out, and its child finds nothing half changed: it uses the other mounts, frees all, and
 * keeps nothing of the parent alive that it does not know.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/daemon.h"
#include "tests/stress/patience.h"
#include "tests/stress/procfs.h"
#include "tests/stress/smc.h"
#include "tests/stress/testpoint.h"

#define OTHER_MOUNT "/o"

enum { FORKS = 6, TRIES = 3, HANGS_MS = 20 * 1000, FREE_MS = 2000, FORK_MS = 2000 };

enum kind { SMDISH, SMUF, SMC, KINDS };

/* Shared by the processes of a test. */
struct page {
	atomic_bool has_forked, is_holding, may_end;
	atomic_bool is_late; /* the fork's second ended before the other server's answer came */
};

static struct daemon daemons[SMC], other; /* with the keys of the first */
static struct smc_world world;
static struct page *page;
static atomic_bool stop, is_at_step;
static struct {
	struct sm *sm;
	const char *path;
} opener; /* of the thread that opens and holds */

/* A set with three mounts: a server, the other server, and a directory of smc. */
static struct sm *
mount_all(enum kind kind, const char *silence)
{
	const struct daemon *d = &daemons[kind == SMUF ? SMUF : SMDISH];
	struct sm *sm = client_create_as(d, d->address, "client", silence);
	char uri[SMC_PATH_SIZE + 8], options[SMC_PATH_SIZE + 8];

	snprintf(uri, sizeof uri, "file:%s", world.memory);
	snprintf(options, sizeof options, "key=%s", world.key);
	child_expect(sm != NULL && sm_mount(sm, uri, SMC_MOUNT, "smc", options) == 0 &&
		sm_mount(sm, other.address, OTHER_MOUNT, "smdish", NULL) == 0,
	    "three mounts");
	return sm;
}

static const char *
path_of(enum kind kind)
{
	return kind == SMC ? SMC_MOUNT "/file" : CLIENT_MOUNT "/file";
}

static int
section(struct sm_file *f)
{
	return sm_lock(f) == 0 && sm_unlock(f) == 0 ? 0 : errno;
}

/* False under AddressSanitizer, in which a child of threads may hang: see test_fork.c. */
static bool
children_may_call(void)
{
	const char *variant = getenv("VARIANT");

	return variant == NULL || strcmp(variant, "asan") != 0;
}

static void *
open_and_close(void *sm)
{
	struct sm_file *f;

	while (!atomic_load(&stop)) {
		f = sm_open(sm, path_of(SMDISH));
		if (f != NULL)
			(void)sm_close(f);
	}
	return NULL;
}

static void __attribute__((noreturn)) live_beside_a_silent_server(void)
{
	struct sm *sm = mount_all(SMDISH, "silence=1");
	struct sm_file *f = sm_open(sm, OTHER_MOUNT "/file"), *g = sm_open(sm, path_of(SMC));
	pthread_t thread;
	pid_t pid;
	int i;

	child_expect(f != NULL && g != NULL, "files of the other mounts");
	child_expect(pthread_create(&thread, NULL, open_and_close, sm) == 0, "a thread");
	for (i = 0; i < FORKS; i++) {
		pid = child_fork();
		if (pid == 0) {
			patience_alarm(HANGS_MS);
			if (!children_may_call())
				_exit(EXIT_SUCCESS);
			child_expect(section(f) == 0 && section(g) == 0, "the other mounts");
			sm_free(sm);
			_exit(EXIT_SUCCESS);
		}
		child_expect(pid > 0 && child_has_ended_well(pid), "the child");
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	sm_free(sm);
	_exit(EXIT_SUCCESS);
}

static void
children_use_other_mounts_beside_a_silent_server(void **state)
{
	pid_t pid;

	(void)state;
	daemon_signal(&daemons[SMDISH], SIGSTOP);
	pid = child_begin();
	if (pid == 0)
		live_beside_a_silent_server();
	child_expect(child_has_ended_well(pid), "the process");
	daemon_signal(&daemons[SMDISH], SIGCONT);
}

/* At a step of another thread: waits until a fork has left its mount out. */
static void
await_fork(const char *step, void *unused)
{
	(void)step;
	(void)unused;
	atomic_store(&is_at_step, true);
	child_expect(child_await(&page->has_forked, PATIENCE_MS), "a fork");
}

static void *
close_file(void *f)
{
	child_expect(sm_close(f) == 0, "sm_close");
	return NULL;
}

static void __attribute__((noreturn)) fork_beside_a_close(enum kind kind)
{
	struct sm *sm = mount_all(kind, NULL);
	struct sm_file *f = sm_open(sm, path_of(kind)), *g = sm_open(sm, OTHER_MOUNT "/file");
	pthread_t thread;
	pid_t pid;
	int error;

	child_expect(f != NULL && g != NULL && section(f) == 0, "two files");
	testpoint_plan_call("file: closed", 1, await_fork, NULL);
	child_expect(pthread_create(&thread, NULL, close_file, f) == 0, "a thread");
	child_expect(child_await(&is_at_step, PATIENCE_MS), "the step");
	pid = child_fork();
	if (pid == 0) {
		patience_alarm(HANGS_MS);
		if (!children_may_call())
			_exit(EXIT_SUCCESS);
		error = section(g);
		atomic_store(&page->is_late, error == ESTALE);
		child_expect(error == 0 || error == ESTALE, "the other mount");
		f = sm_open(sm, path_of(kind));
		child_expect(f != NULL && section(f) == 0, "the file, opened again");
		sm_free(sm);
		_exit(EXIT_SUCCESS);
	}
	atomic_store(&page->has_forked, true);
	child_expect(pid > 0 && child_has_ended_well(pid), "the child");
	pthread_join(thread, NULL);
	sm_free(sm);
	_exit(EXIT_SUCCESS);
}

static void
expect_close_beside_fork(enum kind kind)
{
	pid_t pid;

	memset(page, 0, sizeof *page);
	pid = child_begin();
	if (pid == 0)
		fork_beside_a_close(kind);
	child_expect_success(pid);
}

/* On a busy machine the other server's answer may come too late for a fork, not for every one. */
static void
a_file_that_is_being_closed_is_not_in_the_child(void **state)
{
	int kind, tries;

	(void)state;
	for (kind = 0; kind < KINDS; kind++) {
		expect_close_beside_fork((enum kind)kind);
		for (tries = 1; tries < TRIES && page->is_late; tries++)
			expect_close_beside_fork((enum kind)kind);
		assert_false(page->is_late);
	}
}

static void *
map_file(void *f)
{
	child_expect(sm_map(f, NULL, SMC_SEGMENT) != NULL, "sm_map");
	return NULL;
}

/* In a child of a thread that was mapping the file. */
static void __attribute__((noreturn)) map_again(struct sm *sm, struct sm_file *f)
{
	patience_alarm(HANGS_MS);
	if (!children_may_call())
		_exit(EXIT_SUCCESS);
	child_expect(sm_lock(f) != 0 && errno == EBADF, "half a mapping");
	f = sm_open(sm, path_of(SMC));
	child_expect(f != NULL && sm_map(f, NULL, SMC_SEGMENT) != NULL, "a mapping");
	child_expect(section(f) == 0, "the file, opened again");
	sm_free(sm);
	_exit(EXIT_SUCCESS);
}

static void __attribute__((noreturn)) fork_beside_a_map(void)
{
	struct sm *sm = mount_all(SMC, NULL);
	struct sm_file *f = sm_open(sm, path_of(SMC));
	pthread_t thread;
	uint64_t took;
	pid_t pid;

	child_expect(f != NULL, "a file");
	testpoint_plan_call("segment: opened", 1, await_fork, NULL);
	child_expect(pthread_create(&thread, NULL, map_file, f) == 0, "a thread");
	child_expect(child_await(&is_at_step, PATIENCE_MS), "the step");
	took = clock_now();
	pid = child_fork();
	if (pid == 0)
		map_again(sm, f);
	took = clock_now() - took;
	atomic_store(&page->has_forked, true);
	child_expect(!patience_is_over(took, FORK_MS), "a fork that does not wait for the thread");
	child_expect(pid > 0 && child_has_ended_well(pid), "the child");
	pthread_join(thread, NULL);
	child_expect(section(f) == 0, "the parent's file");
	sm_free(sm);
	_exit(EXIT_SUCCESS);
}

static void
a_fork_does_not_wait_for_a_thread_that_maps(void **state)
{
	pid_t pid;

	(void)state;
	memset(page, 0, sizeof *page);
	pid = child_begin();
	if (pid == 0)
		fork_beside_a_map();
	child_expect_success(pid);
}

static void *
open_and_hold(void *f)
{
	child_expect((f = sm_open(opener.sm, opener.path)) != NULL, "sm_open");
	child_expect(sm_lock(f) == 0, "sm_lock");
	atomic_store(&page->is_holding, true);
	return NULL;
}

/* Waits until the other thread has made its connection, or is at its step. */
static void
await_opener(enum kind kind, int64_t fds)
{
	uint64_t deadline = patience_until(PATIENCE_MS);

	if (kind == SMC)
		child_expect(child_await(&is_at_step, PATIENCE_MS), "the step");
	while (kind != SMC && procfs_usage(getpid()).fds <= fds) {
		child_expect(clock_now() < deadline, "a socket");
		patience_breathe();
	}
}

static void __attribute__((noreturn)) hold_beside_an_idle_child(enum kind kind)
{
	int64_t fds;
	pthread_t thread;
	pid_t pid;

	opener.sm = mount_all(kind, "silence=30");
	opener.path = path_of(kind);
	if (kind == SMC)
		testpoint_plan_call("lockfile: counted", 1, await_fork, NULL);
	fds = procfs_usage(getpid()).fds;
	child_expect(pthread_create(&thread, NULL, open_and_hold, NULL) == 0, "a thread");
	await_opener(kind, fds);
	pid = fork();
	if (pid == 0) {
		(void)child_await(&page->may_end, PATIENCE_MS);
		_exit(EXIT_SUCCESS);
	}
	child_expect(pid > 0, "a child");
	atomic_store(&page->has_forked, true);
	for (;;)
		pause();
}

/*
 * The child has inherited what the other thread was about to make its own: a socket, or the
 * description of a lock file.
 */
static void
hold_and_die(enum kind kind)
{
	struct client mine = { .sm = mount_all(kind, "silence=30") };
	pid_t pid;
	int error;

	memset(page, 0, sizeof *page);
	assert_true(client_open_file(&mine, path_of(kind), 0));
	if (kind != SMC)
		daemon_signal(&daemons[kind], SIGSTOP);
	pid = child_begin();
	if (pid == 0)
		hold_beside_an_idle_child(kind);
	assert_true(child_await(&page->has_forked, PATIENCE_MS));
	if (kind != SMC)
		daemon_signal(&daemons[kind], SIGCONT);
	assert_true(child_await(&page->is_holding, PATIENCE_MS));
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_true(child_was_killed(pid));
	error = client_lock_within(&mine, FREE_MS);
	atomic_store(&page->may_end, true);
	if (error != 0)
		fail_msg("kind %d: the dead holder keeps the lock: %s", kind, strerror(error));
	client_close(&mine);
}

static void
a_dead_holder_loses_its_lock_though_its_child_lives(void **state)
{
	int kind;

	(void)state;
	for (kind = 0; kind < KINDS; kind++)
		hold_and_die((enum kind)kind);
}

static int
begin_all(void **state)
{
	*state = &world;
	page = child_share(sizeof *page);
	smc_world_create(&world);
	daemon_open(&daemons[SMDISH], &(struct daemon_config){ .has_keys = true });
	daemon_open(&daemons[SMUF],
	    &(struct daemon_config){ .pki = &daemons[SMDISH].own_keys, .is_smuf = true });
	daemon_open(&other, &(struct daemon_config){ .pki = &daemons[SMDISH].own_keys });
	return 0;
}

static int
end_all(void **state)
{
	daemon_close(&other);
	daemon_close(&daemons[SMUF]);
	daemon_close(&daemons[SMDISH]);
	return smc_world_teardown(state);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(children_use_other_mounts_beside_a_silent_server),
		cmocka_unit_test(a_file_that_is_being_closed_is_not_in_the_child),
		cmocka_unit_test(a_fork_does_not_wait_for_a_thread_that_maps),
		cmocka_unit_test(a_dead_holder_loses_its_lock_though_its_child_lives),
	};

	return cmocka_run_group_tests_name("fork_left_out", tests, begin_all, end_all);
}
