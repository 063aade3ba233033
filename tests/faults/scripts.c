#include "tests/faults/scripts.h"

#include <errno.h>

#include "common/wire/protocol.h"
#include "tests/faults/asks.h"
#include "tests/faults/model.h"

/* The files, by their numbers in model.h, and sizes of segments. */
enum { A, B, C, X, Y, N, M, WRONG };
enum { SMALL = 100, THREE_BLOCKS = 9000, LARGE = 70000 };

/* So many replies of 8 bytes leave 8 bytes of the smallest buffer; HOLD_ALL holds the requests. */
enum { PINGS = 31, HOLD_ALL = 32 * 1024 };

#define FOREVER PROTOCOL_TIMEOUT_NEVER
#define TRY PROTOCOL_TIMEOUT_TRY
#define END \
	{ \
		DRIVE_ACTS, 0, 0, 0, 0 \
	}

/* A peer of version 2 or 1 whose descriptor 0 is that file. */
#define BEGIN_2(peer, file) \
	{ DRIVE_BEGIN, peer, 0, 2, 0 }, \
	{ \
		DRIVE_OPEN, peer, 0, file, 0 \
	}
#define BEGIN_1(peer, file) \
	{ DRIVE_BEGIN, peer, 0, 1, 0 }, \
	{ \
		DRIVE_OPEN, peer, 0, file, 0 \
	}

static const struct drive_action sections[] = {
	BEGIN_2(0, A),
	{ DRIVE_EXCLUDE, 0, 0, FOREVER, 0 },
	{ DRIVE_RELEASE, 0, 0, RELEASE_SMALL, 0 },
	{ DRIVE_MAP, 0, 0, THREE_BLOCKS, 0 },
	{ DRIVE_EXCLUDE, 0, 0, FOREVER, 0 },
	{ DRIVE_RELEASE, 0, 0, RELEASE_SEVERAL, 0 },
	{ DRIVE_EXCLUDE, 0, 0, FOREVER, 0 },
	{ DRIVE_EXCLUDE, 0, 0, FOREVER, EDEADLK },
	{ DRIVE_RELEASE, 0, 0, RELEASE_ONE_WAY, DRIVE_WAITS },
	{ DRIVE_STAT, 0, 0, 0, 0 },
	BEGIN_2(1, A),
	{ DRIVE_EXCLUDE, 1, 0, 5000, 0 },
	{ DRIVE_EXCLUDE, 0, 0, TRY, EAGAIN },
	{ DRIVE_EXCLUDE, 0, 0, FOREVER, DRIVE_WAITS },
	{ DRIVE_RELEASE, 1, 0, RELEASE_SMALL, 0 },
	{ DRIVE_HOLDS, 0, 0, 0, DRIVE_ANY },
	{ DRIVE_RELEASE, 0, 0, RELEASE_ALL, 0 },
	{ DRIVE_EXCLUDE, 1, 0, FOREVER, 0 },
	{ DRIVE_RELEASE, 1, 0, RELEASE_UNVERIFIED, 0 },
	{ DRIVE_EXCLUDE, 1, 0, FOREVER, 0 },
	{ DRIVE_RELEASE, 1, 0, RELEASE_NOTHING, 0 },
	{ DRIVE_CLOSE, 0, 0, 0, 0 },
	{ DRIVE_CLOSE, 0, 0, 0, EBADF },
	END,
};

