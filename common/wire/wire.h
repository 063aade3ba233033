/*
 * wire: a bounded cursor over bytes of the protocol, for reading and for writing, big-endian.
 *
 * Every length that a peer states passes through here. A read past the end returns zeros and marks
 * the reader as failed, for good; the caller reads its whole message and asks once, wire_is_done().
 * So a handler reads like the tables of PROTOCOL 4 and PROTOCOL 5. Nothing here allocates, or
 * copies more than the integer asked for; wire_get_bytes() returns a pointer into the message.
 */
#ifndef COMMON_WIRE_WIRE_H
#define COMMON_WIRE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wire_reader {
	const uint8_t *next;
	size_t left;
	bool failed;
};

struct wire_writer {
	uint8_t *next;
	size_t left;
	bool failed; /* a value did not fit */
};

/* A reader of size bytes at data, which must outlive it. data may be NULL when size is 0. */
struct wire_reader wire_reader(const void *data, size_t size);

uint8_t wire_get_u8(struct wire_reader *r);
uint16_t wire_get_u16(struct wire_reader *r);
uint32_t wire_get_u32(struct wire_reader *r);
uint64_t wire_get_u64(struct wire_reader *r);

/* The next size bytes, in place; NULL when fewer are left. */
const uint8_t *wire_get_bytes(struct wire_reader *r, size_t size);

/* True when no read failed and no byte is left. */
bool wire_is_done(const struct wire_reader *r);

/* A writer into size bytes at out. */
struct wire_writer wire_writer(void *out, size_t size);

void wire_put_u8(struct wire_writer *w, uint8_t value);
void wire_put_u16(struct wire_writer *w, uint16_t value);
void wire_put_u32(struct wire_writer *w, uint32_t value);
void wire_put_u64(struct wire_writer *w, uint64_t value);
void wire_put_bytes(struct wire_writer *w, const void *data, size_t size);

/* The next size bytes, in place, for the caller to fill; NULL when they do not fit. */
uint8_t *wire_put_room(struct wire_writer *w, size_t size);

#endif
