/*
 * store: the interface of the stores, which keep the bytes of segments: the only difference between
 * the two daemons.
 *
 * Each daemon is the server of this folder with a struct store_ops of its own. The server keeps
 * names, descriptors, locks, grants and the versions of blocks (struct memfile); the store keeps
 * the bytes, or their keys, slots and tags (smuf), and knows their form on the wire.
 *
 * A store's own data of a file is f->store_data; its data of all files is the context that start()
 * created, in f->tree->store_context. Of a struct memfile it may read name, name_size, life,
 * version, size, blocks, lock and account, and f->tree->now and count; it writes store_data only,
 * and blocks only through blockmap_publish(). It may arm timers of its own in f->tree->timers, and
 * add tasks to the queues of f->account, or to a queue of its own, in f->tree->schedule. A task
 * that outlives its file takes the file's charges over (memfile_charge_take()). It logs through
 * account_warn() what a peer can cause. It calls nothing else of the server.
 *
 * There is one thread: while an operation runs, all peers wait. So what takes long is cut into
 * pieces: grants are written into as much room as there is, publications stop when their budget is
 * spent, and what has to be wiped or removed at a file's end is a task. Operations return 0 or a
 * negative errno, and after an error the file is as it was. The bytes in a struct wire_reader come
 * from a peer, and the store checks them. A store that reads files of the host documents in its own
 * headers how a lying host can affect it.
 */
#ifndef COMMON_SERVER_CORE_STORE_H
#define COMMON_SERVER_CORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/budget.h"
#include "common/server/core/blockmap.h"
#include "common/wire/delta.h"
#include "common/wire/wire.h"

enum {
	STORE_ROOM_LEAST = 64, /* bytes that grant_put() and lock_put() get at least */
	STORE_KEEP_MS = 1000
};

struct memfile;

/*
 * Where the encoding of a segment, or of the part of it that a replica lacks, has got to. The file
 * does not change meanwhile: its lock is held. begin fills it, put advances it; the server keeps it
 * in between. The fields below size are the store's.
 */
struct store_cursor {
	uint64_t size; /* bytes of the encoding that are not yet written */
	uint64_t since;
	struct blockmap_run run; /* the run that is being written */
	uint64_t done;           /* bytes of it, its head included */
	uint32_t count;          /* of blocks or pieces in all */
	bool has_begun;          /* the encoding's own head is written */
};

/*
 * A publication that is being checked and applied. The server sets grant and body and zeroes the
 * rest, which is the store's; body is valid until the publication has ended.
 */
struct store_publication {
	uint64_t grant;
	struct wire_reader body;
	struct wire_reader next; /* what is left of body in this phase */
	uint32_t phase;
	uint32_t block;     /* or piece */
	uint32_t remaining; /* blocks or pieces */
	struct delta delta;
	struct delta_piece piece;
	uint32_t piece_done; /* bytes of piece */
};

/* A change of the lock of a file; see lock_changed. */
enum store_event {
	STORE_EVENT_CLAIMED,  /* a claim was granted at once, or waits */
	STORE_EVENT_UNLOCKED, /* version 1: the holder's claim ended with an UNLOCK */
	/*
	 * A claim ended in any other way: released, closed, timed out, cancelled, its lease
	 * expired; in version 2 also: an upgrade was taken back, or a writer shares its lock; or,
	 * version 1 with turns: a LOCK was refused although its turn is being served and the lock
	 * is free.
	 */
	STORE_EVENT_DROPPED
};

/* The storage of a segment, in bytes. */
struct store_usage {
	uint64_t reserved;  /* set aside: addresses, or the size of a file */
	uint64_t written;   /* of these, with memory or disk blocks behind them */
	uint64_t committed; /* of the segment's own bytes, those that STAT reports as committed */
};

/* All operations are required, except those that say when they are NULL. */
struct store_ops {
	const char *name;  /* of the mount type: "smdish" */
	size_t name_limit; /* a name of so many bytes or more is too long */
	size_t file_size;  /* bytes that create() allocates, charged to the file's account */

	/* A file belongs to the version of the protocol that created it. */
	bool separates_versions;

	/* Version 1: a LOCK names a turn, and is granted only the one of turn_is_served(). */
	bool has_turns;

	/* A holder that stops in the middle of a frame keeps its session. */
	bool keeps_stalled_holders;

	/*
	 * The life of the daemon. start() is called once, before there is any file, with the
	 * directory of -r; it sets *context, or returns an error with a message (error.h). stop()
	 * is called when all files have ended and no task is left, and also when start() failed or
	 * was not called: context is NULL then. So at its end the server runs its tasks until there
	 * are none, before stop() is called. A store without a context has NULL for both.
	 */
	int (*start)(void **context, const char *directory);

