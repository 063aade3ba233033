/*
 * The library's OpenSSL context: nothing of ours is in the program's, a fork waits for steps, and a
 * lock that is stuck in a child is an error.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* RAND_get_rand_method(), engines */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/engine.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/crypto/ctrbox.h"
#include "common/crypto/filedigest.h"
#include "common/crypto/keys.h"
#include "common/crypto/libctx.h"
#include "common/crypto/lockprobe.h"
#include "common/crypto/sealbox.h"
#include "common/crypto/tls.h"
#include "common/crypto/tls_context.h"
#include "tests/stress/child.h"
#include "tests/stress/patience.h"
#include "tests/stress/pki.h"

enum { WAITING_MS = 100 };

static struct pki pki;

/* Objects that were made in the program's context. */
static atomic_int made;

/* What the program has drawn there first. */
static int first_number;

static void
count_object(void *parent, void *value, CRYPTO_EX_DATA *data, int index, long number, void *arg)
{
	(void)parent;
	(void)value;
	(void)data;
	(void)index;
	(void)number;
	(void)arg;
	(void)atomic_fetch_add(&made, 1);
}

static OSSL_PROVIDER *null_provider;

/* The program's context can do nothing, and counts all objects that are made in it. */
static int
cripple_default_context(void **state)
{
	int kind, number;

	(void)state;
	null_provider = OSSL_PROVIDER_load(NULL, "null");
	assert_non_null(null_provider);
	assert_null(EVP_MD_fetch(NULL, "SHA256", NULL));
	for (kind = 0; kind < CRYPTO_EX_INDEX__COUNT; kind++) {
		number = CRYPTO_get_ex_new_index(kind, 0, NULL, count_object, NULL, NULL);
		if (kind == CRYPTO_EX_INDEX_X509_STORE_CTX)
			first_number = number;
	}
	pki_create(&pki);
	return 0;
}

static int
remove_keys(void **state)
{
	(void)state;
	assert_int_equal(OSSL_PROVIDER_unload(null_provider), 1);
	pki_destroy(&pki);
	return 0;
}

static struct tls_context *
create_context(enum tls_role role, const char *name)
{
	char cert[PKI_PATH_SIZE], key[PKI_PATH_SIZE], root[PKI_PATH_SIZE], reason[TLS_REASON_SIZE];
	struct tls_config config = {
		.role = role,
		.ca_file = pki_file(&pki, "root", "crt", root),
		.cert_file = pki_file(&pki, name, "crt", cert),
		.key_file = pki_file(&pki, name, "key", key),
	};
	struct tls_context *ctx;

	if (tls_context_create(&ctx, &config, reason) != 0)
		fail_msg("%s: %s", name, reason);
	return ctx;
}

static void
talk_over_tls(void)
{
	struct tls_context *contexts[2] = { create_context(TLS_CLIENT, "client"),
		create_context(TLS_SERVER, "server") };
	struct tls *ends[2];
	int fds[2], i, done = 0;
	char byte = 0;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	for (i = 0; i < 2; i++)
		assert_int_equal(tls_create(&ends[i], contexts[i], fds[i], NULL), 0);
	for (i = 0; i < 100 && done != 2; i++)
		done = (tls_handshake(ends[0]) == 0) + (tls_handshake(ends[1]) == 0);
	assert_int_equal(done, 2);
	assert_int_equal(tls_write(ends[0], "x", 1), 1);
	assert_int_equal(tls_read(ends[1], &byte, 1), 1);
	assert_int_equal(byte, 'x');
	for (i = 0; i < 2; i++) {
		tls_shutdown(ends[i]);
		tls_destroy(ends[i]);
		tls_context_destroy(contexts[i]);
		close(fds[i]);
	}
}

static void
use_keys(void)
{
	const uint8_t key[KEYS_SIZE] = { 1 }, iv[CTRBOX_IV_SIZE] = { 2 };
	uint8_t derived[KEYS_SIZE], out[1], tag[SEALBOX_TAG_SIZE];
	struct sealbox *seal;
	struct ctrbox *box;

	assert_int_equal(keys_derive(derived, key, key, "name"), 0);
	assert_int_equal(ctrbox_create(&box), 0);
	assert_int_equal(ctrbox_set_key(box, derived), 0);
	assert_int_equal(ctrbox_encrypt(box, iv, 0, "x", 1, out), 0);
	ctrbox_destroy(box);
	assert_int_equal(sealbox_create(&seal), 0);
	assert_int_equal(sealbox_set_key(seal, derived), 0);
	assert_int_equal(sealbox_seal(seal, 1, 0, "x", 1, out, tag), 0);
	sealbox_destroy(seal);
}

static void
digest_file(void)
{
	char path[PKI_PATH_SIZE];
	const char *const paths[] = { pki_file(&pki, "root", "crt", path), NULL };
	uint8_t digest[FILEDIGEST_SIZE];

	assert_int_equal(filedigest_get(digest, paths), 0);
}

static void
the_programs_context_is_never_used(void **state)
{
	(void)state;
	atomic_store(&made, 0);
	use_keys();
	digest_file();
	talk_over_tls();
	assert_int_equal(atomic_load(&made), 0);
	assert_ptr_equal(OSSL_LIB_CTX_set0_default(NULL), OSSL_LIB_CTX_get0_global_default());
}

/* TLS draws one, too, when it is first used: by the library. */
static void
the_programs_numbers_are_not_that_of_tls(void **state)
{
	int tls, next;

	(void)state;
	tls = SSL_get_ex_data_X509_STORE_CTX_idx();
	next = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_X509_STORE_CTX, 0, NULL, NULL, NULL, NULL);
	assert_int_not_equal(tls, first_number);
	assert_int_not_equal(tls, next);
}

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

static void *
keep_lock_of_random_method(void *unused)
{
	keeps_lock = true;
	(void)RAND_get_rand_method();
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
	start_thread(&thread, keep_lock_of_random_method);
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
		cmocka_unit_test(the_programs_context_is_never_used),
		cmocka_unit_test(the_programs_numbers_are_not_that_of_tls),
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

	return cmocka_run_group_tests(tests, cripple_default_context, remove_keys);
}
