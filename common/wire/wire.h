/*
 * wire: a bounded cursor over bytes of the protocol, for reading and for writing, big-endian.
 *
 * Every length that a peer states passes through here. A read past the end returns zeros and marks
 * the reader as failed, for good; the caller reads its whole message and asks once, wire_is_done().
 * So a handler reads like the tables of PROTOCOL 4 and PROTOCOL 5. Nothing here allocates, or
 * copies more than the integer asked for; wire_get_bytes() returns a pointer into the message.
 * Readers are inline: each request passes a dozen of them.
 */
#ifndef COMMON_WIRE_WIRE_H
#define COMMON_WIRE_WIRE_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

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
static inline struct wire_reader
wire_reader(const void *data, size_t size)
{
	return (struct wire_reader){ .next = data, .left = size };
}

/* The next size bytes, in place; NULL when fewer are left. */
static inline const uint8_t *
wire_get_bytes(struct wire_reader *r, size_t size)
{
	const uint8_t *bytes = r->next;

	if (r->failed || size > r->left) {
		r->failed = true;
		return NULL;
	}
	if (size > 0)
		r->next += size;
	r->left -= size;
	return bytes;
}

static inline uint8_t
wire_get_u8(struct wire_reader *r)
{
	const uint8_t *byte = wire_get_bytes(r, 1);

	return byte == NULL ? 0 : *byte;
}

static inline uint16_t
wire_get_u16(struct wire_reader *r)
{
	const uint8_t *bytes = wire_get_bytes(r, sizeof(uint16_t));
	uint16_t value = 0;

	if (bytes != NULL)
		memcpy(&value, bytes, sizeof value);
	return be16toh(value);
}

static inline uint32_t
wire_get_u32(struct wire_reader *r)
{
	const uint8_t *bytes = wire_get_bytes(r, sizeof(uint32_t));
	uint32_t value = 0;

	if (bytes != NULL)
		memcpy(&value, bytes, sizeof value);
	return be32toh(value);
}

static inline uint64_t
wire_get_u64(struct wire_reader *r)
{
	const uint8_t *bytes = wire_get_bytes(r, sizeof(uint64_t));
	uint64_t value = 0;

	if (bytes != NULL)
		memcpy(&value, bytes, sizeof value);
	return be64toh(value);
}

/* True when no read failed and no byte is left. */
static inline bool
wire_is_done(const struct wire_reader *r)
{
	return !r->failed && r->left == 0;
}

/* A writer into size bytes at out. */
static inline struct wire_writer
wire_writer(void *out, size_t size)
{
	return (struct wire_writer){ .next = out, .left = size };
}

void wire_put_u8(struct wire_writer *w, uint8_t value);
void wire_put_u16(struct wire_writer *w, uint16_t value);
void wire_put_u32(struct wire_writer *w, uint32_t value);
void wire_put_u64(struct wire_writer *w, uint64_t value);
void wire_put_bytes(struct wire_writer *w, const void *data, size_t size);

/* The next size bytes, in place, for the caller to fill; NULL when they do not fit. */
uint8_t *wire_put_room(struct wire_writer *w, size_t size);

#endif
