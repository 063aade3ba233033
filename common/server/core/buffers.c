#include "common/server/core/buffers.h"

#include <errno.h>

#include "common/server/core/core.h"
#include "common/server/core/wiper.h"

/* An empty buffer keeps so many bytes of storage; a larger body becomes the spare buffer. */
enum { KEEP = 16 * SIZE_KIB };

/* So many bytes of unsent replies have room even without room in the account. */
enum { REPLIES_FREE = 4 * SIZE_KIB };

/* Bodies of so many bytes, those of requests without a delta, are received even without room. */
enum { SMALL_BODY = 512 };

/* Charges what the buffers have grown, or gives back what they shrank. Returns 0 or -ENOMEM. */
static int
charge(struct session *s)
{
	uint64_t sum = s->out.capacity + s->late.capacity + s->backlog.capacity + s->body.capacity;

	if (sum > s->charged && account_take(s->account, ACCOUNT_MEMORY, sum - s->charged) != 0)
		return -ENOMEM;
	if (sum < s->charged)
		account_give(s->account, ACCOUNT_MEMORY, s->charged - sum);
	s->charged = sum;
	return 0;
}

/*
 * Grows b. Without room in the account it fails, and b shrinks again if it is empty. Returns 0,
 * -EAGAIN without room, or -ENOMEM.
 */
static int
grow(struct session *s, struct buf *b, size_t size)
{
	if (buf_grow(b, size) != 0)
		return -ENOMEM;
	if (charge(s) == 0)
		return 0;
	buf_trim(b, 0);
	return -EAGAIN;
}

uint8_t *
buffers_reserve(struct session *s, struct buf *b, size_t size)
{
	return grow(s, b, size) == 0 ? buf_reserve(b, size) : NULL;
}

/* Grows b, whether the account has room or not. */
static int
grow_anyway(struct session *s, struct buf *b, size_t size)
{
	uint64_t before = b->capacity;

	if (buf_grow(b, size) != 0)
		return -ENOMEM;
	account_overdraw(s->account, ACCOUNT_MEMORY, b->capacity - before);
	s->charged += b->capacity - before;
	return 0;
}

uint8_t *
buffers_reserve_anyway(struct session *s, struct buf *b, size_t size)
{
	return grow_anyway(s, b, size) == 0 ? buf_reserve(b, size) : NULL;
}

int
buffers_append_anyway(struct session *s, struct buf *b, const void *data, size_t size)
{
	if (size == 0)
		return 0;
	return grow_anyway(s, b, size) == 0 ? buf_append(b, data, size) : -ENOMEM;
}

int
buffers_take_reply_room(struct session *s)
{
	if (buf_size(&s->out) + BUFFERS_REPLY_ROOM <= REPLIES_FREE)
		return grow_anyway(s, &s->out, BUFFERS_REPLY_ROOM);
	return grow(s, &s->out, BUFFERS_REPLY_ROOM);
}

int
buffers_grow_body(struct session *s, size_t size)
{
	if (size <= SMALL_BODY)
		return grow_anyway(s, &s->body, size);
	spare_get(&s->server->spare, &s->body, size);
	return grow(s, &s->body, size);
}

void
buffers_drop_body(struct session *s)
{
	struct buf *b = &s->body;

	buf_consume(b, buf_size(b));
	if (b->capacity > SPARE_MOST) {
		s->charged -= b->capacity;
		wiper_take(&s->server->schedule, s->account, b);
	} else if (b->capacity > SPARE_SMALL) {
		spare_put(&s->server->spare, b);
	} else {
		buf_trim(b, KEEP);
	}
	(void)charge(s);
}

void
buffers_trim(struct session *s, struct buf *b)
{
	if (buf_size(b) > 0 || b->capacity <= KEEP)
		return;
	buf_trim(b, KEEP);
	(void)charge(s);
}

void
buffers_fini(struct session *s)
{
	buffers_drop_body(s);
	buf_fini(&s->body);
	buf_fini(&s->backlog);
	buf_fini(&s->out);
	buf_fini(&s->late);
	(void)charge(s);
}
