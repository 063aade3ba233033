#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/testpoint.h"
#include "common/crypto/random.h"
#include "common/host/hostprobe.h"
#include "smc/lockfile_core.h"
#include "smc/lockfile_kind.h"

/* O1: opens the file by name, or creates it. Nothing is known of it yet. */
static int
open_or_create(struct lockfile *l, int directory)
{
	int error;

	do {
		error = hostfile_open(&l->file, directory, l->name, 0);
		l->is_created = error == -ENOENT;
		if (l->is_created)
			error = hostfile_create(&l->file, directory, l->name, LOCKFILE_SIZE);
	} while (l->is_created && error == -EEXIST);
	if (error == -ELOOP)
		return lockfile_fail(l, error, "it is a symbolic link");
	if (error == -EACCES)
		return lockfile_fail(l, error,
		    "no permission (all processes need one group and a directory of mode 2770)");
	return error == 0 ? 0 : lockfile_fail(l, error, error_string(error));
}

/* Maps it and, without kernel locks, takes the recovery lock, which is in the mapping. */
static int
map_and_lock(struct lockfile *l)
{
	int error = lockfile_map(l);

	if (error != 0)
		return lockfile_fail(l, error, "cannot be mapped");
	l->presence.untrusted_slots = l->untrusted_head->slots;
	l->presence.untrusted_recovery_lock = &l->untrusted_head->recovery_lock;
	if (l->presence.has_locks)
		return 0;
	/* A process that opens it before it is started sees then that it is ours. */
	if (l->is_created)
		atomic_store(&l->untrusted_head->format, LOCKFILE_FORMAT);
	return lockfile_lock_recovery(l);
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
	atomic_store(&h->committed, 0);
	atomic_store(&h->words.turn, atomic_load(&h->words.ticket_number));
	h->type = 0;
	memset(h->iv, 0, sizeof h->iv);
	memset(h->check, 0, sizeof h->check);
	memcpy(h->salt, salt, sizeof h->salt);
	atomic_store(&h->format, LOCKFILE_FORMAT);
	testpoint_reach("lockfile: initialized");
	atomic_store(&h->magic, LOCKFILE_MAGIC);
	testpoint_reach("lockfile: magic stored");
	return 0;
}

/* O5 to O7: joins the processes that have it, or starts it afresh. */
static int
join(struct lockfile *l, int directory)
{
	struct lockfile_head *h = l->untrusted_head;
	bool has_magic = atomic_load(&h->magic) == LOCKFILE_MAGIC;
	int error = 0;

	/*
	 * Without kernel locks no process is known to be dead: a file that has a magic is joined.
	 */
	if (!has_magic || (l->presence.has_locks && !presence_has_others(&l->presence)))
		error = start_afresh(l, directory);
	if (error == 0)
		error = presence_claim(&l->presence);
	if (error == -EUSERS)
		return lockfile_fail(l, error, "too many processes have it open");
	if (error != 0)
		return lockfile_fail(l, error, error_string(error));
	testpoint_reach("lockfile: presence claimed");
	(void)atomic_fetch_add(&h->refcnt, 1);
	memcpy(l->salt, h->salt, sizeof l->salt);
	ticketlock_init(&l->lock, &h->words, &l->presence);
	return 0;
}

/* One try. *is_gone: the file was dead, and another try has to be made. */
static int
open_once(struct lockfile *l, int directory, bool *is_gone)
{
	int error = open_or_create(l, directory);

	*is_gone = false;
	if (error != 0)
		return error;
	presence_init(&l->presence, NULL, offsetof(struct lockfile_head, slots),
	    &l->file.descriptor);
	error = lockfile_lock_recovery(l); /* O2 */
	if (error == 0)
		error = lockfile_kind_check(l);
	if (error == 0)
		error = map_and_lock(l);
	if (error == 0)
		*is_gone = remove_if_dead(l, directory);
	if (error == 0 && !*is_gone)
		error = join(l, directory);
	/* A file that we could not give storage is no use to any process. */
	if ((error == -ENOSPC || error == -EDQUOT) && l->untrusted_head == NULL &&
	    hostfile_is_at(&l->file, directory, l->name))
		(void)unlinkat(directory, l->name, 0);
	lockfile_unlock_recovery(l); /* O8 */
	if (error != 0 || *is_gone)
		lockfile_close_file(l);
	return error;
}

/* Tries until the file is not dead. */
static int
open_by_name(struct lockfile *l, int directory)
{
	uint64_t deadline = clock_after_ms(clock_now(), LOCKFILE_PATIENCE_MS);
	bool is_gone;
	int error;

	while ((error = open_once(l, directory, &is_gone)) == 0 && is_gone) {
		/*
		 * Without kernel locks no process may remove what a process that died closing left.
		 */
		if (clock_now() >= deadline)
			return lockfile_fail(l, -ETIMEDOUT,
			    "a process died while it closed it: remove it when no process has it open");
		lockfile_pause();
	}
	return error;
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

int
lockfile_open(struct lockfile *l, const char *directory, const char *name)
{
	int fd, error = -ENOMEM;

	*l = (struct lockfile){ .directory = strdup(directory),
		.name = strdup(name),
		.file = HOSTFILE_CLOSED,
		.child_file = HOSTFILE_CLOSED };
	if (l->directory != NULL && l->name != NULL)
		error = lockfile_open_directory(l, &fd);
	if (error == 0) {
		error = open_by_name(l, fd);
		if (error == 0)
			error = check_shared(l, fd);
		(void)close(fd);
	}
	if (error != 0)
		lockfile_close(l);
	return error;
}
