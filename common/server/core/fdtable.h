/*
 * fdtable: a session's descriptors: small numbers, the lowest free one first, each an open memory file.
 *
 * A descriptor is also the holder of a lock in version 2 (in version 1 it is the session, through the
 * descriptor it locked by), and it remembers which versions of the segment it was granted, because
 * only from those the server sends differences.
 */
#ifndef COMMON_SERVER_CORE_FDTABLE_H
#define COMMON_SERVER_CORE_FDTABLE_H

#include <stdbool.h>
#include <stdint.h>
#include <bsd/sys/queue.h>

#include "common/base/timer.h"
#include "common/server/core/lockqueue.h"
#include "common/wire/protocol.h"

struct memfile;
struct session;

enum { DESC_VERSION_COUNT = 8 }; /* a version forgotten costs a full delta, never a wrong one */

struct desc {
	uint32_t fd;
	struct memfile *file;    /* a reference */
	struct session *session; /* NULL in a pending fork */
	struct claim claim;
	struct timer timer;     /* waiting: the ACQUIRE's timeout; held: the lease's end */
	TAILQ_ENTRY(desc) link; /* in the session's list for what the claim is: see session state */
	bool is_undelivered;    /* granted, and the reply is not yet written */
	uint8_t type;           /* version 1: of its LOCK */
	bool has_segment;       /* version 2: the grant came with a delta, so the release does */
	uint16_t tag;           /* of the ACQUIRE that waits */
	uint64_t since;         /* of the ACQUIRE that waits */
	uint64_t versions[DESC_VERSION_COUNT]; /* versions granted or released, a ring */
	uint8_t next_version;
};

TAILQ_HEAD(desc_list, desc);

struct fdtable {
	struct desc **descs; /* capacity of them, NULL where the number is free */
	uint32_t capacity;
	uint32_t count;  /* open ones */
	uint32_t lowest; /* no free number is below */
};

/*
 * Opens the lowest free number for file, whose reference it takes over. Returns 0, -EMFILE at
 * PROTOCOL_DESCRIPTOR_LIMIT, -ENOMEM (the reference stays the caller's).
 */
int fdtable_open(struct fdtable *t, struct memfile *file, struct session *session,
    struct desc **out);

/* Finds the descriptor of that number. Returns 0 or -EBADF. */
int fdtable_find(const struct fdtable *t, uint32_t fd, struct desc **out);

/* The first descriptor at or above from, or NULL: for walking over all. */
struct desc *fdtable_next(const struct fdtable *t, uint32_t from);

/* Closes it and puts its file. Its claim must be idle and its timer disarmed. */
void fdtable_close(struct fdtable *t, struct desc *d);

/* Closes every descriptor; see fdtable_close(). The table is then empty and usable. */
void fdtable_fini(struct fdtable *t);

/*
 * A copy of t in out (empty before): same numbers, gaps included, same versions known, nothing held,
 * no session. Returns 0 or -ENOMEM (out is empty).
 */
int fdtable_copy(struct fdtable *out, const struct fdtable *t);

/* True when that version was granted to the descriptor not long ago; see DESC_VERSION_COUNT. */
bool fdtable_has_version(const struct desc *d, uint64_t version);

/* The descriptor has been granted that version. */
void fdtable_add_version(struct desc *d, uint64_t version);

#endif
