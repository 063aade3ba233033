#include "common/wire/wire.h"

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

/* The next size bytes as one big-endian number. */
static uint64_t
get_number(struct wire_reader *r, size_t size)
{
	const uint8_t *bytes = wire_get_bytes(r, size);
	uint64_t value = 0;
	size_t i;

	if (bytes == NULL)
		return 0;
	for (i = 0; i < size; i++)
		value = value << 8 | bytes[i];
	return value;
}

uint8_t
wire_get_u8(struct wire_reader *r)
{
	return (uint8_t)get_number(r, 1);
}

uint16_t
wire_get_u16(struct wire_reader *r)
{
	return (uint16_t)get_number(r, 2);
}

uint32_t
wire_get_u32(struct wire_reader *r)
{
	return (uint32_t)get_number(r, 4);
}

uint64_t
wire_get_u64(struct wire_reader *r)
{
	return get_number(r, 8);
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

static void
put_number(struct wire_writer *w, uint64_t value, size_t size)
{
	uint8_t *room = wire_put_room(w, size);
	size_t i;

	if (room == NULL)
		return;
	for (i = size; i > 0; i--) {
		room[i - 1] = (uint8_t)value;
		value >>= 8;
	}
}

void
wire_put_u8(struct wire_writer *w, uint8_t value)
{
	put_number(w, value, 1);
}

void
wire_put_u16(struct wire_writer *w, uint16_t value)
{
	put_number(w, value, 2);
}

void
wire_put_u32(struct wire_writer *w, uint32_t value)
{
	put_number(w, value, 4);
}

void
wire_put_u64(struct wire_writer *w, uint64_t value)
{
	put_number(w, value, 8);
}

void
wire_put_bytes(struct wire_writer *w, const void *data, size_t size)
{
	uint8_t *room = wire_put_room(w, size);

	if (room != NULL && size > 0)
		memcpy(room, data, size);
}
