/*
 * budget: how long a piece of work may go on before the next one has its turn.
 *
 * The daemon's loop gives each turn a budget. Work that can take long asks budget_is_spent()
 * between its steps, each of which is short (a request, 64 KiB copied), remembers where it is, and
 * goes on in its next turn. So a turn is longer than its budget by one step at most.
 *
 * The clock is part of the budget: tests give one of their own, or count the steps.
 */
#ifndef COMMON_BASE_BUDGET_H
#define COMMON_BASE_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct budget {
	uint64_t (*clock)(void); /* nanoseconds, any monotonic clock; NULL: the budget has no end */
	uint64_t until;          /* of that clock */
};

/* A budget that is never spent. */
#define BUDGET_UNLIMITED ((struct budget){ .clock = NULL })

/* True when the work has to stop. Reads the clock. */
static inline bool
budget_is_spent(const struct budget *b)
{
	return b->clock != NULL && b->clock() >= b->until;
}

#endif
