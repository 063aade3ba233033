#include "common/server/core/wiper.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/base/buf.h"
#include "common/base/container.h"
#include "common/base/size.h"
#include "common/server/core/account.h"
#include "common/server/core/schedule.h"

enum { STEP = 256 * SIZE_KIB };

struct wipe {
	struct task task;
	struct schedule *schedule;
	struct account *account; /* a reference */
	struct buf buf;
	size_t done; /* bytes at its beginning that are wiped */
};

static void
finish(struct wipe *w)
{
	uint64_t size = w->buf.capacity;

	w->buf.touched = 0;
	buf_fini(&w->buf);
	account_give(w->account, ACCOUNT_MEMORY, size);
	account_put(w->account);
	free(w);
}

/* Wipes a step, and returns its whole pages to the system: freeing all of them takes long, too. */
static void
wipe_step(struct wipe *w)
{
	size_t left = w->buf.touched - w->done, n = left < STEP ? left : STEP;
	uintptr_t from = (uintptr_t)w->buf.base + w->done, to = from + n;

	explicit_bzero(w->buf.base + w->done, n);
	w->done += n;
	from = (from + SIZE_BLOCK - 1) / SIZE_BLOCK * SIZE_BLOCK;
	to = to / SIZE_BLOCK * SIZE_BLOCK;
	if (from < to)
		(void)madvise((void *)from, to - from, MADV_DONTNEED);
}

static void
run(struct task *t, const struct budget *b)
{
	struct wipe *w = container_of(t, struct wipe, task);

	while (w->done < w->buf.touched) {
		wipe_step(w);
		if (budget_is_spent(b)) {
			schedule_add(w->schedule, &w->account->queues[SCHEDULE_SESSIONS], t);
			return;
		}
	}
	finish(w);
}

void
wiper_take(struct schedule *schedule, struct account *account, struct buf *b)
{
	struct wipe *w = calloc(1, sizeof *w);
	uint64_t size = b->capacity;

	if (w == NULL) {
		buf_fini(b);
		account_give(account, ACCOUNT_MEMORY, size);
		return;
	}
	*w = (struct wipe){ .task.run = run,
		.schedule = schedule,
		.account = account_ref(account),
		.buf = *b };
	*b = (struct buf){ 0 };
	schedule_add(schedule, &account->queues[SCHEDULE_SESSIONS], &w->task);
}
