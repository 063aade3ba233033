#include "common/wire/wire.h"

#include <endian.h>
#include <string.h>

/* Moves past the next size bytes, if they fit. */
static bool
advance(struct wire_writer *w, size_t size)
{
	if (w->failed || size > w->left) {
		w->failed = true;
		return false;
	}
	if (size > 0)
		w->next += size;
	w->left -= size;
	return true;
}

uint8_t *
wire_put_room(struct wire_writer *w, size_t size)
{
	uint8_t *room = w->next;

	return advance(w, size) ? room : NULL;
}

/*
 * Does not ask wire_put_room(): gcc 14 with -flto takes a test of its result for NULL as a sign
 * that next may be NULL where bytes fit, and warns of the writes that would follow.
 */
void
wire_put_bytes(struct wire_writer *w, const void *data, size_t size)
{
	uint8_t *room = w->next;

	if (advance(w, size) && size > 0)
		memcpy(room, data, size);
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
