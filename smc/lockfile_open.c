#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/testpoint.h"
#include "common/client/smclient.h"
#include "common/crypto/random.h"
#include "common/host/hostio.h"
#include "common/host/hostprobe.h"
#include "smc/lockfile_core.h"
#include "smc/lockfile_kind.h"
#include "smc/lockfile_locks.h"
#include "smc/stalename.h"

/* Tries to open or create a name that is there and not there, or that has no mode yet. */
enum { NAME_TRIES = 1000 };

static int
fail_to_open(const struct lockfile *l, int error)
{
	if (error == -ELOOP)
		return lockfile_fail(l, error, "it is a symbolic link");
	if (error == -EACCES)
		return lockfile_fail(l, error,
		    "no permission (all processes need one group and a directory of mode 2770)");
	return lockfile_fail(l, error, error_string(error));
}

/* One try. Returns -EEXIST when the file is not there, and there. */
static int
try_open_or_create(struct lockfile *l, int directory)
{
	uint32_t format;
	int error = hostfile_open(&l->file, directory, l->name, 0);

	if (error == -ENOENT && (l->flags & SM_OPEN_CREATE) == 0)
		return lockfile_fail_absent(l);
	if (error == -ENOENT) {
		error = lockfile_locks_choose(l, 0, &format);
		if (error != 0)
			return error;
		/* Its length comes under the recovery lock. Where it cannot, there is no file. */
		error = hostio_check_limit(LOCKFILE_SIZE);
		if (error == 0)
			error = hostfile_create_empty(&l->file, directory, l->name);
	}
	return error == 0 || error == -EEXIST ? error : fail_to_open(l, error);
}

/*
 * True when the next try may succeed: a library OS forgets a name; or the process that has just
 * created the file, which has no bytes yet, gives it the mode that the umask has kept from it.
 */
