/*
 * fdtable: the descriptors of a session: small numbers, the lowest free one first, each an open
 * memory file.
 *
 * In version 2 a descriptor is the holder of a lock; in version 1 the session is, through the
 * descriptor that it locked by. A descriptor keeps the last versions of the segment that it was
 * granted or released: the server sends deltas from these only, and everything to a replica of any
 * other version.
 *
 * The bytes of a table and of its descriptors are charged to the table's account (ACCOUNT_MEMORY).
 */
#ifndef COMMON_SERVER_CORE_FDTABLE_H
#define COMMON_SERVER_CORE_FDTABLE_H

#include <bsd/sys/tree.h>
#include <stdbool.h>
#include <stdint.h>
#include <bsd/sys/queue.h>

#include "common/base/timer.h"
#include "common/server/core/grace.h"
#include "common/server/core/lockqueue.h"
#include "common/wire/protocol.h"

struct account;
struct memfile;
struct session;

enum { DESC_VERSION_COUNT = 8 }; /* a dropped version costs a full delta, never a wrong one */

struct desc {
	uint32_t fd;
	struct memfile *file; /* a reference */
	struct session *session;
	struct claim claim;
	struct poller poller; /* version 1: the place of a refused LOCK */
	struct timer timer;   /* waiting: the timeout of the ACQUIRE; held: the end of the lease */
	struct timer upgrade_timer;   /* the timeout of an upgrade that waits */
	TAILQ_ENTRY(desc) link;       /* in the list of its session that claimlists.h names */
	TAILQ_ENTRY(desc) lease_link; /* in that of leases, while has_unsent_lease */
	RB_ENTRY(desc) tag_link;      /* while has_tag: in the tags of its session */
	bool has_tag;                 /* tag names the claim; see tags.h */
	bool is_undelivered;          /* granted, the reply not yet begun */
	bool is_upgrade;              /* the last ACQUIRE, which waits or was granted, is one */
	bool has_unsent_lease;        /* the lease begins when the reply is sent */
	uint64_t sent_at;             /* held: where its reply ends, in all bytes of the session */
	struct grace expiry;          /* of the lease */
	uint8_t type;                 /* version 1: of its LOCK */
	bool has_segment;             /* version 2: the grant has a delta, so the release has one */
	uint16_t tag;                 /* of the last ACQUIRE */
	uint64_t since;               /* of the pending ACQUIRE, or upgrade */
	uint64_t versions[DESC_VERSION_COUNT]; /* granted or released, a ring */
	uint8_t next_version;
};

TAILQ_HEAD(desc_list, desc);

struct fdtable {
	struct account *account; /* it outlives the table */
	struct desc **descs;     /* capacity of them, NULL where the number is free */
	uint32_t capacity;
	uint32_t count;  /* open descriptors */
	uint32_t lowest; /* no number below is free */
};

/* An empty table, which will be charged to account. */
void fdtable_init(struct fdtable *t, struct account *account);

/*
 * Opens the lowest free number for file and takes over the caller's reference. Returns 0, -EMFILE
 * at PROTOCOL_DESCRIPTORS_MOST, or -ENOMEM: no memory, or none left in the account's quota. On
 * failure the reference stays the caller's.
 */
int fdtable_open(struct fdtable *t, struct memfile *file, struct session *session,
    struct desc **out);

/* The same for that number, which is free. Returns 0 or -ENOMEM. */
int fdtable_open_at(struct fdtable *t, uint32_t fd, struct memfile *file, struct session *session,
    struct desc **out);

/* Finds the descriptor of that number. Returns 0 or -EBADF. */
int fdtable_find(const struct fdtable *t, uint32_t fd, struct desc **out);

/* The first descriptor at or above number from, or NULL. */
struct desc *fdtable_next(const struct fdtable *t, uint32_t from);

/* Closes d and puts its file. Its claim must be idle, without a place, and its timers disarmed. */
void fdtable_close(struct fdtable *t, struct desc *d);

/*
 * Closes every descriptor, all of whose claims must be idle. The table is then empty and usable. A
 * file that ends is gone at once; what takes long of its end is done by a task
 * (memfile_put_later()). So the call is one short step, however large the table and its files are.
 */
void fdtable_fini(struct fdtable *t);

/*
 * Frees the descriptors and the storage of a table, but puts no file: the references go back to the
 * one from whom fdtable_open_at() took them.
 */
void fdtable_abandon(struct fdtable *t);

/* True when version is one of the last DESC_VERSION_COUNT of d. */
bool fdtable_has_version(const struct desc *d, uint64_t version);

/* Adds a version that d was granted or has released. */
void fdtable_add_version(struct desc *d, uint64_t version);

#endif
