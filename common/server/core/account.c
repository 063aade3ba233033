#include "common/server/core/account.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
	memcpy(as->limit, limit, sizeof as->limit);
}

int
account_get(struct accounts *as, const char *name, struct account **out)
{
	size_t size = strlen(name) + 1;
	struct account *a = calloc(1, sizeof *a + size), *existing;
	int class;

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
	for (class = 0; class < SCHEDULE_CLASSES; class ++)
		schedule_queue_init(&a->queues[class], (enum schedule_class) class);
	*out = a;
	return 0;
}

struct account *
account_ref(struct account *a)
{
	a->references++;
	return a;
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
	RB_REMOVE(account_tree, &a->accounts->tree, a);
	free(a);
}

/*
 * True when an account that uses own of a quota may have n more while all use total: everything but
 * the kept share, or of that too while it has no more than a share itself.
 */
static bool
has_room(uint64_t limit, uint64_t own, uint64_t total, uint64_t n)
{
	uint64_t share = limit / SHARE;

	if (n > limit - total)
		return false;
	return total + n <= limit - share || own + n <= share;
}

int
account_take(struct account *a, enum account_quota quota, uint64_t n)
{
	struct accounts *as = a->accounts;

	if (!has_room(as->limit[quota], a->used[quota], as->used[quota], n))
		return -ENOMEM;
	a->used[quota] += n;
	as->used[quota] += n;
	return 0;
}

void
account_give(struct account *a, enum account_quota quota, uint64_t n)
{
	assert(n <= a->used[quota]);
	a->used[quota] -= n;
	a->accounts->used[quota] -= n;
}
