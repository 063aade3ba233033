#include "common/client/file_core.h"

#include <errno.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/testpoint.h"
#include "common/client/backend.h"
#include "common/client/mount.h"
#include "common/client/smclient.h"

enum { JOIN_MS = 50 }; /* between two looks of a reader that may not join */

static int
fail_as_closed(const struct file *f)
{
	return error_message(-EBADF, "%s: another thread has closed the handle", f->name);
}

static filelock_owner
owner_of(const struct filehandle *h)
{
	return h->is_owner ? (filelock_owner)h : filelock_thread();
}

/*
 * Takes the local lock. When nothing but other processes that wait keeps a reader from joining
 * others, asks now and then whether they still do.
 */
static int
take_locally(struct file *f, const struct filehandle *h, enum protocol_mode mode, uint64_t deadline,
    struct eintr *e, enum filelock_task *task)
{
	const struct backend_ops *ops = f->backend->ops;
	const struct filelock_holder self = { .owner = owner_of(h), .handle = h };
	uint64_t soon;
	int error;

	do {
		*task = FILELOCK_NOTHING;
		soon = deadline;
		if (mode == PROTOCOL_SHARED && filelock_may_join(&f->lock, self.owner)) {
			if (!ops->is_contended(f->backend, deadline) &&
			    !atomic_load(&h->is_closing) && filelock_join(&f->lock, self))
				return 0;
			if (atomic_load(&h->is_closing))
				return fail_as_closed(f);
			soon = clock_after_ms(clock_now(), JOIN_MS);
			if (soon > deadline)
				soon = deadline;
		}
		error = filelock_acquire(&f->lock, mode, self, soon, e, task);
	} while (error == -ETIMEDOUT && soon < deadline);
	return error;
}

/* Asks the backend for the grant. An interrupt meant for another thread changes nothing. */
static int
ask_for_grant(struct file *f, const struct filehandle *h, enum protocol_mode mode,
    uint64_t deadline, struct eintr *e)
{
	struct backend_file *b = f->backend;
	unsigned over;
	int error;

	do {
		/* First: an interrupt that is over by now has set the flag before. */
		over = atomic_load_explicit(&b->interrupts_over, memory_order_acquire);
		atomic_store_explicit(&b->is_interrupted, false, memory_order_relaxed);
		error = b->ops->acquire(b, mode, deadline, e);
	} while (error == -ECANCELED && atomic_load(&b->interrupts_begun) != over &&
	    !atomic_load(&h->is_closing));
	return error;
}

/* The same, and gives the grant back when h is being closed. */
static int
get_grant(struct file *f, const struct filehandle *h, enum protocol_mode mode, uint64_t deadline,
    struct eintr *e)
{
	int error = ask_for_grant(f, h, mode, deadline, e);

	if (error == 0 && atomic_load(&h->is_closing)) {
		(void)f->backend->ops->release(f->backend, false, mount_deadline(f->mount));
		error = -ECANCELED;
	}
	return error;
}

/* The first holder: gets the grant, or leaves. */
static int
begin_section(struct file *f, const struct filehandle *h, enum protocol_mode mode,
    uint64_t deadline, struct eintr *e)
{
	int error = replica_begin(&f->replica);

	if (error == 0)
		error = get_grant(f, h, mode, deadline, e);
	if (error == -ECANCELED && atomic_load(&h->is_closing))
		error = fail_as_closed(f);
	/* The last step: when h is being closed, h and f may be gone after it. */
	if (error != 0)
		filelock_hand_over(&f->lock);
	else if (mode == PROTOCOL_SHARED)
		filelock_admit_readers(&f->lock);
	else
		filelock_got(&f->lock, owner_of(h));
	return error;
}

/*
 * The only holder, which reads, becomes the writer; else it reads on. When h is being closed, that
 * releases the lock.
 */
static int
upgrade_section(struct file *f, const struct filehandle *h, uint64_t deadline, struct eintr *e)
{
	int error = ask_for_grant(f, h, PROTOCOL_UPGRADE, deadline, e);
	bool is_granted = error == 0;

	if ((is_granted || error == -ECANCELED) && atomic_load(&h->is_closing))
		error = fail_as_closed(f);
	/* The last step, as above. */
	if (is_granted)
		filelock_upgraded(&f->lock, owner_of(h));
	else
		filelock_not_upgraded(&f->lock);
	return error;
}

/* The local lock could not be taken in that mode. */
static int
fail_locally(struct file *f, enum protocol_mode mode, int error)
{
	if (error == -EDEADLK && mode == PROTOCOL_EXCLUSIVE && filelock_has_upgrader(&f->lock))
		return error_message(error, "%s: another reader waits to write", f->name);
	if (error == -EDEADLK)
		return error_message(error, "%s: this thread or handle has the lock already",
		    f->name);
	if (error == -EAGAIN || error == -ETIMEDOUT)
		return error_message(error, "%s: another thread has the lock", f->name);
	if (error == -EINTR)
		return error_message(error, "%s: a signal ended the wait", f->name);
	if (error == -ECANCELED) {
		error = fail_as_closed(f);
		filelock_leave(&f->lock);
	}
	return error;
}

