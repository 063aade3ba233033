#include "smc/lockfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/testpoint.h"
#include "common/crypto/random.h"
#include "common/host/filename.h"
#include "common/host/hostprobe.h"

enum { RECOVERY_MS = 10 * 1000, PAUSE_NS = 200 * 1000 };

_Static_assert(offsetof(struct lockfile_head, refcnt) == 8, "as in the original");
_Static_assert(offsetof(struct lockfile_head, type) == 12, "as in the original");
_Static_assert(offsetof(struct lockfile_head, iv) == 13, "as in the original");
_Static_assert(offsetof(struct lockfile_head, magic) == 64, "DESIGN 7");
_Static_assert(offsetof(struct lockfile_head, slots) == 256, "DESIGN 7");
_Static_assert(sizeof(struct lockfile_head) == LOCKFILE_MAPPED, "DESIGN 7");

static int
fail(const struct lockfile *l, int error, const char *what)
{
	return error_message(error, "%s/%s: %s", l->directory, l->name, what);
}

static void
pause_shortly(void)
{
	(void)nanosleep(&(struct timespec){ .tv_nsec = PAUSE_NS }, NULL);
}

int
lockfile_open_directory(const struct lockfile *l)
{
	int fd = open(l->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 ? fd :
			 error_message(-errno, "%s (the directory of the mount): %s", l->directory,
			     strerror(errno));
}

static int
lock_recovery(struct presence *p)
{
	return presence_lock_recovery(p, clock_after_ms(clock_now(), RECOVERY_MS));
}

/* A presence in the table of that mapping of the file. */
static void
init_presence(struct presence *p, const struct hostfile *file)
{
	struct lockfile_head *h = (struct lockfile_head *)file->untrusted_base;

	presence_init(p, h->slots, offsetof(struct lockfile_head, slots), &file->descriptor);
	p->untrusted_recovery_lock = &h->recovery_lock;
}

int
lockfile_lock_recovery(struct lockfile *l)
{
	int error = lock_recovery(&l->presence);

	if (error == -ETIMEDOUT)
		return fail(l, error, "another process opens or closes it, and does not go on");
	if (error != 0)
		return fail(l, error, "cannot be locked: has the program closed our descriptor?");
	testpoint_reach("lockfile: recovery locked");
	return 0;
}

void
lockfile_unlock_recovery(struct lockfile *l)
{
	presence_unlock_recovery(&l->presence);
}

static void
remove_segment(const struct lockfile *l, int directory)
{
	char name[FILENAME_SEGMENT_SIZE];

	filename_segment(name, l->name);
	(void)unlinkat(directory, name, 0);
	testpoint_reach("lockfile: segment removed");
}

/* The segment file first: who finds it without a lock file could not tell whose it is. */
static void
remove_both(const struct lockfile *l, int directory)
{
	if (atomic_load(&l->untrusted_head->block_count) != 0)
		remove_segment(l, directory);
	(void)unlinkat(directory, l->name, 0);
	testpoint_reach("lockfile: removed");
}

/* Opens the file by name, or creates it. Nothing is known of it yet. */
static int
open_or_create(struct lockfile *l, int directory, struct hostfile *file)
{
	int error;

	do {
		error = hostfile_open(file, directory, l->name, 0);
		l->is_created = error == -ENOENT;
		if (error == -ENOENT)
			error = hostfile_create(file, directory, l->name, LOCKFILE_SIZE);
		else
			return error;
	} while (error == -EEXIST);
	return error;
}

static bool
is_zero(const void *bytes, size_t size)
{
	static const uint8_t zeros[LOCKFILE_MAPPED];

	return memcmp(bytes, zeros, size) == 0;
}

static int
fail_foreign(const struct lockfile *l)
{
	return fail(l, -EEXIST,
	    "there is a file that is not ours: move it away, or use another name");
}

/*
 * Gives an empty file its size, with storage behind it: on a full disk a mapping without would kill
 * us.
 */
static int
furnish(struct lockfile *l)
{
	static const uint8_t zeros[LOCKFILE_SIZE];
	int error = hostfile_extend(&l->file, LOCKFILE_SIZE);

	if (error == 0 && l->file.is_by_mapping)
		error = hostfile_map(&l->file, LOCKFILE_SIZE);
	if (error == 0)
		error = hostfile_write(&l->file, 0, zeros, sizeof zeros);
	return error == 0 ? 0 : fail(l, error, strerror(-error));
}

enum kind { KIND_OURS, KIND_STARTED, KIND_EMPTY };

/* Behind the head there are zeros, if anything, and no more of them than ours has. */
static bool
is_zero_behind(const struct lockfile *l)
{
	uint8_t rest[LOCKFILE_SIZE - LOCKFILE_MAPPED];
	struct stat st;
	size_t size;

	if (fstat(l->file.descriptor.fd, &st) != 0 || st.st_size > LOCKFILE_SIZE)
		return false;
	size = st.st_size > LOCKFILE_MAPPED ? (size_t)st.st_size - LOCKFILE_MAPPED : 0;
	return size == 0 ||
	    (hostfile_read(&l->file, LOCKFILE_MAPPED, rest, size) == 0 && is_zero(rest, size));
}

/*
 * Ours; or what a process of ours left that died before it was: zeros, or a file that was being
 * started afresh.
 */
static int
look_at(struct lockfile *l, enum kind *kind)
{
	struct lockfile_head head;

	if (l->file.is_by_mapping)
		(void)hostfile_map(&l->file, LOCKFILE_SIZE);
	*kind = KIND_EMPTY;
	if (hostfile_read(&l->file, 0, &head, sizeof head) != 0) {
		if (hostfile_map(&l->file, 1) != 0)
			return 0;
		/* Whoever creates it may have given it its size between the two. */
		if (hostfile_read(&l->file, 0, &head, sizeof head) != 0)
			return fail_foreign(l);
	}
	if (is_zero(&head, sizeof head) && is_zero_behind(l))
		return 0;
	/*
	 * Without kernel locks who starts it may do so while we look: what was copied first is then
	 * too old.
	 */
	if (head.format != LOCKFILE_FORMAT && hostfile_read(&l->file, 0, &head, sizeof head) != 0)
		return fail_foreign(l);
	if (head.format != LOCKFILE_FORMAT || (head.magic != LOCKFILE_MAGIC && head.magic != 0))
		return fail_foreign(l);
	*kind = head.magic == 0 ? KIND_STARTED : KIND_OURS;
	return 0;
}

static int
check_kind(struct lockfile *l)
{
	uint64_t deadline = clock_after_ms(clock_now(), RECOVERY_MS);
	enum kind kind;
	int error = look_at(l, &kind);

	/* Without kernel locks only who made the file starts it. */
	while (error == 0 && kind != KIND_OURS && !l->presence.has_locks && !l->is_created) {
		if (clock_now() >= deadline)
			return fail(l, -ETIMEDOUT,
			    "another process began to make it, and does not go on");
		pause_shortly();
		error = look_at(l, &kind);
	}
	return error == 0 && kind == KIND_EMPTY ? furnish(l) : error;
}

static int
map(struct lockfile *l)
{
	int error = hostfile_map(&l->file, LOCKFILE_MAPPED);

	if (error != 0)
		return fail(l, error, "cannot be mapped");
	l->untrusted_head = (struct lockfile_head *)l->file.untrusted_base;
	/* A child gets a description of its own: this one must end with us. */
	(void)madvise(l->untrusted_head, l->file.mapped, MADV_DONTFORK);
	/* A kernel lock is ours already; the word of the recovery lock is in the mapping. */
	l->presence.untrusted_slots = l->untrusted_head->slots;
	l->presence.untrusted_recovery_lock = &l->untrusted_head->recovery_lock;
	if (l->presence.has_locks)
		return 0;
	/* Then who finds it half made sees that it is ours. */
	if (l->is_created)
		atomic_store(&l->untrusted_head->format, LOCKFILE_FORMAT);
	return lockfile_lock_recovery(l);
}

/*
 * O6: all who had it are dead, or nobody had it yet. The tickets go on, in case somebody is not as
 * dead as that.
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
	/* Nobody announced one: it is not ours. */
	if (atomic_load(&h->block_count) != 0)
		remove_segment(l, directory);
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
	testpoint_reach("lockfile: furnished");
	atomic_store(&h->magic, LOCKFILE_MAGIC);
	testpoint_reach("lockfile: magic stored");
	return 0;
}

