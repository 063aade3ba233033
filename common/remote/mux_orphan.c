#include "common/remote/mux_core.h"

#include <errno.h>
#include <stdlib.h>

#include "common/wire/status.h"

static void
forget(struct mux *m, struct mux_orphan *o)
{
	TAILQ_REMOVE(&m->orphans, o, link);
	m->orphan_count--;
	free(o);
}

/* The orphan to which a reply with that tag belongs, or NULL. */
static struct mux_orphan *
find(struct mux *m, uint16_t tag)
{
	struct mux_orphan *o;

	TAILQ_FOREACH(o, &m->orphans, link)
		if ((o->is_awaited && o->call == tag) || (!o->is_answered && o->tag == tag))
			return o;
	return NULL;
}

/* Records the answer. Returns how large its body may be, or -EPROTO. */
static int64_t
record(struct mux_orphan *o, uint16_t tag, bool is_success)
{
	if (o->is_awaited && o->call == tag) {
		o->is_awaited = false;
		return is_success ? o->most : 0;
	}
	o->is_answered = true;
	return is_success ? 0 : -EPROTO;
}

void
mux_orphan_settle(struct mux *m, struct mux_orphan *o)
{
	if (o->is_answered && !o->is_awaited)
		forget(m, o);
}

int
mux_orphan_answer(struct mux *m, struct frame frame)
{
	uint16_t tag = frame_tag(frame.code);
	bool is_success = status_from_wire(frame_untagged(frame.code)) == 0;
	struct mux_orphan *o = find(m, tag);

	if (o == NULL || (int64_t)frame.body_size > record(o, tag, is_success))
		return -EPROTO;
	m->discarding = frame.body_size;
	mux_orphan_settle(m, o);
	return 0;
}

bool
mux_orphan_has_tag(const struct mux *m, uint16_t tag)
{
	const struct mux_orphan *o;

	TAILQ_FOREACH(o, &m->orphans, link)
		if (o->tag == tag || o->call == tag)
			return true;
	return false;
}

struct mux_orphan *
mux_orphan_unsent(const struct mux *m)
{
	struct mux_orphan *o;

	TAILQ_FOREACH(o, &m->orphans, link)
		if (!o->is_sent)
			return o;
	return NULL;
}

bool
mux_orphan_has_unsent_cancel(const struct mux *m)
{
	const struct mux_orphan *o;

	TAILQ_FOREACH(o, &m->orphans, link)
		if (!o->is_sent && o->call != NO_TAG)
			return true;
	return false;
}

void
mux_orphan_forget(struct mux *m)
{
	struct mux_orphan *o;

	while ((o = TAILQ_FIRST(&m->orphans)) != NULL)
		forget(m, o);
}
