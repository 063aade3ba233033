/*
 * segment: the segment file of an smc memory file: encrypted blocks, and a table that says which of
 * a block's two slots is current (smc/FORMAT 4, smc/FORMAT 5).
 *
 * The table has an entry for each slot: u64 version, 12 bytes iv, zeros. The current slot of a
 * block is the one with the higher version, of those that are not above the committed version of
 * the lock file; slot 1 when there is none, so that the first release writes slot 0. Storing the
 * committed version publishes a release, all of it at once. The entries of a process that
 * died before stay above the committed version until the next release clears them.
 *
 * The holder of the lock calls everything here. The host is trusted not to tamper; it reads the
 * file, and finds versions, ivs and encrypted blocks. Versions and ivs are used as they are found;
 * a table that was tampered with gives garbage in the segment and nothing else.
 */
#ifndef SMC_SEGMENT_H
#define SMC_SEGMENT_H

#include <stdatomic.h>
#include <stdint.h>

#include "common/crypto/ctrbox.h"
#include "common/host/slotfile.h"

struct replica;

/* As it is on the host, in host byte order. */
struct segment_entry {
	uint64_t version; /* the grant that wrote it; 0: none */
	uint8_t iv[CTRBOX_IV_SIZE];
	uint8_t zeros[12];
};

struct segment {
	struct slotfile file;
	struct ctrbox *box;
	struct segment_entry *entries; /* the table as it was last read or written */

	/* Of the blocks that the table says were ever published; any thread may read it. */
	_Atomic uint64_t published_bytes;
};

/*
 * Creates the file of a segment of size bytes, without storage behind it. Returns 0 or see
 * hostfile_create().
 */
int segment_create(int directory, const char *name, uint32_t size);

/* Opens it, with that key. Returns 0, see ctrbox_create(), or see hostfile_open(). */
int segment_open(struct segment **out, int directory, const char *name, uint32_t size,
    const uint8_t key[CTRBOX_KEY_SIZE]);

/* Closes it, wipes and frees. Takes NULL. */
void segment_close(struct segment *s);

/*
 * Brings the replica, of the same size, to that committed version: reads the table and the blocks
 * that are newer. Returns 0 or -EIO: then the mapping is as it was, and the replica is to be made
 * void.
 */
int segment_read(struct segment *s, struct replica *replica, uint64_t committed);

/*
 * Reads the table and clears its entries above committed, which releases that failed, or whose
 * process died, have left. Returns 0 or see hostfile_write().
 */
int segment_clear(struct segment *s, uint64_t committed);

/*
 * Writes what replica_collect() found as version, above committed, with that iv: no process reads
 * it before version is committed. Returns 0, -ENOSPC, -EDQUOT, -EIO.
 */
int segment_write(struct segment *s, const struct replica *replica, uint64_t committed,
    uint64_t version, const uint8_t iv[CTRBOX_IV_SIZE]);

/*
 * Bytes of the segment whose blocks were ever published, for sm_stat(), as far as the last holder
 * in this process has seen them. Any thread may call this, without the lock.
 */
uint64_t segment_published_bytes(const struct segment *s);

#endif
