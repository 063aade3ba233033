/*
 * memfile: memory files, and the red-black tree of all of them (libbsd).
 *
 * A memory file is a lock, or a lock with a segment. It begins with the first descriptor that opens
 * its name and ends with the last; nothing of it outlives the server. References count descriptors,
 * those of pending forks included. Versions and the lock are here, the bytes are the store's
 * (store.h).
 *
 * Files have serial numbers in the order of their creation, so that INSPECT can continue where it
 * stopped, whatever was created or ended since.
 */
#ifndef COMMON_SERVER_CORE_MEMFILE_H
#define COMMON_SERVER_CORE_MEMFILE_H

#include <bsd/sys/tree.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/timer.h"
#include "common/server/core/blockmap.h"
#include "common/server/core/lockqueue.h"
#include "common/server/core/store.h"

struct account;
struct memfile_tree;
struct schedule;

struct memfile {
	RB_ENTRY(memfile) by_name;
	RB_ENTRY(memfile) by_serial;
	TAILQ_ENTRY(memfile) ended_link; /* after memfile_put_later() */
	struct memfile_tree *tree;
	uint64_t serial;     /* from 1; the key of INSPECT */
	uint32_t references; /* 0: it has ended, and memfile_get() makes another one of its name */
	struct account *account;  /* a reference: the peer that created the file, and is charged */
	uint64_t charged_memory;  /* of ACCOUNT_MEMORY */
	uint64_t charged_segment; /* of ACCOUNT_SEGMENTS; 0: no segment */
	uint64_t life;            /* random, drawn at creation */
	enum protocol_version version; /* of the protocol, of the session that created the file */
	uint32_t size;                 /* of the segment; 0: a pure lock */
	bool published;                /* a RELEASE, or an UNLOCK with the segment, was accepted */
	struct blockmap blocks;        /* empty for a pure lock */
	struct lockqueue lock;
	uint64_t bytes_granted;  /* of deltas and segments, in grants */
	uint64_t bytes_released; /* in what was accepted */
	void *store_data;        /* the store's */
	uint32_t name_size;
	char name[]; /* name_size bytes and a NUL */
};

RB_HEAD(memfile_by_name, memfile);
RB_HEAD(memfile_by_serial, memfile);

struct memfile_tree {
	struct memfile_by_name by_name;
	struct memfile_by_serial by_serial;
	const struct store_ops *store;
	void *store_context;             /* see struct store_ops */
	struct timer_queue *timers;      /* the server's, for the lockqueues and the store */
	const uint64_t *now;             /* the server's time, for the same */
	struct schedule *schedule;       /* the server's, for tasks of the store */
	void (*granted)(struct claim *); /* of every file's lockqueue */
	uint32_t count;
	uint64_t last_serial;
	uint64_t total_size; /* of all segments, bytes */

	/*
	 * Bytes of ACCOUNT_SEGMENTS that tasks will give back: segments that have ended and will be
	 * destroyed, or are being wiped. While it is not 0, a MMAP for which there is no memory
	 * waits.
	 */
	uint64_t ending;
};

/*
 * An empty tree for files of that store. timers, *now and schedule are the server's and outlive t;
 * granted is called for each claim that waited and now holds its lock (lockqueue.h).
 */
void memfile_tree_init(struct memfile_tree *t, const struct store_ops *store, void *store_context,
    struct timer_queue *timers, const uint64_t *now, struct schedule *schedule,
    void (*granted)(struct claim *));

/*
 * Gets a reference to the file of that name for a session of that version. flags are those of an
 * OPEN2: with PROTOCOL_OPEN_CREATE the file is created if there is none, charged to account. The
 * name has been checked. Returns 0; -ENOENT without PROTOCOL_OPEN_CREATE when there is no file, and
 * -EEXIST with PROTOCOL_OPEN_EXCLUSIVE when there is one; -ENOMEM, -EINPROGRESS when the end of an
 * earlier file is in the way (try again in another turn), an error of the store's create, or -EBADE
 * when the file belongs to the other version and the store separates versions.
 */
int memfile_get(struct memfile_tree *t, const char *name, size_t size, uint32_t flags,
    enum protocol_version version, struct account *account, struct memfile **out);

/* Gets one more reference. */
void memfile_ref(struct memfile *f);

/* Puts a reference; the file ends with the last one, and is destroyed. */
void memfile_put(struct memfile *f);

/*
 * The same for many files at once: a file that ends is gone at once, but destroyed by a task of its
 * account, some files in a turn. If the name is opened before the task comes to it, memfile_get()
 * destroys the file first, so that the store never has two files of one name. What its segment is
 * charged counts as ending meanwhile.
 */
void memfile_put_later(struct memfile *f);

/*
 * Gives the file a segment of size bytes, in whole pages charged to its account. Returns 0, also
 * when it has a segment of that size; -EINVAL for size 0 or another size than it has; -EMSGSIZE
 * above segment_limit; -EINPROGRESS when there is no room yet, but segments are ending: try again
 * later; -ENOMEM when there is no room in ACCOUNT_SEGMENTS, or no memory; or an error of the
 * store's map. What is kept of the blocks besides their bytes, less than a hundredth of these, is
 * not charged.
 */
int memfile_map(struct memfile *f, uint32_t size, uint64_t segment_limit);

/*
 * The charge of a file, and the account that bears it, in the hands of a task of the store that
 * outlives the file: its memory is being wiped, or its host files removed.
 */
struct memfile_charge {
	struct memfile_tree *tree;
	struct account *account; /* a reference */
	uint64_t memory, segment;
};

/* For the store's destroy: takes the charges of f over. The segment's counts as ending. */
void memfile_charge_take(struct memfile *f, struct memfile_charge *out);

/* Gives them back. */
void memfile_charge_give(const struct memfile_charge *c);

/* The type of the file as it is now, an enum protocol_type. */
uint8_t memfile_type(const struct memfile *f);

/* Reports a change of the lock of f to the store. */
void memfile_lock_changed(struct memfile *f, enum store_event event);

/* Fills the fields of STAT. */
void memfile_stat(const struct memfile *f, struct protocol_stat *stat);

/* The first file whose serial number is above serial, or NULL. */
struct memfile *memfile_after(struct memfile_tree *t, uint64_t serial);

#endif
