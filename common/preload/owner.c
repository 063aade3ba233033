#include "common/preload/owner.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/preload/client.h"
#include "common/preload/memfile.h"
#include "common/preload/process.h"
#include "common/preload/state.h"

/* Makes an owner that locks through handle. */
static int
add(struct owner **out, struct memfile *f, struct sm_file *handle, bool is_process)
{
	struct owner *o = calloc(1, sizeof *o);

	if (o == NULL)
		return -ENOMEM;
	*o = (struct owner){ .file = f, .handle = handle, .is_process = is_process };
	state_lock();
	o->next = f->owners;
	f->owners = o;
	state_unlock();
	*out = o;
	return 0;
}

int
owner_create(struct owner **out, struct memfile *f)
{
	struct sm_file *handle;
	int error = client_open(&handle, f->path, SM_OPEN_CREATE);

	if (error != 0)
		return memfile_fail(f, f->path, "open", error);
	error = add(out, f, handle, false);
	if (error != 0)
		(void)client_close(handle);
	return error;
}

int
owner_destroy(struct owner *o)
{
	struct owner **link;
	int error;

	if (o == NULL)
		return 0;
	state_lock();
	link = &o->file->owners;
	while (*link != o)
		link = &(*link)->next;
	*link = o->next;
	state_unlock();
	error = o->is_process ? 0 : client_close(o->handle);
	ranges_clear(&o->ranges);
	free(o);
	return error;
}

struct owner *
owner_of_process(const struct memfile *f)
{
	return f->process;
}

int
owner_open_file(struct memfile **out, const char *path, int flags)
{
	struct memfile *f;
	int error = memfile_open(&f, path, flags);

	if (error == 0 && f->process == NULL) {
		error = add(&f->process, f, f->handle, true);
		if (error != 0)
			(void)memfile_put(f);
	}
	if (error != 0)
		return error;
	/* A forked child may have opened it anew. */
	f->process->handle = f->handle;
	*out = f;
	return 0;
}

int
owner_put_file(struct memfile *f)
{
	if (f->users == 1)
		(void)owner_destroy(f->process);
	return memfile_put(f);
}

/* The mode of the file's lock that an owner of these needs. */
static int
mode_of(const struct ranges *ranges, int whole)
{
	int mode = ranges_mode(ranges);

	return mode == SM_WRITE || whole == 0 ? mode : whole;
}

/* True when waiting for the lock would wait for this very thread, as the other kind of owner. */
static bool
would_wait_for_itself(const struct owner *o)
{
	const struct owner *other;

	for (other = o->file->owners; other != NULL; other = other->next)
		if (other->is_process != o->is_process && other->held != 0 &&
		    other->thread == &process_depth)
			return true;
	return false;
}

