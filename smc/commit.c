#include "smc/commit.h"

#include <errno.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/testpoint.h"
#include "common/client/replica.h"
#include "common/crypto/random.h"
#include "common/wire/protocol.h"
#include "smc/lockfile.h"
#include "smc/segment.h"

#define GRANTS_MOST (UINT64_C(1) << 32) /* random ivs of a key: SP 800-38D, 8.3 */

/*
 * P1: another process may hold the lock by now, or the program may have replaced our descriptors,
 * or have limited itself to smaller files.
 */
static int
check_lock_held(const struct lockfile *l, const struct segment *s)
{
	int error = hostfile_is_intact(&l->file) ? slotfile_check(&s->file) : -EBADF;

	if (error != 0)
		return lockfile_fail(l, error, error == -EBADF ? OWNFD_LOST : error_string(error));
	if (!ticketlock_is_held(&l->lock))
		return lockfile_fail(l, -ESTALE, LOCKFILE_TAKEN_OVER);
	return 0;
}

/* P4 to P6: publishes what changed as grant, with an iv of its own. */
static int
publish(struct lockfile *l, struct segment *s, const struct replica *replica, uint64_t committed,
    uint64_t grant)
{
	struct lockfile_head *h = l->untrusted_head;
	uint8_t iv[CTRBOX_IV_SIZE];
	int error = random_bytes(iv, sizeof iv);

	if (error == 0)
		error = segment_write(s, replica, committed, grant, iv);
	if (error != 0)
		return lockfile_fail(l, error, error_string(error));
	h->type = PROTOCOL_TYPE_SEGMENT;
	memcpy(h->iv, iv, sizeof h->iv);
	testpoint_reach("commit: before the store");
	atomic_store(&h->committed, grant);
	testpoint_reach("commit: committed");
	return 0;
}

int
commit_run(struct lockfile *l, struct segment *s, struct replica *replica, uint64_t *version)
{
	struct lockfile_head *h = l->untrusted_head;
	uint64_t grant, committed = atomic_load(&h->committed);
	int error = replica_collect(replica);

	*version = 0;
	if (error == 0 && replica->dirty.count == 0)
		return 0;
	if (error == 0)
		error = check_lock_held(l, s);
	if (error != 0)
		return error;
	testpoint_reach("commit: lock checked");
	grant = atomic_load(&h->grants);
	if (grant >= GRANTS_MOST)
		return lockfile_fail(l, -EOVERFLOW,
		    "2^32 releases under one key: close it in all processes to get another key");
	/* P2 */
	if (grant != committed)
		error = segment_clear(s, committed);
	if (error != 0)
		return lockfile_fail(l, error, error_string(error));
	atomic_store(&h->grants, ++grant); /* P3 */
	testpoint_reach("commit: grant drawn");
	error = publish(l, s, replica, committed, grant);
	if (error == 0)
		*version = grant;
	return error;
}
