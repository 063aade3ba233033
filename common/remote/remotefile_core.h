/*
 * remotefile_core: shared by the files that make up remotefile.h (remote.h lists them). Others
 * include that.
 */
#ifndef COMMON_REMOTE_REMOTEFILE_CORE_H
#define COMMON_REMOTE_REMOTEFILE_CORE_H

#include "common/base/container.h"
#include "common/remote/remotefile.h"

static inline struct remotefile *
remotefile_of(struct backend_file *f)
{
	return container_of(f, struct remotefile, base);
}

/*
 * Before every use of the connection: makes sure that it is this process's, and that f is open and
 * registered there. Gives up at that time, which costs nothing: a later call goes on. Errors: see
 * inherit_attach(), mux_failure_register(); -ESTALE: f is to be opened anew, and is not the same
 * file any more.
 */
int remotefile_attach(struct remotefile *f, uint64_t until);

/* Before f ends: the connection ends with an OPEN that nobody can wait for any more. */
void remotefile_end_opening(struct remotefile *f);

/* True when the server has a descriptor of f in this connection's table, or was asked for one. */
bool remotefile_is_in_table(const struct remotefile *f);

/*
 * Returns the recorded failure of a release, and voids the replica, since that was not published; 0
 * when there is none. *was_reported: whether a call has returned it before. The caller holds the
 * file's local lock.
 */
int remotefile_take_failure(struct remotefile *f, bool *was_reported);

/* Returns 0, or -ENOTSUP when the server has no extensions (PROTOCOL 5.1), which `what` needs. */
int remotefile_need_extensions(const struct remotefile *f, const char *what);

/* Makes the caller the sender, for op: see mux_become_sender(). */
int remotefile_become_sender(struct remotefile *f, enum protocol_op op, struct mux_limit limit);

/* Begins OPEN, or OPEN2 for other flags than it has. The caller is the sender. */
void remotefile_begin_open(struct remotefile *f, struct mux_call *c);

/* The same and its reply; sets f->fd. Returns 0 or see dial_exchange(). */
int remotefile_request_open(struct remotefile *f, struct mux_limit limit);

/* Begins CLOSE. The caller is the sender. */
void remotefile_begin_close(struct remotefile *f, struct mux_call *c);

/* STAT; sets the life of f, too. Returns 0 or, with words, see dial_exchange(). */
int remotefile_request_stat(struct remotefile *f, struct protocol_stat *s, uint64_t until);

/*
 * STAT, without words, for a caller that cannot wait any longer: a server that does not answer
 * until then costs nothing, see dial_exchange_in_time().
 */
int remotefile_request_stat_in_time(struct remotefile *f, struct protocol_stat *s, uint64_t until);

/*
 * When the reply must have come to a request for a lock that is sent now, with that deadline
 * (CLOCK_NEVER; 0: a try).
 */
uint64_t remotefile_answer_due(uint64_t deadline);

/* When a step towards it must be done, which the server can do at once. */
uint64_t remotefile_step_due(const struct remotefile *f, uint64_t due);

/*
 * Ends a call whose result is error. Returns that, or a failure of an earlier release that no call
 * has returned yet. The caller holds the file's local lock.
 */
int remotefile_end_call(struct remotefile *f, struct mux_call *c, enum protocol_op op, int error);

/*
 * An upgrade that is given up leaves the lock held shared, by the grant that it was, or by its own
 * if the server had granted it before. The reply says so, and nobody waits for it until the grant
 * is used next: to release it, or for another upgrade.
 *
 * leave: gives up f->upgrade. Returns false when it was answered or the connection has ended, and
 * is not to be given up.
 *
 * settle: a further wait for the reply has ended with error. Returns 0 when the lock is held by
 * f->grant; -ETIMEDOUT or -EINTR when f->is_unsettled still; or the error with which the
 * connection has ended. The caller has the lock alone in this process.
 */
bool remotefile_leave_upgrade(struct remotefile *f);
int remotefile_settle(struct remotefile *f, int error);

/*
 * Ends a grant that cannot be used or is no longer wanted, with nothing published; flags as in
 * RELEASE. For a caller that has another error to return. A connection that takes no bytes until
 * that time ends.
 */
void remotefile_release_empty(struct remotefile *f, uint8_t flags, uint64_t until);

#endif
