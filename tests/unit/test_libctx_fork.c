/*
 * The library's OpenSSL context and fork(2): a fork waits for steps, and a lock that is stuck in a
 * child is an error.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* engines */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <errno.h>
#include <openssl/engine.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/crypto/libctx.h"
#include "common/crypto/lockprobe.h"
#include "common/crypto/sealbox.h"
#include "tests/stress/child.h"
#include "tests/stress/patience.h"

enum { WAITING_MS = 100 };

/* What another thread does, one after the other. */
static atomic_int reached, allowed;

static void
reach(int number)
{
	atomic_store(&reached, number);
	while (atomic_load(&allowed) < number)
		patience_breathe();
}

static void
await(int number)
{
	uint64_t deadline = patience_until(PATIENCE_MS);

	while (atomic_load(&reached) < number && clock_now() < deadline)
		patience_breathe();
	assert_int_equal(atomic_load(&reached), number);
}

static void
start_thread(pthread_t *thread, void *(*run)(void *))
{
	atomic_store(&reached, 0);
	atomic_store(&allowed, 0);
	assert_int_equal(pthread_create(thread, NULL, run, NULL), 0);
}

static void *
take_two_steps(void *unused)
{
	struct libctx_step step;

	if (libctx_begin(&step) != 0)
		return unused;
	reach(1);
	libctx_end(&step);
	if (libctx_begin_quiet(&step) != 0)
		return unused;
	atomic_store(&reached, 2);
	libctx_end(&step);
	return unused;
}

static void *
prepare_fork(void *unused)
{
	libctx_fork_prepare();
	reach(3);
	libctx_fork_parent();
	return unused;
}

static void
a_fork_and_steps_wait_for_each_other(void **state)
{
	pthread_t stepper, forker;

	(void)state;
	start_thread(&stepper, take_two_steps);
	await(1);
	assert_int_equal(pthread_create(&forker, NULL, prepare_fork, NULL), 0);
	usleep(WAITING_MS * 1000);
	assert_int_equal(atomic_load(&reached), 1);
	atomic_store(&allowed, 1);
	await(3);
	usleep(WAITING_MS * 1000);
	assert_int_equal(atomic_load(&reached), 3);
	atomic_store(&allowed, 3);
	pthread_join(forker, NULL);
	pthread_join(stepper, NULL);
	assert_int_equal(atomic_load(&reached), 2);
}

/* An engine that no cipher can use. OpenSSL asks it under the lock of engines. */
static int
begin_engine(ENGINE *engine)
{
	(void)engine;
	reach(1);
	return 0;
}

static int
list_ciphers(ENGINE *engine, const EVP_CIPHER **cipher, const int **list, int wanted)
{
	static const int all[] = { NID_aes_256_gcm };

	(void)engine;
	(void)wanted;
	if (cipher != NULL)
		*cipher = NULL;
	else
		*list = all;
	return cipher != NULL ? 0 : 1;
}

static void *
set_key(void *box)
{
	static const uint8_t key[SEALBOX_KEY_SIZE] = { 1 };

	return sealbox_set_key(box, key) == 0 ? NULL : box;
}

static void
a_fork_waits_until_a_box_has_its_key(void **state)
{
	ENGINE *engine = ENGINE_new();
	pthread_t keyer, forker;
	struct sealbox *box;
	void *result;
	int meanwhile;

	(void)state;
	assert_int_equal(sealbox_create(&box), 0);
	assert_int_equal(ENGINE_set_id(engine, "idle"), 1);
	assert_int_equal(ENGINE_set_init_function(engine, begin_engine), 1);
	assert_int_equal(ENGINE_set_ciphers(engine, list_ciphers), 1);
	assert_int_equal(ENGINE_register_ciphers(engine), 1);
	atomic_store(&reached, 0);
	atomic_store(&allowed, 0);
	assert_int_equal(pthread_create(&keyer, NULL, set_key, box), 0);
	await(1);
	assert_int_equal(pthread_create(&forker, NULL, prepare_fork, NULL), 0);
	usleep(WAITING_MS * 1000);
	meanwhile = atomic_load(&reached);
	atomic_store(&allowed, 3);
	pthread_join(forker, NULL);
	pthread_join(keyer, &result);
	assert_int_equal(meanwhile, 1);
	assert_null(result);
	ENGINE_unregister_ciphers(engine);
	ENGINE_free(engine);
	sealbox_destroy(box);
}

