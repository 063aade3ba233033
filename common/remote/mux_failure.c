#include "common/remote/mux_core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/wire/status.h"

int
mux_failure_record(struct mux *m, struct frame frame)
{
	size_t i = (size_t)frame_tag(frame.code) - ONE_WAY_TAG;
	int error = status_from_wire(frame_untagged(frame.code));

	if (i >= m->failures_room || m->failures[i] == NULL || error == 0 || frame.body_size != 0)
		return mux_core_end(m, -EPROTO);
	m->failures[i]->error = error;
	return 0;
}

/* Returns the index of a free entry, or -ENOMEM, -EMFILE. */
static ssize_t
reserve_entry(struct mux *m)
{
	struct mux_failure **grown;
	size_t i, room;

	for (i = 0; i < m->failures_room && m->failures[i] != NULL; i++)
		continue;
	if (i == ONE_WAY_TAG)
		return -EMFILE;
	if (i == m->failures_room) {
		room = i == 0 ? FAILURES_LEAST : 2 * i;
		grown = reallocarray(m->failures, room, sizeof *grown);
		if (grown == NULL)
			return -ENOMEM;
		memset(grown + i, 0, (room - i) * sizeof *grown);
		m->failures = grown;
		m->failures_room = room;
	}
	return (ssize_t)i;
}

int
mux_failure_register(struct mux *m, struct mux_failure *f)
{
	ssize_t i;

	mux_core_lock(m);
	i = reserve_entry(m);
	if (i >= 0) {
		m->failures[i] = f;
		f->tag = (uint16_t)(ONE_WAY_TAG + i);
		f->is_registered = true;
	}
	mux_core_unlock(m);
	return i < 0 ? (int)i : 0;
}

void
mux_failure_unregister(struct mux *m, struct mux_failure *f)
{
	if (!f->is_registered)
		return;
	mux_core_lock(m);
	m->failures[f->tag - ONE_WAY_TAG] = NULL;
	f->is_registered = false;
	mux_core_unlock(m);
}

int
mux_failure_take(struct mux *m, struct mux_failure *f, bool *was_reported)
{
	int error;

	/* The reply that the caller has waited for came after it. */
	if (atomic_load_explicit(&f->error, memory_order_relaxed) == 0)
		return 0;
	mux_core_lock(m);
	error = f->error;
	*was_reported = f->is_reported;
	f->error = 0;
	f->is_reported = false;
	mux_core_unlock(m);
	return error;
}

int
mux_failure_report(struct mux *m, struct mux_failure *f)
{
	int error;

	mux_core_lock(m);
	error = f->is_reported ? 0 : f->error;
	f->is_reported = f->error != 0;
	mux_core_unlock(m);
	return error;
}
