/*
 * remote: a mount's connection to its server, for backends that have one: connecting, TLS, HELLO
 * and the fallback to version 1.
 *
 * One connection a mount and process. It is made by the first open, shared by the mount's files,
 * and closed when it has ended or with the mount; the next open then connects again, while files
 * of the old one say ENOTCONN. What is said on it is remotefile.h's.
 *
 * Who the server is, its certificate decides. Plaintext is for unix sockets only, and gives
 * everything to the host.
 */
#ifndef COMMON_REMOTE_REMOTE_H
#define COMMON_REMOTE_REMOTE_H

#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/remote/mux.h"
#include "common/remote/remotefork.h"
#include "common/wire/addr.h"
#include "common/wire/protocol.h"

struct mount;
struct tls_context;

/* What the HELLO of a connection agreed on. */
struct remote_terms {
	enum protocol_version version;
	bool has_leases;       /* wait for the reply to a release */
	uint32_t largest_body; /* version 2: of a reply */
	uint8_t instance_id[PROTOCOL_INSTANCE_ID_SIZE];
};

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
	struct tls_context *tls; /* NULL: plaintext */
	bool speaks_version_1;
	struct remotefork fork;
	struct mux *mux;           /* after remotefork_enter() */
	struct remote_terms terms; /* of mux */
	unsigned references;       /* the mount's and its files'; guarded by the mount's mutex */
	const char *address;       /* in words; the mount's */
};

/* Members of struct backend_ops. */
int remote_configure(struct mount *m, const char *uri);
void remote_detach(struct mount *m);

/* True when m has a connection for new files, though it may have ended. */
bool remote_is_connected(const struct mount *m);

/* True when somebody besides the mount and the caller has a reference. With the mount's mutex. */
bool remote_is_shared(const struct remote *r);

/*
 * The connection of m, which is made if there is none that lives; tls NULL: in plaintext. With
 * the mount's mutex. The caller gets a reference. Returns 0; -EPERM for what plaintext may not
 * do; -EPROTONOSUPPORT (version 1 only, and not speaks_version_1), -ETIMEDOUT, -ENOMEM; or see
 * addr_connect(), stream_handshake(), mux_wait().
 */
int remote_get(struct remote **out, struct mount *m, struct tls_context *tls,
    bool speaks_version_1);

/*
 * A new connection to the server of r, agreed on the version, with no descriptors; waiting for it is limited until
 * mux_set_deadline(). Errors as remote_get(), with words.
 */
int remote_dial(const struct remote *r, struct mux **out, struct remote_terms *terms);

/* Gives the reference back. With the mount's mutex. Takes NULL. */
void remote_put(struct remote *r);

/*
 * Ends the sender's turn, in which c and its body were put, and waits for the reply, which must have exactly
 * size bytes. c is the caller's to mux_end_call() whatever the result.
 */
int remote_exchange(struct remote *r, struct mux_call *c, uint32_t size);

/* Puts the failure of an operation on the file of that name into words. Returns error. */
int remote_fail(const struct remote *r, enum op op, const char *name, int error);

#endif
