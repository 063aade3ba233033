/*
 * remote: a mount's connection to its server, for backends that have one.
 *
 * One connection a mount and process. The first open makes it, the mount's files share it, and it
 * is closed with the last of them and the mount. When it has ended, the next open makes another,
 * while files of the old one fail with ENOTCONN. What is sent on it is remotefile.h's.
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

/* What a mount keeps of its server: its backend_state. Guarded by the mount's mutex. */
struct remote_mount {
	struct addr addr;
	struct remote_list remotes; /* all connections that files still use */
	struct remote *current;     /* the one that new files use; NULL before the first */
};

struct remote {
	TAILQ_ENTRY(remote) link; /* of the mount's */
	struct mount *mount;
	struct dial_target target;
	struct inherit inherit;
	struct mux *mux;         /* after remote_attach() */
	struct dial_terms terms; /* of mux */
	unsigned references;     /* the mount's and its files'; guarded by the mount's mutex */
};

/* Members of struct backend_ops. */
int remote_configure(struct mount *m, const char *uri);
void remote_detach(struct mount *m);
void remote_fork_prepare(struct mount *m);
void remote_fork_parent(struct mount *m);
void remote_fork_child(struct mount *m, bool is_prepared);

/* True when m has a connection for new files, though it may have ended. */
bool remote_is_connected(const struct mount *m);

/* True when somebody besides the mount and the caller has a reference. With the mount's mutex. */
bool remote_is_shared(const struct remote *r);

/*
 * The connection of m, which is made if there is none that lives; tls NULL: in plaintext. With the
 * mount's mutex. The caller gets a reference. Returns 0; -EPERM for what plaintext may not do;
 * -EPROTONOSUPPORT (version 1 only, and not speaks_version_1), -ETIMEDOUT, -ENOMEM; or see
 * addr_connect(), stream_handshake(), mux_wait().
 */
int remote_get(struct remote **out, struct mount *m, struct tls_context *tls,
    bool speaks_version_1);

/* Gives the reference back. With the mount's mutex. Takes NULL. */
void remote_put(struct remote *r);

/* Before every use of r->mux: see inherit_attach(). */
static inline int
remote_attach(struct remote *r)
{
	return inherit_attach(&r->inherit, &r->mux, &r->terms);
}

/* Puts the failure of an operation on the file of that name into words. Returns error. */
int remote_fail(const struct remote *r, enum op op, const char *name, int error);

#endif
