#include "common/server/core/sending.h"

#include <errno.h>

#include "common/server/core/buffers.h"
#include "common/server/core/core.h"
#include "common/server/core/reply.h"

/* More is written when fewer bytes of output are left: two TLS records' worth. */
enum { REFILL_BELOW = 32 * SIZE_KIB };

static size_t
put(struct session *s, uint8_t *out, size_t room)
{
	const struct memfile *f = s->sending.desc->file;
	const struct store_ops *store = f->tree->store;

	return (s->sending.is_lock ? store->lock_put : store->grant_put)(f, &s->sending.cursor, out,
	    room);
}

/* The reply is complete: those that had to wait follow it. */
static void
append_late(struct session *s)
{
	size_t size = buf_size(&s->late);

	if (buffers_append_anyway(s, &s->out, buf_data(&s->late), size) != 0)
		reply_end_session(s, "no memory for a reply");
	buf_consume(&s->late, size);
	buffers_trim(s, &s->late);
}

/* Writes what is left, as far as it fits into room bytes reserved at the output's end. */
static void
fill(struct session *s, uint8_t *out, size_t room)
{
	struct desc *d = s->sending.desc;
	size_t n = 0;

	while (s->sending.cursor.size > 0 && room - n >= STORE_ROOM_LEAST)
		n += put(s, out + n, room - n);
	buf_commit(&s->out, n);
	if (s->sending.cursor.size > 0)
		return;
	s->sending.desc = NULL;
	d->sent_at = s->sent + buf_size(&s->out);
	append_late(s);
}

/* Begins the reply whose cursor is set up. */
static int
begin(struct session *s, struct desc *d, uint16_t tag, const void *head, size_t head_size)
{
	uint64_t size = s->sending.cursor.size;
	size_t room = size < SENDING_ROOM ? (size_t)size + STORE_ROOM_LEAST : SENDING_ROOM;
	int error = reply_begin_long(s, tag, head, head_size, size, room);

	if (error != 0)
		return error;
	d->file->bytes_granted += size;
	s->sending.desc = d;
	fill(s, buf_reserve(&s->out, room), room);
	return 0;
}

int
sending_begin_grant(struct desc *d, const void *head, size_t head_size)
{
	struct session *s = d->session;

	s->sending = (struct sending){ .is_lock = false };
	d->file->tree->store->grant_begin(d->file, d->since, &s->sending.cursor);
	return begin(s, d, d->tag, head, head_size);
}

int
sending_begin_lock(struct session *s, struct desc *d, const void *head, size_t head_size)
{
	s->sending = (struct sending){ .is_lock = true };
	d->file->tree->store->lock_begin(d->file, &s->sending.cursor);
	return begin(s, d, 0, head, head_size);
}

bool
sending_is_active(const struct session *s)
{
	return s->sending.desc != NULL;
}

bool
sending_can_continue(const struct session *s)
{
	return sending_is_active(s) && buf_size(&s->out) < REFILL_BELOW;
}

void
sending_continue(struct session *s)
{
	uint8_t *room;

	if (!sending_can_continue(s))
		return;
	room = buffers_reserve(s, &s->out, SENDING_ROOM);
	if (room != NULL)
		fill(s, room, SENDING_ROOM);
	else
		reply_end_session(s, "no memory for the rest of a grant");
}

void
sending_claim_ended(struct desc *d)
{
	struct session *s = d->session;

	if (s->sending.desc != d)
		return;
	s->sending.desc = NULL;
	/* Whatever came behind the half of the frame would become a part of it. */
	s->write_failed = true;
	reply_end_session(s, "its claim ended before its grant was sent whole");
}
