/*
 * file: a memory file as one process has it: a descriptor of the backend, the replica, and the
 * queue of the threads for its lock. All handles of one path share it; it lives until the last of
 * them is closed and the mapping is gone.
 *
 * When its server is gone the file stays for its handles and mapping, and its calls fail; a new
 * open of the same path makes another file. Functions return 0 or a negative errno, with a message.
 */
#ifndef COMMON_CLIENT_FILE_H
#define COMMON_CLIENT_FILE_H

#include <bsd/sys/queue.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/client/filelock.h"
#include "common/client/replica.h"
#include "common/wire/protocol.h"

struct backend_file;
struct mount;
struct sm_holder;
struct sm_stat;
struct stats;
struct tls_context;

/* A handle of a file, which the program has opened. All zeros at first, but is_owner. */
struct filehandle {
	bool is_owner; /* of its locks, which any thread may release */
	atomic_bool is_closing;
	atomic_uint readers; /* threads that try to become readers, perhaps by asking the server */
};

struct file {
	TAILQ_ENTRY(file) link; /* in the mount's list */
	struct mount *mount;
	char *name;
	unsigned handles;

	/*
	 * file_lock(); or, when stats is not NULL, file_lock_and_count(). A pointer costs a section
	 * of smc, which takes few instructions, less than a comparison.
	 */
	int (*take)(struct file *f, struct filehandle *h, enum protocol_mode mode,
	    uint64_t deadline, struct eintr *e);
	struct stats *stats; /* stays when the file is closed */

	struct filelock lock;

	/* used with the lock; mapped and unmapped with the mount's mutex too */
	struct replica replica;
	struct backend_file *backend;
};

/*
 * Finds or opens the file of that name, and counts one more handle. tls and flags: see struct
 * backend_ops.
 */
int file_open(struct file **out, struct mount *m, struct tls_context *tls, const char *name,
    int flags);

/*
 * Closes a handle: ends the waits of other threads for the lock through it (-EBADF), and returns
 * after them; releases the lock if it was taken through it, and publishes nothing. Closes the file
 * with its last handle, unless it is mapped. Gives up at that time, as a backend does; the time for
 * which it waits for other threads does not count. Returns the result of the last release if that
 * was not reported yet.
 */
int file_close(struct file *f, struct filehandle *h, uint64_t until);

/* sm_map() through h; *out is the address. */
int file_map(struct file *f, const struct filehandle *h, void *hint, size_t size, void **out);

/*
 * sm_unmap(); -ENOENT when no file of m is mapped at address. Closes a file without handles, as
 * file_close() does.
 */
int file_unmap(struct mount *m, const void *address, uint64_t until);

/*
 * Ends f at the end of its set, with its mapping, whatever handles it counts: in a forked child, a
 * thread of the parent may have been opening or closing one. Gives up as file_close() does.
 */
void file_end(struct file *f, uint64_t until);

/*
 * Takes the lock through h, or upgrades it; deadline and e as for filelock_acquire(). While it
 * waits, h and f stay, whatever other threads close.
 */
int file_lock(struct file *f, struct filehandle *h, enum protocol_mode mode, uint64_t deadline,
    struct eintr *e);

/* The same, and counts the section, and the time that it waited. */
int file_lock_and_count(struct file *f, struct filehandle *h, enum protocol_mode mode,
    uint64_t deadline, struct eintr *e);

int file_unlock(struct file *f, const struct filehandle *h);

/* sm_downgrade(). */
int file_downgrade(struct file *f, const struct filehandle *h);

int file_dirty(struct file *f, size_t offset, size_t length);

/* sm_grant(). */
int file_grant(struct file *f, const struct filehandle *h, uint64_t *life, uint64_t *grant);

int file_stat(struct file *f, struct sm_stat *out);

/* sm_holder(). */
int file_holder(struct file *f, struct sm_holder *out);

/*
 * fork(2): between the two, no thread is in a function of the file's local lock. The shadow may be
 * gone after them: see replica_fork_prepare().
 */
void file_fork_prepare(struct file *f);
void file_fork_parent(struct file *f);

/*
 * In the child: the lock is free, without waiters, and the replica void. is_prepared: see
 * forkhooks.h.
 */
void file_fork_child(struct file *f, bool is_prepared);

#endif
