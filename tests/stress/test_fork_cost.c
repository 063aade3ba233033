/*
 * What fork(2) costs a process that uses the library: a connection for each server, and no more. On
 * one core, with as many memory files open as a row says, each with a small segment.
 *
 * Prints microseconds: the median of the call in the parent, and the first one after the files were
 * opened. ROUNDS in the environment is the number of forks of each row.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "tests/stress/client.h"
#include "tests/stress/daemon.h"
#include "tests/stress/patience.h"
#include "tests/stress/smc.h"

enum {
	ROUNDS = 30,
	ROUNDS_MOST = 1000,
	TRIES = 5,
	SEGMENT = 4096,
	CONNECTIONS_MOST = 3, /* as expensive as this many a fork may be: it makes one */
	SLACK_US = 500        /* and what it does besides */
};

enum kind { BARE, SMDISH, SMDISH_PLAIN, SMUF, SMC, KINDS };

static const char *const kind_names[] = { "no library", "smdish", "smdish, plaintext", "smuf",
	"smc" };

static struct daemon daemons[KINDS];
static struct smc_world world;

static int
rounds(void)
{
	const char *text = getenv("ROUNDS");
	int count = text == NULL ? ROUNDS : atoi(text);

	return count < 1 ? 1 : count < ROUNDS_MOST ? count : ROUNDS_MOST;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double
median(double *times, int count)
{
	qsort(times, (size_t)count, sizeof *times, compare);
	return times[count / 2];
}

static double
since_us(uint64_t begun)
{
	return (double)(clock_now() - begun) / 1000;
}

static struct sm *
mount_kind(enum kind kind)
{
	return kind == SMC ? smc_mount(&world, world.key) : client_create(&daemons[kind]);
}

/* Opens and maps so many files, or opens one and closes it, which leaves the connection. */
static void
open_files(struct sm *sm, enum kind kind, int files)
{
	struct client p = { .sm = sm };
	char path[32];
	int i;

	for (i = 0; i < files || (i == 0 && files == 0); i++) {
		snprintf(path, sizeof path, "%s/f%d", kind == SMC ? SMC_MOUNT : CLIENT_MOUNT, i);
		assert_true(client_open_file(&p, path, files == 0 ? 0 : SEGMENT));
		if (files == 0)
			assert_int_equal(sm_close(p.file), 0);
		else
			assert_int_equal(sm_lock(p.file) + sm_unlock(p.file), 0);
	}
}

/* Returns the median of the forks; *first is the first one. */
static double
time_forks(double *first)
{
	double times[ROUNDS_MOST];
	uint64_t begun;
	int i, status;
	pid_t pid;

	for (i = 0; i < rounds(); i++) {
		begun = clock_now();
		pid = fork();
		if (pid == 0)
			_exit(EXIT_SUCCESS);
		times[i] = since_us(begun);
		assert_true(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
	}
	*first = times[0];
	return median(times, rounds());
}

/* The median of connecting, opening one file and closing all. */
static double
time_connections(enum kind kind)
{
	double times[ROUNDS_MOST];
	uint64_t begun;
	struct sm *sm;
	int i;

	for (i = 0; i < rounds(); i++) {
		begun = clock_now();
		sm = mount_kind(kind);
		assert_non_null(sm);
		open_files(sm, kind, 0);
		sm_free(sm);
		times[i] = since_us(begun);
	}
	return median(times, rounds());
}

static double
measure(enum kind kind, int files)
{
	struct sm *sm = kind == BARE ? NULL : mount_kind(kind);
	double first, usual;

	if (kind != BARE) {
		assert_non_null(sm);
		open_files(sm, kind, files);
	}
	usual = time_forks(&first);
	print_message("%-18s %5d %8.0f %8.0f\n", kind_names[kind], files, usual, first);
	sm_free(sm);
	return usual;
}

/*
 * Measures again when a fork took too long: beside other processes' work, one of the three medians
 * may be of a worse moment than the others.
 */
static void
expect_cheap_forks(enum kind kind, int files, double bare, double connection)
{
	double usual = measure(kind, files);
	int tries;

	for (tries = 1; usual > 2 * bare + CONNECTIONS_MOST * connection + SLACK_US; tries++) {
		if (tries == TRIES)
			fail_msg("a fork takes %.0f us, connecting %.0f, a bare fork %.0f", usual,
			    connection, bare);
		bare = measure(BARE, 0);
		connection = time_connections(kind);
		usual = measure(kind, files);
	}
}

static void
a_fork_costs_a_connection(void **state)
{
	/* During a fork the locks of each file are held. ThreadSanitizer counts up to 64. */
#if defined(__SANITIZE_THREAD__)
	static const int files[] = { 0, 1, 15 };
#else
	static const int files[] = { 0, 1, 100 };
#endif
	double bare, connection;
	enum kind kind;
	size_t i;

	(void)state;
	print_message("%-18s %5s %8s %8s\n", "kind", "files", "fork", "first");
	bare = measure(BARE, 0);
	for (kind = SMDISH; kind < KINDS; kind++) {
		connection = time_connections(kind);
		for (i = 0; i < sizeof files / sizeof files[0]; i++) {
			if (files[i] <= 1 && !patience_is_sanitized())
				expect_cheap_forks(kind, files[i], bare, connection);
			else
				(void)measure(kind, files[i]);
		}
	}
}

static int
begin_all(void **state)
{
	static const struct daemon_config configs[] = {
		[SMDISH] = { .has_keys = true },
		[SMDISH_PLAIN] = { 0 },
		[SMUF] = { .has_keys = true, .is_smuf = true },
	};
	cpu_set_t one;
	int kind;

	*state = &world;
	/* The servers too. */
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
	smc_world_create(&world);
	for (kind = SMDISH; kind < SMC; kind++)
		daemon_open(&daemons[kind], &configs[kind]);
	return 0;
}

static int
end_all(void **state)
{
	int kind;

	for (kind = SMDISH; kind < SMC; kind++)
		daemon_close(&daemons[kind]);
	return smc_world_teardown(state);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fork_costs_a_connection),
	};

	return cmocka_run_group_tests_name("fork_cost", tests, begin_all, end_all);
}
