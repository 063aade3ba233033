/*
 * remotefile: an open memory file that a server keeps, and the operations on it (PROTOCOL 5).
 *
 * The functions here are members of the struct backend_ops of smdish and of smuf. The two differ in
 * their struct remotefile_codec: how the delta of a grant is checked and applied, and how that of a
 * release is made.
 *
 * A release is a one-way request: it counts as published once it is sent. If the server refuses it,
 * the failure arrives before the reply to any later request and is recorded for the file. The next
 * call on the file reports it, and the next holder finds the replica void. A server that limits how
 * long locks are held says so in its HELLO (leases): then a release waits for its reply.
 *
 * A forked child that has lost its connection opens its files anew by name (inherit.h). It knows
 * them by their lives, which the parent asks for before it forks, once for each file. A call that
 * gives up meanwhile leaves the OPEN to the next call on the file, which goes on from there: the
 * connection lives on, and the server has one descriptor of the file.
 */
#ifndef COMMON_REMOTE_REMOTEFILE_H
#define COMMON_REMOTE_REMOTEFILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/client/backend.h"
#include "common/remote/mux.h"
#include "common/remote/remote.h"
#include "common/remote/standing.h"
#include "common/wire/protocol.h"
#include "common/wire/wire.h"

struct remotefile;

/*
 * How deltas look (PROTOCOL 5.7, PROTOCOL 5.8). Each function is called with the file's lock held.
 */
struct remotefile_codec {
	size_t size; /* of the backend's own struct, whose first member is a struct remotefile */

	/* Ends what the backend adds, which is zeros at first. NULL when it adds nothing. */
	void (*fini)(struct remotefile *f);

	bool speaks_version_1; /* falls back to LOCK and UNLOCK of whole segments */

	/*
	 * A mapped file was granted: checks all of delta, then applies it, which brings the replica
	 * to version. On failure (-EPROTO, -EBADMSG, ...) the mapping is as it was.
	 */
	int (*apply)(struct remotefile *f, uint64_t version, struct wire_reader delta);

	/*
	 * A mapped file held exclusively is going to be released: finds what changed and does all
	 * with it that can fail. Sets *size to the number of bytes that put() will put, and
	 * *has_blocks to whether any block is among them.
	 */
	int (*prepare)(struct remotefile *f, uint64_t *size, bool *has_blocks);

	/* Puts the delta that was prepared. It counts as published until the replica is void. */
	void (*put)(struct remotefile *f, struct mux *m);
};

struct remotefile {
	struct backend_file base;
	const struct remotefile_codec *codec;
	struct remote *remote;
	char *name;
	int flags; /* of the open */
	uint32_t fd;
	_Atomic uint64_t grant;     /* while the lock is held; sm_map() may change it */
	_Atomic uint64_t life;      /* of the file; 0: not asked for yet */
	enum protocol_mode mode;    /* of that grant */
	bool has_segment;           /* that grant had a delta, and so must its release */
	uint8_t v1_type;            /* version 1: the type in LOCK, and so in UNLOCK */
	struct mux_failure failure; /* of one-way releases */
	struct mux_call upgrade;    /* that is under way, or */
	bool is_unsettled;          /* was given up and has had no reply: see remotefile_settle() */
	atomic_uint epoch;          /* of the connection, when failure was registered */
	atomic_uint table;          /* that fd is in: see inherit.h */
	struct standing opening;    /* in a forked child: the OPEN that opens it anew, and */
	unsigned opening_epoch;     /* of which connection that is */
	bool is_unverified;         /* fd is open anew, of this or of another file */
};

/*
 * For a backend's open: connects if there is no connection that lives, and opens name. ops and
 * codec are the backend's, the other arguments those of the member open. Errors: see remote_get(),
 * mux_wait().
 */
int remotefile_open(struct backend_file **out, const struct backend_ops *ops,
    const struct remotefile_codec *codec, struct mount *m, struct tls_context *tls,
    struct replica *replica, const char *name, int flags, uint64_t until);

/* Members of struct backend_ops. */
bool remotefile_fork_ready(struct mount *m, uint64_t until);
int remotefile_close(struct backend_file *f, uint64_t until);
bool remotefile_is_alive(struct backend_file *f, uint64_t until);
int remotefile_map(struct backend_file *f, uint32_t size, uint64_t until);
int remotefile_stat(struct backend_file *f, struct sm_stat *out, uint64_t until);
int remotefile_holder(struct backend_file *f, struct sm_holder *out, uint64_t until);
int remotefile_acquire(struct backend_file *f, enum protocol_mode mode, uint64_t deadline,
    struct eintr *e);
void remotefile_interrupt(struct backend_file *f);
int remotefile_grant(struct backend_file *f, uint64_t *life, uint64_t *grant, uint64_t until);
bool remotefile_is_contended(struct backend_file *f, uint64_t deadline);
int remotefile_release(struct backend_file *f, bool is_publishing, uint64_t until);
int remotefile_downgrade(struct backend_file *f, uint64_t until);

/* Puts the failure of op on f into words. Returns error. */
int remotefile_fail(const struct remotefile *f, enum protocol_op op, int error);

#endif
