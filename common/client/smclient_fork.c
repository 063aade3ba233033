#include "common/client/smclient_core.h"

#include "common/base/clock.h"
#include "common/base/container.h"
#include "common/base/mutex.h"
#include "common/client/backend.h"
#include "common/client/stats.h"

static struct sm *
sm_of_hook(struct forkhook *h)
{
	return container_of(h, struct sm, fork);
}

/*
 * While a mount waits for its server the critical sections of all mounts go on. A mount whose mutex
 * another thread has, which waits for a silent server, is left out: the child gets nothing from its
 * server. None of the mounts can use up the time of those after it.
 */
static void
fork_ready(struct forkhook *h, uint64_t until)
{
	struct sm *sm = sm_of_hook(h);
	struct mount *m;
	size_t left = 0;
	uint64_t share;

	(void)pthread_mutex_lock(&sm->mutex);
	TAILQ_FOREACH(m, &sm->mounts, link)
		left++;
	TAILQ_FOREACH(m, &sm->mounts, link) {
		share = clock_share(clock_now(), until, left--);
		m->is_ready = mutex_lock_until(&m->mutex, share);
		if (!m->is_ready || m->ops->fork_ready == NULL || m->ops->fork_ready(m, share))
			continue;
		m->is_ready = false;
		(void)pthread_mutex_unlock(&m->mutex);
	}
}

/* Also for a mount that was left out: a thread with one of these locks waits for nothing. */
static void
prepare_mount(struct mount *m)
{
	struct file *f;

	(void)pthread_mutex_lock(&m->lists);
	m->ops->fork_prepare(m);
	TAILQ_FOREACH(f, &m->files, link)
		file_fork_prepare(f);
}

static void
fork_prepare(struct forkhook *h)
{
	struct sm *sm = sm_of_hook(h);
	struct mount *m;

	TAILQ_FOREACH(m, &sm->mounts, link)
		prepare_mount(m);
}

static void
resume_mount(struct mount *m)
{
	struct file *f;

	TAILQ_FOREACH(f, &m->files, link)
		file_fork_parent(f);
	m->ops->fork_parent(m);
	(void)pthread_mutex_unlock(&m->lists);
	if (m->is_ready)
		(void)pthread_mutex_unlock(&m->mutex);
}

static void
fork_parent(struct forkhook *h)
{
	struct sm *sm = sm_of_hook(h);
	struct mount *m;

	TAILQ_FOREACH(m, &sm->mounts, link)
		resume_mount(m);
	(void)pthread_mutex_unlock(&sm->mutex);
}

static void
fork_child(struct forkhook *h, bool is_prepared)
{
	struct sm *sm = sm_of_hook(h);
	struct sm_file *file;
	struct mount *m;
	struct file *f;

	TAILQ_FOREACH(m, &sm->mounts, link) {
		m->ops->fork_child(m, is_prepared);
		TAILQ_FOREACH(f, &m->files, link)
			file_fork_child(f, is_prepared);
		mutex_fork_child(&m->lists, is_prepared);
		mutex_fork_child(&m->mutex, is_prepared && m->is_ready);
	}
	stats_fork_child();
	/* The calls of the parent's other threads are not in this process. */
	TAILQ_FOREACH(file, &sm->handles, link)
		file->handle = (struct filehandle){ .is_owner = file->handle.is_owner };
	mutex_fork_child(&sm->mutex, is_prepared);
}

int
smclient_add_forkhook(struct sm *sm)
{
	sm->fork.ready = fork_ready;
	sm->fork.prepare = fork_prepare;
	sm->fork.parent = fork_parent;
	sm->fork.child = fork_child;
	return forkhooks_add(&sm->fork);
}