/* With the mutex: what the sleepers wait for may be so now. */
static void
wake_sleepers(struct owner *o)
{
	atomic_fetch_add(&o->turn, 1);
	if (o->sleepers > 0)
		(void)syscall(SYS_futex, &o->turn, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/*
 * For the thread that acts for o. Another thread may have the mutex of the files and wait in
 * owner_drop() until nobody acts for o: it is told, and waits no longer.
 */
static void
lock_files_for(struct owner *o)
{
	state_lock();
	o->wants_files = true;
	wake_sleepers(o);
	state_unlock();
	state_lock_files();
	state_lock();
	o->wants_files = false;
	state_unlock();
}

/*
 * The lock was acquired while the segment was not mapped, perhaps because there was none when the
 * file was opened. The first lock of the process looks, before the program knows that it has it: if
 * there is a segment now, lets the lock go, maps, and acquires again.
 */
static int
map_before_use(struct owner *o, int how)
{
	struct memfile *f = o->file;
	uint64_t size = 0;
	int error = memfile_size(f, &size);

	f->is_settled = true;
	if (error != 0 || size == 0)
		return 0;
	error = client_release(o->handle);
	if (error != 0)
		return error;
	lock_files_for(o);
	error = memfile_map(f, NULL, 0);
	state_unlock_files();
	/* Another owner of this process may have the lock by now: the next lock maps. */
	if (error == -EBUSY)
		f->is_settled = false;
	return error != 0 && error != -EBUSY ? error : client_acquire(o->handle, how);
}

static int
fail(struct owner *o, const char *what, int error)
{
	return memfile_fail(o->file, o->file->path, what, error);
}

/* With the mutex of the files. */
static int
open_anew(struct owner *o)
{
	struct memfile *f = o->file;
	struct sm_file *handle;
	int error = 0;

	if (f->is_inherited)
		error = memfile_reopen(f);
	if (error == 0 && !o->is_process) {
		error = client_open(&handle, f->path, SM_OPEN_CREATE);
		if (error == 0)
			o->handle = handle;
	}
	f->process->handle = f->handle;
	return error;
}

/* As owner_reopen(); acts: the calling thread acts for o. */
static int
reopen(struct owner *o, bool acts)
{
	int error;

	if (!o->is_inherited)
		return -ESTALE;
	if (acts)
		lock_files_for(o);
	else
		state_lock_files();
	error = open_anew(o);
	state_unlock_files();
	return error;
}

int
owner_reopen(struct owner *o)
{
	return reopen(o, false);
}

static int
acquire(struct owner *o, int mode, int how)
{
	int error;

	if (o->is_inherited)
		client_attach(o->handle);
	error = client_acquire(o->handle, mode | how);
	if ((error == -ESTALE || error == -EBADF) && reopen(o, true) == 0)
		error = client_acquire(o->handle, mode | how);
	if (error == 0)
		o->is_inherited = o->file->is_inherited = false;
	if (error == 0 && o->held == 0 && o->file->base == NULL && !o->file->is_settled)
		error = map_before_use(o, mode | how);
	return fail(o, "lock", error);
}

/* Brings the file's lock from o->held to mode. Returns an error; *now is the mode after it. */
static int
move(struct owner *o, int mode, int how, int *now)
{
	int error;

	*now = mode;
	if (mode == 0)
		return fail(o, "unlock", client_release(o->handle));
	if (o->held == SM_WRITE) {
		error = client_downgrade(o->handle);
		/* An older server cannot: the lock stays exclusive until it is unlocked. */
		if (error != 0)
			*now = error == -ENOTSUP ? SM_WRITE : 0;
		return error == -ENOTSUP ? 0 : fail(o, "downgrade", error);
	}
	error = acquire(o, mode, how);
	if (error != 0)
		*now = o->held;
	return error;
}

/* With the mutex, which it gives up in between: holds the lock in that mode. */
static int
reach(struct owner *o, int mode, int how)
{
	int error, now;

	if (mode == o->held)
		return 0;
	if (mode > 0 && o->held == 0 && (how & SM_TRY) == 0 && would_wait_for_itself(o))
		return -EDEADLK;
	o->is_changing = true;
	o->is_waiting = mode != 0 && (how & SM_TRY) == 0;
	if (o->file->writer == o->handle && mode == 0)
		o->file->writer = NULL;
	state_unlock();
	error = move(o, mode, how, &now);
	state_lock();
	o->held = now;
	o->thread = &process_depth;
	if (now == SM_WRITE)
		o->file->writer = o->handle;
	else if (o->file->writer == o->handle)
		o->file->writer = NULL;
	o->is_changing = o->is_waiting = false;
	wake_sleepers(o);
	return error;
}

/*
 * With the mutex, which it gives up in between: sleeps until the thread that acts for o has ended,
 * or wants the mutex of the files, or for no reason. Returns true when a signal interrupted it.
 */
static bool
sleep_for_turn(struct owner *o)
{
	unsigned turn = atomic_load(&o->turn);
	bool is_interrupted;
	long result;

	o->sleepers++;
	state_unlock();
	result = syscall(SYS_futex, &o->turn, FUTEX_WAIT_PRIVATE, turn, NULL, NULL, 0);
	is_interrupted = result == -1 && errno == EINTR;
	state_lock();
	o->sleepers--;
	return is_interrupted;
}

/* With the mutex: waits until no other thread acts for o. */
static int
wait_for_turn(struct owner *o, int how)
{
	while (o->is_changing) {
		if ((how & SM_TRY) != 0 && o->is_waiting)
			return -EAGAIN;
		if (sleep_for_turn(o) && (how & SM_INTERRUPTIBLE) != 0)
			return -EINTR;
	}
	return 0;
}

/* With the mutex: makes the ranges and the mode that the owner has locked after the request. */
static int
locked_after(const struct owner *o, const struct owner_request *r, struct ranges *ranges,
    int *whole)
{
	static const struct range nothing = { .mode = 0 };

	*whole = r->is_flock ? r->range.mode : o->whole;
	return ranges_with(ranges, &o->ranges, r->is_flock ? &nothing : &r->range);
}

/* flock() may lose the lock when it changes its mode: two that do it do not wait for each other. */
static int
reach_for(struct owner *o, const struct owner_request *r, int mode)
{
	int error = reach(o, mode, r->how);

	if (error != -EDEADLK || !r->is_flock || o->held != SM_READ)
		return error;
	o->whole = 0;
	error = reach(o, 0, 0);
	return error != 0 ? error : reach(o, mode, r->how);
}

/* With the mutex, while no other thread acts for o. */
static int
change(struct owner *o, const struct owner_request *r)
{
	struct ranges after;
	int whole, error = locked_after(o, r, &after, &whole);

	if (error != 0)
		return error;
	o->is_dropped = false;
	error = reach_for(o, r, mode_of(&after, whole));
	/* What is being unlocked is unlocked, whatever the result. */
	if (error == 0 || r->range.mode == 0) {
		if (o->is_dropped && r->range.mode != 0) {
			ranges_clear(&after);
			(void)locked_after(o, r, &after, &whole);
		}
		ranges_clear(&o->ranges);
		o->ranges = after;
		o->whole = whole;
	} else {
		ranges_clear(&after);
	}
	/* Ranges that another thread has dropped meanwhile, or a lock that was lost. */
	(void)reach(o, mode_of(&o->ranges, o->whole), SM_TRY);
	return error;
}

int
owner_lock(struct owner *o, const struct owner_request *r)
{
	int error;

	state_lock();
	error = wait_for_turn(o, r->how);
	if (error == 0)
		error = change(o, r);
	state_unlock();
	return error;
}

int
owner_drop(struct owner *o)
{
	int error = 0;

	state_lock();
	/* Looked at anew after each wake: the next thread's turn may be one that takes long. */
	while (o->is_changing && !o->is_waiting && !o->wants_files)
		(void)sleep_for_turn(o);
	ranges_clear(&o->ranges);
	o->is_dropped = true;
	if (!o->is_changing) {
		o->whole = 0;
		error = reach(o, 0, 0);
	}
	state_unlock();
	return error;
}

void
owner_forget(struct owner *o)
{
	ranges_clear(&o->ranges);
	o->held = o->whole = 0;
	o->is_changing = o->is_waiting = o->wants_files = false;
	o->sleepers = 0;
	o->is_inherited = true;
	o->file->is_inherited = true;
	o->file->writer = NULL;
}

bool
owner_holds(struct owner *o)
{
	bool holds;

	state_lock();
	holds = o->held != 0;
	state_unlock();
	return holds;
}
