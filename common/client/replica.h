/*
 * replica: this process's copy of a segment: the program's mapping, the library's shadow of it,
 * and the version that both have.
 *
 * Both are anonymous private memory, left out of core dumps and wiped when given back. The
 * replica is used by whoever holds the file's local lock; it has no lock of its own.
 *
 * `since` is the version that a grant has to start from. It advances only when a grant was
 * applied whole or a release has succeeded; anything else makes the replica void, replica_void():
 * since 0. A grant from 0 names all that was ever published, so what it does not name is zeroed.
 * A replica is *fresh* from its mapping until it is void or something was published: while the
 * version is 0 it keeps what the program wrote.
 *
 * How a backend applies a grant: it verifies all of it first, then calls replica_grant_begin(),
 * writes blocks in ascending order with replica_grant_write(), and ends with replica_grant_end().
 */
#ifndef COMMON_CLIENT_REPLICA_H
#define COMMON_CLIENT_REPLICA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/client/track/dirty.h"

struct replica {
	struct dirty dirty; /* base, NULL while not mapped; shadow; size; pieces */
	uint64_t since;   /* 0: void, or nothing published; not mapped: the version last granted */
	bool is_fresh;    /* never void, never published */
	bool is_full;     /* sync=full: all blocks, always */
	bool is_zeroing;  /* the grant being applied names all that was published */
	uint32_t granted; /* the grant being applied has written up to here */
	int error; /* why the tracker does not work, after replica_fork_child(); 0: it does */
};

/*
 * Maps size bytes, all zeros and void; hint as for mmap(2). is_full and ops are the mount's
 * options. Returns 0, -ENOMEM, -EINVAL for a hint that no mapping can have, or, with words, what
 * the tracker's init says: -ENOTSUP, -EMFILE, -ENFILE.
 */
int replica_map(struct replica *r, void *hint, uint32_t size, bool is_full,
    const struct dirty_ops *ops);

/* Wipes and unmaps; nothing when not mapped. */
void replica_unmap(struct replica *r);

static inline bool
replica_is_mapped(const struct replica *r)
{
	return r->dirty.base != NULL;
}

/* The library no longer knows what is in it. */
void replica_void(struct replica *r);

/* What an ACQUIRE has to say as since. */
static inline uint64_t
replica_since(const struct replica *r)
{
	return r->is_full ? 0 : r->since;
}

/*
 * A verified grant, which brings the replica from replica_since() to version, is going to be
 * applied.
 */
void replica_grant_begin(struct replica *r, uint64_t version);

/*
 * Where a backend may put what it has not verified yet: the shadow at offset. If it then does not verify, the
 * backend makes the replica void, and nothing relies on the shadow before the next grant.
 */
static inline uint8_t *
replica_stage(struct replica *r, uint32_t offset)
{
	return r->dirty.shadow + offset;
}

/*
 * length bytes at offset, above all that was written for this grant; asserts that they are in
 * range. bytes may be replica_stage() there.
 */
void replica_grant_write(struct replica *r, uint32_t offset, const void *bytes, uint32_t length);

/* The grant was applied whole: the replica has that version. */
void replica_grant_end(struct replica *r, uint64_t version);

/*
 * Copies what changed to the shadow: r->dirty.pieces, whose bytes may be sent from the shadow
 * until the next call on r. Whoever fails to publish them calls replica_void(). Returns 0 or a
 * negative errno.
 */
int replica_collect(struct replica *r);

/* The same for everything, one piece. */
void replica_collect_all(struct replica *r);

/* The pieces of the last collect were published as version (0: there were none). */
void replica_published(struct replica *r, uint64_t version);

/* sm_dirty(), in range; by any thread. */
void replica_hint(struct replica *r, uint32_t offset, uint32_t length);

/*
 * In a fork's child, before anything else is done with r: lets go of what its tracker has of the
 * parent, opens that anew, and voids r. Sends nothing and takes no lock. A failure is kept for
 * replica_restart_tracker().
 */
void replica_fork_child(struct replica *r);

/*
 * To be asked before a lock is acquired: 0 unless replica_fork_child() could not open what the tracker
 * needs (track=uffd); tries that again. Returns 0 or a negative errno, with words.
 */
int replica_restart_tracker(struct replica *r);

#endif
