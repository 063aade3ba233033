/*
 * size: the size of a block, and numbers of bytes as options and arguments state them.
 */
#ifndef COMMON_BASE_SIZE_H
#define COMMON_BASE_SIZE_H

#include <stddef.h>
#include <stdint.h>

enum {
	SIZE_KIB = 1024,
	SIZE_MIB = 1024 * 1024,
	SIZE_BLOCK = 4096 /* of a segment (DESIGN 3); the last block may be shorter */
};

/* Bytes from offset, below end, to the end of its block or to end, whichever comes first. */
static inline size_t
size_block_part(size_t offset, size_t end)
{
	size_t part = SIZE_BLOCK - offset % SIZE_BLOCK;

	return part < end - offset ? part : end - offset;
}

/* The number of blocks that hold size bytes. */
static inline uint32_t
size_block_count(uint32_t size)
{
	return size / SIZE_BLOCK + (size % SIZE_BLOCK != 0);
}

/* The number of blocks in which length bytes from offset on lie; length is not 0. */
static inline uint32_t
size_block_span(uint32_t offset, uint32_t length)
{
	return (offset + (length - 1)) / SIZE_BLOCK - offset / SIZE_BLOCK + 1;
}

/* Bytes of a block of a segment of size bytes: the last one may be shorter. */
static inline uint32_t
size_of_block(uint32_t size, uint32_t block)
{
	uint32_t left = size - block * SIZE_BLOCK;

	return left < SIZE_BLOCK ? left : SIZE_BLOCK;
}

/*
 * Parses a decimal number with an optional K, M or G (powers of 1024, either case) into *out.
 * Returns 0, -EINVAL for other text, -ERANGE below least or above most; *out is untouched on
 * failure.
 */
int size_parse(const char *text, uint64_t least, uint64_t most, uint64_t *out);

#endif
