#include "common/client/track/dirty_auto.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/size.h"
#include "common/client/track/dirty_diff.h"
#include "common/client/track/dirty_uffd.h"
#include "common/host/ground.h"
#include "common/host/uffd.h"

/*
 * Measured on Linux 6.18: comparing costs 0.09 us a page, a scan 2 us, and each page that was
 * written 1.0 us more (a fault, and protecting it again). So watching pays while the written pages,
 * plus two for the scan, are less than about an eleventh of the segment. The two thresholds lie on
 * both sides of that, so that a segment near it does not switch all the time.
 */
enum {
	SCAN_COST = 2 * SIZE_BLOCK, /* of a scan, as bytes that change */
	WATCH_BELOW = 14,           /* watching pays below size / WATCH_BELOW bytes */
	COMPARE_ABOVE = 9,          /* comparing pays above size / COMPARE_ABOVE bytes */
	WATCH_AFTER = 4,            /* collects in a row before it begins to watch, at first */
	WATCH_AFTER_MOST = 4096,    /* the same, after many attempts */
	COMPARE_AFTER = 2,          /* collects in a row before it compares again */
	SETTLED_AFTER = 256         /* collects in a row after which watching was right */
};

struct choice {
	struct uffd_range *range; /* NULL: it compares all of the segment */
	bool is_new;              /* range was not scanned yet */
	uint32_t watch_after;     /* collects in a row for watching that make it watch */
	uint32_t in_favour;       /* last collects in a row that were for a switch */
	uint32_t against;         /* last collects in a row that were against a switch */
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
	c->watch_after = WATCH_AFTER;
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
prepare_write(struct dirty *d, uint32_t offset, uint32_t length)
{
	struct choice *c = d->state;

	if (c == NULL)
		return;
	if (c->range != NULL)
		dirty_uffd_prepare_write(c->range, offset, length);
	/* Whole blocks: as many pages are written, whatever part of a block came. */
	c->granted += (uint64_t)size_block_span(offset, length) * SIZE_BLOCK;
}

/* Counts one more collect. Returns true when the last `enough` of them were for a switch. */
static bool
should_switch(struct choice *c, bool is_in_favour, uint32_t enough)
{
	c->in_favour = is_in_favour ? c->in_favour + 1 : 0;
	c->against = is_in_favour ? 0 : c->against + 1;
	if (c->in_favour < enough)
		return false;
	c->in_favour = 0;
	c->against = 0;
	return true;
}

/* Watching was not possible or did not pay: the next attempt comes later. */
static void
postpone_watching(struct choice *c)
{
	if (c->watch_after < WATCH_AFTER_MOST)
		c->watch_after *= 2;
}

/* Begins to watch if the system permits it. The next collect, the first scan, lists all pages. */
static void
start_watching(struct dirty *d, struct choice *c)
{
	if (ground_has(GROUND_USERFAULTFD) && uffd_open(&c->range, d->base, d->room) == 0) {
		/* Leave descriptors to the program when it has few to spare. */
		if (!uffd_is_crowding(c->range)) {
			c->is_new = true;
			return;
		}
		uffd_close(c->range);
		c->range = NULL;
	}
	postpone_watching(c);
}

static void
stop_watching(struct choice *c)
{
	uffd_close(c->range);
	c->range = NULL;
	postpone_watching(c);
}

/* The bytes of the blocks that have a piece, approximately. */
static uint64_t
changed_size(const struct dirty *d)
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
		if (should_switch(c, work + SCAN_COST > d->size / COMPARE_ABOVE && !c->is_new,
			COMPARE_AFTER))
			stop_watching(c);
		else if (c->against >= SETTLED_AFTER)
			c->watch_after = WATCH_AFTER;
		c->is_new = false;
	} else {
		(void)dirty_diff.collect(d);
		work = changed_size(d) + c->granted;
		if (should_switch(c, work + SCAN_COST < d->size / WATCH_BELOW, c->watch_after))
			start_watching(d, c);
	}
	c->granted = 0;
	return 0;
}

static int
fork_child(struct dirty *d)
{
	struct choice *c = d->state;

	if (c == NULL)
		return 0;
	uffd_close(c->range);
	*c = (struct choice){ .watch_after = WATCH_AFTER };
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
	.prepare_write = prepare_write,
	.collect = collect,
	.fork_child = fork_child,
};
