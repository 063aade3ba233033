/*
 * spare: one large buffer that is kept between uses.
 *
 * Large bodies and replies come again and again, and fresh memory for each costs as much as the
 * work on it. A buffer of up to SPARE_SMALL bytes stays with its owner when it is empty; one of up
 * to SPARE_MOST becomes the spare buffer, or is wiped and freed if the spare one is at least as
 * large. The spare buffer is freed when it was not used for SPARE_MS.
 *
 * A user calls spare_get() before it reserves room in an empty buffer, and spare_put() when the
 * buffer has become empty again.
 */
#ifndef COMMON_SERVER_CORE_SPARE_H
#define COMMON_SERVER_CORE_SPARE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/size.h"
#include "common/base/timer.h"

enum { SPARE_SMALL = 64 * SIZE_KIB, SPARE_MOST = 4 * SIZE_MIB, SPARE_MS = 1000 };

struct spare {
	struct buf buf; /* all zeros: there is none */
	struct timer expiry;
	struct timer_queue *timers;
	const uint64_t *now;
};

/* No spare buffer. timers and *now are the server's and outlive p. */
void spare_init(struct spare *p, struct timer_queue *timers, const uint64_t *now);

/* Frees the spare buffer; p stays usable. */
void spare_fini(struct spare *p);

/*
 * Moves the spare buffer into b, if b is empty, has less room than size bytes, and size is above
 * SPARE_SMALL and at most SPARE_MOST.
 */
void spare_get(struct spare *p, struct buf *b, size_t size);

/* Takes the storage out of b, if b is empty and its storage is above SPARE_SMALL. */
void spare_put(struct spare *p, struct buf *b);

#endif
