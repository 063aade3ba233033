/*
 * backend: what is different about a type of mount; the client library is one client with several
 * of these.
 *
 * A backend keeps the master copy of segments and decides who holds a lock, with the help of a
 * server (smdish, smuf: most of their struct backend_ops are the functions of remotefile.h) or
 * without one (smc). What is above it, file.h, has the handles, the threads that queue for a
 * file, and the replica; the backend sees one descriptor a file and process, and one acquire or
 * release of it at a time, with the local lock held. Its functions may be called by several
 * threads for several files.
 *
 * Errors are 0 or a negative errno; whoever decides on one puts it into words (error.h).
 */
#ifndef COMMON_CLIENT_BACKEND_H
#define COMMON_CLIENT_BACKEND_H

#include <stdbool.h>
#include <stdint.h>

#include "common/wire/protocol.h"

struct backend_ops;
struct mount;
struct replica;
struct sm_stat;
struct tls_context;

/* An open memory file: the first member of the backend's own struct. */
struct backend_file {
	const struct backend_ops *ops;
	struct replica *replica; /* the caller's; lives longer than this */
};

struct backend_ops {
	const char *type; /* of the mount: "smdish" */
	bool has_key;     /* takes key= */

	/* Of the host's files; its mounts may then name two points, the second for packagers only. */
	bool has_directory;

	/* Takes the URI of a new mount apart, into m. -EINVAL, -ENAMETOOLONG. */
	int (*configure)(struct mount *m, const char *uri);

	/* The mount ends, its files are closed: gives up what the backend keeps in m. */
	void (*detach)(struct mount *m);

	/*
	 * fork(2), with the mount's mutex: gets ready what a child needs, and takes the backend's locks; then one of
	 * the others. child closes what is the parent's and sends nothing; what the mount's files are in the child
	 * their next calls find out. is_prepared: see forkhooks.h.
	 */
	void (*fork_prepare)(struct mount *m);
	void (*fork_parent)(struct mount *m);
	void (*fork_child)(struct mount *m, bool is_prepared);

	/*
	 * Opens the memory file of that name (what is left of the path after the mount point, "/"
	 * first); tls is NULL for plaintext. Called in turns for one mount.
	 */
	int (*open)(struct backend_file **out, struct mount *m, struct tls_context *tls,
	    struct replica *replica, const char *name);

	/*
	 * Closes it, and with it gives up the lock and publishes nothing. Frees f whatever the
	 * result, which is that of the last release if nobody was told yet.
	 */
	int (*close)(struct backend_file *f);

	/* False when its server is gone: it will answer every call with an error. */
	bool (*is_alive)(struct backend_file *f);

	/*
	 * Makes the segment, size bytes, or finds that it has that size: -EINVAL when not. Not
	 * while locked.
	 */
	int (*map)(struct backend_file *f, uint32_t size);

	/* What is known of the file. */
	int (*stat)(struct backend_file *f, struct sm_stat *out);

	/*
	 * Takes the lock, waiting until deadline (nanoseconds of CLOCK_MONOTONIC; CLOCK_NEVER; 0:
	 * a try, -EAGAIN), and brings the replica up to date. On failure the lock is not held,
	 * and the mapping is as it was.
	 */
	int (*acquire)(struct backend_file *f, enum protocol_mode mode, uint64_t deadline);

	/*
	 * Gives the lock back, first publishing what changed in the replica if is_publishing
	 * (never for a shared lock). Else the replica is void, unless the lock was shared. The
	 * lock is gone whatever the result.
	 */
	int (*release)(struct backend_file *f, bool is_publishing);
};

#endif