/* A program may fork before it asks OpenSSL why a call of its own has failed. */
static void
a_fork_keeps_the_programs_errors(void **state)
{
	unsigned long queued;

	(void)state;
	ERR_clear_error();
	ERR_raise(ERR_LIB_USER, ERR_R_INTERNAL_ERROR);
	libctx_fork_prepare();
	libctx_fork_parent();
	queued = ERR_get_error();
	if (ERR_GET_LIB(queued) != ERR_LIB_USER)
		fail_msg("expected the program's error, got %lx", queued);
}

static void *
probe(void *unused)
{
	atomic_store(&reached, 1);
	if (lockprobe_check() == 0)
		atomic_store(&reached, 2);
	return unused;
}

/* Its thread would be gone in the child, with the locks that it has. */
static void
a_fork_and_a_probe_wait_for_each_other(void **state)
{
	pthread_t thread;
	int meanwhile;

	(void)state;
	lockprobe_fork_child(false);
	start_thread(&thread, probe);
	await(2);
	pthread_join(thread, NULL);
	lockprobe_fork_child(false);
	libctx_fork_prepare();
	start_thread(&thread, probe);
	usleep(WAITING_MS * 1000);
	meanwhile = atomic_load(&reached);
	libctx_fork_parent();
	pthread_join(thread, NULL);
	assert_int_not_equal(meanwhile, 2);
	assert_int_equal(atomic_load(&reached), 2);
}

/* In a child: the result of a step. */
static int
try_step(int (*begin)(struct libctx_step *))
{
	struct libctx_step step;
	int error = begin(&step);

	if (error == 0)
		libctx_end(&step);
	return error;
}

static void
a_copy_made_in_a_step_takes_no_more(void **state)
{
	struct libctx_step step;
	pid_t pid;

	(void)state;
	assert_int_equal(libctx_begin(&step), 0);
	pid = (pid_t)syscall(SYS_fork);
	if (pid == 0) {
		libctx_fork_child(false);
		_exit(try_step(libctx_begin) != -ENOTRECOVERABLE ||
		    try_step(libctx_begin_quiet) != -ENOTRECOVERABLE);
	}
	libctx_end(&step);
	child_expect_success(pid);
}

static void
a_copy_made_outside_takes_steps(void **state)
{
	pid_t pid;

	(void)state;
	assert_int_equal(try_step(libctx_begin), 0);
	pid = (pid_t)syscall(SYS_fork);
	if (pid == 0) {
		libctx_fork_child(false);
		_exit(try_step(libctx_begin) != 0 || try_step(libctx_begin_quiet) != 0);
	}
	child_expect_success(pid);
}

/*
 * OpenSSL's calls of pthread_rwlock_unlock(3) come here. A thread that wants so keeps a lock that
 * it has: it waits before it unlocks it.
 */
static _Thread_local bool keeps_lock;

int __attribute__((visibility("default"))) pthread_rwlock_unlock(pthread_rwlock_t *lock);

int
pthread_rwlock_unlock(pthread_rwlock_t *lock)
{
	static int (*real)(pthread_rwlock_t *);

	if (real == NULL)
		real = (int (*)(pthread_rwlock_t *))dlsym(RTLD_NEXT, "pthread_rwlock_unlock");
	if (keeps_lock) {
		keeps_lock = false;
		reach(1);
	}
	return real(lock);
}

/* That of engines, which OpenSSL 3.0 and 3.5 take for writing: other readers pass a reader. */
static void *
keep_lock_of_engines(void *unused)
{
	keeps_lock = true;
	ENGINE_free(ENGINE_get_first());
	return unused;
}

