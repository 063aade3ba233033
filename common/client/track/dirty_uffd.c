#include "common/client/track/dirty_uffd.h"

#include <errno.h>

#include "common/base/error.h"
#include "common/base/size.h"
#include "common/client/track/dirty_diff.h"
#include "common/host/ground.h"
#include "common/host/uffd.h"

enum {
	RUNS = 64, /* of a scan */

	/* From so many bytes on, one call is cheaper than the faults of a grant's memcpy. */
	UNPROTECT_LEAST = 3 * SIZE_BLOCK
};

/*
 * Compares the bytes from start up to end that belong to the segment: its last page may be longer.
 * Returns their number.
 */
static size_t
compare(struct dirty *d, size_t start, size_t end)
{
	if (end > d->size)
		end = d->size;
	if (start >= end)
		return 0;
	dirty_diff_range(d, (uint32_t)start, (uint32_t)end);
	return end - start;
}

size_t
dirty_uffd_collect(struct dirty *d, struct uffd_range *range)
{
	struct uffd_run runs[RUNS];
	size_t from = 0, compared = 0;
	int count, i;

	d->count = 0;
	while (from < d->size) {
		count = uffd_scan(range, &from, runs, RUNS);
		if (count < 0)
			return compared + compare(d, from, d->size);
		for (i = 0; i < count; i++)
			compared += compare(d, runs[i].start, runs[i].end);
	}
	return compared;
}

void
dirty_uffd_prepare_write(struct uffd_range *range, uint32_t offset, uint32_t length)
{
	if (length >= UNPROTECT_LEAST)
		uffd_unprotect(range, offset, length);
}

static int
init(struct dirty *d)
{
	struct uffd_range *range;
	int error = ground_error(GROUND_USERFAULTFD);

	if (error == 0)
		error = uffd_open(&range, d->base, d->room);
	if (error == -EMFILE || error == -ENFILE || error == -ENOMEM)
		return error_message(error,
		    "track=uffd: no descriptors or memory are left to watch the segment");
	if (error != 0)
		return error_message(-ENOTSUP,
		    "track=uffd: this system does not report which pages were written");
	d->state = range;
	return 0;
}

static void
fini(struct dirty *d)
{
	uffd_close(d->state);
	d->state = NULL;
}

static void
prepare_write(struct dirty *d, uint32_t offset, uint32_t length)
{
	dirty_uffd_prepare_write(d->state, offset, length);
}

static int
collect(struct dirty *d)
{
	(void)dirty_uffd_collect(d, d->state);
	return 0;
}

static int
fork_child(struct dirty *d)
{
	fini(d);
	return init(d);
}

const struct dirty_ops dirty_uffd = {
	.name = "uffd",
	.init = init,
	.fini = fini,
	.prepare_write = prepare_write,
	.collect = collect,
	.fork_child = fork_child,
};
