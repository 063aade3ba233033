#include "bench/mounted.h"

#include <errno.h>
#include <stdlib.h>

struct place {
	struct sm *sm;
	struct sm_file *mem;
	struct sm_file *lock;
	void *memory;
};

static int
mounted_lock(void *place)
{
	return sm_lock(((struct place *)place)->lock) == 0 ? 0 : -errno;
}

static int
mounted_unlock(void *place)
{
	return sm_unlock(((struct place *)place)->lock) == 0 ? 0 : -errno;
}

static void
mounted_close(void *arg)
{
	struct place *place = arg;

	if (place == NULL)
		return;
	if (place->memory != NULL)
		sm_unmap(place->sm, place->memory);
	if (place->mem != NULL)
		sm_close(place->mem);
	if (place->lock != NULL)
		sm_close(place->lock);
	free(place);
}

static const struct section_ops mounted_ops = { mounted_lock, mounted_unlock, mounted_close };

int
mounted_open(struct section *out, struct sm *sm, const char *mempath, const char *lockpath,
    size_t size)
{
	int error = 0;
	struct place *place = calloc(1, sizeof *place);

	if (place == NULL)
		return -ENOMEM;
	place->sm = sm;
	if ((place->mem = sm_open(sm, mempath)) == NULL)
		error = -errno;
	if (error != 0 && error != -ENOENT)
		goto out;
	if ((place->lock = sm_open(sm, lockpath)) == NULL && errno != ENOENT) {
		error = -errno;
		goto out;
	}
	if (place->mem == NULL || place->lock == NULL) {
		error = place->mem == place->lock ? -ENOENT : -EXDEV;
		goto out;
	}
	if (size > 0 && (place->memory = sm_map(place->mem, NULL, size)) == NULL) {
		error = -errno;
		goto out;
	}
	*out = (struct section){ .ops = &mounted_ops,
		.place = place,
		.memory = place->memory,
		.size = size };
	place = NULL;
out:
	mounted_close(place);
	return error;
}
