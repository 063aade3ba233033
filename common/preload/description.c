#include "common/preload/description.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/preload/client.h"
#include "common/preload/memfile.h"
#include "common/preload/next.h"
#include "common/preload/owner.h"
#include "common/preload/placeholder.h"
#include "common/preload/process.h"
#include "common/preload/report.h"
#include "common/preload/state.h"

atomic_uint description_limit;
_Atomic(description_slot *) description_chunks[DESCRIPTION_CHUNKS];

static atomic_bool is_ended;
static atomic_bool has_changed; /* description_note_change() */

/* The slot of fd; NULL: it has none. */
static description_slot *
find_slot(int fd)
{
	description_slot *chunk;

	if (fd < 0 || fd >= description_end())
		return NULL;
	chunk = atomic_load(&description_chunks[fd / DESCRIPTION_CHUNK]);
	return chunk != NULL ? &chunk[fd % DESCRIPTION_CHUNK] : NULL;
}

/* With the mutex of the tables. Chunks stay until the process ends. */
static description_slot *
make_slot(int fd)
{
	_Atomic(description_slot *) *chunk = &description_chunks[fd / DESCRIPTION_CHUNK];
	description_slot *slots;

	if (fd >= DESCRIPTION_CHUNK * DESCRIPTION_CHUNKS)
		return NULL;
	if (atomic_load(chunk) == NULL) {
		slots = calloc(DESCRIPTION_CHUNK, sizeof *slots);
		if (slots == NULL)
			return NULL;
		atomic_store(chunk, slots);
	}
	if (fd >= description_end())
		atomic_store(&description_limit, (unsigned)fd + 1);
	return &atomic_load(chunk)[fd % DESCRIPTION_CHUNK];
}

/* Without the mutexes: d has no uses left. Its locks are gone. */
static int
destroy(struct description *d)
{
	int error, closed;

	state_lock_files();
	error = owner_destroy(d->own);
	closed = owner_put_file(d->file);
	state_unlock_files();
	free(d);
	return error != 0 ? error : closed;
}

/* Ends a use. Returns the error of the last one. */
static int
end_use(struct description *d)
{
	bool is_last;

	state_lock();
	is_last = --d->uses == 0;
	state_unlock();
	return is_last ? destroy(d) : 0;
}

/* The kernel's descriptor is not ours any more: as if the program had closed it. */
static void
forget(int fd)
{
	process_enter();
	(void)description_close(fd);
	description_leave();
}

void
description_note_change(void)
{
	if (process_is_inside())
		atomic_store(&has_changed, true);
}

void
description_refuse(const struct description *d, const char *call)
{
	static atomic_flag is_told = ATOMIC_FLAG_INIT;

	if (!atomic_flag_test_and_set(&is_told))
		report(d->file->path, "%s: a memory file is used by mmap() and locks only", call);
}

/* Closes the numbers that were closed behind our back. */
static void
close_changed(void)
{
	int fd;

	for (fd = 0; fd < description_end(); fd++)
		if (description_has(fd) && !placeholder_is(fd))
			(void)description_close(fd);
}

void
description_settle(void)
{
	while (atomic_load_explicit(&has_changed, memory_order_relaxed) && process_is_home() &&
	    atomic_exchange(&has_changed, false))
		close_changed();
}

void
description_leave(void)
{
	description_settle();
	process_leave();
}

static struct description *
get(int fd, bool is_ours)
{
	struct description *d = NULL;
	description_slot *slot = find_slot(fd);

	if (!is_ours || slot == NULL || atomic_load(&is_ended))
		return NULL;
	if (!placeholder_is(fd)) {
		forget(fd);
		return NULL;
	}
	process_enter();
	state_lock();
	d = atomic_load(slot);
	if (d != NULL)
		d->uses++;
	state_unlock();
	if (d == NULL)
		description_leave();
	return d;
}

struct description *
description_get(int fd)
{
	return get(fd, !process_is_inside() && process_is_home());
}

