#include "common/client/filelock.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/base/mutex.h"
#include "common/base/wakeup.h"

enum { CAPACITY_LEAST = 8 };

/* A thread that waits in filelock_acquire(). */
struct filelock_waiter {
	TAILQ_ENTRY(filelock_waiter) link;
	struct filelock_holder holder;
	enum protocol_mode mode;
	struct wakeup admitted;
	bool is_admitted;
	bool is_expelled;
	enum filelock_task task;
};

int
filelock_init(struct filelock *l)
{
	*l = (struct filelock){ .capacity = CAPACITY_LEAST };
	l->holders = calloc(l->capacity, sizeof *l->holders);
	if (l->holders == NULL)
		return -ENOMEM;
	(void)pthread_mutex_init(&l->mutex, NULL);
	TAILQ_INIT(&l->queue);
	return 0;
}

void
filelock_fini(struct filelock *l)
{
	(void)pthread_mutex_destroy(&l->mutex);
	free(l->holders);
}

/* Makes room for one more holder, besides all waiters. */
static int
reserve_holder(struct filelock *l)
{
	struct filelock_holder *grown;

	if (l->count + l->waiters < l->capacity)
		return 0;
	grown = reallocarray(l->holders, 2 * l->capacity, sizeof *grown);
	if (grown == NULL)
		return -ENOMEM;
	l->holders = grown;
	l->capacity *= 2;
	return 0;
}

/* The index of owner among the holders; l->count when it is none. */
static size_t
find(const struct filelock *l, filelock_owner owner)
{
	size_t i;

	for (i = 0; i < l->count && l->holders[i].owner != owner; i++)
		continue;
	return i;
}

static bool
is_read(const struct filelock *l)
{
	return l->state == FILELOCK_SHARED || l->state == FILELOCK_DRAINING;
}

static bool
may_hold(const struct filelock *l, enum protocol_mode mode)
{
	return l->state == FILELOCK_FREE ||
	    (l->state == FILELOCK_SHARED && mode == PROTOCOL_SHARED && l->upgrader == NULL);
}

/* A handle has the lock for one thread at a time. */
static bool
may_admit(const struct filelock *l, const struct filelock_waiter *w)
{
	return may_hold(l, w->mode) && find(l, w->holder.owner) == l->count;
}

/* With the mutex, which orders it: an assignment would cost an exchange. */
static void
set_getting(struct filelock *l, bool is_getting)
{
	atomic_store_explicit(&l->is_getting, is_getting, memory_order_relaxed);
}

/* Makes holder one. Returns the task that it then has. */
static enum filelock_task
add_holder(struct filelock *l, enum protocol_mode mode, struct filelock_holder holder)
{
	bool is_first = l->state == FILELOCK_FREE;

	assert(l->count < l->capacity);
	l->holders[l->count++] = holder;
	if (is_first) {
		l->state = mode == PROTOCOL_EXCLUSIVE ? FILELOCK_EXCLUSIVE : FILELOCK_CHANGING;
		set_getting(l, true);
	}
	return is_first ? FILELOCK_GET_GRANT : FILELOCK_NOTHING;
}

static void
dequeue(struct filelock *l, struct filelock_waiter *w)
{
	TAILQ_REMOVE(&l->queue, w, link);
	l->waiters--;
}

/* Makes holders of the waiters at the head of the queue, as long as the state allows it. */
static void
admit_waiters(struct filelock *l)
{
	struct filelock_waiter *w;

	while ((w = TAILQ_FIRST(&l->queue)) != NULL && may_admit(l, w)) {
		dequeue(l, w);
		w->task = add_holder(l, w->mode, w->holder);
		w->is_admitted = true;
		wakeup_wake(&w->admitted);
	}
}

