/*
 * pace: asks a budget only now and then, so that short work reads no clock.
 *
 * Work counts what it has done, in bytes or in what costs as much, and asks the budget after each
 * PACE_STRIDE. Each call does a stride at least, so work in pieces always advances.
 */
#ifndef COMMON_BASE_PACE_H
#define COMMON_BASE_PACE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/budget.h"

enum { PACE_STRIDE = 64 * 1024 }; /* bytes copied */

struct pace {
	const struct budget *budget;
	size_t done; /* since the budget was asked */
};

/* Work of a turn with that budget begins. */
static inline struct pace
pace_begin(const struct budget *b)
{
	return (struct pace){ .budget = b };
}

/* Counts work that costs as much as copying size bytes. Returns true when the work has to stop. */
static inline bool
pace_is_over(struct pace *p, size_t size)
{
	p->done += size;
	if (p->done < PACE_STRIDE)
		return false;
	p->done = 0;
	return budget_is_spent(p->budget);
}

#endif
