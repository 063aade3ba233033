#include "common/preload/state.h"

#include <pthread.h>
#include <stddef.h>

#include "common/preload/client.h"
#include "common/preload/process.h"

static pthread_mutex_t files = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t tables = PTHREAD_MUTEX_INITIALIZER;
static void (*run_in_child)(void);
static unsigned occupied; /* numbers of standard descriptors, by us: between prepare and the rest */

void
state_lock(void)
{
	(void)pthread_mutex_lock(&tables);
}

void
state_unlock(void)
{
	(void)pthread_mutex_unlock(&tables);
}

void
state_lock_files(void)
{
	(void)pthread_mutex_lock(&files);
}

void
state_unlock_files(void)
{
	(void)pthread_mutex_unlock(&files);
}

/* The handlers of the client library, which open and close descriptors, run within these. */
static void
prepare(void)
{
	process_enter();
	state_lock_files();
	state_lock();
	occupied = client_occupy();
}

static void
parent(void)
{
	client_leave(occupied);
	state_unlock();
	state_unlock_files();
	process_leave();
}

static void
child(void)
{
	process_claim();
	run_in_child();
	parent();
}

int
state_install(void (*in_child)(void))
{
	if (run_in_child != NULL)
		return 0;
	run_in_child = in_child;
	return -pthread_atfork(prepare, parent, child);
}
