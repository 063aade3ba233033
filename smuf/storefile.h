/*
 * storefile: a memory file of smufserver: its key and tags in the server's memory, its bytes in
 * files of the host.
 *
 * For each block the server keeps the number of its current slot and the tag of the bytes there.
 * A lying host can change the bytes: clients then find that they do not verify. It can remove or
 * replace the lock file: the server notices when it next opens the file, logs that once, and
 * continues. It removes only files that it created.
 *
 * The store's files share this struct: store.c (grants), publish.c (releases), turns.c (the lock of
 * version 1, which is in the host's file), mirror.c (a copy of version 2's queue there), removal.c
 * (the end).
 */
#ifndef SMUF_STOREFILE_H
#define SMUF_STOREFILE_H

#include <bsd/sys/tree.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/timer.h"
#include "common/crypto/sealbox.h"
#include "common/host/slotfile.h"
#include "common/host/filename.h"
#include "common/server/core/memfile.h"
#include "common/server/core/schedule.h"
#include "smuf/hostid.h"
#include "smuf/visits.h"

struct memdir;

/* Files that have ended, by name; see removal.h. */
RB_HEAD(removal_tree, storefile);

/* The store's data of all files. */
struct storefiles {
	struct memdir *dir;
	struct schedule_queue queue; /* of the visits */
	struct visits mirrors;
	struct visits checks;
	uint32_t busy; /* files whose is_busy is set */
	struct removal_tree removals;
};

enum { STOREFILE_SEAL_SIZE = SEALBOX_NONCE_SIZE + SEALBOX_KEY_SIZE + SEALBOX_TAG_SIZE };

/* A block; with its version in the blockmap about 32 bytes for 4096. */
struct sealed {
	uint8_t tag[SEALBOX_TAG_SIZE];
	uint8_t slot;                     /* the current one; 1 for a block never published */
	bool is_named;                    /* by the release that is being checked */
	bool has_storage[SLOTFILE_SLOTS]; /* of its slots: it was the current one before */
};

struct storefile {
	struct memfile *file; /* NULL once it has ended */
	struct storefiles *all;
	struct hostid lock_id, segment_id;
	bool has_segment;         /* on the host */
	bool is_loss_reported;    /* the log has the line about a file that is lost */
	bool is_foreign_reported; /* the one about a file that stays */

	struct visit visit; /* in the list of mirrors (version 2) or of checks (version 1) */

	/* removal.c, after the end of the file. */
	RB_ENTRY(storefile) by_name;
	struct task removal;
	struct memfile_charge charge;
	uint64_t cleared; /* bytes of the segment file */

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
	struct timer timer;
	uint64_t pause;
	bool is_busy; /* it is shorter than the longest one */

	char name[FILENAME_LIMIT]; /* of the memory file, with its slash and a NUL */
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
int storefile_create_lock(struct storefile *s);
int storefile_create_segment(struct storefile *s, uint64_t size);

/*
 * Removes some of the host files: the segment file, if there is one, then the lock file. Foreign
 * files stay, and one log line names the first. Returns 0 when all is removed, or -EINPROGRESS. The
 * memory file may have ended.
 */
int storefile_remove_some(struct storefile *s);

/*
 * Reads or writes ticket and turn of the lock file, or writes the turn alone. Logs once when the
 * file is gone or is another one. Returns 0 or an error of memdir.h: after -EMFILE, -ENFILE and
 * -ENOMEM it is worth another try.
 */
int storefile_read_lock(struct storefile *s, uint32_t *ticket, uint32_t *turn);
int storefile_write_lock(struct storefile *s, uint32_t ticket, uint32_t turn);
int storefile_write_turn(struct storefile *s, uint32_t turn);

#endif