/* O5 to O7, with the byte: joins those who have it, or starts it afresh. */
static int
join(struct lockfile *l, int directory)
{
	struct lockfile_head *h = l->untrusted_head;
	bool has_magic = atomic_load(&h->magic) == LOCKFILE_MAGIC;
	int error = 0;

	/* Without kernel locks nobody is known to be dead: what has a magic is gone on with. */
	if (!has_magic || (l->presence.has_locks && !presence_has_others(&l->presence)))
		error = start_afresh(l, directory);
	if (error == 0)
		error = presence_claim(&l->presence);
	if (error == -EUSERS)
		return fail(l, error, "too many processes have it open");
	if (error != 0)
		return fail(l, error, strerror(-error));
	testpoint_reach("lockfile: presence claimed");
	(void)atomic_fetch_add(&h->refcnt, 1);
	memcpy(l->salt, h->salt, sizeof l->salt);
	return 0;
}

static void
let_go(struct lockfile *l)
{
	hostfile_close(&l->file);
	l->untrusted_head = NULL;
}

/* One try. *again: it was the last moment of a file that is gone now. */
static int
open_once(struct lockfile *l, int directory, bool *again)
{
	int error = open_or_create(l, directory, &l->file);

	*again = false;
	if (error == -ELOOP)
		return fail(l, error, "a symbolic link is in the place of the file");
	if (error == -EACCES)
		return fail(l, error,
		    "no permission (all who share it need a group in common, and a directory of mode 2770)");
	if (error != 0)
		return fail(l, error, strerror(-error));
	presence_init(&l->presence, NULL, offsetof(struct lockfile_head, slots),
	    &l->file.descriptor);
	error = lockfile_lock_recovery(l); /* O2 */
	if (error == 0)
		error = check_kind(l);
	if (error == 0)
		error = map(l);
	/* O3, O4: whoever marked it as dead may have died before it was removed. */
	if (error == 0 &&
	    (atomic_load(&l->untrusted_head->dead) != 0 ||
		!hostfile_is_at(&l->file, directory, l->name))) {
		if (l->presence.has_locks && hostfile_is_at(&l->file, directory, l->name))
			remove_both(l, directory);
		*again = true;
	}
	if (error == 0 && !*again)
		error = join(l, directory);
	if (error == 0 && !*again)
		ticketlock_init(&l->lock, &l->untrusted_head->words, &l->presence);
	/* What we could not furnish is no use to anybody. */
	if ((error == -ENOSPC || error == -EDQUOT) && l->untrusted_head == NULL &&
	    hostfile_is_at(&l->file, directory, l->name))
		(void)unlinkat(directory, l->name, 0);
	lockfile_unlock_recovery(l); /* O8 */
	if (error != 0 || *again)
		let_go(l);
	return error;
}