static const struct drive_action refusals[] = {
	BEGIN_2(0, B),
	{ DRIVE_MAP, 0, 0, THREE_BLOCKS, 0 },
	{ DRIVE_MAP, 0, 0, SMALL, EINVAL },
	{ DRIVE_EXCLUDE, 0, 0, FOREVER, 0 },
	{ DRIVE_RELEASE, 0, 0, RELEASE_STALE, ESTALE },
	{ DRIVE_RELEASE, 0, 0, RELEASE_BEYOND, EINVAL },
	{ DRIVE_EXCLUDE, 0, 0, FOREVER, 0 },
	{ DRIVE_RELEASE, 0, 0, RELEASE_TWICE, EINVAL },
	{ DRIVE_EXCLUDE, 0, 0, FOREVER, 0 },
	{ DRIVE_RELEASE, 0, 0, RELEASE_SHORT, EPROTO },
	{ DRIVE_EXCLUDE, 0, 0, FOREVER, 0 },
	{ DRIVE_RELEASE, 0, 0, RELEASE_FLAGS, EINVAL },
	{ DRIVE_RELEASE, 0, 0, RELEASE_STALE, ESTALE },
	{ DRIVE_RELEASE, 0, 0, RELEASE_STALE_LARGE, ESTALE },
	{ DRIVE_ODD_MODE, 0, 0, 0, EINVAL },
	{ DRIVE_OPEN, 0, 0, WRONG + 2, EINVAL },
	{ DRIVE_HELLO, 0, 0, 2, EPROTO },
	{ DRIVE_ODD, 0, 0, OP_STAT, EPROTO },
	{ DRIVE_ODD, 0, 0, OP_LOCK, ENOSYS },
	{ DRIVE_ATTACH, 0, 0, 0, EINVAL },
	{ DRIVE_CONNECT, 1, 0, 0, DRIVE_ANY },
	{ DRIVE_GARBAGE, 1, 0, 0, DRIVE_ANY },
	{ DRIVE_BEGIN, 1, 0, 2, 0 },
	{ DRIVE_GARBAGE, 1, 0, 1, DRIVE_ANY },
	{ DRIVE_CONNECT, 2, 0, 0, DRIVE_ANY },
	{ DRIVE_HELLO, 2, 0, 2, 0 },
	{ DRIVE_OPEN, 2, 0, B, EPERM },
	END,
};

static const struct drive_action readers[] = {
	BEGIN_2(0, C),
	BEGIN_2(1, C),
	BEGIN_2(2, C),
	{ DRIVE_MAP, 0, 0, THREE_BLOCKS, 0 },
	{ DRIVE_EXCLUDE, 0, 0, FOREVER, 0 },
	{ DRIVE_SHARE, 1, 0, FOREVER, DRIVE_WAITS },
	{ DRIVE_SHARE, 2, 0, FOREVER, DRIVE_WAITS },
	{ DRIVE_RELEASE, 0, 0, RELEASE_ALL, 0 },
	{ DRIVE_HOLDS, 1, 0, 0, DRIVE_ANY },
	{ DRIVE_HOLDS, 2, 0, 0, DRIVE_ANY },
	{ DRIVE_EXCLUDE, 0, 0, FOREVER, DRIVE_WAITS },
	{ DRIVE_OPEN, 1, 0, C, 0 },
	{ DRIVE_SHARE, 1, 1, FOREVER, DRIVE_WAITS },
	{ DRIVE_RELEASE, 1, 0, RELEASE_NOTHING, 0 },
	{ DRIVE_RELEASE, 2, 0, RELEASE_NOTHING, 0 },
	{ DRIVE_HOLDS, 0, 0, 0, DRIVE_ANY },
	{ DRIVE_RELEASE, 0, 0, RELEASE_SMALL, 0 },
	{ DRIVE_HOLDS, 1, 1, 0, DRIVE_ANY },
	{ DRIVE_EXCLUDE, 0, 0, FOREVER, DRIVE_WAITS },
	{ DRIVE_HANG_UP, 1, 0, 0, DRIVE_ANY },
	{ DRIVE_STAT, 0, 0, 0, 0 },
	{ DRIVE_HOLDS, 0, 0, 0, DRIVE_ANY },
	END,
};