static bool
is_passing(const struct lockfile *l, int directory, int error)
{
	struct stat st;

	return error == -EEXIST ||
	    (error == -EACCES && fstatat(directory, l->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		S_ISREG(st.st_mode) && st.st_size == 0);
}

/* O1: opens the file by name, or creates it. Nothing is known of it yet. */
static int
open_or_create(struct lockfile *l, int directory)
{
	int error = try_open_or_create(l, directory), tries;

	for (tries = 0; tries < NAME_TRIES && is_passing(l, directory, error); tries++) {
		if (error == -EEXIST && !l->has_kernel_locks)
			stalename_forget_lockfile(directory, l->name);
		error = try_open_or_create(l, directory);
		if (is_passing(l, directory, error))
			lockfile_pause();
	}
	if (error == -EEXIST)
		return lockfile_fail(l, -ESTALE,
		    "it cannot be opened, since there is no such file, nor created, since there is one (a library OS may remember the name of a file that is gone)");
	return error;
}

/* O2: takes the recovery lock, unless this process can, or may, do without kernel locks only. */
static int
lock_by_kernel(struct lockfile *l)
{
	int error;

	presence_init(&l->presence, NULL, offsetof(struct lockfile_head, slots),
	    &l->file.descriptor, l->has_kernel_locks && l->wish != MOUNT_LOCKS_NONE);
	error = l->presence.has_locks ? lockfile_lock_recovery(l) : 0;
	if (!hostprobe_is_missing(HOSTPROBE_OFD_LOCK, error))
		return error;
	l->has_kernel_locks = l->presence.has_locks = false;
	return 0;
}

/* Maps it, and locks the recovery lock that its format asks for. */
static int
map_and_lock(struct lockfile *l)
{
	int error = lockfile_map(l);

	if (error != 0)
		return lockfile_fail(l, error, "cannot be mapped");
	l->presence.untrusted_slots = l->untrusted_head->slots;
	return lockfile_locks_settle(l);
}

/*
 * O3, O4: true when the file was closed for the last time or has lost its name. The process that
 * marked it as dead may have died before it removed it: removes it then.
 */
static bool
remove_if_dead(struct lockfile *l, int directory)
{
	bool has_name = hostfile_is_at(&l->file, directory, l->name);

	if (atomic_load(&l->untrusted_head->dead) == 0 && has_name)
		return false;
	if (l->presence.has_locks && has_name)
		lockfile_remove_files(l, directory);
	return true;
}

/*
 * O6: all processes that had it are dead, or none had it yet. The tickets go on: another process
 * may still hold the lock.
 */
static int
start_afresh(struct lockfile *l, int directory)
{
	struct lockfile_head *h = l->untrusted_head;
	uint8_t salt[KEYS_SALT_SIZE];
	int error = random_bytes(salt, sizeof salt);

	if (error != 0)
		return error;
	atomic_store(&h->magic, 0);
	testpoint_reach("lockfile: magic taken away");
	/* A segment file that was not announced is not ours. */
	if (atomic_load(&h->block_count) != 0)
		lockfile_remove_segment(l, directory);
	atomic_store(&h->segment_size, 0);
	atomic_store(&h->key_kind, LOCKFILE_KEY_NONE);
	atomic_store(&h->block_count, 0);
	atomic_store(&h->refcnt, 0);
	atomic_store(&h->grants, 0);
	atomic_store(&h->fences, 0);
	atomic_store(&h->committed, 0);
	presence_clear(&l->presence);
	atomic_store(&h->words.turn, atomic_load(&h->words.ticket_number));
	h->type = 0;
	memset(h->iv, 0, sizeof h->iv);
	memset(h->check, 0, sizeof h->check);
	memcpy(h->salt, salt, sizeof h->salt);
	testpoint_reach("lockfile: initialized");
	atomic_store(&h->magic, LOCKFILE_MAGIC);
	testpoint_reach("lockfile: magic stored");
	return 0;
}

/* A write to the mapping has to reach the other processes. */
static int
check_shared(const struct lockfile *l, int directory)
{
	int error = hostprobe_check_shared(directory, l->name, LOCKFILE_PROBE_AT);

	if (error == -ENOTSUP)
		return lockfile_fail(l, error,
		    "mappings here are private copies: mount the directory as untrusted_shm in the library OS");
	return error == 0 ? 0 : lockfile_fail(l, error, error_string(error));
}

/* O7 */
static int
claim_slot(struct lockfile *l)
{
	int error = presence_claim(&l->presence);

	if (error == -EUSERS)
		return lockfile_fail(l, error, "too many processes have it open");
	if (error != 0)
		return lockfile_fail(l, error, error_string(error));
	lockfile_hide_from_children(l);
	testpoint_reach("lockfile: presence claimed");
	return 0;
}

/* O5: without kernel locks no process is known to be dead: a file with a magic is in use. */
static bool
is_in_use(struct lockfile *l)
{
	return atomic_load(&l->untrusted_head->magic) == LOCKFILE_MAGIC &&
	    (!l->presence.has_locks || presence_has_others(&l->presence));
}

/* O5 to O7: joins the processes that have it, or starts it afresh. */
static int
join(struct lockfile *l, int directory)
{
	struct lockfile_head *h = l->untrusted_head;
	bool has_locks = l->presence.has_locks, is_used = is_in_use(l);
	int error = 0;

	if (is_used && (l->flags & SM_OPEN_EXCLUSIVE) != 0)
		return lockfile_fail(l, -EEXIST, "another process has it open");
	if (!is_used && (l->flags & SM_OPEN_CREATE) == 0)
		return lockfile_fail_absent(l);
	if (!is_used)
		error = start_afresh(l, directory);
	if (error == 0 && has_locks)
		error = claim_slot(l);
	if (error != 0)
		return error;
	(void)atomic_fetch_add(&h->refcnt, 1);
	testpoint_reach("lockfile: counted");
	memcpy(l->salt, h->salt, sizeof l->salt);
	ticketlock_init(&l->lock, &h->words, &l->presence);
	return 0;
}

/* To be called after a wait, in which the program may have closed the directory. */
static int
check_directory(const struct lockfile *l, const struct ownfd *directory)
{
	return ownfd_is_intact(directory) ? 0 : lockfile_fail(l, -EBADF, OWNFD_LOST);
}

/* One try. *is_gone: the file was dead, and another try has to be made. */
static int
open_once(struct lockfile *l, const struct ownfd *directory, bool *is_gone)
{
	int error = check_directory(l, directory);

	*is_gone = false;
	if (error == 0)
		error = open_or_create(l, directory->fd);
	if (error != 0)
		return error;
	error = lock_by_kernel(l);
	if (error == 0)
		error = check_directory(l, directory);
	if (error == 0)
		error = lockfile_kind_check(l);
	if (error == 0)
		error = map_and_lock(l);
	if (error == 0)
		*is_gone = remove_if_dead(l, directory->fd);
	if (error == 0 && !*is_gone)
		error = check_shared(l, directory->fd);
	if (error == 0 && !*is_gone)
		error = join(l, directory->fd);
	lockfile_unlock_recovery(l); /* O8 */
	if (error != 0 || *is_gone)
		lockfile_close_file(l);
	return error;
}

/* Tries until the file is not dead. */
static int
open_by_name(struct lockfile *l, const struct ownfd *directory)
{
	uint64_t deadline = clock_after_ms(clock_now(), LOCKFILE_PATIENCE_MS);
	bool is_gone;
	int error;

	while ((error = open_once(l, directory, &is_gone)) == 0 && is_gone) {
		if (clock_now() >= deadline)
			return lockfile_fail_of_another(l, -ETIMEDOUT,
			    "it was closed for the last time 10 s ago, and is still there");
		lockfile_pause();
	}
	return error;
}

int
lockfile_open(struct lockfile *l, const char *directory, const char *name, enum mount_locks wish,
    int flags)
{
	struct ownfd opened;
	int fd, error = -ENOMEM;

	*l = (struct lockfile){ .directory = strdup(directory),
		.name = strdup(name),
		.wish = wish,
		.flags = flags,
		.file = HOSTFILE_CLOSED,
		.child_file = HOSTFILE_CLOSED };
	if (l->directory != NULL && l->name != NULL)
		error = lockfile_open_directory(l, &fd);
	if (error == 0) {
		opened = ownfd_of(fd);
		l->has_kernel_locks = presence_has_kernel_locks(fd);
		error = open_by_name(l, &opened);
		ownfd_close(&opened);
	}
	if (error != 0)
		lockfile_close(l);
	return error;
}
