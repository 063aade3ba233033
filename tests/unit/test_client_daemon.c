/*
 * The client against the real server, a child of the test: processes, threads, leases, and a server
 * that is killed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/client/smclient.h"
#include "common/server/main.h"
#include "common/server/options.h"
#include "smdish/store.h"
#include "tests/stress/patience.h"

enum { PROCESSES = 4, THREADS = 6, ROUNDS = 1500, SIZE = 65536, PATIENCE_S = 20 };

static pid_t server;
static char uri[64];

/* In the child. */
static void
serve(char *lease)
{
	const struct options_program program = { .name = "smdishserver", .has_lease = true };
	char *plain[] = { "smdishserver", uri, NULL };
	char *leasing[] = { "smdishserver", "-t", lease, uri, NULL };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (freopen("/dev/null", "w", stderr) == NULL)
		_exit(3);
	if (lease == NULL)
		_exit(main_run(&program, &smdish_store, 2, plain));
	_exit(main_run(&program, &smdish_store, 4, leasing));
}

static struct sm *
new_client(const char *options)
{
	struct sm *sm = sm_new();

	if (sm == NULL || sm_mount(sm, uri, "/m", "smdish", options) != 0)
		fail_msg("%s", sm_error(sm));
	return sm;
}

static void
start_server(char *lease)
{
	static unsigned count;
	uint64_t deadline = patience_until(PATIENCE_S * 1000);
	struct sm *sm;

	snprintf(uri, sizeof uri, "abstract:memserver.test.%d.%u", (int)getpid(), count++);
	server = fork();
	if (server == 0)
		serve(lease);
	sm = new_client(NULL);
	while (sm_open(sm, "/m/up") == NULL) {
		if (errno != ENOTCONN || clock_now() > deadline)
			fail_msg("the server does not come up: %s", sm_error(sm));
		usleep(1000);
	}
	sm_free(sm);
}

static void
stop_server(int number)
{
	int status;

	kill(server, number);
	assert_int_equal(waitpid(server, &status, 0), server);
	if (number == SIGTERM)
		assert_int_equal(status, 0);
}

static struct sm_file *
must_open(struct sm *sm, const char *path)
{
	struct sm_file *file = sm_open(sm, path);

	if (file == NULL)
		fail_msg("%s: %s", path, sm_error(sm));
	return file;
}

static void *
must_map(struct sm *sm, struct sm_file *file, size_t size)
{
	void *address = sm_map(file, NULL, size);

	if (address == NULL)
		fail_msg("sm_map: %s", sm_error(sm));
	return address;
}

static void
must(int result, const char *what)
{
	if (result != 0)
		fail_msg("%s: %s", what, sm_error(NULL));
}

/* A process of its own: increments two counters in two blocks, and moves a byte about. */
static int
increment(unsigned rounds)
{
	struct sm *sm = sm_new();
	struct sm_file *file;
	uint8_t *bytes;
	unsigned i;

	if (sm_mount(sm, uri, "/m", "smdish", NULL) != 0)
		return 1;
	file = sm_open(sm, "/m/counter");
	bytes = file == NULL ? NULL : sm_map(file, NULL, SIZE);
	if (bytes == NULL)
		return 2;
	for (i = 0; i < rounds; i++) {
		if (sm_lock(file) != 0)
			return 3;
		++*(uint64_t *)bytes;
		++*(uint64_t *)(bytes + SIZE - 8);
		bytes[4096 + (i * 4099) % 40000]++;
		if (*(uint64_t *)bytes != *(uint64_t *)(bytes + SIZE - 8))
			return 4;
		if (sm_unlock(file) != 0)
			return 5;
	}
	sm_free(sm);
	return 0;
}

