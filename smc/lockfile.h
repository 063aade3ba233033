/*
 * lockfile: the lock file of an smc memory file, in which its processes find each other (smc/FORMAT
 * 2).
 *
 * A file has kernel locks or none, from its creation on, and all its processes do as the file says:
 * with kernel locks they see which of them live (presence.h); without, where a library OS has no
 * such locks, they count themselves, and no process is ever taken for dead.
 *
 * Opening and closing follow tests/model/open.pml, whose steps are named in lockfile_open.c and
 * lockfile.c (O1, C1, ...; smc/FORMAT 6). Both run under the recovery lock. A process that opens
 * creates the file if there is none, joins the processes that have it open if any of them may live,
 * and else starts it afresh: the segment file goes, a new life begins. The last process that closes
 * marks the file as dead and removes it; a process that opens a dead file opens again by name. So
 * there are never two locks in use under one name. Without kernel locks the files of processes that
 * died stay: an operator removes them.
 *
 * A file that has the name, is not empty and is not ours stays as it is (-EEXIST). An empty one
 * counts as ours: a process that dies while it creates the file leaves it so.
 *
 * The file is mapped, since its words are atomics. The mapping, not the descriptor, keeps our
 * presence alive, so a program that closes all its descriptors does not lose its lock. A host that
 * cuts the file short kills the processes that have it open (SIGBUS). Fields are read where they
 * are needed, once, and trusted as far as smc trusts the host (DESIGN 1): none of them serves as an
 * index or a length without a comparison with what we know.
 */
#ifndef SMC_LOCKFILE_H
#define SMC_LOCKFILE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/client/mount.h"
#include "common/crypto/ctrbox.h"
#include "common/crypto/keys.h"
#include "common/host/hostfile.h"
#include "common/lock/presence.h"
#include "common/lock/ticketlock.h"

/* The formats, which are equal but for the use of locks and slots. 0: a new file. */
enum lockfile_format { LOCKFILE_KERNEL_LOCKS = 1, LOCKFILE_NO_LOCKS = 2 };

enum {
	LOCKFILE_MAPPED = 4096,   /* bytes with something in them */
	LOCKFILE_PROBE_AT = 4096, /* a page for hostprobe_check_shared() */
	LOCKFILE_SIZE = 8192
};

#define LOCKFILE_MAGIC UINT64_C(0x31656c6966636d73) /* "smcfile1" */

/* Where the segment's key comes from. */
enum lockfile_key { LOCKFILE_KEY_NONE, LOCKFILE_KEY_DRAWN, LOCKFILE_KEY_DERIVED };

/* The file, in host byte order. Up to 64 as in the original. */
struct lockfile_head {
	struct ticketlock_words words;
	_Atomic uint32_t refcnt;    /* processes that have it open; a hint with kernel locks */
	uint8_t type;               /* enum protocol_type */
	uint8_t iv[CTRBOX_IV_SIZE]; /* of the last release */
	uint8_t zeros[39];
	_Atomic uint64_t magic;        /* stored last */
	_Atomic uint32_t format;       /* enum lockfile_format; stored first, and never changed */
	_Atomic uint32_t dead;         /* 1: it was closed for the last time */
	_Atomic uint64_t segment_size; /* 0: none yet; stored last */
	_Atomic uint32_t block_count;  /* stored before the segment file is made; 0: none is ours */
	_Atomic uint32_t key_kind;     /* enum lockfile_key */
	uint8_t salt[KEYS_SALT_SIZE];  /* of this life */
	uint8_t check[KEYS_CHECK_SIZE];
	_Atomic uint64_t grants;        /* drawn so far, under the lock */
	_Atomic uint64_t committed;     /* the version of the segment */
	_Atomic uint32_t recovery_lock; /* without kernel locks: 1 while it is held (presence.h) */
	uint32_t more_zeros;
	_Atomic uint64_t fences; /* drawn by sm_grant(), under the lock */
	uint8_t last_zeros[80];
	presence_slot slots[PRESENCE_SLOTS];
};

struct lockfile {
	char *directory;
	char *name;            /* of the lock file, one component */
	enum mount_locks wish; /* of the mount */
	int flags;             /* of the open */
	bool has_kernel_locks; /* the system has them */
	struct hostfile file;
	struct lockfile_head *untrusted_head;
	struct presence presence;
	struct ticketlock lock;
	uint8_t salt[KEYS_SALT_SIZE]; /* of the life that was opened */

	/* For fork(2), with kernel locks: a description and a slot for the child. */
	struct hostfile child_file;
	struct presence child_presence;
	_Atomic bool is_inherited; /* by this process, a child that is not one of its users yet */
};

/*
 * Opens name in directory; flags: SM_OPEN_CREATE and SM_OPEN_EXCLUSIVE. The memory file exists when
 * a living process has it open; without kernel locks, when its lock file is there. Returns 0;
 * -ENOENT, -EEXIST (also: a foreign file), -EUSERS (too many processes),
 * -ENOTSUP (mappings here are private copies; or the file needs kernel locks, and there are none
 * here), -EINVAL (the file is not as the wish says), -ETIMEDOUT (another process stopped while it
 * opened or closed it), -ESTALE (the system has a wrong idea of the name), or what hostfile_open()
 * and hostfile_create() say; with a message.
 */
int lockfile_open(struct lockfile *l, const char *directory, const char *name,
    enum mount_locks wish, int flags);

/* Closes it; the last process removes the files. Also for one that is all zeros. */
void lockfile_close(struct lockfile *l);

/*
 * fork(2): before it, waiting until that time for another process that opens or closes the file;
 * after it in the parent; in the child. See backend.h.
 */
void lockfile_fork_prepare(struct lockfile *l, uint64_t until);
void lockfile_fork_parent(struct lockfile *l);
void lockfile_fork_child(struct lockfile *l, bool is_prepared);

/*
 * To be called before anything is done with l, by one thread at a time: makes a child that is not
 * one of its users yet one. Takes mutex for the last step; fork(2) finds l complete when its thread
 * has it. Returns 0, -ESTALE when the parent's memory file is gone, or another error of
 * lockfile_open(); with a message.
 */
int lockfile_fork_attach(struct lockfile *l, pthread_mutex_t *mutex);

/* The recovery lock (presence.h). Returns 0 or a negative errno, with a message. */
int lockfile_lock_recovery(struct lockfile *l);
void lockfile_unlock_recovery(struct lockfile *l);

/*
 * Opens the directory, see hostio_open_directory(). Returns 0 or a negative errno, with a message.
 */
int lockfile_open_directory(const struct lockfile *l, int *fd);

/*
 * The number of processes that have it open. Once the program has closed our descriptor, and always
 * without kernel locks, those count, too, that were killed.
 */
unsigned lockfile_count_users(const struct lockfile *l);

/* The words for ESTALE when ticketlock_is_held() is false or ticketlock_release() fails. */
#define LOCKFILE_TAKEN_OVER "another process has taken the lock over"

/* Puts into words what has failed, and the file's path. Returns error. */
int lockfile_fail(const struct lockfile *l, int error, const char *what);

/*
 * The same when another process is the reason: without kernel locks that process may be dead, and
 * the words say which files to remove then.
 */
int lockfile_fail_of_another(const struct lockfile *l, int error, const char *what);

#endif
