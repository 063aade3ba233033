#include "common/server/core/reply.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/base/log.h"
#include "common/server/core/core.h"
#include "common/wire/status.h"
#include "common/wire/wire.h"

static int
begin(struct session *s, uint16_t tag, uint32_t status, size_t body_size, struct wire_writer *w)
{
	struct frame f = { frame_tagged(tag, status), (uint32_t)body_size };
	uint8_t *room;

	spare_get(&s->server->spare, &s->out, FRAME_HEADER_SIZE + body_size);
	room = buf_reserve(&s->out, FRAME_HEADER_SIZE + body_size);
	if (room == NULL)
		return -ENOMEM;
	frame_put(room, f);
	buf_commit(&s->out, FRAME_HEADER_SIZE + body_size);
	*w = wire_writer(room + FRAME_HEADER_SIZE, body_size);
	reply_mark_ready(s);
	return 0;
}

int
reply_begin(struct session *s, uint16_t tag, size_t body_size, struct wire_writer *w)
{
	return begin(s, tag, 0, body_size, w);
}

int
reply_u64(struct session *s, uint16_t tag, uint64_t value)
{
	struct wire_writer w;
	int error = reply_begin(s, tag, sizeof value, &w);

	if (error == 0)
		wire_put_u64(&w, value);
	return error;
}

void
reply_status(struct session *s, uint16_t tag, int error)
{
	struct wire_writer w;

	if (begin(s, tag, status_to_wire(error), 0, &w) != 0)
		reply_end_session(s, "no memory for a reply");
}

void
reply_mark_ready(struct session *s)
{
	if (s->is_ready)
		return;
	s->is_ready = true;
	TAILQ_INSERT_TAIL(&s->server->ready, s, ready_link);
}

void
reply_end_session(struct session *s, const char *format, ...)
{
	char reason[256];
	va_list args;

	if (s->is_over)
		return;
	s->is_over = true;
	va_start(args, format);
	vsnprintf(reason, sizeof reason, format, args);
	va_end(args);
	log_warning("%s: connection closed: %s", s->peer, reason);
	reply_mark_ready(s);
}
