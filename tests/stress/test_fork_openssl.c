/*
 * fork(2) while other threads are in OpenSSL: those of the library, in their first publication, or
 * those of the program, on its own account. No child ever hangs on a lock that such a thread had.
 *
 * FORKS in the environment is the number of forks of each test: FORKS=10000 TEST_SECONDS=3600.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "tests/stress/child.h"
#include "tests/stress/client.h"
#include "tests/stress/daemon.h"
#include "tests/stress/patience.h"
#include "tests/stress/smc.h"

enum {
	FORKS = 100,
	FORKS_WITHOUT_CALLS = 10,
	THREADS = 3,
	SEGMENT = 4096,
	HANGS_MS = 10 * 1000,
	LOST_MS = 1000, /* as HANGS_MS, with ThreadSanitizer */
	LOST_SHARE = 5, /* lost children are at most one in so many */
	LATE_MS = 900
};

static struct smc_world world;
static struct daemon smdish, smuf;
static struct client mine; /* of the running test, and inherited by its children */
static struct client others[THREADS];

static atomic_bool stop;
static atomic_int failures; /* of the threads */
static int late;            /* forks of a case that took LATE_MS or longer */
static int voids;           /* children whose inherited file was ESTALE */
static int lost;            /* children that hung in ThreadSanitizer */
static bool has_server;     /* such children are right, one for each late fork at most */
static pthread_t threads[THREADS];

static void
expect_in_thread(bool is_right)
{
	if (!is_right)
		(void)atomic_fetch_add(&failures, 1);
}

/* One thread's life: it draws its first random bytes, and makes objects of the program's own. */
static void *
use_openssl(void *unused)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);
	uint8_t bytes[32];

	expect_in_thread(ssl != NULL && RAND_bytes(bytes, sizeof bytes) == 1 &&
	    RAND_priv_bytes(bytes, sizeof bytes) == 1);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	return unused;
}

/* One thread's life: its first publication. */
static void *
publish_once(void *client)
{
	struct client *c = client;

	expect_in_thread(sm_lock(c->file) == 0);
	++*c->words;
	expect_in_thread(sm_unlock(c->file) == 0);
	return NULL;
}

static void *
use_openssl_for_ever(void *unused)
{
	pthread_t thread;

	while (!atomic_load(&stop)) {
		if (pthread_create(&thread, NULL, use_openssl, NULL) == 0)
			pthread_join(thread, NULL);
	}
	return unused;
}

static void *
publish_for_ever(void *client)
{
	pthread_t thread;

	while (!atomic_load(&stop)) {
		if (pthread_create(&thread, NULL, publish_once, client) == 0)
			pthread_join(thread, NULL);
	}
	return NULL;
}

static void
start_threads(void *(*run)(void *))
{
	int i;

	atomic_store(&stop, false);
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run, &others[i]), 0);
}

static void
stop_threads(void)
{
	int i;

	atomic_store(&stop, true);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&failures), 0);
}

static bool
is_variant(const char *name)
{
	const char *variant = getenv("VARIANT");

	return variant != NULL && strcmp(variant, name) == 0;
}

/*
 * The wait status of a child. The parent ends one that hangs, by SIGALRM: a child may hang in the
 * handlers of fork(2) already.
 */
static int
wait_for(pid_t pid)
{
	uint64_t begun = clock_now(), hangs_ms = is_variant("tsan") ? LOST_MS : HANGS_MS;
	bool is_ended = false;
	int status;
	pid_t ended;

	while ((ended = waitpid(pid, &status, is_ended ? 0 : WNOHANG)) != pid) {
		assert_true(ended == 0 || errno == EINTR);
		patience_breathe();
		if (!is_ended && patience_is_over(clock_now() - begun, hangs_ms)) {
			assert_int_equal(kill(pid, SIGALRM), 0);
			is_ended = true;
		}
	}
	return status;
}

