/*
 * remote: a mount's connection to its server, for backends that have one.
 *
 * There is one connection a mount and process. The first open makes it, and the mount's files share
 * it. After it has ended, the next open makes another, while files of the old one fail with
 * ENOTCONN.
 *
 * The files of this folder, of which each calls only those above it in this list:
 *
 *	mux*			a connection that threads share; mux_core.h lists its files
 *	dial			connecting, one exchange of request and reply, errors in words
 *	standing		a request that outlives the call that sent it
 *	inherit			the descriptors that a forked child inherits
 *	remote			a mount's connection
 *	remotefile_request	requests about a memory file: open, close, stat
 *	remotefile_attach	a memory file in a forked child
 *	remotefile		a memory file: open, close, map, stat
 *	compat_v1		taking and releasing a lock with version 1
 *	remotefile_upgrade	an upgrade that is given up, with version 2
 *	remotefile_release	releasing it with version 2
 *	remotefile_acquire	taking it with version 2
 */
#ifndef COMMON_REMOTE_REMOTE_H
#define COMMON_REMOTE_REMOTE_H

#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/remote/dial.h"
#include "common/remote/inherit.h"
#include "common/remote/mux.h"
#include "common/wire/addr.h"
#include "common/wire/protocol.h"

struct mount;
struct tls_context;

TAILQ_HEAD(remote_list, remote);

/*
 * The backend_state of a mount. Guarded by the mount's mutex, remotes also by that of its lists;
 * except addr, which does not change.
 */
struct remote_mount {
	struct addr addr;
	struct remote_list remotes; /* all connections that are in use */
	struct remote *current;     /* for new files; NULL: there is none */
};

struct remote {
	TAILQ_ENTRY(remote) link; /* of the mount's */
	struct mount *mount;
	struct dial_target target;
	struct inherit inherit;
	struct mux *mux;         /* to be used after remote_attach() */
	struct dial_terms terms; /* of mux */
	unsigned references;     /* the mount's and its files'; guarded by the mount's mutex */
};

/* Members of struct backend_ops. */
int remote_configure(struct mount *m, const char *uri);
void remote_detach(struct mount *m);
bool remote_fork_ready(struct mount *m, uint64_t until);
void remote_fork_prepare(struct mount *m);
void remote_fork_parent(struct mount *m);
void remote_fork_child(struct mount *m, bool is_prepared);

/* The address of the mount's server, valid as long as m; NULL for a backend without servers. */
const struct addr *remote_address(const struct mount *m);

/* True when m has a connection for new files, which may have ended. With the mount's mutex. */
bool remote_is_connected(const struct mount *m);

/* True when there are references besides the mount's and the caller's. With the mount's mutex. */
bool remote_is_shared(const struct remote *r);

/*
 * Gives the caller a reference to the connection of m, and connects first, until that time, if
 * there is none that lives; tls NULL: in plaintext. With the mount's mutex. Returns 0, -ENOMEM, or
 * see dial_connect().
 */
int remote_get(struct remote **out, struct mount *m, struct tls_context *tls, bool speaks_version_1,
    uint64_t until);

/* Drops a reference; closes with the last one. With the mount's mutex. Takes NULL. */
void remote_put(struct remote *r);

/* Before every use of r->mux: see inherit_attach(). */
static inline int
remote_attach(struct remote *r, uint64_t until)
{
	return inherit_attach(&r->inherit, &r->mux, &r->terms, until);
}

/* Puts the failure of an operation on the file of that name into words. Returns error. */
int remote_fail(const struct remote *r, enum protocol_op op, const char *name, int error);

#endif