/* Queues and waits until w is a holder, deadline, or a signal. */
static int
wait_in_queue(struct filelock *l, struct filelock_waiter *w, uint64_t deadline, struct eintr *e)
{
	int error = 0;

	TAILQ_INSERT_TAIL(&l->queue, w, link);
	l->waiters++;
	while (!w->is_admitted && !w->is_expelled && error == 0)
		error = wakeup_sleep(&w->admitted, &l->mutex, e, deadline);
	if (!w->is_admitted && !w->is_expelled) {
		dequeue(l, w);
		/* Readers behind a writer that gives up need not wait for it. */
		admit_waiters(l);
	}
	if (w->is_expelled)
		return -ECANCELED;
	return w->is_admitted ? 0 : error;
}

/* Waits until w's owner is the only holder, or does not hold the lock any more. */
static int
wait_to_be_alone(struct filelock *l, struct filelock_waiter *w, uint64_t deadline, struct eintr *e)
{
	int error = 0;

	l->upgrader = w;
	while (l->upgrader == w && l->count > 1 && error == 0)
		error = wakeup_sleep(&w->admitted, &l->mutex, e, deadline);
	if (l->upgrader == w)
		l->upgrader = NULL;
	if (w->is_expelled)
		return -ECANCELED;
	return l->count == 1 ? 0 : error;
}

/*
 * With the mutex: w's owner reads, and is to write. Returns 0 when it has to upgrade its grant, or
 * does not read any more; else an error.
 */
static int
upgrade(struct filelock *l, struct filelock_waiter *w, uint64_t deadline, struct eintr *e)
{
	int error = 0;

	if (!is_read(l) || w->mode == PROTOCOL_SHARED)
		return -EDEADLK;
	if (l->count > 1 && deadline == 0)
		return -EAGAIN;
	if (l->upgrader != NULL)
		return -EDEADLK;
	if (l->count > 1)
		error = wait_to_be_alone(l, w, deadline, e);
	if (error == 0 && is_read(l) && l->count == 1 && l->holders[0].owner == w->holder.owner) {
		l->upgrade_of = l->state;
		l->state = FILELOCK_CHANGING;
		set_getting(l, true);
		l->is_upgrading = true;
		l->read_through = l->holders[0].handle;
		l->holders[0] = w->holder;
		w->task = FILELOCK_UPGRADE_GRANT;
	} else {
		admit_waiters(l);
	}
	return error;
}

/* With the mutex: w's owner does not hold the lock. */
static int
acquire_anew(struct filelock *l, struct filelock_waiter *w, uint64_t deadline, struct eintr *e)
{
	int error = reserve_holder(l);

	if (error != 0)
		return error;
	if (TAILQ_EMPTY(&l->queue) && may_hold(l, w->mode)) {
		w->task = add_holder(l, w->mode, w->holder);
		return 0;
	}
	if (deadline == 0)
		return -EAGAIN;
	return wait_in_queue(l, w, deadline, e);
}

/* With the mutex. */
static int
acquire(struct filelock *l, struct filelock_waiter *w, uint64_t deadline, struct eintr *e)
{
	int error;

	/* While a thread gets the grant for a handle, others queue that lock through the same. */
	while (find(l, w->holder.owner) < l->count && (!l->is_getting || l->is_upgrading)) {
		error = upgrade(l, w, deadline, e);
		if (error != 0 || w->task == FILELOCK_UPGRADE_GRANT)
			return error;
	}
	return acquire_anew(l, w, deadline, e);
}

int
filelock_acquire(struct filelock *l, enum protocol_mode mode, struct filelock_holder self,
    uint64_t deadline, struct eintr *e, enum filelock_task *task)
{
	struct filelock_waiter w = { .holder = self, .mode = mode };
	int error;

	(void)pthread_mutex_lock(&l->mutex);
	error = acquire(l, &w, deadline, e);
	(void)pthread_mutex_unlock(&l->mutex);
	if (error == 0)
		*task = w.task;
	return error;
}

/* With the mutex. */
static bool
may_join(const struct filelock *l, filelock_owner owner)
{
	return l->state == FILELOCK_DRAINING && TAILQ_EMPTY(&l->queue) && l->upgrader == NULL &&
	    find(l, owner) == l->count;
}

