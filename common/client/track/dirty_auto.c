#include "common/client/track/dirty_auto.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/size.h"
#include "common/client/track/dirty_diff.h"
#include "common/client/track/dirty_uffd.h"
#include "common/client/track/uffd.h"

/*
 * Measured where this was written, Linux 6.18: a page costs 0.09 us to compare, one that was
 * written 1.0 us more to watch (a fault, and to protect it again), and a scan 2 us. So watching
 * pays as long as the pages written, and two, are less than about an eleventh of the segment.
 */
enum {
	SCAN = 2 * SIZE_BLOCK, /* what a scan costs, in bytes that change */
	FEW = 14,              /* less than one part in so many: it is to be watched */
	MANY = 9,              /* more: it is to be let go */
	PATIENCE = 4,
	PATIENCE_MOST = 4096,
	LETTING_GO = 2,
	SETTLED = 256
};

struct choice {
	struct uffd_range *range; /* NULL: everything is compared */
	bool is_new;              /* nothing was scanned yet */
	uint32_t patience;        /* collects in a row that make it watch */
	uint32_t streak;          /* collects in a row that were for a change */
	uint32_t calm;            /* collects in a row that were against one */
	uint64_t granted;         /* bytes that grants brought since the last collect */
};

static int
init(struct dirty *d)
{
	struct choice *c;

	if (d->size <= DIRTY_AUTO_SMALL)
		return 0;
	c = calloc(1, sizeof *c);
	if (c == NULL)
		return -ENOMEM;
	c->patience = PATIENCE;
	d->state = c;
	return 0;
}

static void
fini(struct dirty *d)
{
	struct choice *c = d->state;

	if (c != NULL)
		uffd_close(c->range);
	free(c);
	d->state = NULL;
}

static void
expect(struct dirty *d, uint32_t offset, uint32_t length)
{
	struct choice *c = d->state;

	if (c == NULL)
		return;
	if (c->range != NULL)
		dirty_uffd_expect(c->range, offset, length);
	c->granted += length;
}

/* Counts a collect that spoke for a change or not. Returns true when enough did, in a row. */
static bool
is_enough(struct choice *c, bool is_for_change, uint32_t enough)
{
	c->streak = is_for_change ? c->streak + 1 : 0;
	c->calm = is_for_change ? 0 : c->calm + 1;
	if (c->streak < enough)
		return false;
	c->streak = 0;
	c->calm = 0;
	return true;
}

static void
be_patient(struct choice *c)
{
	if (c->patience < PATIENCE_MOST)
		c->patience *= 2;
}

/* Begins to watch, if the system lets us. The next collect, the first scan, lists all. */
static void
watch(struct dirty *d, struct choice *c)
{
	if (uffd_is_supported() && uffd_open(&c->range, d->base, d->room) == 0) {
		/* Descriptors are the program's: not when it has few to spare. */
		if (!uffd_is_crowding(c->range)) {
			c->is_new = true;
			return;
		}
		uffd_close(c->range);
		c->range = NULL;
	}
	be_patient(c);
}

static void
let_go(struct choice *c)
{
	uffd_close(c->range);
	c->range = NULL;
	be_patient(c);
}

/* The bytes of the blocks that have a piece, about. */
static uint64_t
changed(const struct dirty *d)
{
	const struct dirty_piece *piece;
	uint64_t sum = 0;

	for (piece = d->pieces; piece < d->pieces + d->count; piece++)
		sum += SIZE_BLOCK + piece->length / SIZE_BLOCK * SIZE_BLOCK;
	return sum;
}

static int
collect(struct dirty *d)
{
	struct choice *c = d->state;
	uint64_t work;

	if (c == NULL)
		return dirty_diff.collect(d);
	if (c->range != NULL) {
		work = dirty_uffd_collect(d, c->range);
		if (is_enough(c, work + SCAN > d->size / MANY && !c->is_new, LETTING_GO))
			let_go(c);
		else if (c->calm >= SETTLED)
			c->patience = PATIENCE;
		c->is_new = false;
	} else {
		(void)dirty_diff.collect(d);
		work = changed(d) + c->granted;
		if (is_enough(c, work + SCAN < d->size / FEW, c->patience))
			watch(d, c);
	}
	c->granted = 0;
	return 0;
}

static int
forked(struct dirty *d)
{
	struct choice *c = d->state;

	if (c == NULL)
		return 0;
	uffd_close(c->range);
	*c = (struct choice){ .patience = PATIENCE };
	return 0;
}

bool
dirty_auto_is_watching(const struct dirty *d)
{
	const struct choice *c = d->state;

	return c != NULL && c->range != NULL;
}

const struct dirty_ops dirty_auto = {
	.name = "auto",
	.init = init,
	.fini = fini,
	.expect = expect,
	.collect = collect,
	.forked = forked,
};
