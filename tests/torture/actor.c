#include "tests/torture/actor.h"

#include <errno.h>
#include <string.h>

#include "common/client/smclient.h"

static const char *const names[] = {
	[ACTOR_OPEN] = "sm_open",
	[ACTOR_STAT] = "sm_stat",
	[ACTOR_MAP] = "sm_map",
	[ACTOR_UNMAP] = "sm_unmap",
	[ACTOR_CLOSE] = "sm_close",
	[ACTOR_LOCK] = "sm_lock",
	[ACTOR_TRYLOCK] = "sm_trylock",
	[ACTOR_TIMEDLOCK] = "sm_timedlock",
	[ACTOR_UNLOCK] = "sm_unlock",
	[ACTOR_DOWNGRADE] = "sm_downgrade",
	[ACTOR_GRANT] = "sm_grant",
};

/* What these functions are for: not an error of anything. */
static bool
is_answer(enum actor_call call, int error)
{
	switch (call) {
	case ACTOR_TRYLOCK:
		return error == EAGAIN || error == ETIMEDOUT;
	case ACTOR_TIMEDLOCK:
		return error == ETIMEDOUT;
	case ACTOR_MAP:
	case ACTOR_UNMAP:
		return error == EBUSY;
	default:
		return false;
	}
}

/* EIO: the next server has removed the files of the one before. */
static bool
is_cut(const struct round *r, int error)
{
	return error == ENOTCONN || error == ECONNRESET || error == ETIMEDOUT ||
	    (error == EIO && r->kind == ROUND_SMUF);
}

/* The host cannot make or extend its files. */
static bool
is_full(int error)
{
	return error == ENOSPC || error == EDQUOT || error == EFBIG || error == EROFS;
}

bool
actor_is_refusal(const struct actor *a, int error)
{
	return is_full(error) || error == ESTALE || (error == EBADF && a->round->kind == ROUND_SMC);
}

/* The lease was over: before sm_unlock(), before the grant was sent, or while it was. */
static bool
is_lease_over(enum actor_call call, int error)
{
	return (error == ESTALE && call != ACTOR_OPEN) || error == ENOTCONN || error == ECONNRESET;
}

/*
 * RLIMIT_NOFILE, RLIMIT_FSIZE. Any first call about a file in a forked child needs descriptors,
 * also through a handle that the child has opened.
 */
static bool
is_limit(const struct actor *a, enum actor_call call, int error)
{
	if (error == EMFILE)
		return call == ACTOR_OPEN || call == ACTOR_MAP || a->depth > 0;
	return error == EFBIG &&
	    (call == ACTOR_OPEN || call == ACTOR_MAP || call == ACTOR_UNLOCK ||
		call == ACTOR_DOWNGRADE);
}

/* What smuf's clients find when the host changes files. */
static bool
is_lie_found(int error)
{
	return error == EBADMSG || error == EIO || error == EEXIST;
}

static void
count(const struct actor *a, enum ledger_count what)
{
	ledger_add(a->seat.ledger, what);
}

/* Returns true when the round's trouble explains the error. */
static bool
is_trouble(const struct actor *a, enum actor_call call, int error)
{
	switch (a->round->trouble) {
	case ROUND_RESTARTS:
		if (!is_cut(a->round, error))
			return false;
		count(a, LEDGER_CUT);
		return true;
	case ROUND_LIES:
		if (!round_is_blind(a->round) && !is_lie_found(error))
			return false;
		count(a, LEDGER_FOUND);
		return true;
	case ROUND_FULL_DISK:
		if (!is_full(error))
			return false;
		count(a, LEDGER_FULL);
		return true;
	case ROUND_LEASES:
		if (!is_lease_over(call, error))
			return false;
		count(a, LEDGER_EXPIRED);
		return true;
	case ROUND_LIMITS:
		if (!is_limit(a, call, error))
			return false;
		count(a, LEDGER_LIMITED);
		return true;
	default:
		return false;
	}
}

/* The process has closed the descriptor, and with it the connection. */
static bool
is_closed(const struct actor *a, int error)
{
	if (!atomic_load(&a->seat.process->is_void) || (error != EBADF && error != ENOTCONN))
		return false;
	count(a, LEDGER_BAD);
	return true;
}

bool
actor_judge(const struct actor *a, enum actor_call call, int error, bool is_inherited)
{
	if (is_answer(call, error)) {
		if (call != ACTOR_MAP && call != ACTOR_UNMAP)
			count(a, LEDGER_NOT_GRANTED);
		return false;
	}
	/* The parent's connection or file is gone, or the server did not answer in time. */
	if (is_inherited && error == ESTALE) {
		count(a, LEDGER_VOID);
		return true;
	}
	if (!is_trouble(a, call, error) && !is_closed(a, error))
		ledger_complain(&a->seat, "%s: %s (%s)", names[call], strerror(error),
		    sm_error(NULL));
	return !is_full(error) && error != EMFILE &&
	    (a->round->trouble != ROUND_LEASES || error != ESTALE);
}
