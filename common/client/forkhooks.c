#include "common/client/forkhooks.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "common/base/clock.h"
#include "common/base/forkmark.h"
#include "common/base/mutex.h"
#include "common/crypto/libctx.h"

TAILQ_HEAD(forkhook_list, forkhook);

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct forkhook_list hooks = TAILQ_HEAD_INITIALIZER(hooks);
static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_uint count;
static int install_error; /* of pthread_atfork(3): 0 or a negative errno */

static void
run_prepare(void)
{
	uint64_t until = clock_after_ms(clock_now(), FORKHOOKS_READY_MS);
	struct forkhook *h;
	size_t left = 0;

	(void)pthread_mutex_lock(&mutex);
	TAILQ_FOREACH(h, &hooks, link)
		left++;
	TAILQ_FOREACH(h, &hooks, link)
		h->ready(h, clock_share(clock_now(), until, left--));
	TAILQ_FOREACH(h, &hooks, link)
		h->prepare(h);
	libctx_fork_prepare();
}

static void
run_parent(void)
{
	struct forkhook *h;

	(void)atomic_fetch_add(&count, 1);
	libctx_fork_parent();
	TAILQ_FOREACH_REVERSE(h, &hooks, forkhook_list, link)
		h->parent(h);
	(void)pthread_mutex_unlock(&mutex);
}

static void
run_child(void)
{
	struct forkhook *h;

	libctx_fork_child(true);
	TAILQ_FOREACH(h, &hooks, link) {
		h->child(h, true);
		h->copy = forkmark_get();
	}
	(void)pthread_mutex_unlock(&mutex);
}

static void
install(void)
{
	install_error = -pthread_atfork(run_prepare, run_parent, run_child);
}

int
forkhooks_add(struct forkhook *h)
{
	(void)pthread_once(&once, install);
	if (install_error != 0)
		return install_error;
	h->copy = forkmark_get();
	(void)pthread_mutex_lock(&mutex);
	TAILQ_INSERT_TAIL(&hooks, h, link);
	(void)pthread_mutex_unlock(&mutex);
	return 0;
}

void
forkhooks_remove(struct forkhook *h)
{
	(void)pthread_mutex_lock(&mutex);
	TAILQ_REMOVE(&hooks, h, link);
	(void)pthread_mutex_unlock(&mutex);
}

unsigned
forkhooks_count(void)
{
	return atomic_load(&count);
}

void
forkhooks_check(struct forkhook *h)
{
	uint64_t self = forkmark_get();

	if (h->copy == self)
		return;
	/* A thread of the parent may have had the mutex of the list. */
	mutex_fork_child(&mutex, false);
	libctx_fork_child(false);
	h->child(h, false);
	h->copy = self;
}