/* From shared to exclusive and back: granted, refused, late, taken back, ended. */
static const struct drive_action upgrades[] = {
	BEGIN_2(0, A),
	BEGIN_2(1, A),
	BEGIN_2(2, A),
	{ DRIVE_MAP, 0, 0, THREE_BLOCKS, 0 },
	{ DRIVE_UPGRADE, 0, 0, FOREVER, EINVAL },
	{ DRIVE_SHARE, 0, 0, FOREVER, 0 },
	{ DRIVE_SHARE, 1, 0, FOREVER, 0 },
	{ DRIVE_UPGRADE, 0, 0, TRY, EAGAIN },
	{ DRIVE_UPGRADE, 0, 0, FOREVER, DRIVE_WAITS },
	{ DRIVE_UPGRADE, 1, 0, FOREVER, EDEADLK },
	{ DRIVE_SHARE, 2, 0, FOREVER, DRIVE_WAITS },
	{ DRIVE_RELEASE, 1, 0, RELEASE_NOTHING, 0 },
	{ DRIVE_HOLDS, 0, 0, 0, DRIVE_ANY },
	{ DRIVE_RELEASE, 0, 0, RELEASE_KEEP, 0 },
	{ DRIVE_HOLDS, 0, 0, 0, DRIVE_ANY },
	{ DRIVE_HOLDS, 2, 0, 0, DRIVE_ANY },
	{ DRIVE_UPGRADE, 0, 0, 5000, DRIVE_WAITS },
	{ DRIVE_TIME, 0, 0, 6000, ETIMEDOUT },
	{ DRIVE_UPGRADE, 0, 0, FOREVER, DRIVE_WAITS },
	{ DRIVE_CANCEL, 0, 0, 0, 0 },
	{ DRIVE_UPGRADE, 0, 0, FOREVER, DRIVE_WAITS },
	{ DRIVE_HANG_UP, 2, 0, 0, DRIVE_ANY },
	{ DRIVE_HOLDS, 0, 0, 0, DRIVE_ANY },
	{ DRIVE_RELEASE, 0, 0, RELEASE_KEEP, 0 },
	{ DRIVE_RELEASE, 0, 0, RELEASE_KEEP, EINVAL },
	{ DRIVE_EXCLUDE, 1, 0, FOREVER, 0 },
	{ DRIVE_SHARE, 0, 0, FOREVER, DRIVE_WAITS },
	{ DRIVE_RELEASE, 1, 0, RELEASE_KEEP, 0 },
	{ DRIVE_HOLDS, 0, 0, 0, DRIVE_ANY },
	{ DRIVE_UPGRADE, 0, 0, FOREVER, DRIVE_WAITS },
	{ DRIVE_CLOSE, 0, 0, 0, 0 },
	{ DRIVE_UPGRADE, 1, 0, FOREVER, 0 },
	{ DRIVE_HANG_UP, 1, 0, 0, DRIVE_ANY },
	END,
};

static const struct drive_action ends[] = {
	BEGIN_2(0, A),
	BEGIN_2(1, A),
	BEGIN_2(2, A),
	{ DRIVE_MAP, 0, 0, SMALL, 0 },
	{ DRIVE_EXCLUDE, 0, 0, FOREVER, 0 },
	{ DRIVE_EXCLUDE, 1, 0, FOREVER, DRIVE_WAITS },
	{ DRIVE_CANCEL, 1, 0, 0, 0 },
	{ DRIVE_EXCLUDE, 1, 0, 5000, DRIVE_WAITS },
	{ DRIVE_TIME, 0, 0, 6000, ETIMEDOUT },
	{ DRIVE_EXCLUDE, 1, 0, FOREVER, DRIVE_WAITS },
	{ DRIVE_CLOSE, 0, 0, 0, 0 },
	{ DRIVE_HOLDS, 1, 0, 0, DRIVE_ANY },
	{ DRIVE_EXCLUDE, 2, 0, FOREVER, DRIVE_WAITS },
	{ DRIVE_TABLE, 1, 0, 0, 0 },
	{ DRIVE_HOLDS, 2, 0, 0, DRIVE_ANY },
	{ DRIVE_OPEN, 1, 0, A, 0 },
	{ DRIVE_EXCLUDE, 1, 0, FOREVER, DRIVE_WAITS },
	{ DRIVE_CLOSE, 1, 0, 0, 0 },
	{ DRIVE_OPEN, 1, 0, A, 0 },
	{ DRIVE_EXCLUDE, 1, 0, FOREVER, DRIVE_WAITS },
	{ DRIVE_HALF, 2, 0, 5, DRIVE_ANY },
	{ DRIVE_RELEASE, 2, 0, RELEASE_SMALL, DRIVE_WAITS },
	{ DRIVE_HANG_UP, 2, 0, 0, DRIVE_ANY },
	{ DRIVE_STAT, 1, 0, 0, 0 },
	{ DRIVE_HOLDS, 1, 0, 0, DRIVE_ANY },
	BEGIN_2(2, A),
	{ DRIVE_EXCLUDE, 2, 0, FOREVER, DRIVE_WAITS },
	{ DRIVE_SHUT, 2, 0, 0, DRIVE_ANY },
	BEGIN_2(2, A),
	{ DRIVE_HALF, 2, 0, 5, DRIVE_ANY },
	{ DRIVE_STAT, 2, 0, 0, DRIVE_WAITS },
	{ DRIVE_TIME, 2, 0, 11000, DRIVE_WAITS },
	{ DRIVE_RELEASE, 1, 0, RELEASE_SMALL, 0 },
	END,
};

