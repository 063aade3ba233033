#include "common/server/core/reply.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/log.h"
#include "common/server/core/buffers.h"
#include "common/server/core/core.h"
#include "common/wire/status.h"
#include "common/wire/wire.h"

/*
 * Appends the header of a reply of body_size bytes, of which *body has the first size ones, and
 * reserves room for room more. Returns 0 or -ENOMEM.
 */
static int
begin(struct session *s, uint16_t tag, uint32_t status, uint64_t body_size, size_t size,
    size_t room, uint8_t **body)
{
	struct frame f = { frame_tagged(tag, status), (uint32_t)body_size };
	/* A claim may end by its timer while the grant of another is half sent. */
	struct buf *b = s->sending.desc != NULL ? &s->late : &s->out;
	size_t all = FRAME_HEADER_SIZE + size + room;
	uint8_t *out = all <= BUFFERS_REPLY_ROOM ? buffers_reserve_anyway(s, b, all) :
						   buffers_reserve(s, b, all);

	if (out == NULL)
		return -ENOMEM;
	frame_put(out, f);
	buf_commit(b, FRAME_HEADER_SIZE + size);
	*body = out + FRAME_HEADER_SIZE;
	reply_mark_ready(s);
	return 0;
}

int
reply_begin(struct session *s, uint16_t tag, size_t body_size, struct wire_writer *w)
{
	uint8_t *body;
	int error = begin(s, tag, 0, body_size, body_size, 0, &body);

	if (error == 0)
		*w = wire_writer(body, body_size);
	return error;
}

int
reply_begin_long(struct session *s, uint16_t tag, const void *head, size_t head_size,
    uint64_t rest_size, size_t room)
{
	uint8_t *body;
	int error = begin(s, tag, 0, head_size + rest_size, head_size, room, &body);

	if (error == 0)
		memcpy(body, head, head_size);
	return error;
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
	uint8_t *body;

	if (begin(s, tag, status_to_wire(error), 0, 0, 0, &body) != 0)
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
	account_warn(s->account, s->server->now, "%s: connection closed: %s", s->peer, reason);
	reply_mark_ready(s);
}
