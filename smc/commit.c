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

#define GRANTS_MOST (UINT64_C(1) << 32) /* a key's random ivs: SP 800-38D, 8.3 */

static int
fail(const struct lockfile *l, int error, const char *what)
{
	return error_message(error, "%s/%s: %s", l->directory, l->name, what);
}

/* It could be somebody else's lock by now, or somebody else's file. */
static int
look(const struct lockfile *l, const struct segment *s)
{
	if (!hostfile_is_intact(&l->file) || !slotfile_is_intact(&s->file))
		return fail(l, -EBADF, "the program has closed the library's descriptors");
	if (!ticketlock_is_held(&l->lock))
		return fail(l, -ESTALE, "another process has taken the lock over");
	return 0;
}

/* With an iv of its own. */
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
		return fail(l, error, strerror(-error));
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
		error = look(l, s);
	if (error != 0)
		return error;
	testpoint_reach("commit: looked");
	grant = atomic_load(&h->grants);
	if (grant >= GRANTS_MOST)
		return fail(l, -EOVERFLOW,
		    "too many releases under one key: close it everywhere once");
	if (grant != committed)
		error = segment_clear(s, committed);
	if (error != 0)
		return fail(l, error, strerror(-error));
	atomic_store(&h->grants, ++grant);
	testpoint_reach("commit: grant drawn");
	error = publish(l, s, replica, committed, grant);
	if (error == 0)
		*version = grant;
	return error;
}