/* False under AddressSanitizer, in which a child of threads may hang: see test_fork.c. */
static bool
children_may_call(void)
{
	return !is_variant("asan");
}

static int
forks(void)
{
	const char *text = getenv("FORKS");

	if (text != NULL)
		return atoi(text);
	return children_may_call() ? FORKS : FORKS_WITHOUT_CALLS;
}

/*
 * A child that connects by itself, as it does on a busy machine, first tries OpenSSL's locks in a
 * thread; ThreadSanitizer allows none in a child of threads.
 */
static void
skip_if_no_child_can_connect(void)
{
	if (is_variant("tsan"))
		skip();
}

/* True for a child that has exited, with 0 or that status. */
static bool
has_exited(int status, int allowed)
{
	return status == 0 || (WIFEXITED(status) && WEXITSTATUS(status) == allowed);
}

/* Forks a child that runs, and returns its wait status. Sets *is_late when the fork took long. */
static int
fork_once(int (*run)(void), bool *is_late)
{
	uint64_t begun = clock_now();
	pid_t pid = child_begin();

	if (pid == 0)
		_exit(children_may_call() ? run() : 0);
	*is_late = clock_now() - begun >= LATE_MS * CLOCK_MS;
	return wait_for(pid);
}

/*
 * Counts a late fork, and a void child. A server on a busy machine may be too slow for a fork: then
 * the child's ESTALE is right, and the result is 0. Else it is status.
 */
static int
judge_void(int status, bool is_late)
{
	bool is_void = WIFEXITED(status) && WEXITSTATUS(status) == ESTALE;

	late += is_late;
	voids += is_void;
	return is_void && is_late && has_server ? 0 : status;
}

static bool
has_hung(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
}

/*
 * ThreadSanitizer (that of gcc 12 and of clang 14) does not hold the locks of its allocator's
 * tables across a fork: a child that frees memory may wait for ever for a thread that it does not
 * have. Only with it such a child is lost, and the result is 0. Else it is status.
 */
static int
judge_hung(int status)
{
	if (!is_variant("tsan") || !has_hung(status))
		return status;
	lost++;
	return 0;
}

/*
 * Beside threads of that kind forks children one after the other, which run and exit with its
 * result, 0 or an errno. Fails the test unless each has exited, with 0 or allowed, or with ESTALE
 * after a late fork. Returns how many did with allowed.
 */
static int
fork_beside(void *(*kind)(void *), int (*run)(void), int allowed)
{
	int i, status = 0, count = 0;
	bool is_late;

	late = voids = lost = 0;
	start_threads(kind);
	for (i = 0; i < forks() && has_exited(status, allowed); i++) {
		status = fork_once(run, &is_late);
		status = judge_hung(judge_void(status, is_late));
		count += status != 0;
	}
	stop_threads();
	print_message("%d forks: %d late, %d children void, %d lost\n", i, late, voids, lost);
	if (lost > forks() / LOST_SHARE)
		fail_msg("%d of %d children hang: more than ThreadSanitizer makes", lost, forks());
	if (has_hung(status))
		fail_msg("child %d of %d hangs", i, forks());
	if (!has_exited(status, allowed))
		fail_msg("child %d of %d: wait status %#x, expected success or %s", i, forks(),
		    (unsigned)status, strerror(allowed));
	return count;
}

/* In a child: its first call on what it has inherited. */
static int
use_inherited(void)
{
	if (sm_lock(mine.file) != 0)
		return errno;
	++*mine.words;
	return sm_unlock(mine.file) == 0 ? 0 : errno;
}

static void
expect_all_counted(void)
{
	int expected = children_may_call() ? forks() - voids : 0;

	assert_int_equal(sm_rdlock(mine.file), 0);
	/* A lost child has published or not. */
	assert_in_range(*mine.words, expected - lost, expected);
	assert_int_equal(sm_unlock(mine.file), 0);
}

static void
children_publish_beside_first_publications(void **state)
{
	(void)state;
	(void)fork_beside(publish_for_ever, use_inherited, 0);
	expect_all_counted();
}

