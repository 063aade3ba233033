/*
 * backend: the interface of the types of mount: the client library is one client with several
 * backends.
 *
 * A backend keeps the master copy of segments and decides which process holds a lock, with the help
 * of a server (smdish, smuf: most functions of their struct backend_ops are those of remotefile.h)
 * or without one (smc). file.h, above it, has the handles, the queue of the threads, and the
 * replica; the backend sees one descriptor a file and process, and one acquire or release of it at
 * a time, by a thread that has the local lock. Several threads may call its functions at a time,
 * for different files.
 *
 * until is when a call gives up that waits for something else than a lock, a second later for each
 * MiB that it moves (mount_deadline()); the caller computes it once, when the program calls.
 *
 * Errors are 0 or a negative errno; the function that decides on one sets the message (error.h).
 */
#ifndef COMMON_CLIENT_BACKEND_H
#define COMMON_CLIENT_BACKEND_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/wire/protocol.h"

struct backend_ops;
struct eintr;
struct mount;
struct replica;
struct sm_holder;
struct sm_stat;
struct tls_context;

/* An open memory file: the first member of the backend's own struct. */
struct backend_file {
	const struct backend_ops *ops;
	struct replica *replica; /* the caller's; outlives this */

	/*
	 * Acquire gives up soon, with -ECANCELED, unless it has the grant. Set by the caller's
	 * other threads, cleared by the one that is going to acquire.
	 */
	atomic_bool is_interrupted;
	/* The caller's: how many interrupts have begun, and how many of them are over. */
	atomic_uint interrupts_begun, interrupts_over;
};

struct backend_ops {
	const char *type; /* of the mount: "smdish" */
	bool has_key;     /* accepts the option key= */
	bool has_locks;   /* accepts the option locks= */

	/* A forked child must not keep the descriptors of a file that it does not know. */
	bool has_kernel_locks;

	/* Each call ends at its deadline, `until`, when the server is silent. */
	bool has_server;

	/* Keeps files of the host. A mount may then name a second point, for packagers. */
	bool has_directory;

	/* Sets the members of a new mount that the URI determines. -EINVAL, -ENAMETOOLONG. */
	int (*configure)(struct mount *m, const char *uri);

	/* The mount ends and its files are closed: frees what the backend has in m. */
	void (*detach)(struct mount *m);

	/*
	 * fork(2). With the mount's mutex fork_ready (may be NULL) gets ready what a child needs,
	 * and may wait until that time. It is not called when another thread has that mutex for too
	 * long. The child then does without, as when it returns false: then another thread may use
	 * the mutex. In any case fork_prepare takes the backend's locks that no thread keeps while
	 * it waits; then one of the other two runs; all three with the mount's lists. fork_child
	 * closes what is the parent's and sends nothing; the mount's files in the child find their
	 * state at their next calls. is_prepared: see forkhooks.h.
	 */
	bool (*fork_ready)(struct mount *m, uint64_t until);
	void (*fork_prepare)(struct mount *m);
	void (*fork_parent)(struct mount *m);
	void (*fork_child)(struct mount *m, bool is_prepared);

	/*
	 * Opens the memory file of that name (the rest of the path behind the mount point, "/"
	 * first), which no handle of this process has open; tls is NULL for plaintext; flags:
	 * SM_OPEN_CREATE and SM_OPEN_EXCLUSIVE. One call at a time for one mount.
	 */
	int (*open)(struct backend_file **out, struct mount *m, struct tls_context *tls,
	    struct replica *replica, const char *name, int flags, uint64_t until);

	/*
	 * Closes the file; that releases its lock, and publishes nothing. Frees f whatever the
	 * result, which is that of the last release if it was not reported yet.
	 */
	int (*close)(struct backend_file *f, uint64_t until);

	/* False when the file's server is gone: every further call of it will fail. */
	bool (*is_alive)(struct backend_file *f, uint64_t until);

	/*
	 * Makes the segment, size bytes, unless the file has one of that size. Returns -EINVAL when
	 * it has another size. Not while locked.
	 */
	int (*map)(struct backend_file *f, uint32_t size, uint64_t until);

	/* Fills *out with what the server, or the lock file, records about the file. */
	int (*stat)(struct backend_file *f, struct sm_stat *out, uint64_t until);

	/* How the lock is held now, by whatever process. -ENOTSUP: a server that cannot tell. */
	int (*holder)(struct backend_file *f, struct sm_holder *out, uint64_t until);

	/*
	 * Acquires the lock, waiting until deadline (nanoseconds of CLOCK_MONOTONIC; CLOCK_NEVER;
	 * 0: a try, -EAGAIN) or until a signal ends the wait e (-EINTR; NULL: none does), and
	 * brings the replica up to date. On failure the lock is not held and the mapping is
	 * unchanged. PROTOCOL_UPGRADE: the lock is held shared, and is to be held exclusively; on
	 * failure it is held shared as before. -EDEADLK: another process waits for the same.
	 */
	int (*acquire)(struct backend_file *f, enum protocol_mode mode, uint64_t deadline,
	    struct eintr *e);

	/*
	 * is_interrupted was set: wakes the thread in acquire, if one sleeps there for long. NULL:
	 * none does.
	 */
	void (*interrupt)(struct backend_file *f);

	/*
	 * While the lock is held shared: true when another process waits for it, or when that
	 * cannot be known. deadline is that of the caller, as for acquire: a server that is silent
	 * until then costs the connection only if there is none.
	 */
	bool (*is_contended)(struct backend_file *f, uint64_t deadline);

	/*
	 * While the lock is held: the life of the file, and the number of the grant, which rises
	 * within it. Several readers may ask at a time. -ESTALE: another process has taken the lock
	 * over.
	 */
	int (*grant)(struct backend_file *f, uint64_t *life, uint64_t *grant, uint64_t until);

	/*
	 * Releases the lock, whatever the result. If is_publishing (never for a shared lock),
	 * publishes the changes of the replica first; if not, makes the replica void, unless the
	 * lock was shared.
	 */
	int (*release)(struct backend_file *f, bool is_publishing, uint64_t until);

	/*
	 * The lock is held exclusively: publishes the changes and holds it shared. -ENOTSUP: a
	 * server that cannot do so; nothing has changed. After another error the lock is released,
	 * as by release.
	 */
	int (*downgrade)(struct backend_file *f, uint64_t until);
};

#endif
