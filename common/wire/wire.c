#include "common/wire/wire.h"

#include <endian.h>
#include <string.h>

struct wire_reader
wire_reader(const void *data, size_t size)
{
	return (struct wire_reader){ .next = data, .left = size };
}

const uint8_t *
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

uint8_t
wire_get_u8(struct wire_reader *r)
{
	const uint8_t *byte = wire_get_bytes(r, 1);

	return byte == NULL ? 0 : *byte;
}

uint16_t
wire_get_u16(struct wire_reader *r)
{
	const uint8_t *bytes = wire_get_bytes(r, 2);
	uint16_t value = 0;

	if (bytes != NULL)
		memcpy(&value, bytes, sizeof value);
	return be16toh(value);
}

uint32_t
wire_get_u32(struct wire_reader *r)
{
	const uint8_t *bytes = wire_get_bytes(r, 4);
	uint32_t value = 0;

	if (bytes != NULL)
		memcpy(&value, bytes, sizeof value);
	return be32toh(value);
}

uint64_t
wire_get_u64(struct wire_reader *r)
{
	const uint8_t *bytes = wire_get_bytes(r, 8);
	uint64_t value = 0;

	if (bytes != NULL)
		memcpy(&value, bytes, sizeof value);
	return be64toh(value);
}

bool
wire_is_done(const struct wire_reader *r)
{
	return !r->failed && r->left == 0;
}

struct wire_writer
wire_writer(void *out, size_t size)
{
	return (struct wire_writer){ .next = out, .left = size };
}

uint8_t *
wire_put_room(struct wire_writer *w, size_t size)
{
	uint8_t *room = w->next;

	if (w->failed || size > w->left) {
		w->failed = true;
		return NULL;
	}
	if (size > 0)
		w->next += size;
	w->left -= size;
	return room;
}

void
wire_put_u8(struct wire_writer *w, uint8_t value)
{
	wire_put_bytes(w, &value, sizeof value);
}

void
wire_put_u16(struct wire_writer *w, uint16_t value)
{
	value = htobe16(value);
	wire_put_bytes(w, &value, sizeof value);
}

void
wire_put_u32(struct wire_writer *w, uint32_t value)
{
	value = htobe32(value);
	wire_put_bytes(w, &value, sizeof value);
}

void
wire_put_u64(struct wire_writer *w, uint64_t value)
{
	value = htobe64(value);
	wire_put_bytes(w, &value, sizeof value);
}

void
wire_put_bytes(struct wire_writer *w, const void *data, size_t size)
{
	uint8_t *room = wire_put_room(w, size);

	if (room != NULL && size > 0)
		memcpy(room, data, size);
}