struct description *
description_get_fast(int fd)
{
	return get(fd, !process_is_inside() && process_is_original());
}

void
description_put(struct description *d)
{
	int saved = errno;

	(void)end_use(d);
	description_leave();
	errno = saved;
}

/* Puts d into the slot of fd, as one more number. */
static int
insert(struct description *d, int fd)
{
	description_slot *slot;

	state_lock();
	slot = make_slot(fd);
	if (slot != NULL) {
		d->numbers++;
		d->uses++;
		atomic_store(slot, d);
	}
	state_unlock();
	return slot != NULL ? 0 : -EMFILE;
}

int
description_add(struct description *d, int fd)
{
	if (description_has(fd))
		(void)description_close(fd);
	return insert(d, fd);
}

/* In a forked child. Threads that were using a description are not here: they leave it to leak. */
static void
forget_owners(void)
{
	struct memfile *f;
	struct owner *o;

	for (f = memfile_first(); f != NULL; f = f->next)
		for (o = f->owners; o != NULL; o = o->next)
			owner_forget(o);
}

int
description_prepare(void)
{
	int error = client_load();

	return error != 0 ? error : state_install(forget_owners);
}

/* With the mutex of the files: a description without numbers. */
static int
create(struct description **out, const char *path, int flags)
{
	struct description *d = calloc(1, sizeof *d);
	int error = -ENOMEM;

	if (d != NULL)
		error = description_prepare();
	if (error == 0)
		error = owner_open_file(&d->file, path, flags);
	if (error != 0) {
		free(d);
		return error;
	}
	d->flags = flags & ~(O_CREAT | O_EXCL | O_TRUNC | O_NOCTTY | O_CLOEXEC);
	d->uses = 1;
	*out = d;
	return 0;
}

/* A segment has one size for as long as it lives. */
static int
truncate_at_open(const struct description *d, int flags)
{
	bool is_truncating = (flags & O_TRUNC) != 0 && (flags & O_ACCMODE) != O_RDONLY;

	return is_truncating && d->file->base != NULL ? -EINVAL : 0;
}

int
description_open(const char *path, int flags)
{
	/* First of all: the lowest free number is the program's. */
	int fd = placeholder_open((flags & O_CLOEXEC) != 0), error;
	struct description *d = NULL;

	if (fd < 0)
		return fd;
	state_lock_files();
	error = create(&d, path, flags);
	state_unlock_files();
	if (error == 0)
		error = truncate_at_open(d, flags);
	if (error == 0)
		error = description_add(d, fd);
	if (d != NULL)
		(void)end_use(d);
	if (error != 0)
		(void)NEXT(close)(fd);
	return error != 0 ? error : fd;
}

int
description_close(int fd)
{
	description_slot *slot = find_slot(fd);
	struct description *d = NULL;
	int error, dropped = 0;
	bool is_last = false;

	state_lock();
	if (slot != NULL)
		d = atomic_exchange(slot, NULL);
	if (d != NULL)
		is_last = --d->numbers == 0;
	state_unlock();
	if (d == NULL)
		return 0;
	error = owner_drop(owner_of_process(d->file));
	if (is_last && d->own != NULL)
		dropped = owner_drop(d->own);
	if (error == 0)
		error = dropped;
	dropped = end_use(d);
	return error != 0 ? error : dropped;
}

void
description_drop_all(void)
{
	struct memfile *f;
	struct owner *o;

	state_lock_files();
	for (f = memfile_first(); f != NULL; f = f->next)
		for (o = f->owners; o != NULL; o = o->next)
			(void)owner_drop(o);
	state_unlock_files();
}

void
description_end_all(void)
{
	atomic_store(&is_ended, true);
	description_drop_all();
}

int
description_owner(struct description *d, struct owner **out)
{
	int error = 0;

	state_lock_files();
	*out = d->own;
	if (*out == NULL)
		error = owner_create(out, d->file);
	if (error == 0)
		d->own = *out;
	state_unlock_files();
	return error;
}