bool
filelock_has_upgrader(struct filelock *l)
{
	bool has;

	(void)pthread_mutex_lock(&l->mutex);
	has = l->upgrader != NULL;
	(void)pthread_mutex_unlock(&l->mutex);
	return has;
}

bool
filelock_may_join(struct filelock *l, filelock_owner owner)
{
	bool may;

	(void)pthread_mutex_lock(&l->mutex);
	may = may_join(l, owner);
	(void)pthread_mutex_unlock(&l->mutex);
	return may;
}

bool
filelock_join(struct filelock *l, struct filelock_holder self)
{
	bool has_joined;

	(void)pthread_mutex_lock(&l->mutex);
	has_joined = may_join(l, self.owner) && reserve_holder(l) == 0;
	if (has_joined)
		(void)add_holder(l, PROTOCOL_SHARED, self);
	(void)pthread_mutex_unlock(&l->mutex);
	return has_joined;
}

static void
expel(struct filelock *l, struct filelock_waiter *w)
{
	w->is_expelled = true;
	l->expelled++;
	wakeup_wake(&w->admitted);
}

bool
filelock_expel(struct filelock *l, const void *handle, bool *is_getting)
{
	struct filelock_waiter *w, *next;
	bool is_here;

	(void)pthread_mutex_lock(&l->mutex);
	TAILQ_FOREACH_SAFE(w, &l->queue, link, next) {
		if (w->holder.handle == handle) {
			dequeue(l, w);
			expel(l, w);
		}
	}
	if (l->upgrader != NULL && l->upgrader->holder.handle == handle) {
		expel(l, l->upgrader);
		l->upgrader = NULL;
	}
	admit_waiters(l);
	*is_getting = l->is_getting &&
	    (l->holders[0].handle == handle || (l->is_upgrading && l->read_through == handle));
	is_here = l->expelled > 0 || *is_getting;
	(void)pthread_mutex_unlock(&l->mutex);
	return is_here;
}

void
filelock_leave(struct filelock *l)
{
	(void)pthread_mutex_lock(&l->mutex);
	l->expelled--;
	(void)pthread_mutex_unlock(&l->mutex);
}

void
filelock_admit_readers(struct filelock *l)
{
	(void)pthread_mutex_lock(&l->mutex);
	set_getting(l, false);
	l->is_changing = false;
	if (l->state == FILELOCK_CHANGING) {
		l->state = FILELOCK_SHARED;
		admit_waiters(l);
	}
	(void)pthread_mutex_unlock(&l->mutex);
}

/* Holder i is not one any more: perhaps the one that waits to be alone is, or it is the same. */
static void
tell_upgrader(struct filelock *l, size_t i)
{
	struct filelock_waiter *w = l->upgrader;

	if (w == NULL)
		return;
	if (l->holders[i].owner == w->holder.owner)
		l->upgrader = NULL;
	wakeup_wake(&w->admitted);
}

/* Returns true when holder i was the last. The lock then stays taken until filelock_hand_over(). */
static bool
remove_holder(struct filelock *l, size_t i)
{
	tell_upgrader(l, i);
	if (l->count > 1) {
		l->holders[i] = l->holders[--l->count];
		l->state = FILELOCK_DRAINING;
		return false;
	}
	l->count = 0;
	if (l->state != FILELOCK_EXCLUSIVE)
		l->state = FILELOCK_CHANGING;
	return true;
}

void
filelock_upgraded(struct filelock *l, filelock_owner owner)
{
	(void)pthread_mutex_lock(&l->mutex);
	l->state = FILELOCK_EXCLUSIVE;
	l->is_upgrading = l->is_changing = false;
	filelock_got(l, owner);
	(void)pthread_mutex_unlock(&l->mutex);
}

void
filelock_not_upgraded(struct filelock *l)
{
	(void)pthread_mutex_lock(&l->mutex);
	l->state = l->upgrade_of;
	l->holders[0].handle = l->read_through;
	set_getting(l, false);
	l->is_upgrading = false;
	admit_waiters(l);
	(void)pthread_mutex_unlock(&l->mutex);
}