	/*
	 * Called before start() with ".", for a daemon that was given no directory: may it use the
	 * current one, where the files own[] are the daemon's (NULL: none)? Returns 0, or a
	 * negative errno with a message. A store that needs no directory has NULL.
	 */
	int (*check_current)(const char *const own[], size_t count);
	void (*stop)(void *context);

	/*
	 * Called about every STORE_KEEP_MS while the daemon serves, with the daemon's time in
	 * nanoseconds. Returns 0, or a negative errno, with the reason logged: the daemon stops
	 * then. NULL when the store has nothing to do.
	 */
	int (*keep)(void *context, uint64_t now);

	/*
	 * Returns 0, or -EINVAL for a name that the store cannot have. The name has 1 to name_limit
	 * - 1 bytes and no NUL; name[size] is not part of it.
	 */
	int (*check_name)(const char *name, size_t size);

	/*
	 * The life of a file. create() is called when the file is first opened: it has its name,
	 * life and version, no segment, and a free lock; it sets f->store_data. It returns
	 * -EINPROGRESS, having done a piece of the work, while something of an earlier file of that
	 * name is in the way: the server calls again, in another turn. destroy() is called
	 * after the last descriptor is closed: no claim is left, and f->size and f->blocks are
	 * still valid. It disarms the store's timers, wipes what held keys or plaintext, and frees
	 * f->store_data; what takes long a task does, which owns f->store_data then. f ends in any
	 * case.
	 */
	int (*create)(struct memfile *f);
	void (*destroy)(struct memfile *f);

	/*
	 * Gives the file a segment of size bytes, at least 1, all zeros. f->size is 0 and f->blocks
	 * is empty; the server sets both when this returns 0, and does not call it again.
	 */
	int (*map)(struct memfile *f, uint32_t size);

	/* Fills *usage from counters; f may be a pure lock. */
	void (*usage)(const struct memfile *f, struct store_usage *usage);

	/*
	 * The lock has changed, in either version: f->lock is as it is afterwards, the next waiters
	 * granted. A waiter that is granted has had its STORE_EVENT_CLAIMED when it began to wait.
	 * NULL when the store does nothing then.
	 */
	void (*lock_changed)(struct memfile *f, enum store_event event);

	/* True when turn is being served. The lock is free. NULL without has_turns. */
	bool (*turn_is_served)(const struct memfile *f, uint32_t turn);

	/*
	 * Version 2: the delta of a grant: what a replica of version since lacks of the blocks
	 * whose version is above it, as it was last published. The file has a segment; since is 0
	 * or a version that the segment had. grant_begin() sets up *c, with c->size in bytes.
	 * grant_put() writes the next bytes to out, as many as there are and room has, and takes
	 * them from c->size; returns how many. room is at least STORE_ROOM_LEAST, and less is
	 * written only because a field does not fit.
	 */
	void (*grant_begin)(const struct memfile *f, uint64_t since, struct store_cursor *c);
	size_t (
	    *grant_put)(const struct memfile *f, struct store_cursor *c, uint8_t *out, size_t room);

	/*
	 * Version 2: publishes the delta p->body of a RELEASE by the exclusive holder with
	 * p->grant, which is above every version of f->blocks. Returns -EINPROGRESS when b is
	 * spent: the server calls again with the same p. The first call checks or goes on checking;
	 * what is published is seen by nobody before the call that returns 0: f->blocks and what
	 * usage() says change in that call. An empty delta is no error. Errors: -EPROTO malformed,
	 * -EINVAL a block that may not be published, or more pieces than the segment has blocks,
	 * -ENOMEM. Nothing is changed then. The grant ends either way. Once called, it is called
	 * until it returns something else than -EINPROGRESS.
	 */
	int (*release)(struct memfile *f, struct store_publication *p, const struct budget *b);

	/*
	 * Version 1: the rest of a LOCK's reply, behind the type. The file has a segment, and
	 * something was published. As grant_begin() and grant_put().
	 */
	void (*lock_begin)(const struct memfile *f, struct store_cursor *c);
	size_t (
	    *lock_put)(const struct memfile *f, struct store_cursor *c, uint8_t *out, size_t room);

	/*
	 * Version 1: true when the rest of an UNLOCK, behind the type, has the right shape. r has
	 * the first bytes of it; missing more bytes came and were discarded.
	 */
	bool (*unlock_is_shaped)(struct wire_reader r, uint64_t missing);

	/*
	 * Version 1: publishes the segment of an UNLOCK, p->body, by the holder with p->grant, all
	 * of it or, on failure, nothing; in pieces as release(). unlock_is_shaped() was true of it,
	 * and nothing is missing. A store whose files both versions share finds the blocks that
	 * differ and calls blockmap_publish() for each. Errors: -EINVAL for another size than the
	 * segment's, -ENOMEM; the holder keeps the lock.
	 */
	int (*unlock)(struct memfile *f, struct store_publication *p, const struct budget *b);
};

#endif
