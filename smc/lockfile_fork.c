#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/client/forkhooks.h"
#include "common/host/hostio.h"
#include "smc/lockfile_core.h"

/* F1, A1: opens the same file once more, with a description of its own, and maps it. */
static int
open_same(const struct lockfile *l, struct hostfile *file)
{
	int directory, error = hostio_open_directory(&directory, l->directory);

	if (error != 0)
		return error;
	error = hostfile_open(file, directory, l->name, LOCKFILE_SIZE);
	(void)close(directory);
	if (error != 0)
		return error;
	error = hostfile_map(file, LOCKFILE_MAPPED);
	if (error == 0 && !ownfd_is_same(&file->descriptor, &l->file.descriptor))
		error = -ESTALE;
	if (error != 0)
		hostfile_close(file);
	return error;
}

/*
 * F1 to F4: with kernel locks the parent claims the child's slot, so that the file does not end
 * with the parent while the child has not called yet. If that fails the child tries for itself.
 * Without the recovery lock a process that closes could find the child's slot free, and ours too
 * when we exit after the fork, and remove the file. Without kernel locks a child that exits or
 * execs could not give a slot back: the child becomes a user at its first call.
 */
void
lockfile_fork_prepare(struct lockfile *l, uint64_t until)
{
	int error;

	if (l->untrusted_head == NULL || l->is_inherited || !l->presence.has_locks ||
	    open_same(l, &l->child_file) != 0)
		return;
	lockfile_init_presence(&l->child_presence, &l->child_file, true);
	error = presence_lock_recovery(&l->child_presence, until);
	if (error == 0)
		error = presence_claim(&l->child_presence);
	presence_unlock_recovery(&l->child_presence);
	if (error != 0)
		hostfile_close(&l->child_file);
}

/* Closes our copies of what is the child's now. The slot lives as long as the child's mapping. */
void
lockfile_fork_parent(struct lockfile *l)
{
	hostfile_close(&l->child_file);
}

/* F5, A5: the child goes on with file, which is mapped, and with a slot in it that is its own. */
static void
use_file(struct lockfile *l, struct hostfile *file, const struct presence *presence)
{
	l->file = *file;
	*file = HOSTFILE_CLOSED;
	l->presence = *presence;
	(void)lockfile_map(l);
	lockfile_hide_from_children(l);
	ticketlock_init(&l->lock, &l->untrusted_head->words, &l->presence);
	(void)atomic_fetch_add(&l->untrusted_head->refcnt, 1);
	l->is_inherited = false;
}

/* Without kernel locks the child goes on with its parent's descriptor and mapping. */
static void
inherit(struct lockfile *l)
{
	lockfile_init_presence(&l->presence, &l->file, false);
	ticketlock_init(&l->lock, &l->untrusted_head->words, &l->presence);
	l->is_inherited = true;
}

/*
 * With kernel locks the parent's description is closed, never unlocked; its mapping was not
 * inherited.
 */
void
lockfile_fork_child(struct lockfile *l, bool is_prepared)
{
	if (l->untrusted_head == NULL && !l->is_inherited)
		return;
	if (!l->presence.has_locks) {
		inherit(l);
		return;
	}
	l->file.untrusted_base = NULL;
	l->file.mapped = 0;
	l->untrusted_head = NULL;
	ownfd_close(&l->file.descriptor);
	l->is_inherited = true;
	if (is_prepared && l->child_file.descriptor.fd >= 0)
		use_file(l, &l->child_file, &l->child_presence);
}

static int
fail_gone(const struct lockfile *l)
{
	return lockfile_fail(l, -ESTALE, "the memory file that this child inherited is gone");
}

/* Without kernel locks: the mapping that was inherited is the file, whatever has its name now. */
static int
attach_by_counting(struct lockfile *l)
{
	struct lockfile_head *h = l->untrusted_head;
	int error = lockfile_lock_recovery(l);

	if (error != 0)
		return error;
	if (atomic_load(&h->dead) == 0) {
		(void)atomic_fetch_add(&h->refcnt, 1);
		l->is_inherited = false;
	} else {
		error = fail_gone(l);
	}
	lockfile_unlock_recovery(l);
	return error;
}

/* A1 to A4: a description and a slot of our own. */
static int
claim_slot(const struct lockfile *l, struct hostfile *file, struct presence *presence)
{
	const struct lockfile_head *h;
	int error;

	error = open_same(l, file);
	if (error == -EMFILE || error == -ENFILE)
		return lockfile_fail(l, error, error_string(error));
	if (error != 0)
		return fail_gone(l);
	h = (const struct lockfile_head *)file->untrusted_base;
	lockfile_init_presence(presence, file, true);
	error = lockfile_lock_recovery_of(presence);
	/* A3: a file that was started afresh, if only half, is another life. */
	if (error == 0 &&
	    (atomic_load(&h->magic) != LOCKFILE_MAGIC ||
		memcmp(h->salt, l->salt, sizeof l->salt) != 0 || atomic_load(&h->dead) != 0))
		error = -ESTALE;
	if (error == 0)
		error = presence_claim(presence);
	presence_unlock_recovery(presence);
	if (error == 0)
		return 0;
	hostfile_close(file);
	return lockfile_fail(l, error, "this child cannot use the memory file that it inherited");
}

/*
 * A5. Returns false if there has been a fork since forkhooks_count() was forks: its child does not
 * know the description, but has inherited it.
 */
static bool
use_file_alone(struct lockfile *l, struct hostfile *file, const struct presence *presence,
    pthread_mutex_t *mutex, unsigned forks)
{
	bool is_ours;

	(void)pthread_mutex_lock(mutex);
	is_ours = forkhooks_count() == forks;
	if (is_ours)
		use_file(l, file, presence);
	(void)pthread_mutex_unlock(mutex);
	return is_ours;
}

static int
attach_by_slot(struct lockfile *l, pthread_mutex_t *mutex)
{
	struct presence presence;
	struct hostfile file;
	unsigned forks;
	int error;

	for (;;) {
		forks = forkhooks_count();
		error = claim_slot(l, &file, &presence);
		if (error != 0)
			return error;
		if (use_file_alone(l, &file, &presence, mutex, forks))
			return 0;
		presence_release(&presence);
		hostfile_close(&file);
	}
}

int
lockfile_fork_attach(struct lockfile *l, pthread_mutex_t *mutex)
{
	if (!l->is_inherited)
		return 0;
	return l->presence.has_locks ? attach_by_slot(l, mutex) : attach_by_counting(l);
}
