#include "common/server/core/fdtable.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/server/core/account.h"
#include "common/server/core/memfile.h"
#include "common/wire/protocol.h"

enum { SMALLEST = 8 };

/* The descriptor of that number, or NULL. */
static struct desc *
desc_at(const struct fdtable *t, uint32_t fd)
{
	return fd < t->capacity ? t->descs[fd] : NULL;
}

void
fdtable_init(struct fdtable *t, struct account *account)
{
	*t = (struct fdtable){ .account = account };
}

/* Makes room for number fd. Returns 0 or -ENOMEM. */
static int
grow(struct fdtable *t, uint32_t fd)
{
	uint32_t capacity = t->capacity < SMALLEST ? SMALLEST : t->capacity;
	struct desc **descs;
	uint64_t more;

	while (capacity <= fd)
		capacity *= 2;
	if (capacity == t->capacity)
		return 0;
	more = (capacity - t->capacity) * sizeof *descs;
	if (account_take(t->account, ACCOUNT_MEMORY, more) != 0)
		return -ENOMEM;
	descs = reallocarray(t->descs, capacity, sizeof *descs);
	if (descs == NULL) {
		account_give(t->account, ACCOUNT_MEMORY, more);
		return -ENOMEM;
	}
	memset(descs + t->capacity, 0, more);
	t->descs = descs;
	t->capacity = capacity;
	return 0;
}

/* Allocates a descriptor, charged to the account of t. Returns NULL without memory. */
static struct desc *
create(struct fdtable *t)
{
	struct desc *d;

	if (account_take(t->account, ACCOUNT_MEMORY, sizeof *d) != 0)
		return NULL;
	d = calloc(1, sizeof *d);
	if (d == NULL)
		account_give(t->account, ACCOUNT_MEMORY, sizeof *d);
	return d;
}

int
fdtable_open_at(struct fdtable *t, uint32_t fd, struct memfile *file, struct session *session,
    struct desc **out)
{
	struct desc *d;

	assert(fd < PROTOCOL_DESCRIPTORS_MOST && desc_at(t, fd) == NULL);
	if (grow(t, fd) != 0)
		return -ENOMEM;
	d = create(t);
	if (d == NULL)
		return -ENOMEM;
	d->fd = fd;
	d->file = file;
	d->session = session;
	t->descs[fd] = d;
	t->count++;
	if (fd == t->lowest)
		t->lowest++;
	*out = d;
	return 0;
}

int
fdtable_open(struct fdtable *t, struct memfile *file, struct session *session, struct desc **out)
{
	while (desc_at(t, t->lowest) != NULL)
		t->lowest++;
	if (t->lowest >= PROTOCOL_DESCRIPTORS_MOST)
		return -EMFILE;
	return fdtable_open_at(t, t->lowest, file, session, out);
}

int
fdtable_find(const struct fdtable *t, uint32_t fd, struct desc **out)
{
	struct desc *d = desc_at(t, fd);

	if (d == NULL)
		return -EBADF;
	*out = d;
	return 0;
}

struct desc *
fdtable_next(const struct fdtable *t, uint32_t from)
{
	for (; from < t->capacity; from++)
		if (t->descs[from] != NULL)
			return t->descs[from];
	return NULL;
}

/* Removes d from t and frees it. The caller disposes of its file. */
static void
discard(struct fdtable *t, struct desc *d)
{
	assert(d->claim.state == CLAIM_IDLE && !d->poller.has_place);
	assert(!d->timer.armed && !d->upgrade_timer.armed && !d->has_tag);
	t->descs[d->fd] = NULL;
	t->count--;
	if (d->fd < t->lowest)
		t->lowest = d->fd;
	free(d);
	account_give(t->account, ACCOUNT_MEMORY, sizeof *d);
}

void
fdtable_close(struct fdtable *t, struct desc *d)
{
	struct memfile *file = d->file;

	discard(t, d);
	memfile_put(file);
}

/* Frees the storage of a table without descriptors. */
static void
free_storage(struct fdtable *t)
{
	free(t->descs);
	account_give(t->account, ACCOUNT_MEMORY, t->capacity * sizeof *t->descs);
	fdtable_init(t, t->account);
}

void
fdtable_fini(struct fdtable *t)
{
	struct memfile *file;
	struct desc *d;
	uint32_t fd;

	for (fd = 0; (d = fdtable_next(t, fd)) != NULL; fd++) {
		fd = d->fd;
		file = d->file;
		discard(t, d);
		memfile_put_later(file);
	}
	free_storage(t);
}

void
fdtable_abandon(struct fdtable *t)
{
	struct desc *d;
	uint32_t fd;

	for (fd = 0; (d = fdtable_next(t, fd)) != NULL; fd++) {
		fd = d->fd;
		discard(t, d);
	}
	free_storage(t);
}

bool
fdtable_has_version(const struct desc *d, uint64_t version)
{
	int i;

	for (i = 0; i < DESC_VERSION_COUNT; i++)
		if (d->versions[i] == version)
			return true;
	return false;
}

void
fdtable_add_version(struct desc *d, uint64_t version)
{
	if (fdtable_has_version(d, version))
		return;
	d->versions[d->next_version] = version;
	d->next_version = (d->next_version + 1) % DESC_VERSION_COUNT;
}
