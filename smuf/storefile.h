/*
 * storefile: a memory file of smufserver: its key and tags in the server's memory, its bytes in
 * files of the host.
 *
 * For each block the server keeps the number of its current slot and the tag of the bytes there.
 * A lying host can change the bytes: clients then find that they do not verify. It can remove or
 * replace the lock file: the server notices when it next opens the file, logs that once, and
 * continues.
 *
 * The store's files share this struct: store.c (grants and releases), turns.c (the lock of version
 * 1, which is in the host's file), mirror.c (a copy of version 2's queue there).
 */
#ifndef SMUF_STOREFILE_H
#define SMUF_STOREFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/timer.h"
#include "common/crypto/sealbox.h"
#include "common/host/slotfile.h"
#include "common/server/core/memfile.h"

struct memdir;

enum { STOREFILE_SEAL_SIZE = SEALBOX_NONCE_SIZE + SEALBOX_KEY_SIZE + SEALBOX_TAG_SIZE };

/* A block; with its version in the blockmap about 32 bytes for 4096. */
struct sealed {
	uint8_t tag[SEALBOX_TAG_SIZE];
	uint8_t slot;                     /* the current one; 1 for a block never published */
	bool is_named;                    /* by the release that is being checked */
	bool has_storage[SLOTFILE_SLOTS]; /* of its slots: it was the current one before */
};

struct storefile {
	struct memfile *file;
	struct memdir *dir;
	struct timer timer;    /* of turns.c for a file of version 1, else of mirror.c */
	bool is_loss_reported; /* the log has the line about the lost lock file */
	uint8_t key[SEALBOX_KEY_SIZE];
	struct sealed *blocks; /* NULL for a pure lock */
	uint64_t written;      /* bytes of slots that have storage */
	uint64_t committed;    /* bytes of blocks that were published */

	/* Version 1: the seal of the whole segment as the client sent it: nonce, key, tag. */
	uint8_t seal[STOREFILE_SEAL_SIZE];

	/* turns.c: the turn being served. The host's file has a copy. */
	uint32_t turn;

	/* turns.c: when the copy began to differ, with the lock free; 0: it does not. */
	uint64_t drifting_since;

	/* turns.c: when others began to wait for an unclaimed turn; 0: they do not. */
	uint64_t unclaimed_since;

	/* turns.c: the time from the last check of the copy to the next, milliseconds. */
	uint64_t pause;

	/* mirror.c: the lock has changed since the copy was written. */
	bool has_changed;
};

/* The store's data of f. */
static inline struct storefile *
storefile_of(const struct memfile *f)
{
	return f->store_data;
}

/*
 * Creates the lock file, or the segment file of size bytes, all zeros without storage. Logs the
 * reason of an error, at most a line a second: clients may try as often as they like. Returns 0 or
 * an error of memdir.h.
 */
int storefile_create_lock(const struct storefile *s);
int storefile_create_segment(struct storefile *s, uint64_t size);

/* Removes the lock file and, if the file has a segment, the segment file. */
void storefile_remove(const struct storefile *s);

/*
 * Reads or writes ticket and turn of the lock file, or writes the turn alone. Logs once when the
 * file cannot be opened or is another one. storefile_read_lock() returns 0 or a negative errno.
 */
int storefile_read_lock(struct storefile *s, uint32_t *ticket, uint32_t *turn);
void storefile_write_lock(struct storefile *s, uint32_t ticket, uint32_t turn);
void storefile_write_turn(struct storefile *s, uint32_t turn);

#endif
