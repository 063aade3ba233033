#include "common/server/core/fdtable.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/server/core/memfile.h"
#include "common/wire/protocol.h"

enum { SMALLEST = 8 };

/* The descriptor of that number, or NULL. */
static struct desc *
desc_at(const struct fdtable *t, uint32_t fd)
{
	return fd < t->capacity ? t->descs[fd] : NULL;
}

/* Makes room for number fd. Returns 0 or -ENOMEM. */
static int
grow(struct fdtable *t, uint32_t fd)
{
	uint32_t capacity = t->capacity < SMALLEST ? SMALLEST : t->capacity;
	struct desc **descs;

	while (capacity <= fd)
		capacity *= 2;
	if (capacity == t->capacity)
		return 0;
	descs = reallocarray(t->descs, capacity, sizeof *descs);
	if (descs == NULL)
		return -ENOMEM;
	memset(descs + t->capacity, 0, (capacity - t->capacity) * sizeof *descs);
	t->descs = descs;
	t->capacity = capacity;
	return 0;
}

/* Adds a descriptor with the free number fd. */
static int
insert(struct fdtable *t, uint32_t fd, struct memfile *file, struct session *session,
    struct desc **out)
{
	struct desc *d;

	if (grow(t, fd) != 0)
		return -ENOMEM;
	d = calloc(1, sizeof *d);
	if (d == NULL)
		return -ENOMEM;
	d->fd = fd;
	d->file = file;
	d->session = session;
	t->descs[fd] = d;
	t->count++;
	*out = d;
	return 0;
}

int
fdtable_open(struct fdtable *t, struct memfile *file, struct session *session, struct desc **out)
{
	uint32_t fd;
	int error;

	for (fd = t->lowest; desc_at(t, fd) != NULL; fd++)
		;
	if (fd >= PROTOCOL_DESCRIPTORS_MOST)
		return -EMFILE;
	error = insert(t, fd, file, session, out);
	if (error == 0)
		t->lowest = fd + 1;
	return error;
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

void
fdtable_close(struct fdtable *t, struct desc *d)
{
	assert(d->claim.state == CLAIM_IDLE && !d->poller.has_place && !d->timer.armed);
	t->descs[d->fd] = NULL;
	t->count--;
	if (d->fd < t->lowest)
		t->lowest = d->fd;
	memfile_put(d->file);
	free(d);
}

void
fdtable_fini(struct fdtable *t)
{
	struct desc *d;

	while ((d = fdtable_next(t, 0)) != NULL)
		fdtable_close(t, d);
	free(t->descs);
	*t = (struct fdtable){ 0 };
}

int
fdtable_copy(struct fdtable *out, const struct fdtable *t)
{
	struct fdtable table = { .lowest = t->lowest };
	struct desc *d, *copy;
	uint32_t fd;

	for (fd = 0; (d = fdtable_next(t, fd)) != NULL; fd = d->fd + 1) {
		if (insert(&table, d->fd, d->file, NULL, &copy) != 0) {
			fdtable_fini(&table);
			return -ENOMEM;
		}
		memfile_ref(d->file);
		memcpy(copy->versions, d->versions, sizeof copy->versions);
		copy->next_version = d->next_version;
	}
	*out = table;
	return 0;
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
