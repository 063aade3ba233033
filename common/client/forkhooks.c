#include "common/client/forkhooks.h"

#include <errno.h>
#include <pthread.h>

#include "common/base/forkmark.h"

TAILQ_HEAD(forkhook_list, forkhook);

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct forkhook_list hooks = TAILQ_HEAD_INITIALIZER(hooks);
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int installed; /* 0 or a negative errno */

static void
prepare(void)
{
	struct forkhook *h;

	(void)pthread_mutex_lock(&mutex);
	TAILQ_FOREACH(h, &hooks, link)
		h->prepare(h);
}

static void
parent(void)
{
	struct forkhook *h;

	TAILQ_FOREACH_REVERSE(h, &hooks, forkhook_list, link)
		h->parent(h);
	(void)pthread_mutex_unlock(&mutex);
}

static void
child(void)
{
	struct forkhook *h;

	TAILQ_FOREACH(h, &hooks, link) {
		h->child(h, true);
		h->owner = forkmark_get();
	}
	(void)pthread_mutex_unlock(&mutex);
}

static void
install(void)
{
	installed = -pthread_atfork(prepare, parent, child);
}

int
forkhooks_add(struct forkhook *h)
{
	(void)pthread_once(&once, install);
	if (installed != 0)
		return installed;
	h->owner = forkmark_get();
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

void
forkhooks_check(struct forkhook *h)
{
	uint64_t self = forkmark_get();

	if (h->owner == self)
		return;
	/* The list's own lock may be held by a thread of the parent, for good. */
	(void)pthread_mutex_init(&mutex, NULL);
	h->child(h, false);
	h->owner = self;
}
