#include "common/server/core/handlers_v1.h"

#include <errno.h>

#include "common/server/core/claims.h"
#include "common/server/core/core.h"
#include "common/server/core/publishing.h"
#include "common/server/core/reply.h"
#include "common/server/core/request.h"
#include "common/server/core/sending.h"

/* True when turn is being served and the lock is free. */
static bool
can_take_turn(const struct memfile *f, uint32_t turn)
{
	return TAILQ_EMPTY(&f->lock.holders) && f->tree->store->turn_is_served(f, turn);
}

/* Writes the reply of a LOCK: the type and, once something was published, the segment. */
static int
reply_lock(struct session *s, const struct request *q, struct desc *d)
{
	uint8_t type = memfile_type(d->file);

	if (type == PROTOCOL_TYPE_SEGMENT)
		return sending_begin_lock(s, d, &type, sizeof type);
	return reply_begin_long(s, q->tag, &type, sizeof type, 0, 0);
}

/* Locks for descriptor fd of s; turn counts only if the store has turns. */
static int
lock_fd(struct session *s, const struct request *q, uint32_t fd, uint32_t turn, uint8_t type)
{
	const struct store_ops *store = s->server->store;
	struct desc *d, *holder;
	bool is_new;
	int error;

	if (type != PROTOCOL_TYPE_PURE && type != PROTOCOL_TYPE_SEGMENT)
		return -EBADE;
	error = fdtable_find(&s->table, fd, &d);
	if (error != 0)
		return error;
	if ((type == PROTOCOL_TYPE_SEGMENT) != (d->file->size > 0))
		return -EBADE;
	holder = claims_find_holder(s, d->file);
	is_new = holder == NULL;
	if (is_new) {
		holder = d;
		if (store->has_turns && !can_take_turn(d->file, turn))
			return -EINVAL;
		error = claims_lock(d);
		if (error != 0)
			return error;
	}
	holder->type = type;
	error = reply_lock(s, q, holder);
	if (is_new && error == 0)
		claims_lock_replied(d);
	else if (is_new)
		claims_drop(d);
	return error;
}

/*
 * A client whose LOCK is refused for the turn being served does not send it again, and will not
 * unlock: the next turn has to be served.
 */
static void
skip_refused_turn(struct session *s, uint32_t fd, uint32_t turn)
{
	struct desc *d;

	if (fdtable_find(&s->table, fd, &d) == 0 && can_take_turn(d->file, turn))
		memfile_lock_changed(d->file, STORE_EVENT_DROPPED);
}

int
handlers_v1_lock(struct session *s, struct request *q)
{
	bool has_turns = s->server->store->has_turns;
	uint32_t fd = wire_get_u32(&q->body);
	uint32_t turn = has_turns ? wire_get_u32(&q->body) : 0;
	uint8_t type = wire_get_u8(&q->body);
	int error;

	if (!request_is_complete(q))
		return -EPROTO;
	error = lock_fd(s, q, fd, turn, type);
	if (error != 0 && has_turns)
		skip_refused_turn(s, fd, turn);
	return error;
}

/* Ends the claim of an UNLOCK that the store has applied; a refused one leaves the lock held. */
static int
end_unlock(struct session *s, struct desc *d, int error)
{
	if (error != 0)
		return error;
	claims_unlock(d);
	reply_status(s, 0, 0);
	return 0;
}

int
handlers_v1_unlock(struct session *s, struct request *q)
{
	const struct store_ops *store = s->server->store;
	uint32_t fd = wire_get_u32(&q->body);
	uint8_t type = wire_get_u8(&q->body);
	struct desc *d, *holder;
	int error;

	if (q->body.failed)
		return -EPROTO;
	if (type == PROTOCOL_TYPE_PURE && q->body.left + q->missing != 0)
		return -EPROTO;
	if (type == PROTOCOL_TYPE_SEGMENT && !store->unlock_is_shaped(q->body, q->missing))
		return -EPROTO;
	if (type != PROTOCOL_TYPE_PURE && type != PROTOCOL_TYPE_SEGMENT)
		return -EBADE;
	error = fdtable_find(&s->table, fd, &d);
	if (error != 0)
		return error;
	holder = claims_find_holder(s, d->file);
	if (holder != NULL && holder->type != type)
		return -EBADE;
	if (holder == NULL)
		return -EINVAL;
	if (q->missing != 0)
		return q->missing_error;
	if (type == PROTOCOL_TYPE_SEGMENT)
		return publishing_begin(s, holder, q, 0, end_unlock);
	return end_unlock(s, holder, 0);
}