/* With the mutex: the error of a thread that finds owner neither reading nor writing. */
static int
not_held(const struct filelock *l, filelock_owner owner)
{
	return l->is_changing && find(l, owner) < l->count ? -EBUSY : -ENOLCK;
}

/*
 * True when owner was the writer, and is not any more. filelock_release_handle(), or another thread
 * that has the same handle, may release meanwhile: the exchange decides which of them does.
 */
static bool
leave_as_writer(struct filelock *l, filelock_owner owner)
{
	return atomic_load_explicit(&l->owner, memory_order_acquire) == owner &&
	    atomic_compare_exchange_strong(&l->owner, &owner, 0);
}

int
filelock_change(struct filelock *l, filelock_owner owner)
{
	int error = 0;

	(void)pthread_mutex_lock(&l->mutex);
	if (leave_as_writer(l, owner)) {
		l->state = FILELOCK_CHANGING;
		set_getting(l, true);
		l->is_changing = true;
	} else {
		error = not_held(l, owner);
	}
	(void)pthread_mutex_unlock(&l->mutex);
	return error;
}

int
filelock_check_holder(struct filelock *l, filelock_owner owner)
{
	int error = 0;

	if (atomic_load_explicit(&l->owner, memory_order_acquire) == owner)
		return 0;
	(void)pthread_mutex_lock(&l->mutex);
	if (atomic_load(&l->owner) != owner && (!is_read(l) || find(l, owner) == l->count))
		error = not_held(l, owner);
	(void)pthread_mutex_unlock(&l->mutex);
	return error;
}

enum protocol_mode
filelock_mode(struct filelock *l)
{
	enum protocol_mode mode = PROTOCOL_FREE;

	(void)pthread_mutex_lock(&l->mutex);
	if (is_read(l) || l->is_upgrading)
		mode = PROTOCOL_SHARED;
	else if (atomic_load(&l->owner) != 0)
		mode = PROTOCOL_EXCLUSIVE;
	(void)pthread_mutex_unlock(&l->mutex);
	return mode;
}

int
filelock_release(struct filelock *l, filelock_owner owner)
{
	int result;
	size_t i;

	if (leave_as_writer(l, owner))
		return 1;
	(void)pthread_mutex_lock(&l->mutex);
	i = find(l, owner);
	if (i < l->count && is_read(l))
		result = remove_holder(l, i);
	else if (leave_as_writer(l, owner))
		result = 1;
	else
		result = not_held(l, owner);
	(void)pthread_mutex_unlock(&l->mutex);
	return result;
}

bool
filelock_release_handle(struct filelock *l, const void *handle)
{
	bool is_last = false;
	filelock_owner owner;
	size_t i = 0;

	(void)pthread_mutex_lock(&l->mutex);
	while (i < l->count && !is_last) {
		if (l->holders[i].handle != handle) {
			i++;
			continue;
		}
		owner = l->holders[i].owner;
		/* The owner may be releasing by itself, without the mutex. */
		if (l->state == FILELOCK_EXCLUSIVE &&
		    !atomic_compare_exchange_strong(&l->owner, &owner, 0))
			break;
		is_last = remove_holder(l, i);
	}
	(void)pthread_mutex_unlock(&l->mutex);
	return is_last;
}

void
filelock_hand_over(struct filelock *l)
{
	(void)pthread_mutex_lock(&l->mutex);
	l->count = 0;
	l->state = FILELOCK_FREE;
	set_getting(l, false);
	l->is_changing = false;
	atomic_store_explicit(&l->owner, 0, memory_order_relaxed);
	admit_waiters(l);
	(void)pthread_mutex_unlock(&l->mutex);
}

void
filelock_fork_child(struct filelock *l, bool is_locked)
{
	l->state = FILELOCK_FREE;
	l->owner = 0;
	set_getting(l, false);
	l->is_changing = l->is_upgrading = false;
	l->upgrader = NULL;
	l->count = l->waiters = l->expelled = 0;
	TAILQ_INIT(&l->queue);
	mutex_fork_child(&l->mutex, is_locked);
}
