#include "smc/lockfile_locks.h"

#include <errno.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/testpoint.h"
#include "smc/lockfile_core.h"

/* Both sides of a disagreement, and what ends it. */
static int
fail_disagreement(const struct lockfile *l, const char *creator, const char *mount)
{
	return error_message(-EINVAL,
	    "%s/%s: it was created with locks=%s, and this mount says locks=%s: say the same on every mount of this directory (if a crash has left the file, remove it and %s.segment)",
	    l->directory, l->name, creator, mount, l->name);
}

int
lockfile_locks_choose(const struct lockfile *l, uint32_t found, uint32_t *format)
{
	uint32_t wanted = l->wish == MOUNT_LOCKS_NONE ? LOCKFILE_NO_LOCKS : LOCKFILE_KERNEL_LOCKS;

	if (found == LOCKFILE_KERNEL_LOCKS && l->wish == MOUNT_LOCKS_NONE)
		return fail_disagreement(l, "kernel", "none");
	if (found == LOCKFILE_NO_LOCKS && l->wish == MOUNT_LOCKS_KERNEL)
		return fail_disagreement(l, "none", "kernel");
	if (found != 0)
		wanted = found;
	if (wanted == LOCKFILE_KERNEL_LOCKS && !l->has_kernel_locks)
		return lockfile_fail(l, -ENOTSUP,
		    "it needs kernel locks (F_OFD_SETLK), which do not work here: put locks=none on every mount of this directory, in all processes");
	*format = wanted;
	return 0;
}

/* Waits until the process that stored the format has started the file, or ended it. */
static int
await_start(const struct lockfile *l)
{
	uint64_t deadline = clock_after_ms(clock_now(), LOCKFILE_PATIENCE_MS);

	while (atomic_load(&l->untrusted_head->magic) != LOCKFILE_MAGIC &&
	    atomic_load(&l->untrusted_head->dead) == 0) {
		if (clock_now() >= deadline)
			return lockfile_fail_of_another(l, -ETIMEDOUT,
			    "another process has been creating it for 10 s");
		lockfile_pause();
	}
	return 0;
}

/* N3, N4: goes on without kernel locks. */
static int
do_without(struct lockfile *l, bool is_first)
{
	int error;

	lockfile_unlock_recovery(l);
	lockfile_init_presence(&l->presence, &l->file, false);
	error = is_first ? 0 : await_start(l);
	return error == 0 ? lockfile_lock_recovery(l) : error;
}

int
lockfile_locks_settle(struct lockfile *l)
{
	struct lockfile_head *h = l->untrusted_head;
	uint32_t found = atomic_load(&h->format), format;
	int error = lockfile_locks_choose(l, found, &format);
	bool is_first = false;

	/* N2: another process may store another one at this very moment. */
	if (error == 0 && found == 0) {
		is_first = atomic_compare_exchange_strong(&h->format, &found, format);
		if (!is_first)
			error = lockfile_locks_choose(l, found, &format);
	}
	if (error != 0)
		return error;
	testpoint_reach("lockfile: format stored");
	return format == LOCKFILE_NO_LOCKS ? do_without(l, is_first) : 0;
}