static const struct drive_action forks[] = {
	BEGIN_2(0, A),
	{ DRIVE_OPEN, 0, 0, N, 0 },
	{ DRIVE_EXCLUDE, 0, 1, FOREVER, 0 },
	{ DRIVE_FORK, 0, 0, 0, 0 },
	{ DRIVE_FORK, 0, 0, 0, 0 },
	{ DRIVE_CONNECT, 1, 0, 0, DRIVE_ANY },
	{ DRIVE_HELLO, 1, 0, 2, 0 },
	{ DRIVE_ATTACH, 1, 0, 0, 0 },
	{ DRIVE_EXCLUDE, 1, 1, FOREVER, DRIVE_WAITS },
	{ DRIVE_ATTACH, 1, 0, 0, EINVAL },
	{ DRIVE_HANG_UP, 0, 0, 0, DRIVE_ANY },
	{ DRIVE_STAT, 1, 0, 0, 0 },
	{ DRIVE_ATTACH, 1, 0, 1, 0 },
	{ DRIVE_EXCLUDE, 1, 1, TRY, 0 },
	{ DRIVE_FORK, 1, 0, 0, 0 },
	{ DRIVE_HANG_UP, 1, 0, 0, DRIVE_ANY },
	{ DRIVE_TIME, 0, 0, 61000, DRIVE_WAITS },
	BEGIN_2(0, N),
	{ DRIVE_ATTACH, 0, 0, 2, EINVAL },
	END,
};

static const struct drive_action files[] = {
	BEGIN_2(0, N),
	{ DRIVE_OPEN, 0, 0, M, 0 },
	{ DRIVE_OPEN, 0, 0, N, 0 },
	{ DRIVE_MAP, 0, 0, 0, EINVAL },
	{ DRIVE_MAP, 0, 0, SUBJECT_SEGMENT_MOST + 1, EMSGSIZE },
	{ DRIVE_MAP, 0, 0, LARGE, 0 },
	{ DRIVE_MAP, 0, 1, LARGE, 0 },
	{ DRIVE_OPEN, 0, 0, A, 0 },
	{ DRIVE_MAP, 0, 3, LARGE, 0 },
	{ DRIVE_OPEN, 0, 0, B, 0 },
	{ DRIVE_MAP, 0, 4, LARGE, ENOMEM },
	{ DRIVE_EXCLUDE, 0, 1, FOREVER, 0 },
	{ DRIVE_RELEASE, 0, 1, RELEASE_ALL, 0 },
	{ DRIVE_STAT, 0, 1, 0, 0 },
	{ DRIVE_CLOSE, 0, 0, 0, 0 },
	{ DRIVE_CLOSE, 0, 1, 0, 0 },
	{ DRIVE_OPEN, 0, 0, M, 0 },
	{ DRIVE_STAT, 0, 0, 0, 0 },
	{ DRIVE_MAP, 0, 0, SMALL, 0 },
	{ DRIVE_TABLE, 0, 0, 0, 0 },
	{ DRIVE_STAT, 0, 0, 0, EBADF },
	END,
};

