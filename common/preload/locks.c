#include "common/preload/locks.h"

#include <errno.h>
#include <stdint.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/preload/client.h"
#include "common/preload/description.h"
#include "common/preload/memfile.h"
#include "common/preload/owner.h"
#include "common/preload/state.h"

bool
locks_is_command(int command)
{
	return command == F_SETLK || command == F_SETLKW || command == F_GETLK ||
	    command == F_OFD_SETLK || command == F_OFD_SETLKW || command == F_OFD_GETLK;
}

static bool
is_ofd(int command)
{
	return command == F_OFD_SETLK || command == F_OFD_SETLKW || command == F_OFD_GETLK;
}

/* Finds the offset that l_whence counts from. */
static int
find_base(struct description *d, int whence, int64_t *base)
{
	uint64_t size = 0;
	int error = 0;

	if (whence == SEEK_END)
		error = memfile_size(d->file, &size);
	else if (whence == SEEK_CUR)
		size = (uint64_t)d->offset;
	else if (whence != SEEK_SET)
		error = -EINVAL;
	*base = (int64_t)size;
	return error;
}

/* The bytes that lock means: a negative length is those before, 0 is all up to the end. */
static int
find_bytes(struct description *d, const struct flock *lock, struct range *range)
{
	int64_t base;
	int error = find_base(d, lock->l_whence, &base);

	if (error != 0)
		return error;
	if (__builtin_add_overflow(base, lock->l_start, &range->begin))
		return -EOVERFLOW;
	range->end = INT64_MAX;
	if (lock->l_len != 0 && __builtin_add_overflow(range->begin, lock->l_len, &range->end))
		return -EOVERFLOW;
	if (lock->l_len < 0) {
		range->end = range->begin;
		range->begin += lock->l_len;
	}
	return range->begin < 0 ? -EINVAL : 0;
}

/* Finds the mode for l_type. POSIX wants the descriptor open for reading, or writing, too. */
static int
find_mode(const struct description *d, int type, int *mode)
{
	int access = d->flags & O_ACCMODE;

	if (type == F_UNLCK)
		*mode = 0;
	else if (type == F_RDLCK)
		*mode = SM_READ;
	else if (type == F_WRLCK)
		*mode = SM_WRITE;
	else
		return -EINVAL;
	return (*mode == SM_READ && access == O_WRONLY) ||
		(*mode == SM_WRITE && access == O_RDONLY) ?
	    -EBADF :
	    0;
}

static int
find_owner(struct description *d, bool is_description, struct owner **out)
{
	if (is_description)
		return description_owner(d, out);
	*out = owner_of_process(d->file);
	return 0;
}

/* Another thread or a handler may have closed the descriptor meanwhile: POSIX drops the lock. */
static int
keep_if_open(struct description *d, struct owner *o)
{
	bool is_open;

	description_settle();
	state_lock();
	is_open = d->numbers > 0;
	state_unlock();
	if (is_open)
		return 0;
	(void)owner_drop(o);
	return -EBADF;
}

static int
set(struct description *d, struct owner *o, const struct owner_request *request)
{
	int error = owner_lock(o, request);

	return error == 0 && request->range.mode != 0 ? keep_if_open(d, o) : error;
}

static int
set_range(struct description *d, int command, const struct flock *lock)
{
	bool waits = command == F_SETLKW || command == F_OFD_SETLKW;
	struct owner_request request = { .how = waits ? SM_INTERRUPTIBLE : SM_TRY };
	struct owner *o;
	int error = find_mode(d, lock->l_type, &request.range.mode);

	if (error == 0)
		error = find_bytes(d, lock, &request.range);
	if (error == 0)
		error = find_owner(d, is_ofd(command), &o);
	return error != 0 ? error : set(d, o, &request);
}

/* True when a lock that is held so is in the way of one of that mode; mode 0 asks for any lock. */
static bool
is_in_the_way(uint32_t held, int mode)
{
	return held == SM_WRITE || (held == SM_READ && mode != SM_READ);
}

/*
 * Finds the other owner in this process that is in the way; holder->mode is 0 when none is. Returns
 * the mode that this process has the lock in.
 */