static void
children_publish_beside_openssl(void **state)
{
	(void)state;
	(void)fork_beside(use_openssl_for_ever, use_inherited, 0);
	expect_all_counted();
}

static const struct daemon *own_server; /* of use_own() */

/* In a child: a set of its own, for which it connects. */
static int
use_own(void)
{
	struct client own;

	if (!client_open(&own, own_server, CLIENT_MOUNT "/own", SEGMENT) || sm_lock(own.file) != 0)
		return errno;
	++*own.words;
	return sm_unlock(own.file) == 0 ? 0 : errno;
}

static void
tls_children_publish_beside_openssl(void **state)
{
	skip_if_no_child_can_connect();
	children_publish_beside_openssl(state);
}

/* OpenSSL draws random bytes for it, under a lock that no library can look after. */
static void
a_child_connects_beside_openssl_or_fails(void **state)
{
	int locked;

	skip_if_no_child_can_connect();
	own_server = *state;
	locked = fork_beside(use_openssl_for_ever, use_own, ENOTRECOVERABLE);
	print_message("%d of %d children found OpenSSL locked\n", locked, forks());
}

static int
begin_smc(void **state)
{
	char name[24];
	int i;

	(void)state;
	has_server = false;
	if (smc_join(&mine, &world, "mine", SEGMENT) != 0)
		return -1;
	for (i = 0; i < THREADS; i++) {
		snprintf(name, sizeof name, "other%d", i);
		if (smc_join(&others[i], &world, name, SEGMENT) != 0)
			return -1;
	}
	return 0;
}

/* The threads have files of their own, over the connection of the test. */
static int
begin_server(void **state, struct daemon *d)
{
	char path[32];
	int i;

	*state = d;
	has_server = true;
	if (!client_open_new(&mine, d, SEGMENT))
		return -1;
	for (i = 0; i < THREADS; i++) {
		others[i] = (struct client){ .sm = mine.sm };
		snprintf(path, sizeof path, CLIENT_MOUNT "/other%d", i);
		if (!client_open_file(&others[i], path, SEGMENT))
			return -1;
	}
	return 0;
}

static int
begin_smdish(void **state)
{
	return begin_server(state, &smdish);
}

static int
begin_smuf(void **state)
{
	return begin_server(state, &smuf);
}

static int
end(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < THREADS; i++) {
		if (others[i].sm != mine.sm)
			client_close(&others[i]);
		others[i] = (struct client){ 0 };
	}
	client_close(&mine);
	return 0;
}

static int
start(void **state)
{
	(void)state;
	/* What the log makes of a key takes a lock of OpenSSL that a thread may have at a fork. */
	assert_int_equal(unsetenv("NONCE_LOG"), 0);
	smc_world_create(&world);
	daemon_open(&smdish, &(struct daemon_config){ .has_keys = true });
	daemon_open(&smuf, &(struct daemon_config){ .has_keys = true, .is_smuf = true });
	return 0;
}

static int
finish(void **state)
{
	(void)state;
	daemon_close(&smuf);
	daemon_close(&smdish);
	smc_world_destroy(&world);
	return 0;
}

#define TEST(name, begin) \
	{ \
#name " (" #begin ")", name, begin, end, NULL \
	}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(children_publish_beside_first_publications, begin_smc),
		TEST(children_publish_beside_first_publications, begin_smdish),
		TEST(children_publish_beside_first_publications, begin_smuf),
		TEST(children_publish_beside_openssl, begin_smc),
		TEST(tls_children_publish_beside_openssl, begin_smdish),
		TEST(tls_children_publish_beside_openssl, begin_smuf),
		TEST(a_child_connects_beside_openssl_or_fails, begin_smdish),
		TEST(a_child_connects_beside_openssl_or_fails, begin_smuf),
	};

	return cmocka_run_group_tests(tests, start, finish);
}
