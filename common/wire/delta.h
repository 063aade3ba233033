/*
 * delta: the changed bytes of a segment, as smdish sends them (PROTOCOL 5.7).
 *
 *	u32 count; each: u32 offset, u32 length, the bytes; ascending and disjoint
 *
 * Both directions have this form. A piece is a part of a block, or, in a grant, a run of whole
 * blocks. A sender makes at most one piece a block, which bounds the size. The reader trusts
 * nothing: it refuses a piece that is empty, out of range, or not above the one before.
 */
#ifndef COMMON_WIRE_DELTA_H
#define COMMON_WIRE_DELTA_H

#include <stddef.h>
#include <stdint.h>

struct wire_reader;

enum { DELTA_COUNT_SIZE = 4, DELTA_PIECE_HEADER_SIZE = 8 };

struct delta_piece {
	uint32_t offset;      /* in the segment, bytes */
	uint32_t length;      /* bytes, at least 1 */
	const uint8_t *bytes; /* in the message */
};

struct delta {
	struct wire_reader *reader;
	uint32_t left; /* pieces not read yet */
	uint32_t size; /* of the segment */
	uint32_t end;  /* of the last piece */
};

/*
 * Begins to read a delta for a segment of size bytes: reads the count. The caller then reads the
 * pieces with delta_next() until it returns 0.
 */
void delta_begin(struct delta *d, struct wire_reader *r, uint32_t size);

/*
 * Reads the next piece. Returns 1 with *piece filled, 0 after the last one; -EPROTO when the
 * message is too short, -EINVAL for a piece that is empty, out of range, or overlaps or precedes
 * the one before.
 */
int delta_next(struct delta *d, struct delta_piece *piece);

#endif