/* What is written in the mapping has to reach the others. */
static int
check_shared(const struct lockfile *l, int directory)
{
	int error = hostprobe_check_shared(directory, l->name, LOCKFILE_PROBE_AT);

	if (error == -ENOTSUP)
		return fail(l, error,
		    "what is written there does not reach the host: the library OS has to mount the directory as untrusted_shm");
	return error == 0 ? 0 : fail(l, error, strerror(-error));
}

int
lockfile_open(struct lockfile *l, const char *directory, const char *name)
{
	uint64_t deadline = clock_after_ms(clock_now(), RECOVERY_MS);
	int fd, error;
	bool again;

	*l = (struct lockfile){ .directory = strdup(directory),
		.name = strdup(name),
		.file = HOSTFILE_CLOSED,
		.child_file = HOSTFILE_CLOSED };
	if (l->directory == NULL || l->name == NULL)
		error = -ENOMEM;
	else if ((fd = lockfile_open_directory(l)) < 0)
		error = fd;
	else {
		while ((error = open_once(l, fd, &again)) == 0 && again) {
			/*
			 * Without kernel locks nobody may remove what another left who died closing
			 * it.
			 */
			if (clock_now() >= deadline) {
				error = fail(l, -ETIMEDOUT,
				    "a process died closing it: remove it by hand, when nobody has it open");
				break;
			}
			pause_shortly();
		}
		if (error == 0)
			error = check_shared(l, fd);
		(void)close(fd);
	}
	if (error != 0)
		lockfile_close(l);
	return error;
}