static int
find_here(const struct memfile *f, const struct owner *asks, int mode, struct sm_holder *holder)
{
	const struct owner *o;
	int here = 0;

	*holder = (struct sm_holder){ .mode = 0 };
	state_lock();
	for (o = f->owners; o != NULL; o = o->next) {
		if (o->held != 0)
			here = o->held;
		if (o != asks && is_in_the_way((uint32_t)o->held, mode))
			*holder = (struct sm_holder){ .mode = (uint32_t)o->held,
				.pid = o->is_process ? getpid() : -1 };
	}
	state_unlock();
	return here;
}

/* Finds how another owner in this process, or another process, is in the way of a lock. */
static int
find_holder(struct memfile *f, struct owner *asks, int mode, struct sm_holder *holder)
{
	int here = find_here(f, asks, mode, holder), error;

	/* Beside a writer nobody has the lock, and beside readers no writer. */
	if (holder->mode != 0 || here == SM_WRITE || (here == SM_READ && mode == SM_READ))
		return 0;
	error = client_holder(f->handle, holder);
	if (error == -ESTALE && owner_reopen(asks) == 0)
		error = client_holder(f->handle, holder);
	/* The asking owner itself, which reads. */
	if (error == 0 && here == SM_READ && holder->pid == getpid())
		holder->mode = 0;
	return error;
}

static int
get_range(struct description *d, int command, struct flock *lock)
{
	struct sm_holder holder = { .mode = 0 };
	struct range range;
	struct owner *o;
	int mode, error;

	if (lock->l_type == F_UNLCK && !is_ofd(command))
		return -EINVAL;
	error = find_mode(d, lock->l_type, &mode);
	/* Asking needs no access. */
	if (error == -EBADF)
		error = 0;
	if (error == 0)
		error = find_bytes(d, lock, &range);
	if (error == 0)
		error = find_owner(d, is_ofd(command), &o);
	if (error == 0)
		error = memfile_fail(d->file, d->file->path, "holder",
		    find_holder(d->file, o, mode, &holder));
	if (error != 0)
		return error;
	if (!is_in_the_way(holder.mode, mode)) {
		lock->l_type = F_UNLCK;
		return 0;
	}
	*lock = (struct flock){ .l_type = holder.mode == SM_WRITE ? F_WRLCK : F_RDLCK,
		.l_whence = SEEK_SET,
		.l_pid = is_ofd(command) ? -1 : (pid_t)holder.pid };
	return 0;
}

int
locks_fcntl(struct description *d, int command, struct flock *lock)
{
	if (lock == NULL)
		return -EFAULT;
	if (is_ofd(command) && lock->l_pid != 0)
		return -EINVAL;
	if (command == F_GETLK || command == F_OFD_GETLK)
		return get_range(d, command, lock);
	return set_range(d, command, lock);
}

int
locks_flock(struct description *d, int operation)
{
	bool tries = (operation & LOCK_NB) != 0;
	struct owner_request request = { .is_flock = true,
		.how = tries ? SM_TRY : SM_INTERRUPTIBLE };
	struct owner *o;
	int error;

	switch (operation & ~LOCK_NB) {
	case LOCK_UN:
		break;
	case LOCK_SH:
		request.range.mode = SM_READ;
		break;
	case LOCK_EX:
		request.range.mode = SM_WRITE;
		break;
	default:
		return -EINVAL;
	}
	error = find_owner(d, true, &o);
	return error != 0 ? error : set(d, o, &request);
}

int
locks_lockf(struct description *d, int command, off_t length)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_CUR, .l_len = length };
	int error;

	switch (command) {
	case F_LOCK:
		return set_range(d, F_SETLKW, &lock);
	case F_TLOCK:
		return set_range(d, F_SETLK, &lock);
	case F_ULOCK:
		lock.l_type = F_UNLCK;
		return set_range(d, F_SETLK, &lock);
	case F_TEST:
		error = get_range(d, F_GETLK, &lock);
		if (error != 0 || lock.l_type == F_UNLCK)
			return error;
		return -EACCES;
	default:
		return -EINVAL;
	}
}
