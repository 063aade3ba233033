#include "common/base/wakeup.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

int
wakeup_sleep(struct wakeup *w, pthread_mutex_t *mutex, struct eintr *e, uint64_t until)
{
	uint32_t seen = atomic_load_explicit(&w->wakes, memory_order_relaxed);
	int error;

	w->is_awaited = true;
	(void)pthread_mutex_unlock(mutex);
	error = eintr_futex(e, &w->wakes, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, seen,
	    FUTEX_BITSET_MATCH_ANY, until);
	(void)pthread_mutex_lock(mutex);
	w->is_awaited = false;
	return error == -ETIMEDOUT || error == -EINTR ? error : 0;
}

void
wakeup_wake(struct wakeup *w)
{
	(void)atomic_fetch_add_explicit(&w->wakes, 1, memory_order_relaxed);
	if (w->is_awaited)
		(void)syscall(SYS_futex, &w->wakes, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1);
}
