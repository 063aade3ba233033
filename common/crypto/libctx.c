#include "common/crypto/libctx.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#include "common/base/error.h"
#include "common/base/forkmark.h"
#include "common/base/mutex.h"
#include "common/crypto/lockprobe.h"
#include "common/crypto/sslerror.h"

enum { LOOK_NS = 20 * 1000 };

static _Atomic(OSSL_LIB_CTX *) context; /* made once, and kept */
static atomic_uint steps;               /* that threads are in, or about to begin */
static atomic_bool is_forking;          /* no step may begin */
static bool is_lost;                    /* this process is a copy that was made during a step */

/* Of making the context. A fork has it as long as it is_forking. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

/* The copy of the process (forkmark.h) that libctx_fork_child() was last called in; 0: none. */
static uint64_t forked_copy;

/* The copy in which this thread may take quiet steps before the probe; 0: none. */
static _Thread_local uint64_t quiet_copy;
static bool is_forker_quiet; /* between prepare and child: the thread may do so there, too */

/*
 * Its value makes OpenSSL's end of a thread a step. OpenSSL has such a key of its own, whose
 * destructor finds nothing to do after that of this key: destructors run in the order in which keys
 * were created, so this one is created when the program is loaded.
 */
static pthread_key_t thread_key;
static atomic_bool has_thread_key;
static _Thread_local bool is_thread_registered;
static _Thread_local uint64_t first_copy; /* of the process, where this thread was registered */

/*
 * The copy whose generators were seeded last. OpenSSL itself compares process ids, and those can be
 * equal: parent and child of a fork into a new pid namespace may both have id 1, and ids are used
 * again.
 */
static _Atomic uint64_t seeded;

/*
 * What OpenSSL makes once for all contexts belongs into the program's: otherwise its configuration
 * would be loaded into ours, and the number that TLS draws here be drawn again by the program.
 */
static void
make_common(void)
{
	OSSL_LIB_CTX *previous = OSSL_LIB_CTX_set0_default(OSSL_LIB_CTX_get0_global_default());

	(void)OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG | OPENSSL_INIT_LOAD_CRYPTO_STRINGS,
	    NULL);
	(void)SSL_get_ex_data_X509_STORE_CTX_idx();
	(void)OSSL_LIB_CTX_set0_default(previous);
}

/* With the gate. */
static int
make_context(void)
{
	OSSL_LIB_CTX *made;

	make_common();
	made = OSSL_LIB_CTX_new();
	if (made == NULL || OSSL_PROVIDER_load(made, "default") == NULL) {
		OSSL_LIB_CTX_free(made);
		return -ENOMEM;
	}
	atomic_store(&context, made);
	return 0;
}

static int
need_context(void)
{
	int error = 0;

	if (atomic_load(&context) != NULL)
		return 0;
	(void)pthread_mutex_lock(&gate);
	if (atomic_load(&context) == NULL)
		error = make_context();
	(void)pthread_mutex_unlock(&gate);
	return error == 0 ? 0 : error_message(error, "no memory for OpenSSL");
}

static void
enter(void)
{
	atomic_fetch_add(&steps, 1);
	while (atomic_load(&is_forking)) {
		atomic_fetch_sub(&steps, 1);
		(void)pthread_mutex_lock(&gate);
		(void)pthread_mutex_unlock(&gate);
		atomic_fetch_add(&steps, 1);
	}
}

static void
leave(void)
{
	atomic_fetch_sub(&steps, 1);
}

/* Before a step that is not quiet. */
static int
check_locks(void)
{
	return lockprobe_is_needed() ? lockprobe_check() : 0;
}

/*
 * True in a copy of the process in which no call of the library was made yet, and fork(2) ran no
 * hooks: a thread that it does not have may have the gate, for ever.
 */
static bool
is_unknown_copy(void)
{
	uint64_t copy = forkmark_get();

	return first_copy != copy && forked_copy != copy;
}

