#include "common/remote/mux_core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/wire/status.h"

int
mux_notice_take(struct mux *m, struct frame f)
{
	size_t i = (size_t)frame_tag(f.code) - NOTICE_TAG;
	int error = status_from_wire(frame_untagged(f.code));

	if (i >= m->notices_room || m->notices[i] == NULL || error == 0 || f.body_size != 0)
		return mux_core_end(m, -EPROTO);
	m->notices[i]->error = error;
	return 0;
}

/* A place for one more, or -ENOMEM, -EMFILE. */
static ssize_t
find_place(struct mux *m)
{
	struct mux_notice **grown;
	size_t i, room;

	for (i = 0; i < m->notices_room && m->notices[i] != NULL; i++)
		continue;
	if (i == NOTICE_TAG)
		return -EMFILE;
	if (i == m->notices_room) {
		room = i == 0 ? NOTICES_LEAST : 2 * i;
		grown = reallocarray(m->notices, room, sizeof *grown);
		if (grown == NULL)
			return -ENOMEM;
		memset(grown + i, 0, (room - i) * sizeof *grown);
		m->notices = grown;
		m->notices_room = room;
	}
	return (ssize_t)i;
}

int
mux_enroll(struct mux *m, struct mux_notice *n)
{
	ssize_t i;

	mux_lock(m);
	i = find_place(m);
	if (i >= 0) {
		m->notices[i] = n;
		n->tag = (uint16_t)(NOTICE_TAG + i);
		n->is_enrolled = true;
	}
	mux_unlock(m);
	return i < 0 ? (int)i : 0;
}

void
mux_dismiss(struct mux *m, struct mux_notice *n)
{
	if (!n->is_enrolled)
		return;
	mux_lock(m);
	m->notices[n->tag - NOTICE_TAG] = NULL;
	n->is_enrolled = false;
	mux_unlock(m);
}

int
mux_take_notice(struct mux *m, struct mux_notice *n, bool *was_told)
{
	int error;

	mux_lock(m);
	error = n->error;
	*was_told = n->is_told;
	n->error = 0;
	n->is_told = false;
	mux_unlock(m);
	return error;
}

int
mux_tell_notice(struct mux *m, struct mux_notice *n)
{
	int error;

	mux_lock(m);
	error = n->is_told ? 0 : n->error;
	n->is_told = n->error != 0;
	mux_unlock(m);
	return error;
}
