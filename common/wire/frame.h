/*
 * frame: the header of every message (PROTOCOL 1): two big-endian u32, code and bodylen.
 *
 * In a request the code is the operation, in a reply the status. After HELLO the upper 16 bits of
 * it are a tag that the client chooses and the reply repeats.
 */
#ifndef COMMON_WIRE_FRAME_H
#define COMMON_WIRE_FRAME_H

#include <stdint.h>

#include "common/wire/wire.h"

enum { FRAME_HEADER_SIZE = 8 };

struct frame {
	uint32_t code;
	uint32_t body_size;
};

static inline struct frame
frame_get(const uint8_t header[FRAME_HEADER_SIZE])
{
	struct wire_reader r = wire_reader(header, FRAME_HEADER_SIZE);
	struct frame f;

	f.code = wire_get_u32(&r);
	f.body_size = wire_get_u32(&r);
	return f;
}

static inline void
frame_put(uint8_t header[FRAME_HEADER_SIZE], struct frame f)
{
	struct wire_writer w = wire_writer(header, FRAME_HEADER_SIZE);

	wire_put_u32(&w, f.code);
	wire_put_u32(&w, f.body_size);
}

/* A code of version 2: the tag is the upper half, the operation or status the lower one. */
static inline uint32_t
frame_tagged(uint16_t tag, uint32_t code)
{
	return (uint32_t)tag << 16 | (code & 0xffff);
}

static inline uint16_t
frame_tag(uint32_t code)
{
	return (uint16_t)(code >> 16);
}

static inline uint32_t
frame_untagged(uint32_t code)
{
	return code & 0xffff;
}

#endif