static void
processes_count_exactly(void **state)
{
	uint64_t sum = 0, i;
	struct sm_file *file;
	struct sm *sm;
	uint8_t *bytes;
	int status;

	(void)state;
	start_server(NULL);
	sm = new_client(NULL);
	file = must_open(sm, "/m/counter");
	bytes = must_map(sm, file, SIZE);
	for (i = 0; i < PROCESSES; i++)
		if (fork() == 0)
			_exit(increment(ROUNDS));
	for (i = 0; i < PROCESSES; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	must(sm_rdlock(file), "sm_rdlock");
	assert_int_equal(*(uint64_t *)bytes, PROCESSES * ROUNDS);
	for (i = 0; i < 40000; i++)
		sum += bytes[4096 + i];
	assert_int_equal(sum % 256, PROCESSES * ROUNDS % 256);
	must(sm_unlock(file), "sm_unlock");
	sm_free(sm);
	stop_server(SIGTERM);
}

/* Threads share one client, and two files of it. */

static struct sm *shared;
static struct sm_file *files[2];
static uint64_t *words[2];

/* Takes a lock in one of several ways; 0 when it holds it. */
static int
take_somehow(struct sm_file *file, unsigned way)
{
	struct timespec ts;

	if (way == 0)
		return sm_trylock(file);
	if (way > 1)
		return sm_lock(file);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_nsec += 1000 * 1000;
	ts.tv_sec += ts.tv_nsec / 1000000000;
	ts.tv_nsec %= 1000000000;
	return sm_timedlock(file, &ts);
}

/* Returns how often it incremented each, in the halves of a number; NULL after an error. */
static void *
use_both(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg, i, which;
	uintptr_t counts[2] = { 0, 0 };

	for (i = 0; i < ROUNDS; i++) {
		which = (unsigned)rand_r(&seed) % 2;
		if (rand_r(&seed) % 4 == 0) {
			if (sm_rdlock(files[which]) != 0 || words[which][0] != words[which][600])
				return NULL;
		} else {
			if (take_somehow(files[which], (unsigned)rand_r(&seed) % 4) != 0) {
				if (errno != EAGAIN && errno != ETIMEDOUT)
					return NULL;
				continue;
			}
			words[which][0]++;
			words[which][600]++;
			counts[which]++;
		}
		if (sm_rdlock(files[which]) != -1 || errno != EDEADLK)
			return NULL;
		if (sm_unlock(files[which]) != 0)
			return NULL;
	}
	return (void *)(counts[1] << 32 | counts[0] | UINT64_C(1) << 63);
}

static void
threads_count_exactly(void **state)
{
	uint64_t counts[2] = { 0, 0 };
	pthread_t threads[THREADS];
	uintptr_t i;
	void *result;

	(void)state;
	start_server(NULL);
	shared = new_client(NULL);
	for (i = 0; i < 2; i++) {
		files[i] = must_open(shared, i == 0 ? "/m/a" : "/m/b");
		words[i] = must_map(shared, files[i], 8192);
	}
	for (i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, use_both, (void *)(i + 1));
	for (i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &result);
		assert_non_null(result);
		counts[0] += (uint32_t)(uintptr_t)result;
		counts[1] += ((uintptr_t)result & INT64_MAX) >> 32;
	}
	for (i = 0; i < 2; i++) {
		must(sm_lock(files[i]), "sm_lock");
		assert_true(counts[i] > 0);
		assert_int_equal(words[i][0], counts[i]);
		assert_int_equal(words[i][600], counts[i]);
		must(sm_unlock(files[i]), "sm_unlock");
	}
	sm_free(shared);
	stop_server(SIGTERM);
}

/* A client that waits for a lock when the server is killed. */

static void *
kill_later(void *arg)
{
	(void)arg;
	usleep((useconds_t)patience_ms(100) * 1000);
	kill(server, SIGKILL);
	return NULL;
}

static void
a_killed_server_ends_every_wait(void **state)
{
	struct sm_file *holding, *waiting;
	struct sm *holder, *waiter;
	pthread_t thread;
	uint64_t began;

	(void)state;
	start_server(NULL);
	holder = new_client(NULL);
	waiter = new_client(NULL);
	holding = must_open(holder, "/m/a");
	waiting = must_open(waiter, "/m/a");
	must(sm_lock(holding), "sm_lock");
	pthread_create(&thread, NULL, kill_later, NULL);
	began = clock_now();
	assert_int_equal(sm_lock(waiting), -1);
	assert_int_equal(errno, ECONNRESET);
	assert_false(patience_is_over(clock_now() - began, 1000));
	pthread_join(thread, NULL);
	/* Its sockets close one after the other. */
	stop_server(SIGKILL);
	assert_int_equal(sm_lock(waiting), -1);
	assert_int_equal(errno, ENOTCONN);
	assert_int_equal(sm_unlock(holding), -1);
	assert_true(errno == ECONNRESET || errno == ENOTCONN);
	assert_null(sm_open(holder, "/m/a"));
	assert_int_equal(errno, ENOTCONN);
	sm_free(holder);
	sm_free(waiter);
}

static void
a_lease_that_ran_out_voids_the_replica(void **state)
{
	struct sm *late, *next;
	struct sm_file *a, *b;
	uint64_t *mine, *other;
	struct sm_stat st;

	(void)state;
	/* A machine that stands still must not end the leases of the sections before. */
	start_server("2000");
	late = new_client(NULL);
	next = new_client("sync=full");
	a = must_open(late, "/m/a");
	b = must_open(next, "/m/a");
	mine = must_map(late, a, 8192);
	other = must_map(next, b, 8192);
	must(sm_lock(a), "sm_lock");
	mine[0] = 1;
	mine[1000] = 1;
	must(sm_unlock(a), "sm_unlock");
	must(sm_lock(a), "sm_lock");
	mine[0] = 2;
	/* This call succeeds when the late client has lost the lock. */
	must(sm_lock(b), "sm_lock");
	assert_int_equal(other[0], 1);
	other[1] = 3;
	must(sm_unlock(b), "sm_unlock");
	assert_int_equal(sm_unlock(a), -1);
	assert_int_equal(errno, ESTALE);
	assert_int_equal(mine[0], 2);
	must(sm_lock(a), "sm_lock");
	assert_int_equal(mine[0], 1);
	assert_int_equal(mine[1], 3);
	assert_int_equal(mine[1000], 1);
	must(sm_unlock(a), "sm_unlock");
	must(sm_stat(a, &st), "sm_stat");
	assert_int_equal(st.size, 8192);
	assert_int_equal(st.open_count, 2);
	sm_free(late);
	sm_free(next);
	stop_server(SIGTERM);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(processes_count_exactly),
		cmocka_unit_test(threads_count_exactly),
		cmocka_unit_test(a_killed_server_ends_every_wait),
		cmocka_unit_test(a_lease_that_ran_out_voids_the_replica),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
