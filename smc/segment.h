/*
 * segment: the host file of an smc segment: encrypted blocks, two slots for each, and a table that
 * says what is in them (DESIGN 5, 7).
 *
 * Slot s of block b is at (2b+s)*4096; behind all slots the table has an entry for each: u64
 * version, 12 bytes iv, zeros. The current slot of a block is the one with the higher version, of
 * those that are not above the committed version of the lock file; 1 when there is none, so that
 * the first release writes slot 0. Storing the committed version is what publishes a release, all
 * of it at once; what a process that died has written stays above it until the next release clears
 * it.
 *
 * Everything here is called by who holds the lock. The host is trusted not to tamper; it reads the
 * file, and finds versions, ivs and encrypted blocks. Versions and ivs are used as they are found;
 * a table that was tampered with gives garbage in the segment and nothing else.
 */
#ifndef SMC_SEGMENT_H
#define SMC_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/size.h"
#include "common/crypto/ctrbox.h"
#include "common/host/hostfile.h"
#include "common/host/hostwriter.h"

struct replica;

/* As it is on the host, in host byte order. */
struct segment_entry {
	uint64_t version; /* the grant that wrote it; 0: none */
	uint8_t iv[CTRBOX_IV_SIZE];
	uint8_t zeros[12];
};

struct segment {
	struct hostfile file;
	struct hostwriter writer;
	struct ctrbox *box;
	struct segment_entry *entries; /* two a block: what we know of the table */
	uint32_t size;                 /* bytes of the segment */
	uint32_t count;                /* blocks */
	uint8_t encrypted[SIZE_BLOCK]; /* a block on its way in */
};

/*
 * Makes the file of a segment of size bytes, without storage behind it. Returns 0 or see
 * hostfile_create().
 */
int segment_create(int directory, const char *name, uint32_t size);

/* Opens it, with that key. Returns 0, -ENOMEM, or see hostfile_open(). */
int segment_open(struct segment *s, int directory, const char *name, uint32_t size,
    const uint8_t key[CTRBOX_KEY_SIZE]);

/* Wipes. Also for one that is all zeros. */
void segment_close(struct segment *s);

/*
 * Brings the replica, of the same size, to that committed version: reads the table and the blocks
 * that are newer. Returns 0 or -EIO: then the mapping is as it was, and the replica is to be made
 * void.
 */
int segment_read(struct segment *s, struct replica *replica, uint64_t committed);

/*
 * Reads the table anew and clears entries above committed, the leftovers of who died or failed.
 * Returns 0 or -EIO, ...
 */
int segment_clear(struct segment *s, uint64_t committed);

/*
 * Writes what replica_collect() found as version, above committed, with that iv: nobody sees it
 * before version is committed. Returns 0, -ENOSPC, -EDQUOT, -EIO.
 */
int segment_write(struct segment *s, const struct replica *replica, uint64_t committed,
    uint64_t version, const uint8_t iv[CTRBOX_IV_SIZE]);

/*
 * Bytes of the segment whose blocks were ever published, for stat. Without the lock: an estimate.
 */
uint64_t segment_committed_bytes(const struct segment *s);

#endif
