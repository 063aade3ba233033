/*
 * slotfile: the segment file on the host (smuf/FORMAT 3, smc/FORMAT 4): two slots for each block,
 * so that a release never writes over the slot that is current, and behind them, where a caller has
 * one, a table with an entry for each slot.
 *
 * Slot s of block b is at (2b+s)*4096; of a short last block the rest is not used. Its callers know
 * which slot of a block is current, and have the key and nonce that its bytes were made with.
 *
 * The host can read, change, swap, roll back, cut or remove all of this at any time. So a block is
 * copied once into private memory (slotfile_read()), where the caller verifies or decrypts it, and
 * is made in private memory (slotfile_room()) before it is copied out. A host that cuts the file
 * short causes -EIO, or where files work by mapping only (hostfile.h) ends the process.
 *
 * The room that slotfile_room() returns and the block that slotfile_read() returns are one each:
 * one thread at a time.
 */
#ifndef COMMON_HOST_SLOTFILE_H
#define COMMON_HOST_SLOTFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/size.h"
#include "common/host/hostfile.h"
#include "common/host/hostwriter.h"

enum { SLOTFILE_SLOTS = 2 }; /* of a block */

/* Where a slot of a block begins. */
static inline uint64_t
slotfile_offset(uint32_t block, unsigned slot)
{
	return (SLOTFILE_SLOTS * (uint64_t)block + slot) * SIZE_BLOCK;
}

/* Bytes of all slots of a segment of size bytes. */
static inline uint64_t
slotfile_slots_size(uint32_t size)
{
	return slotfile_offset(size_block_count(size), 0);
}

/* All zeros: not open. */
struct slotfile {
	struct hostfile file;
	struct hostwriter writer;
	uint32_t size;             /* of the segment, bytes */
	uint32_t count;            /* its blocks */
	uint32_t entry_size;       /* of the table, bytes; 0: there is no table */
	uint8_t block[SIZE_BLOCK]; /* read by slotfile_read() */
};

/*
 * Creates the file of a segment of size bytes, zeros without storage behind them, with a table of
 * entry_size bytes a slot (0: none). Returns 0 or see hostfile_create().
 */
int slotfile_create(int directory, const char *name, uint32_t size, uint32_t entry_size);

/*
 * Opens it; f is not open, and is not on failure. Returns 0, -ENOMEM, or see hostfile_open(): -EIO
 * when it is shorter than such a file.
 */
int slotfile_open(struct slotfile *f, int directory, const char *name, uint32_t size,
    uint32_t entry_size);

/* Closes it: it is all zeros then. Also for one that is. */
void slotfile_close(struct slotfile *f);

/* See hostfile_is_intact(). False for one that is not open. */
static inline bool
slotfile_is_intact(const struct slotfile *f)
{
	return f->size != 0 && hostfile_is_intact(&f->file);
}

/*
 * To be called before a release writes to f. Returns 0; -EBADF when it is not intact; -EFBIG when
 * the process may not write files of this size.
 */
int slotfile_check(const struct slotfile *f);

/* Copies a block from its slot to f->block, size_of_block() bytes. Returns 0 or -EIO. */
int slotfile_read(struct slotfile *f, uint32_t block, unsigned slot);

/* A release begins: drops what was put and not flushed. */
static inline void
slotfile_begin(struct slotfile *f)
{
	hostwriter_begin(&f->writer);
}

/* Private memory for the next block to be put, SIZE_BLOCK bytes. */
static inline uint8_t *
slotfile_room(const struct slotfile *f)
{
	return hostwriter_room(&f->writer);
}

/*
 * Writes the block in slotfile_room(), size_of_block() bytes, to its slot, now or with a later put
 * or flush. Returns 0 or see hostfile_write().
 */
int slotfile_put(struct slotfile *f, uint32_t block, unsigned slot);

/* Writes all that were put. Returns 0, or see hostfile_write(): some may then be written. */
static inline int
slotfile_flush(struct slotfile *f)
{
	return hostwriter_flush(&f->writer);
}

/* Copies the table of f to table, an entry for slot 0 and one for slot 1 of each block. -EIO. */
int slotfile_read_table(const struct slotfile *f, void *table);

/*
 * Writes count entries of table, a copy of the whole table, from that of slot first % 2 of block
 * first / 2. Returns 0 or see hostfile_write().
 */
int slotfile_write_table(const struct slotfile *f, const void *table, uint32_t first,
    uint32_t count);

#endif
