#include "common/server/core/account.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"

enum { SHARE = 16 }; /* a sixteenth of each quota is kept */

static int
compare(struct account *a, struct account *b)
{
	return strcmp(a->name, b->name);
}

RB_PROTOTYPE(account_tree, account, link, compare)
RB_GENERATE(account_tree, account, link, compare)

void
accounts_init(struct accounts *as, const uint64_t limit[ACCOUNT_QUOTAS])
{
	*as = (struct accounts){ 0 };
	RB_INIT(&as->tree);
	TAILQ_INIT(&as->idle);
	memcpy(as->limit, limit, sizeof as->limit);
}

int
account_get(struct accounts *as, const char *name, struct account **out)
{
	size_t size = strlen(name) + 1;
	struct account *a = calloc(1, sizeof *a + size), *existing;
	int kind;

	if (a == NULL)
		return -ENOMEM;
	memcpy(a->name, name, size);
	existing = RB_INSERT(account_tree, &as->tree, a);
	if (existing != NULL) {
		free(a);
		*out = account_ref(existing);
		return 0;
	}
	a->accounts = as;
	a->references = 1;
	for (kind = 0; kind < SCHEDULE_CLASSES; kind++)
		schedule_queue_init(&a->queues[kind], (enum schedule_class)kind);
	TAILQ_INIT(&a->ended_files);
	*out = a;
	return 0;
}

struct account *
account_ref(struct account *a)
{
	if (a->references++ == 0) {
		TAILQ_REMOVE(&a->accounts->idle, a, idle_link);
		a->accounts->idle_count--;
	}
	return a;
}

/* Forgets the account that has been without a reference for longest. */
static void
forget_oldest(struct accounts *as)
{
	struct account *a = TAILQ_FIRST(&as->idle);

	if (a->lines.withheld > 0)
		log_warning("%s: %lu lines about this peer withheld", a->name,
		    (unsigned long)a->lines.withheld);
	TAILQ_REMOVE(&as->idle, a, idle_link);
	as->idle_count--;
	RB_REMOVE(account_tree, &as->tree, a);
	free(a);
}

void
accounts_fini(struct accounts *as)
{
	while (as->idle_count > 0)
		forget_oldest(as);
	assert(RB_EMPTY(&as->tree));
}

void
account_put(struct account *a)
{
	int i;

	if (a == NULL || --a->references > 0)
		return;
	for (i = 0; i < ACCOUNT_QUOTAS; i++)
		assert(a->used[i] == 0);
	for (i = 0; i < SCHEDULE_CLASSES; i++)
		assert(TAILQ_EMPTY(&a->queues[i].tasks));
	assert(TAILQ_EMPTY(&a->ended_files));
	TAILQ_INSERT_TAIL(&a->accounts->idle, a, idle_link);
	if (++a->accounts->idle_count > ACCOUNT_IDLE_MOST)
		forget_oldest(a->accounts);
}

void
account_warn(struct account *a, uint64_t now, const char *format, ...)
{
	uint32_t withheld;
	char line[512];
	va_list args;

	if (!loglimit_may(&a->lines, now, &withheld))
		return;
	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
	if (withheld > 0)
		log_warning("%s (and %lu lines about this peer withheld)", line,
		    (unsigned long)withheld);
	else
		log_warning("%s", line);
}

static bool
has_room(uint64_t limit, uint64_t own, uint64_t total, uint64_t n)
{
	uint64_t share = limit / SHARE;

	if (total > limit || n > limit - total)
		return false;
	return total + n <= limit - share || own + n <= share;
}

/* The part of a's use that is beyond the most that one account may have. */
static uint64_t
excess(const struct account *a, enum account_quota quota)
{
	uint64_t limit = a->accounts->limit[quota], most = limit - limit / SHARE;

	return a->used[quota] > most ? a->used[quota] - most : 0;
}

static void
set_used(struct account *a, enum account_quota quota, uint64_t used)
{
	struct accounts *as = a->accounts;

	as->excess[quota] -= excess(a, quota);
	as->used[quota] += used - a->used[quota];
	a->used[quota] = used;
	as->excess[quota] += excess(a, quota);
}

bool
account_has(const struct account *a, enum account_quota quota, uint64_t n)
{
	const struct accounts *as = a->accounts;

	return has_room(as->limit[quota], a->used[quota], as->used[quota] - as->excess[quota], n);
}

int
account_take(struct account *a, enum account_quota quota, uint64_t n)
{
	if (!account_has(a, quota, n))
		return -ENOMEM;
	set_used(a, quota, a->used[quota] + n);
	return 0;
}

void
account_overdraw(struct account *a, enum account_quota quota, uint64_t n)
{
	set_used(a, quota, a->used[quota] + n);
}

void
account_give(struct account *a, enum account_quota quota, uint64_t n)
{
	assert(n <= a->used[quota]);
	set_used(a, quota, a->used[quota] - n);
}