static const struct drive_action large[] = {
	BEGIN_2(0, A),
	BEGIN_2(1, A),
	{ DRIVE_MAP, 0, 0, LARGE, 0 },
	{ DRIVE_EXCLUDE, 0, 0, FOREVER, 0 },
	{ DRIVE_HALF, 0, 0, 100, DRIVE_ANY },
	{ DRIVE_RELEASE, 0, 0, RELEASE_ALL, DRIVE_WAITS },
	{ DRIVE_EXCLUDE, 1, 0, FOREVER, DRIVE_WAITS },
	{ DRIVE_WHOLE, 0, 0, 0, DRIVE_ANY },
	{ DRIVE_HOLDS, 1, 0, 0, DRIVE_ANY },
	{ DRIVE_RELEASE, 1, 0, RELEASE_ALL, 0 },
	/* Replies that are not read pile up; a grant waits for them. */
	{ DRIVE_OPEN, 1, 0, A, 0 },
	{ DRIVE_OPEN, 1, 0, A, 0 },
	{ DRIVE_OPEN, 1, 0, A, 0 },
	{ DRIVE_LAZY, 1, 0, 1, DRIVE_ANY },
	{ DRIVE_SHARE, 1, 0, FOREVER, DRIVE_WAITS },
	{ DRIVE_SHARE, 1, 1, FOREVER, DRIVE_WAITS },
	{ DRIVE_SHARE, 1, 2, FOREVER, DRIVE_WAITS },
	{ DRIVE_SHARE, 1, 3, FOREVER, DRIVE_WAITS },
	{ DRIVE_EXCLUDE, 0, 0, 5000, DRIVE_WAITS },
	{ DRIVE_TIME, 0, 0, 6000, ETIMEDOUT },
	{ DRIVE_LAZY, 1, 0, 0, DRIVE_ANY },
	{ DRIVE_STAT, 1, 0, 0, 0 },
	{ DRIVE_HOLDS, 1, 3, 0, DRIVE_ANY },
	{ DRIVE_SHARE, 1, 3, FOREVER, EDEADLK },
	{ DRIVE_LAZY, 1, 0, 1, DRIVE_ANY },
	{ DRIVE_EXCLUDE, 0, 0, FOREVER, DRIVE_WAITS },
	{ DRIVE_HANG_UP, 1, 0, 0, DRIVE_ANY },
	{ DRIVE_STAT, 0, 0, 0, 0 },
	{ DRIVE_HOLDS, 0, 0, 0, DRIVE_ANY },
	{ DRIVE_RELEASE, 0, 0, RELEASE_ALL, 0 },
	END,
};

static const struct drive_action version_1[] = {
	BEGIN_1(0, X),
	{ DRIVE_LOCK, 0, 0, LOCK_TRUE, 0 },
	{ DRIVE_UNLOCK, 0, 0, UNLOCK_TRUE, 0 },
	{ DRIVE_CLOSE, 0, 0, 0, 0 },
	{ DRIVE_OPEN, 0, 0, Y, 0 },
	{ DRIVE_MAP, 0, 0, THREE_BLOCKS, 0 },
	{ DRIVE_LOCK, 0, 0, LOCK_TRUE, 0 },
	{ DRIVE_UNLOCK, 0, 0, UNLOCK_TRUE, 0 },
	{ DRIVE_LOCK, 0, 0, LOCK_TRUE, 0 },
	{ DRIVE_LOCK, 0, 0, LOCK_TRUE, 0 },
	{ DRIVE_LOCK, 0, 0, LOCK_TYPE, EBADE },
	{ DRIVE_UNLOCK, 0, 0, UNLOCK_SHAPE, EPROTO },
	{ DRIVE_LOCK, 0, 0, LOCK_TRUE, 0 },
	{ DRIVE_UNLOCK, 0, 0, UNLOCK_TYPE, EBADE },
	{ DRIVE_LOCK, 0, 0, LOCK_TRUE, 0 },
	{ DRIVE_FORK, 0, 0, 0, 0 },
	{ DRIVE_CONNECT, 1, 0, 0, DRIVE_ANY },
	{ DRIVE_ATTACH, 1, 0, 0, 0 },
	{ DRIVE_LOCK, 1, 0, LOCK_TRUE, DRIVE_ANY },
	{ DRIVE_UNLOCK, 0, 0, UNLOCK_TRUE, 0 },
	{ DRIVE_LOCK, 1, 0, LOCK_TRUE, 0 },
	{ DRIVE_HANG_UP, 1, 0, 0, DRIVE_ANY },
	{ DRIVE_LOCK, 0, 0, LOCK_TRUE, 0 },
	{ DRIVE_TABLE, 0, 0, 0, 0 },
	{ DRIVE_OPEN, 0, 0, Y, 0 },
	{ DRIVE_LOCK, 0, 0, LOCK_TRUE, 0 },
	{ DRIVE_UNLOCK, 0, 0, UNLOCK_TRUE, 0 },
	{ DRIVE_ODD, 0, 0, OP_ACQUIRE, ENOSYS },
	END,
};