int
file_lock(struct file *f, struct filehandle *h, enum protocol_mode mode, uint64_t deadline,
    struct eintr *e)
{
	bool reads = mode == PROTOCOL_SHARED;
	enum filelock_task task;
	int error;

	/* file_close() waits for readers, which may be asking the server and not be queued. */
	if (reads)
		atomic_fetch_add(&h->readers, 1);
	error = take_locally(f, h, mode, deadline, e, &task);
	if (error != 0)
		error = fail_locally(f, mode, error);
	if (reads)
		atomic_fetch_sub(&h->readers, 1);
	if (error != 0 || task == FILELOCK_NOTHING)
		return error;
	return task == FILELOCK_GET_GRANT ? begin_section(f, h, mode, deadline, e) :
					    upgrade_section(f, h, deadline, e);
}

static int
fail_as_free(const struct file *f)
{
	return error_message(-ENOLCK, "%s: this thread or handle does not have the lock", f->name);
}

/*
 * Another thread may be mapping the file, or downgrade the lock, through the same handle: until
 * that has ended these calls wait.
 */
static int
wait_for_holder(struct file *f, filelock_owner owner,
    int (*call)(struct filelock *, filelock_owner))
{
	const struct timespec pause = { .tv_nsec = CLOCK_MS };
	int result;

	while ((result = call(&f->lock, owner)) == -EBUSY)
		(void)nanosleep(&pause, NULL);
	return result;
}

int
file_unlock(struct file *f, const struct filehandle *h)
{
	int last = wait_for_holder(f, owner_of(h), filelock_release), error;

	if (last < 0)
		return fail_as_free(f);
	if (last == 0)
		return 0;
	error = f->backend->ops->release(f->backend, true, mount_deadline(f->mount));
	filelock_hand_over(&f->lock);
	return error;
}

int
file_share(struct file *f, const struct filehandle *h)
{
	filelock_owner owner = owner_of(h);
	int error;

	if (!h->is_owner || filelock_change(&f->lock, owner) != 0)
		return -EBUSY;
	error = f->backend->ops->downgrade(f->backend, mount_deadline(f->mount));
	if (error == -ENOTSUP) {
		filelock_upgraded(&f->lock, owner);
		return -EBUSY;
	}
	if (error != 0)
		filelock_hand_over(&f->lock);
	return error;
}

int
file_hold_again(struct file *f, const struct filehandle *h)
{
	int error = replica_begin(&f->replica);

	if (error == 0)
		error = ask_for_grant(f, h, PROTOCOL_UPGRADE, CLOCK_NEVER, NULL);
	if (error == 0) {
		filelock_upgraded(&f->lock, owner_of(h));
		return 0;
	}
	if (error == -ECANCELED && atomic_load(&h->is_closing))
		error = fail_as_closed(f);
	(void)f->backend->ops->release(f->backend, false, mount_deadline(f->mount));
	filelock_hand_over(&f->lock);
	return error;
}

int
file_downgrade(struct file *f, const struct filehandle *h)
{
	filelock_owner owner = owner_of(h);
	int error;

	if (wait_for_holder(f, owner, filelock_change) != 0)
		return fail_as_free(f);
	error = f->backend->ops->downgrade(f->backend, mount_deadline(f->mount));
	if (error == 0)
		filelock_admit_readers(&f->lock);
	else if (error == -ENOTSUP)
		filelock_upgraded(&f->lock, owner);
	else
		filelock_hand_over(&f->lock);
	return error;
}

int
file_grant(struct file *f, const struct filehandle *h, uint64_t *life, uint64_t *grant)
{
	if (wait_for_holder(f, owner_of(h), filelock_check_holder) != 0)
		return fail_as_free(f);
	return f->backend->ops->grant(f->backend, life, grant, mount_deadline(f->mount));
}

/* The backend may not know the holder's process: when it is this one, we do. */
int
file_holder(struct file *f, struct sm_holder *out)
{
	struct sm_holder holder;
	int error = f->backend->ops->holder(f->backend, &holder, mount_deadline(f->mount));
	enum protocol_mode mode = filelock_mode(&f->lock);

	if (error != 0)
		return error;
	if (holder.mode != PROTOCOL_FREE && holder.pid == -1 && mode != PROTOCOL_FREE)
		holder = (struct sm_holder){ .mode = mode, .pid = getpid() };
	*out = holder;
	return 0;
}

/* Perhaps another thread acquires by now: it finds that this has begun, and tries again. */
static void
interrupt(struct backend_file *b)
{
	atomic_fetch_add(&b->interrupts_begun, 1);
	atomic_store(&b->is_interrupted, true);
	testpoint_reach("close: interrupts");
	if (b->ops->interrupt != NULL)
		b->ops->interrupt(b);
	atomic_fetch_add(&b->interrupts_over, 1);
}

void
file_end_waits(struct file *f, struct filehandle *h)
{
	const struct timespec pause = { .tv_nsec = CLOCK_MS };
	bool is_getting;

	atomic_store(&h->is_closing, true);
	while (filelock_expel(&f->lock, h, &is_getting) || atomic_load(&h->readers) > 0) {
		if (is_getting)
			interrupt(f->backend);
		(void)nanosleep(&pause, NULL);
	}
}
