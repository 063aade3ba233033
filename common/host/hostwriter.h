/*
 * hostwriter: writes the blocks of a release into a host file, many with a few system calls.
 *
 * Each block goes into its slot that is not current, so neighbouring blocks are not neighbours in
 * the file. One pwrite(2) for each block costs half as much as sealing them. Copying into a mapping
 * costs a tenth, but a host that cuts the file short would kill the process. So the kernel copies
 * into the mapping; then such a fault is an error and no signal: a pipe refers to the pages of the
 * blocks (vmsplice(2)), and readv(2) copies them from it into their places. If any of this fails or
 * stops early, pwrite writes all blocks from the start, and its error counts.
 *
 * A library OS that maps a private copy writes all of it back when it is unmapped, over blocks that
 * other processes have published. Such systems have no vmsplice; so nothing is mapped before
 * vmsplice has worked.
 *
 * A block is sealed right into the writer's buffer, which is private memory, and stays there until
 * it is written. One thread at a time. The pipe is the process's, for all its writers: pipes are
 * few, and it is empty between two calls. A forked child makes itself one of its own.
 */
#ifndef COMMON_HOST_HOSTWRITER_H
#define COMMON_HOST_HOSTWRITER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "common/base/size.h"

struct hostfile;

enum { HOSTWRITER_BLOCKS = 128 };

struct hostwriter {
	const struct hostfile *file;
	uint8_t *buffer; /* of room blocks */
	unsigned room;   /* no more than the file has */
	unsigned count;  /* of those in it */
	uint64_t offsets[HOSTWRITER_BLOCKS];
	uint32_t sizes[HOSTWRITER_BLOCKS];

	/* Bytes of the file to map; 0: everything is written by pwrite. */
	uint64_t map_size;

	/* A mapping that only the kernel writes to; NULL before it was needed. */
	uint8_t *untrusted_base;
	bool is_proven; /* a write through the mapping has been read back from the file */
};

/*
 * A writer for file, which measures size bytes and is open until hostwriter_fini(). Returns 0 or
 * -ENOMEM.
 */
int hostwriter_init(struct hostwriter *w, const struct hostfile *file, uint64_t size);

/* Wipes and frees. Also for one that is all zeros. */
void hostwriter_fini(struct hostwriter *w);

/* Drops the blocks that were put and not flushed. */
void hostwriter_begin(struct hostwriter *w);

/* Room for the next block, SIZE_BLOCK bytes. */
static inline uint8_t *
hostwriter_room(const struct hostwriter *w)
{
	return w->buffer + w->count * SIZE_BLOCK;
}

/*
 * The size bytes in hostwriter_room() belong at offset, inside the file; a later flush writes them,
 * or this call when the buffer is full. Returns 0 or see hostfile_write().
 */
int hostwriter_put(struct hostwriter *w, uint64_t offset, uint32_t size);

/* Writes all that were put. Returns 0, or see hostfile_write(): some of it may then be written. */
int hostwriter_flush(struct hostwriter *w);

#endif