/* A LOCK whose holder repeats it, both in one go. */
static const struct drive_action repeated_lock[] = {
	BEGIN_1(0, Y),
	{ DRIVE_MAP, 0, 0, THREE_BLOCKS, 0 },
	{ DRIVE_LOCK, 0, 0, LOCK_TRUE, 0 },
	{ DRIVE_UNLOCK, 0, 0, UNLOCK_TRUE, 0 },
	{ DRIVE_HANG_UP, 0, 0, 0, DRIVE_ANY },
	BEGIN_1(0, Y),
	{ DRIVE_HALF, 0, 0, HOLD_ALL, DRIVE_ANY },
	{ DRIVE_LOCK, 0, 0, LOCK_TRUE, DRIVE_WAITS },
	{ DRIVE_PINGS, 0, 0, PINGS, DRIVE_WAITS },
	{ DRIVE_LOCK, 0, 0, LOCK_TRUE, DRIVE_WAITS },
	{ DRIVE_WHOLE, 0, 0, 0, 0 },
	BEGIN_1(1, Y),
	{ DRIVE_LOCK, 1, 0, LOCK_TRUE, DRIVE_ANY },
	END,
};

/*
 * Requests that come in one go: their replies fill the smallest buffer of replies, and that of the
 * last one needs a larger buffer.
 */
#define PIPELINED(act, arg, expected) \
	BEGIN_2(0, A), { DRIVE_EXCLUDE, 0, 0, FOREVER, 0 }, \
	    { DRIVE_HALF, 0, 0, HOLD_ALL, DRIVE_ANY }, { DRIVE_PINGS, 0, 0, PINGS, DRIVE_WAITS }, \
	    { act, 0, 0, arg, DRIVE_WAITS }, { DRIVE_WHOLE, 0, 0, 0, expected }, \
	{ \
		DRIVE_HANG_UP, 0, 0, 0, DRIVE_WAITS \
	}

static const struct drive_action pipelined_release[] = {
	BEGIN_2(1, A),
	{ DRIVE_MAP, 1, 0, THREE_BLOCKS, 0 },
	PIPELINED(DRIVE_RELEASE, RELEASE_SEVERAL, 0),
	PIPELINED(DRIVE_RELEASE, RELEASE_BEYOND, EINVAL),
	{ DRIVE_EXCLUDE, 1, 0, FOREVER, 0 },
	END,
};

static const struct drive_action pipelined_tables[] = {
	PIPELINED(DRIVE_FORK, 0, 0),
	PIPELINED(DRIVE_OPEN, N, 0),
	PIPELINED(DRIVE_CLOSE, 0, 0),
	END,
};

static const struct drive_action pipelined_acquire[] = {
	BEGIN_2(0, A),
	BEGIN_2(1, A),
	{ DRIVE_HALF, 0, 0, HOLD_ALL, DRIVE_ANY },
	{ DRIVE_PINGS, 0, 0, PINGS, DRIVE_WAITS },
	{ DRIVE_EXCLUDE, 0, 0, FOREVER, DRIVE_WAITS },
	{ DRIVE_EXCLUDE, 1, 0, FOREVER, 0 },
	{ DRIVE_WHOLE, 0, 0, 0, DRIVE_WAITS },
	{ DRIVE_RELEASE, 1, 0, RELEASE_SMALL, 0 },
	{ DRIVE_HOLDS, 0, 0, 0, DRIVE_ANY },
	END,
};

/* A turn that no client claims is skipped, a turn that drifts is repaired. */
static const struct drive_action turns[] = {
	BEGIN_1(0, X),
	BEGIN_1(1, X),
	{ DRIVE_LOCK, 0, 0, LOCK_TURN, EINVAL },
	{ DRIVE_LOCK, 0, 0, LOCK_TICKET, 0 },
	{ DRIVE_LOCK, 1, 0, LOCK_TRUE, EINVAL },
	{ DRIVE_CLOSE, 0, 0, 0, 0 },
	{ DRIVE_TIME, 0, 0, 200, DRIVE_WAITS },
	{ DRIVE_TIME, 0, 0, 6000, DRIVE_WAITS },
	{ DRIVE_TIME, 0, 0, 200, DRIVE_WAITS },
	{ DRIVE_LOCK, 1, 0, LOCK_TYPE, EBADE },
	{ DRIVE_LOCK, 1, 0, LOCK_TRUE, 0 },
	{ DRIVE_HANG_UP, 1, 0, 0, DRIVE_ANY },
	BEGIN_1(0, N),
	{ DRIVE_MAP, 0, 0, SMALL, 0 },
	{ DRIVE_LOCK, 0, 0, LOCK_TRUE, DRIVE_ANY },
	{ DRIVE_BEGIN, 1, 0, 2, 0 },
	{ DRIVE_OPEN, 1, 0, N, EBADE },
	END,
};

