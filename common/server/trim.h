/*
 * trim: gives memory that peers used back to the system.
 *
 * free(3) alone keeps the pages below a block that is in use, so the effect of an attack would
 * last. malloc_trim(3) returns all free pages in one step, which takes long when the heap is full
 * of holes. So it is called a second after something has become free, and then rests for TRIM_REST
 * times the time that it took.
 */
#ifndef COMMON_SERVER_TRIM_H
#define COMMON_SERVER_TRIM_H

#include <stdint.h>

#include "common/base/size.h"
#include "common/base/timer.h"

enum { TRIM_LEAST = 256 * SIZE_KIB, TRIM_MS = 1000, TRIM_REST = 100 };

struct trim {
	struct timer_queue *timers;
	struct timer timer;
	uint64_t used;
	uint64_t peak; /* of used, since the last trim */
	uint64_t rest_until;
};

/* Nothing was used. timers outlive t. */
void trim_init(struct trim *t, struct timer_queue *timers);

void trim_fini(struct trim *t);

/* About used bytes are in use at now (nanoseconds). To be called often. */
void trim_note(struct trim *t, uint64_t used, uint64_t now);

#endif
