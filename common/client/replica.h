/*
 * replica: this process's copy of a segment: the program's mapping, the library's shadow of it
 * (shadow.h), and the version that both have (DESIGN 3, PROTOCOL 5.9).
 *
 * Both are anonymous private memory, left out of core dumps and wiped when unmapped. The holder of
 * the file's local lock uses the replica, which has no lock of its own. There is a shadow in
 * critical sections, from replica_begin() on. A fork ends it: the child's always, and the parent's,
 * too, between critical sections where the fork would copy it. The child's replica is void then;
 * the parent's is not if mapping and shadow were equal, as they are unless the program writes
 * outside of critical sections or, with track=hint, without a hint.
 *
 * `since` is the version that the next grant starts from. It advances only when a grant was applied
 * whole or a release has succeeded; anything else makes the replica void, replica_void(): since 0.
 * A grant from 0 names all that was ever published, so applying it zeroes the rest. A replica is
 * *fresh* from its mapping until it is void or something was published: while the version is 0 it
 * keeps what the program wrote.
 *
 * A backend applies a verified grant with replica_grant_begin(), replica_grant_write() for each
 * block, ascending, and replica_grant_end(). When the blocks come from the host it calls
 * replica_stage_begin() instead, copies each block to replica_stage(), and calls
 * replica_apply_staged() once all of them have verified.
 */
#ifndef COMMON_CLIENT_REPLICA_H
#define COMMON_CLIENT_REPLICA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/client/track/dirty.h"

struct stats;

struct replica {
	struct dirty dirty; /* base, NULL while not mapped; shadow, NULL at times; size; pieces */
	uint64_t since;   /* 0: void, or nothing published; not mapped: the version last granted */
	bool is_fresh;    /* never void, never published */
	bool is_in_base;  /* there is no shadow, and the next one begins as a copy of base */
	bool is_full;     /* sync=full: all blocks, always */
	bool is_zeroing;  /* the grant being applied names all that was published */
	uint32_t applied; /* the grant being applied is applied up to this offset */
	struct stats *stats; /* of the file, set by the caller; NULL: nothing is counted */
	int error;           /* of the tracker, from replica_fork_child(); 0: it works */
};

/*
 * Maps size bytes, all zeros and void; hint as for mmap(2). is_full and ops are options of the
 * mount. Returns 0, -ENOMEM, -EINVAL for a hint that no mapping can have, or an error of the
 * tracker's init, with a message: -ENOTSUP, -EMFILE, -ENFILE.
 */
int replica_map(struct replica *r, void *hint, uint32_t size, bool is_full,
    const struct dirty_ops *ops);

/* Wipes and unmaps the memory, if it is mapped. */
void replica_unmap(struct replica *r);

static inline bool
replica_is_mapped(const struct replica *r)
{
	return r->dirty.base != NULL;
}

/* The contents of the replica are unknown: the next grant starts from 0. */
void replica_void(struct replica *r);

/* The field `since` of the next ACQUIRE. */
static inline uint64_t
replica_since(const struct replica *r)
{
	return r->is_full ? 0 : r->since;
}

/* Begins to apply a verified grant, which brings the replica from replica_since() to version. */
void replica_grant_begin(struct replica *r, uint64_t version);

/*
 * Writes length bytes of the grant at offset, above all bytes that were written for it before;
 * asserts that they are in range. bytes may be the shadow at offset.
 */
void replica_grant_write(struct replica *r, uint32_t offset, const void *bytes, uint32_t length);

/* The grant is applied whole: the replica has that version. */
void replica_grant_end(struct replica *r, uint64_t version);

/*
 * Begins to stage a grant whose blocks are not verified yet. Up to replica_apply_staged() only the
 * shadow changes. When a block does not verify, the backend makes the replica void, and nothing
 * relies on the shadow before the next grant.
 */
void replica_stage_begin(struct replica *r);

/*
 * Stages one more block, above all others of this grant. Returns the room for its bytes, in the
 * shadow.
 */
uint8_t *replica_stage(struct replica *r, uint32_t block);

/*
 * Applies the staged blocks, all verified, which bring the replica from replica_since() to version.
 */
void replica_apply_staged(struct replica *r, uint64_t version);

/*
 * Copies the changes to the shadow and lists them in r->dirty.pieces; the caller may send their
 * bytes from the shadow until the next call on r. A caller that does not publish them calls
 * replica_void(). Returns 0 or a negative errno.
 */
int replica_collect(struct replica *r);

/* The same for the whole segment, as one piece. */
void replica_collect_all(struct replica *r);

/* The pieces of the last collect were published as version (0: there were none). */
void replica_published(struct replica *r, uint64_t version);

/* sm_dirty(), in range. Any thread may call this at any time. */
void replica_hint(struct replica *r, uint32_t offset, uint32_t length);

/*
 * Before a fork, outside critical sections of this process: unmaps a shadow that the fork would
 * copy. replica_begin() then copies the mapping; if the two differed, the next section fetches the
 * whole segment. Bytes that the program writes in between, by mistake, are in both.
 */
void replica_fork_prepare(struct replica *r);

/*
 * In a fork's child, before any other call with r: gives up the shadow and what the tracker has of
 * the parent, opens the latter anew, and makes r void. Sends nothing and takes no lock. A failure
 * is kept for replica_begin().
 */
void replica_fork_child(struct replica *r);

/*
 * Before a lock is acquired: maps the shadow, unless there is one, and opens again what
 * replica_fork_child() could not open for the tracker (track=uffd). Returns 0, also when r is not
 * mapped; -ENOMEM; or an error of the tracker's init, with a message.
 */
int replica_begin(struct replica *r);

#endif