static const struct drive_action both_versions[] = {
	BEGIN_1(0, Y),
	BEGIN_2(1, Y),
	{ DRIVE_MAP, 0, 0, THREE_BLOCKS, 0 },
	{ DRIVE_LOCK, 0, 0, LOCK_TRUE, 0 },
	{ DRIVE_EXCLUDE, 1, 0, FOREVER, DRIVE_WAITS },
	{ DRIVE_UNLOCK, 0, 0, UNLOCK_TRUE, 0 },
	{ DRIVE_HOLDS, 1, 0, 0, DRIVE_ANY },
	{ DRIVE_LOCK, 0, 0, LOCK_TRUE, EAGAIN },
	{ DRIVE_RELEASE, 1, 0, RELEASE_SEVERAL, 0 },
	{ DRIVE_LOCK, 0, 0, LOCK_TRUE, 0 },
	{ DRIVE_UNLOCK, 0, 0, UNLOCK_SIZE, EINVAL },
	{ DRIVE_CLOSE, 0, 0, 0, 0 },
	{ DRIVE_EXCLUDE, 1, 0, TRY, 0 },
	{ DRIVE_FORK, 1, 0, 0, 0 },
	{ DRIVE_ATTACH, 0, 0, 0, 0 },
	{ DRIVE_LOCK, 0, 0, LOCK_TRUE, EAGAIN },
	{ DRIVE_RELEASE, 1, 0, RELEASE_ONE_WAY, DRIVE_WAITS },
	{ DRIVE_LOCK, 0, 0, LOCK_TRUE, 0 },
	{ DRIVE_MAP, 0, 0, THREE_BLOCKS, 0 },
	END,
};

static const struct drive_action leases[] = {
	BEGIN_2(0, A),
	BEGIN_2(1, A),
	BEGIN_1(2, A),
	{ DRIVE_MAP, 0, 0, SMALL, 0 },
	{ DRIVE_EXCLUDE, 0, 0, FOREVER, 0 },
	{ DRIVE_EXCLUDE, 1, 0, FOREVER, DRIVE_WAITS },
	{ DRIVE_TIME, 0, 0, SUBJECT_LEASE_MS + 1, 0 },
	{ DRIVE_RELEASE, 0, 0, RELEASE_SMALL, ESTALE },
	{ DRIVE_TIME, 0, 0, SUBJECT_LEASE_MS + 1, DRIVE_WAITS },
	{ DRIVE_LOCK, 2, 0, LOCK_TRUE, 0 },
	{ DRIVE_TIME, 0, 0, SUBJECT_LEASE_MS + 1, DRIVE_WAITS },
	{ DRIVE_EXCLUDE, 0, 0, FOREVER, 0 },
	{ DRIVE_RELEASE, 0, 0, RELEASE_SMALL, 0 },
	END,
};

const struct drive_script scripts_all[] = {
	{ "sections", sections, true, true, false },
	{ "refusals", refusals, true, true, false },
	{ "readers", readers, true, true, false },
	{ "upgrades", upgrades, true, true, false },
	{ "ends", ends, true, true, false },
	{ "forks", forks, true, true, false },
	{ "files", files, true, true, false },
	{ "large", large, true, true, false },
	{ "version 1", version_1, true, true, false },
	{ "repeated LOCK", repeated_lock, true, true, false },
	{ "pipelined RELEASE", pipelined_release, true, true, false },
	{ "pipelined tables", pipelined_tables, true, true, false },
	{ "pipelined ACQUIRE", pipelined_acquire, true, true, false },
	{ "turns", turns, false, true, false },
	{ "both versions", both_versions, true, false, false },
	{ "leases", leases, true, false, true },
};
const unsigned scripts_count = sizeof scripts_all / sizeof scripts_all[0];