/* A step without its errors: OpenSSL frees this thread's queue, and a later look would make one. */
static void
end_thread(void *unused)
{
	(void)unused;
	if (is_lost || is_unknown_copy() || check_locks() != 0)
		return;
	enter();
	OPENSSL_thread_stop();
	leave();
}

static void __attribute__((constructor)) create_thread_key(void)
{
	has_thread_key = pthread_key_create(&thread_key, end_thread) == 0;
}

/* The program may unload the library, and its threads end after that. */
static void __attribute__((destructor)) delete_thread_key(void)
{
	if (has_thread_key)
		(void)pthread_key_delete(thread_key);
	has_thread_key = false;
}

static void
register_thread(void)
{
	is_thread_registered = true;
	first_copy = forkmark_get();
	if (has_thread_key)
		(void)pthread_setspecific(thread_key, &thread_key);
}

static int
begin(struct libctx_step *s, bool makes_objects)
{
	int error;

	if (is_lost)
		return error_message(-ENOTRECOVERABLE,
		    "another thread was in OpenSSL at the fork that made this process");
	s->errors = sslerror_hide();
	error = need_context();
	if (error != 0) {
		sslerror_restore(s->errors);
		return error;
	}
	if (!is_thread_registered)
		register_thread();
	enter();
	s->previous = makes_objects ? OSSL_LIB_CTX_set0_default(atomic_load(&context)) : NULL;
	return 0;
}

int
libctx_begin(struct libctx_step *s)
{
	int error = check_locks();

	return error != 0 ? error : begin(s, true);
}

/* True when no lock that a quiet step takes in this thread can be stuck. */
static bool
may_be_quiet(void)
{
	return !lockprobe_is_needed() || quiet_copy == forkmark_get();
}

int
libctx_begin_quiet(struct libctx_step *s)
{
	return may_be_quiet() ? begin(s, true) : libctx_begin(s);
}

int
libctx_begin_records(struct libctx_step *s)
{
	return may_be_quiet() ? begin(s, false) : libctx_begin(s);
}

void
libctx_end(struct libctx_step *s)
{
	if (s->previous != NULL)
		(void)OSSL_LIB_CTX_set0_default(s->previous);
	sslerror_restore(s->errors);
	leave();
}

OSSL_LIB_CTX *
libctx_get(void)
{
	return atomic_load(&context);
}

int
libctx_start_drawing(void)
{
	uint64_t copy = forkmark_get();

	if (atomic_load(&seeded) == copy)
		return 0;
	/* The generators of threads are children of this one and reseed themselves after it. */
	if (EVP_RAND_reseed(RAND_get0_primary(libctx_get()), 1, NULL, 0, NULL, 0) != 1)
		return -EIO;
	atomic_store(&seeded, copy);
	return 0;
}

void
libctx_fork_prepare(void)
{
	const struct timespec pause = { 0, LOOK_NS };

	lockprobe_fork_prepare();
	(void)pthread_mutex_lock(&gate);
	is_forker_quiet = atomic_load(&context) != NULL && may_be_quiet();
	/* The child's thread is then one that has called OpenSSL before. */
	if (is_forker_quiet)
		(void)ERR_peek_error();
	atomic_store(&is_forking, true);
	while (atomic_load(&steps) != 0)
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
}

void
libctx_fork_parent(void)
{
	atomic_store(&is_forking, false);
	(void)pthread_mutex_unlock(&gate);
	lockprobe_fork_parent();
}

void
libctx_fork_child(bool is_prepared)
{
	uint64_t copy = forkmark_get();

	/* Without prepare each set of mounts finds out for itself. */
	if (!is_prepared && forked_copy == copy)
		return;
	forked_copy = copy;
	is_lost = is_lost || (!is_prepared && atomic_load(&steps) != 0);
	quiet_copy = is_prepared && is_forker_quiet ? copy : 0;
	lockprobe_fork_child(is_prepared);
	atomic_store(&steps, 0);
	atomic_store(&is_forking, false);
	mutex_fork_child(&gate, is_prepared);
}