/* C1 to C6. */
static void
leave(struct lockfile *l)
{
	int directory = open(l->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct lockfile_head *h = l->untrusted_head;
	bool is_alone;

	if (lock_recovery(&l->presence) != 0) {
		/*
		 * Our slot goes with our mapping; the next who opens it sees that nobody is left.
		 */
		if (directory >= 0)
			(void)close(directory);
		return;
	}
	testpoint_reach("lockfile: closing");
	presence_release(&l->presence);
	(void)atomic_fetch_sub(&h->refcnt, 1);
	testpoint_reach("lockfile: left");
	is_alone = !presence_has_others(&l->presence);
	if (is_alone && directory >= 0 && hostfile_is_at(&l->file, directory, l->name)) {
		atomic_store(&h->dead, 1);
		testpoint_reach("lockfile: marked as dead");
		remove_both(l, directory);
	}
	presence_unlock_recovery(&l->presence);
	if (directory >= 0)
		(void)close(directory);
}

void
lockfile_close(struct lockfile *l)
{
	if (l->untrusted_head != NULL && !l->is_inherited)
		leave(l);
	let_go(l);
	free(l->directory);
	free(l->name);
	*l = (struct lockfile){ .file = HOSTFILE_CLOSED, .child_file = HOSTFILE_CLOSED };
}

/* Opens the same file once more, with a description of its own, and maps it. */
static int
open_same(const struct lockfile *l, struct hostfile *file)
{
	int directory = open(l->directory, O_PATH | O_DIRECTORY | O_CLOEXEC), error;

	if (directory < 0)
		return -errno;
	error = hostfile_open(file, directory, l->name, LOCKFILE_SIZE);
	(void)close(directory);
	if (error != 0)
		return error;
	error = hostfile_map(file, LOCKFILE_MAPPED);
	if (error == 0 && !hostfd_is_same(&file->descriptor, &l->file.descriptor))
		error = -ESTALE;
	if (error != 0)
		hostfile_close(file);
	return error;
}

/*
 * The parent claims the child's slot, so that the file does not end with the parent while the child
 * has not called yet. If that fails the child tries for itself.
 */
void
lockfile_fork_prepare(struct lockfile *l)
{
	if (l->untrusted_head == NULL || l->is_inherited || open_same(l, &l->child_file) != 0)
		return;
	init_presence(&l->child_presence, &l->child_file);
	if (presence_claim(&l->child_presence) != 0)
		hostfile_close(&l->child_file);
}

/* Our copies of what is the child's now. The slot lives as long as the child's mapping. */
void
lockfile_fork_parent(struct lockfile *l)
{
	hostfile_close(&l->child_file);
}

static void
adopt(struct lockfile *l, struct hostfile *file, const struct presence *presence)
{
	l->file = *file;
	*file = HOSTFILE_CLOSED;
	l->presence = *presence;
	l->untrusted_head = (struct lockfile_head *)l->file.untrusted_base;
	(void)madvise(l->untrusted_head, l->file.mapped, MADV_DONTFORK);
	ticketlock_init(&l->lock, &l->untrusted_head->words, &l->presence);
	(void)atomic_fetch_add(&l->untrusted_head->refcnt, 1);
	l->is_inherited = false;
}

/* The parent's description is closed, never unlocked; its mapping did not come along. */
void
lockfile_fork_child(struct lockfile *l, bool is_prepared)
{
	if (l->untrusted_head == NULL && !l->is_inherited)
		return;
	l->file.untrusted_base = NULL;
	l->file.mapped = 0;
	l->untrusted_head = NULL;
	hostfd_close(&l->file.descriptor);
	l->is_inherited = true;
	if (is_prepared && l->child_file.descriptor.fd >= 0)
		adopt(l, &l->child_file, &l->child_presence);
}

int
lockfile_attach(struct lockfile *l)
{
	const struct lockfile_head *h;
	struct presence presence;
	struct hostfile file;
	int error;

	if (!l->is_inherited)
		return 0;
	error = open_same(l, &file);
	if (error != 0)
		return fail(l, -ESTALE, "it is gone, and with it what this child inherited");
	h = (const struct lockfile_head *)file.untrusted_base;
	init_presence(&presence, &file);
	error = lock_recovery(&presence);
	/* Started afresh, it would be another life. */
	if (error == 0 &&
	    (memcmp(h->salt, l->salt, sizeof l->salt) != 0 || atomic_load(&h->dead) != 0))
		error = -ESTALE;
	if (error == 0)
		error = presence_claim(&presence);
	presence_unlock_recovery(&presence);
	if (error != 0) {
		hostfile_close(&file);
		return fail(l, error, "this child cannot go on with it");
	}
	adopt(l, &file, &presence);
	return 0;
}
