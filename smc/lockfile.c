#include "smc/lockfile_core.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/testpoint.h"
#include "common/host/filename.h"
#include "common/host/hostio.h"

enum { PAUSE_NS = 200 * 1000 };

_Static_assert(offsetof(struct lockfile_head, refcnt) == 8, "as in the original");
_Static_assert(offsetof(struct lockfile_head, type) == 12, "as in the original");
_Static_assert(offsetof(struct lockfile_head, iv) == 13, "as in the original");
_Static_assert(offsetof(struct lockfile_head, magic) == 64, "smc/FORMAT 2");
_Static_assert(offsetof(struct lockfile_head, slots) == 256, "smc/FORMAT 2");
_Static_assert(sizeof(struct lockfile_head) == LOCKFILE_MAPPED, "smc/FORMAT 2");

int
lockfile_fail(const struct lockfile *l, int error, const char *what)
{
	return error_message(error, "%s/%s: %s", l->directory, l->name, what);
}

int
lockfile_open_directory(const struct lockfile *l, int *fd)
{
	int error = hostio_open_directory(fd, l->directory);

	if (error == 0)
		return 0;
	return error_message(error, "%s (the directory of the mount): %s", l->directory,
	    error_string(error));
}

void
lockfile_pause(void)
{
	(void)nanosleep(&(struct timespec){ .tv_nsec = PAUSE_NS }, NULL);
}

void
lockfile_init_presence(struct presence *p, const struct hostfile *file)
{
	struct lockfile_head *h = (struct lockfile_head *)file->untrusted_base;

	presence_init(p, h->slots, offsetof(struct lockfile_head, slots), &file->descriptor);
	p->untrusted_recovery_lock = &h->recovery_lock;
}

int
lockfile_lock_recovery_of(struct presence *p)
{
	return presence_lock_recovery(p, clock_after_ms(clock_now(), LOCKFILE_PATIENCE_MS));
}

int
lockfile_lock_recovery(struct lockfile *l)
{
	int error = lockfile_lock_recovery_of(&l->presence);

	if (error == -ETIMEDOUT)
		return lockfile_fail(l, error,
		    "another process has been opening or closing it for 10 s");
	if (error != 0)
		return lockfile_fail(l, error,
		    "cannot be locked (the program may have closed the library's descriptor)");
	testpoint_reach("lockfile: recovery locked");
	return 0;
}

void
lockfile_unlock_recovery(struct lockfile *l)
{
	presence_unlock_recovery(&l->presence);
}

int
lockfile_map(struct lockfile *l)
{
	int error = hostfile_map(&l->file, LOCKFILE_MAPPED);

	if (error != 0)
		return error;
	l->untrusted_head = (struct lockfile_head *)l->file.untrusted_base;
	/* A forked child has a description of its own: this one must end with this process. */
	(void)madvise(l->untrusted_head, l->file.mapped, MADV_DONTFORK);
	return 0;
}

void
lockfile_remove_segment(const struct lockfile *l, int directory)
{
	char name[FILENAME_SEGMENT_SIZE];

	filename_segment(name, l->name);
	(void)unlinkat(directory, name, 0);
	testpoint_reach("lockfile: segment removed");
}

/* The segment file goes first: without a lock file it would be a foreign file. */
void
lockfile_remove_files(const struct lockfile *l, int directory)
{
	if (atomic_load(&l->untrusted_head->block_count) != 0)
		lockfile_remove_segment(l, directory);
	(void)unlinkat(directory, l->name, 0);
	testpoint_reach("lockfile: removed");
}

void
lockfile_close_file(struct lockfile *l)
{
	hostfile_close(&l->file);
	l->untrusted_head = NULL;
}

/* C1 to C6: releases our slot and, as the last process, removes the files. */
static void
release_slot(struct lockfile *l, int directory)
{
	struct lockfile_head *h = l->untrusted_head;

	/*
	 * Without the recovery lock our slot ends with our mapping; the next opener finds no
	 * process.
	 */
	if (lockfile_lock_recovery_of(&l->presence) != 0)
		return;
	testpoint_reach("lockfile: closing");
	presence_release(&l->presence);
	(void)atomic_fetch_sub(&h->refcnt, 1);
	testpoint_reach("lockfile: presence released");
	if (!presence_has_others(&l->presence) && directory >= 0 &&
	    hostfile_is_at(&l->file, directory, l->name)) {
		atomic_store(&h->dead, 1);
		testpoint_reach("lockfile: marked as dead");
		lockfile_remove_files(l, directory);
	}
	presence_unlock_recovery(&l->presence);
}

void
lockfile_close(struct lockfile *l)
{
	int directory = -1;

	if (l->untrusted_head != NULL && !l->is_inherited) {
		(void)hostio_open_directory(&directory, l->directory);
		release_slot(l, directory);
		if (directory >= 0)
			(void)close(directory);
	}
	lockfile_close_file(l);
	free(l->directory);
	free(l->name);
	*l = (struct lockfile){ .file = HOSTFILE_CLOSED, .child_file = HOSTFILE_CLOSED };
}
