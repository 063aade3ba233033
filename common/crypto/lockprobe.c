/*
 * No other calls take the locks of RAND_get_rand_method(3) and ENGINE_get_first(3), and none of the
 * program's context.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "common/crypto/lockprobe.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/engine.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/mutex.h"

enum { LOOK_NS = 50 * 1000, LOOK_MOST_NS = 10 * 1000 * 1000 };

enum state { FREE, UNKNOWN, TRYING };

static atomic_int state = FREE;
/* Guards leaving UNKNOWN; a fork has it. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/* Of TRYING. */
static atomic_bool has_begun;   /* the thread that tries */
static _Atomic uint64_t looked; /* when a thread looked last */
static _Atomic uint64_t waited; /* nanoseconds; after LOCKPROBE_MS the locks are stuck */

/* Takes each lock once. */
static void *
try_all(void *unused)
{
	atomic_store(&has_begun, true);
	/* That of threads, at the first call of this one. */
	ERR_clear_error();
	(void)OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG | OPENSSL_INIT_LOAD_CRYPTO_STRINGS,
	    NULL);
	(void)SSL_get_ex_data_X509_STORE_CTX_idx();
	(void)RAND_get_rand_method();
	/* That of engines, which a new SSL_CTX takes: nearly always there is no engine. */
	ENGINE_free(ENGINE_get_first());
	(void)ERR_reason_error_string(ERR_PACK(ERR_LIB_SSL, 0, SSL_R_CERTIFICATE_VERIFY_FAILED));
	(void)OBJ_sn2nid("a name that no object has");
	OPENSSL_secure_free(OPENSSL_secure_malloc(1));
	/* Again that of threads, which the end of this one would take after FREE. */
	OPENSSL_thread_stop();
	atomic_store(&state, FREE);
	return unused;
}

#ifdef __SANITIZE_THREAD__
/* ThreadSanitizer allows no thread in a child whose parent has threads. */
static int
start(void)
{
	(void)try_all(NULL);
	return 0;
}
#else
/* Starts the thread, which gets none of the program's signals. */
static int
start(void)
{
	sigset_t all, previous;
	pthread_t thread;
	int error;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &previous);
	atomic_store(&has_begun, false);
	atomic_store(&looked, clock_now());
	atomic_store(&waited, 0);
	atomic_store(&state, TRYING);
	error = pthread_create(&thread, NULL, try_all, NULL);
	(void)pthread_sigmask(SIG_SETMASK, &previous, NULL);
	if (error == 0)
		(void)pthread_detach(thread);
	else
		atomic_store(&state, UNKNOWN);
	return -error;
}
#endif

bool
lockprobe_is_needed(void)
{
	return atomic_load_explicit(&state, memory_order_relaxed) != FREE;
}

/*
 * Counts the time since the last look. While the machine stands still, or runs others, the thread
 * that tries does not get on either: no look counts for more than LOOK_MOST_NS.
 */
static void
count_look(void)
{
	uint64_t now = clock_now(), last = atomic_exchange(&looked, now);

	/* A busy machine may let it begin a second later. */
	if (atomic_load(&has_begun) && last < now)
		atomic_fetch_add(&waited, now - last < LOOK_MOST_NS ? now - last : LOOK_MOST_NS);
}

/* Waits for the thread that tries. */
static void
settle(void)
{
	const struct timespec pause = { 0, LOOK_NS };

	while (atomic_load(&state) == TRYING &&
	    atomic_load(&waited) < clock_after_ms(0, LOCKPROBE_MS)) {
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
		count_look();
	}
}

int
lockprobe_check(void)
{
	int error = 0;

	(void)pthread_mutex_lock(&mutex);
	if (atomic_load(&state) == UNKNOWN)
		error = start();
	(void)pthread_mutex_unlock(&mutex);
	if (error != 0)
		return error_message(-EAGAIN, "no thread to try the locks of OpenSSL: %s",
		    error_string(error));
	settle();
	return atomic_load(&state) == FREE ?
	    0 :
	    error_message(-ENOTRECOVERABLE,
		"another thread was in OpenSSL at the fork that made this process");
}

void
lockprobe_fork_prepare(void)
{
	(void)pthread_mutex_lock(&mutex);
	settle();
}

void
lockprobe_fork_parent(void)
{
	(void)pthread_mutex_unlock(&mutex);
}

void
lockprobe_fork_child(bool is_prepared)
{
	mutex_fork_child(&mutex, is_prepared);
	atomic_store(&state, UNKNOWN);
}
