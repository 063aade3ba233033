#include "common/server/core/snapshot.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/server/core/account.h"
#include "common/server/core/memfile.h"

static uint64_t
size_of(uint32_t count)
{
	return sizeof(struct snapshot) + count * sizeof(struct snapshot_desc);
}

static bool
is_same(const struct snapshot_desc *e, const struct desc *d)
{
	return e->fd == d->fd && e->file == d->file &&
	    memcmp(e->versions, d->versions, sizeof e->versions) == 0;
}

/* True when s shows what t has now. The files of s live: no other file has the address of one. */
static bool
is_current(const struct snapshot *s, const struct fdtable *t)
{
	struct desc *d;
	uint32_t i, fd;

	if (s->count != t->count)
		return false;
	for (i = 0, fd = 0; i < s->count; i++, fd = d->fd + 1) {
		d = fdtable_next(t, fd);
		if (!is_same(&s->descs[i], d))
			return false;
	}
	return true;
}

/* Creates a snapshot without references. */
static int
create(const struct fdtable *t, struct snapshot **out)
{
	struct snapshot_desc *e;
	struct snapshot *s;
	struct desc *d;
	uint32_t fd;

	if (account_take(t->account, ACCOUNT_MEMORY, size_of(t->count)) != 0)
		return -ENOMEM;
	s = malloc(size_of(t->count));
	if (s == NULL) {
		account_give(t->account, ACCOUNT_MEMORY, size_of(t->count));
		return -ENOMEM;
	}
	*s = (struct snapshot){ .account = account_ref(t->account) };
	for (fd = 0; (d = fdtable_next(t, fd)) != NULL; fd = d->fd + 1) {
		e = &s->descs[s->count++];
		e->file = d->file;
		memcpy(e->versions, d->versions, sizeof e->versions);
		e->fd = d->fd;
		e->next_version = d->next_version;
	}
	*out = s;
	return 0;
}

int
snapshot_get(struct snapshot *last, const struct fdtable *t, struct snapshot **out)
{
	struct snapshot *s = last;
	uint32_t i;
	int error;

	if (s == NULL || !is_current(s, t)) {
		error = create(t, &s);
		if (error != 0)
			return error;
	}
	for (i = 0; i < s->count; i++)
		memfile_ref(s->descs[i].file);
	s->references++;
	*out = s;
	return 0;
}

/* Drops a reference whose references to the files are gone. */
static void
drop(struct snapshot *s)
{
	if (--s->references > 0)
		return;
	account_give(s->account, ACCOUNT_MEMORY, size_of(s->count));
	account_put(s->account);
	free(s);
}

void
snapshot_put(struct snapshot *s)
{
	uint32_t i;

	for (i = 0; i < s->count; i++)
		memfile_put_later(s->descs[i].file);
	drop(s);
}

int
snapshot_restore(struct snapshot *s, struct session *session, struct fdtable *t)
{
	const struct snapshot_desc *e;
	struct desc *d;
	uint32_t i;

	for (i = 0; i < s->count; i++) {
		e = &s->descs[i];
		if (fdtable_open_at(t, e->fd, e->file, session, &d) != 0) {
			fdtable_abandon(t);
			return -ENOMEM;
		}
		memcpy(d->versions, e->versions, sizeof d->versions);
		d->next_version = e->next_version;
	}
	drop(s);
	return 0;
}
