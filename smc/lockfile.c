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
_Static_assert(offsetof(struct lockfile_head, format) == 72, "smc/FORMAT 2");
_Static_assert(offsetof(struct lockfile_head, fences) == 168, "smc/FORMAT 2");
_Static_assert(offsetof(struct lockfile_head, slots) == 256, "smc/FORMAT 2");
_Static_assert(sizeof(struct lockfile_head) == LOCKFILE_MAPPED, "smc/FORMAT 2");

int
lockfile_fail(const struct lockfile *l, int error, const char *what)
{
	return error_message(error, "%s/%s: %s", l->directory, l->name, what);
}

int
lockfile_fail_of_another(const struct lockfile *l, int error, const char *what)
{
	if (l->presence.has_locks)
		return lockfile_fail(l, error, what);
	return error_message(error,
	    "%s/%s: %s; with locks=none nobody notices if it died: when no process has the file open any more, remove %s/%s and %s/%s.segment",
	    l->directory, l->name, what, l->directory, l->name, l->directory, l->name);
}

int
lockfile_fail_absent(const struct lockfile *l)
{
	return lockfile_fail(l, -ENOENT, "no process has it open");
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
lockfile_init_presence(struct presence *p, const struct hostfile *file, bool has_locks)
{
	struct lockfile_head *h = (struct lockfile_head *)file->untrusted_base;

	presence_init(p, h->slots, offsetof(struct lockfile_head, slots), &file->descriptor,
	    has_locks);
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
		return lockfile_fail_of_another(l, error,
		    "another process has been opening or closing it for 10 s");
	if (error != 0)
		return lockfile_fail(l, error, error == -EBADF ? OWNFD_LOST : error_string(error));
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
	return 0;
}

void
lockfile_hide_from_children(struct lockfile *l)
{
	(void)madvise(l->untrusted_head, l->file.mapped, MADV_DONTFORK);
}

unsigned
lockfile_count_users(const struct lockfile *l)
{
	/* Which processes live only our descriptor tells. */
	return l->presence.has_locks && presence_is_intact(&l->presence) ?
	    presence_count(&l->presence) :
	    atomic_load(&l->untrusted_head->refcnt);
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

/* C2, C3: we are no user any more. True when we were the last one. */
static bool
stop_using(struct lockfile *l)
{
	uint32_t users;

	presence_release(&l->presence);
	users = atomic_fetch_sub(&l->untrusted_head->refcnt, 1) - 1;
	testpoint_reach("lockfile: presence released");
	return l->presence.has_locks ? !presence_has_others(&l->presence) : users == 0;
}

/* C1 to C6: stops using the file and, as its last user, removes the files. */
static void
leave(struct lockfile *l)
{
	struct lockfile_head *h = l->untrusted_head;
	int directory = -1;

	/*
	 * After 10 s: C7. With kernel locks our slot ends here, also where a child that a fork made
	 * meanwhile has the descriptor, and the next opener finds no process. Without them we stay
	 * counted.
	 */
	if (lockfile_lock_recovery_of(&l->presence) != 0) {
		presence_release(&l->presence);
		return;
	}
	testpoint_reach("lockfile: closing");
	/* Not before the wait: meanwhile the program might close it. */
	(void)hostio_open_directory(&directory, l->directory);
	if (stop_using(l) && directory >= 0 && hostfile_is_at(&l->file, directory, l->name)) {
		atomic_store(&h->dead, 1);
		testpoint_reach("lockfile: marked as dead");
		lockfile_remove_files(l, directory);
	}
	if (directory >= 0)
		(void)close(directory);
	presence_unlock_recovery(&l->presence);
}

void
lockfile_close(struct lockfile *l)
{
	if (l->untrusted_head != NULL && !l->is_inherited)
		leave(l);
	lockfile_close_file(l);
	free(l->directory);
	free(l->name);
	*l = (struct lockfile){ .file = HOSTFILE_CLOSED, .child_file = HOSTFILE_CLOSED };
}