static void *
try_in_thread(void *result)
{
	*(int *)result = try_step(libctx_begin_quiet);
	return NULL;
}

/* The thread that forks takes quiet steps all the same. */
static pid_t bare_copy;

/* Takes a step, and makes a copy of the process in which it ends. */
static void *
clone_and_end(void *unused)
{
	if (try_step(libctx_begin) != 0)
		return unused;
	reach(1);
	bare_copy = (pid_t)syscall(SYS_fork);
	if (bare_copy == 0) {
		(void)alarm((unsigned)(patience_ms(PATIENCE_MS) / 1000));
		return unused;
	}
	atomic_store(&reached, 2);
	return unused;
}

/* The copy is made while a fork keeps all threads from beginning a step. */
static void
a_thread_ends_in_a_copy_that_made_no_call(void **state)
{
	pthread_t thread;
	int status;

	(void)state;
	start_thread(&thread, clone_and_end);
	await(1);
	libctx_fork_prepare();
	atomic_store(&allowed, 1);
	await(2);
	libctx_fork_parent();
	pthread_join(thread, NULL);
	assert_int_equal(waitpid(bare_copy, &status, 0), bare_copy);
	if (!WIFEXITED(status))
		fail_msg("the copy did not end: wait status %#x", (unsigned)status);
}

static void
a_stuck_lock_is_an_error(void **state)
{
	uint64_t begun;
	pthread_t thread, other;
	pid_t pid;
	int result = 0;

	(void)state;
	if (patience_is_sanitized())
		skip(); /* their children may have no threads */
	assert_int_equal(try_step(libctx_begin), 0);
	start_thread(&thread, keep_lock_of_engines);
	await(1);
	libctx_fork_prepare();
	pid = child_begin();
	if (pid == 0) {
		libctx_fork_child(true);
		child_expect(try_step(libctx_begin_quiet) == 0, "a quiet step");
		begun = clock_now();
		child_expect(try_step(libctx_begin) == -ENOTRECOVERABLE, "an error");
		child_expect(try_step(libctx_begin) == -ENOTRECOVERABLE, "the same again");
		child_expect(!patience_is_over(clock_now() - begun, LOCKPROBE_MS + 500),
		    "one wait for the lock");
		child_expect(pthread_create(&other, NULL, try_in_thread, &result) == 0 &&
			pthread_join(other, NULL) == 0 && result == -ENOTRECOVERABLE,
		    "an error in another thread");
		child_expect(try_step(libctx_begin_quiet) == 0, "a quiet step");
		_exit(0);
	}
	libctx_fork_parent();
	atomic_store(&allowed, 1);
	pthread_join(thread, NULL);
	child_expect_success(pid);
}

static void
without_a_stuck_lock_all_threads_take_steps(void **state)
{
	pthread_t other;
	pid_t pid;
	int result = -1;

	(void)state;
	libctx_fork_prepare();
	pid = child_begin();
	if (pid == 0) {
		libctx_fork_child(true);
		child_expect(pthread_create(&other, NULL, try_in_thread, &result) == 0 &&
			pthread_join(other, NULL) == 0 && result == 0,
		    "a step in another thread");
		child_expect(try_step(libctx_begin) == 0, "a step");
		_exit(0);
	}
	libctx_fork_parent();
	child_expect_success(pid);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fork_and_steps_wait_for_each_other),
		cmocka_unit_test(a_fork_waits_until_a_box_has_its_key),
		cmocka_unit_test(a_fork_keeps_the_programs_errors),
		cmocka_unit_test(a_fork_and_a_probe_wait_for_each_other),
		cmocka_unit_test(a_copy_made_in_a_step_takes_no_more),
		cmocka_unit_test(a_copy_made_outside_takes_steps),
		cmocka_unit_test(a_thread_ends_in_a_copy_that_made_no_call),
		cmocka_unit_test(a_stuck_lock_is_an_error),
		cmocka_unit_test(without_a_stuck_lock_all_threads_take_steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
