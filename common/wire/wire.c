#include "common/wire/wire.h"

#include <endian.h>
#include <string.h>

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
wire_put_bytes(struct wire_writer *w, const void *data, size_t size)
{
	uint8_t *room = wire_put_room(w, size);

	if (room != NULL && size > 0)
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
