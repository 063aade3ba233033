/*
 * storefile: what smufserver keeps of a memory file, in its own memory: the key, and of every block which of its two
 * slots is current and the tag that the bytes there must have. The bytes are on the host.
 *
 * Shared by the files of this folder that make up the store: store.c (grants and releases), turns.c (version 1's lock in
 * the host's file), mirror.c (version 2's tickets there, for whoever looks).
 */
#ifndef SMUF_STOREFILE_H
#define SMUF_STOREFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/timer.h"
#include "common/crypto/sealbox.h"
#include "common/server/core/memfile.h"

struct memdir;

enum { STOREFILE_SEAL_SIZE = SEALBOX_NONCE_SIZE + SEALBOX_KEY_SIZE + SEALBOX_TAG_SIZE };

/* A block; with its version in the blockmap about 32 bytes for 4096. */
struct sealed {
	uint8_t tag[SEALBOX_TAG_SIZE];
	uint8_t slot;       /* the current one; 1 for a block that was never published */
	bool is_named;      /* by the release that is being checked */
	bool was_turned[2]; /* the slots that were ever current, and so have storage */
};

struct storefile {
	struct memfile *file;
	struct memdir *dir;
	struct timer timer; /* turns.c's for a file of version 1, mirror.c's for the others */
	bool is_lost_told;  /* the log knows that the host's lock file is gone */
	uint8_t key[SEALBOX_KEY_SIZE];
	struct sealed *blocks; /* version 2; NULL: a pure lock */
	uint64_t written;      /* bytes of slots that have storage */

	/* Version 1: the seal of the whole segment, as the client sent it: iv, key, tag. */
	uint8_t seal[STOREFILE_SEAL_SIZE];

	/* turns.c */
	uint32_t turn; /* the one being served: the truth, of which the host has a copy */
	uint64_t
	    drifting_since; /* when file and shadow began to differ with nobody holding; 0: they do not */
	uint64_t
	    unclaimed_since; /* when others began to wait for a turn that nobody claims; 0: not so */
	uint64_t pause;      /* until the next look */

	/* mirror.c */
	bool has_moved; /* since the last time it was written */
};

/* f's. */
static inline struct storefile *
storefile_of(const struct memfile *f)
{
	return f->store_data;
}

/* Its name on the host. */
static inline const char *
storefile_name(const struct storefile *s)
{
	return s->file->name + 1;
}

/* Says once in the log that the lock file on the host is gone or not ours. */
void storefile_tell_lost(struct storefile *s);

#endif
