/*
 * request: makes a frame of the protocol of a request in a script (PROTOCOL 4.1, PROTOCOL 5).
 *
 *	NEW_FDTABLE   FORK   CHILD_ATTACH ident   OPEN "name"   CLOSE fd   MMAP fd size
 *	LOCK fd type   UNLOCK fd type ["bytes of the segment"]
 *	LOCK fd turn=N type   UNLOCK fd type ["iv" "key" "tag"]		(smuf's)
 *	HELLO version [features=0]
 *	OPEN2 flags=create+exclusive|N "name"   PROCESS pid
 *	ACQUIRE fd exclusive|shared|upgrade|mode=N [timeout=never|try|MS] [since=0]	(never)
 *	RELEASE fd grant [flags=one-way+unverified+keep|N] [delta{offset:"bytes" ...}]
 *	RELEASE fd grant ... [delta{block/slot:"tag" ...}]		(smuf's)
 *	CANCEL tag   STAT fd [what=N]   INSPECT what after
 *	99, or any other number, for an operation that has no name
 *
 * A field that is left out is left out of the body as well (LOCK 0 has no type), which makes the
 * body too short. After the fields u8=N u32=N u64=N bytes="..." add to any body, and cut=N takes
 * bytes from its end. Instead of an operation:
 *
 *	raw 00000000...		these bytes, as they are
 *	bytes "..."		the same, for parts of a body
 *	header OPERATION size	only the header, with a body of that size promised
 */
#ifndef TESTS_PROTOCOL_REQUEST_H
#define TESTS_PROTOCOL_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/protocol/text.h"

/* The properties of a request that the parser of its reply needs. */
struct request {
	bool is_frame; /* it begins with a header; false: bytes of unknown meaning */
	bool is_whole; /* and is exactly one frame */
	uint16_t tag;
	uint32_t op;
	uint8_t what; /* of an INSPECT */
};

/* Appends the bytes of the request at t to out, and describes it. */
bool request_build(struct text *t, struct buf *out, struct request *description);

#endif
