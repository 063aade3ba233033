#include "common/wire/frame.h"

#include "common/wire/wire.h"

struct frame
frame_get(const uint8_t header[FRAME_HEADER_SIZE])
{
	struct wire_reader r = wire_reader(header, FRAME_HEADER_SIZE);
	struct frame f;

	f.code = wire_get_u32(&r);
	f.body_size = wire_get_u32(&r);
	return f;
}

void
frame_put(uint8_t header[FRAME_HEADER_SIZE], struct frame f)
{
	struct wire_writer w = wire_writer(header, FRAME_HEADER_SIZE);

	wire_put_u32(&w, f.code);
	wire_put_u32(&w, f.body_size);
}
