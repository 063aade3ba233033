/*
 * lockfile: the lock file of an smc memory file, in which its processes find each other (smc/FORMAT
 * 2).
 *
 * Opening and closing follow tests/model/open.pml, whose steps are named in lockfile_open.c and
 * lockfile.c (O1, C1, ...; smc/FORMAT 6). Both run under the recovery lock. A process that opens
 * creates the file if there is none, joins the processes that have it open if any of them lives,
 * and else starts it afresh: the segment file goes, a new life begins. The last process that closes
 * marks the file as dead and removes it; a process that opens a dead file opens again by name. So
 * there are never two locks in use under one name.
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

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/crypto/ctrbox.h"
#include "common/crypto/keys.h"
#include "common/host/hostfile.h"
#include "common/lock/presence.h"
#include "common/lock/ticketlock.h"

enum {
	LOCKFILE_FORMAT = 1,
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
	_Atomic uint32_t refcnt;    /* a hint: processes that have it open */
	uint8_t type;               /* enum protocol_type */
	uint8_t iv[CTRBOX_IV_SIZE]; /* of the last release */
	uint8_t zeros[39];
	_Atomic uint64_t magic; /* stored last */
	_Atomic uint32_t format;
	_Atomic uint32_t dead;         /* 1: it was closed for the last time */
	_Atomic uint64_t segment_size; /* 0: none yet; stored last */
	_Atomic uint32_t block_count;  /* stored before the segment file is made; 0: none is ours */
	_Atomic uint32_t key_kind;     /* enum lockfile_key */
	uint8_t salt[KEYS_SALT_SIZE];  /* of this life */
	uint8_t check[KEYS_CHECK_SIZE];
	_Atomic uint64_t grants;        /* drawn so far, under the lock */
	_Atomic uint64_t committed;     /* the version of the segment */
	_Atomic uint32_t recovery_lock; /* without kernel locks: 1 while it is held (presence.h) */
	uint8_t more_zeros[92];
	presence_slot slots[PRESENCE_SLOTS];
};

struct lockfile {
	char *directory;
	char *name; /* of the lock file, one component */
	struct hostfile file;
	struct lockfile_head *untrusted_head;
	struct presence presence;
	struct ticketlock lock;
	uint8_t salt[KEYS_SALT_SIZE]; /* of the life that was opened */

	/* For fork(2): a description and a slot for the child, made by the parent. */
	struct hostfile child_file;
	struct presence child_presence;
	bool is_created;           /* by this process, in this try to open it */
	_Atomic bool is_inherited; /* by this process, a child that has no slot yet */
};

/*
 * Opens name in directory. Returns 0; -EEXIST (a foreign file), -EUSERS (too many processes),
 * -ENOTSUP (mappings here are private copies), -ETIMEDOUT (another process stopped while it
 * opened or closed it), or what hostfile_open() and hostfile_create() say; with a message.
 */
int lockfile_open(struct lockfile *l, const char *directory, const char *name);

/* Closes it; the last process removes the files. Also for one that is all zeros. */
void lockfile_close(struct lockfile *l);

/* fork(2): before it; after it in the parent; in the child. See backend.h. */
void lockfile_fork_prepare(struct lockfile *l);
void lockfile_fork_parent(struct lockfile *l);
void lockfile_fork_child(struct lockfile *l, bool is_prepared);

/*
 * To be called before anything is done with l: in a child that has no slot yet it claims one.
 * Returns 0, -ESTALE when the parent's memory file is gone, or another error of lockfile_open();
 * with a message.
 */
int lockfile_fork_attach(struct lockfile *l);

/* The recovery lock (presence.h). Returns 0 or a negative errno, with a message. */
int lockfile_lock_recovery(struct lockfile *l);
void lockfile_unlock_recovery(struct lockfile *l);

/*
 * Opens the directory, see hostio_open_directory(). Returns 0 or a negative errno, with a message.
 */
int lockfile_open_directory(const struct lockfile *l, int *fd);

/* Puts into words what has failed, and the file's path. Returns error. */
int lockfile_fail(const struct lockfile *l, int error, const char *what);

#endif
