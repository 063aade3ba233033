#include "smc/segmentkey.h"

#include <errno.h>
#include <string.h>

#include "common/base/error.h"
#include "common/client/mount.h"
#include "smc/lockfile.h"

int
segmentkey_create(struct segmentkey *k, struct lockfile *l, const struct mount *m)
{
	struct lockfile_head *h = l->untrusted_head;
	uint8_t check[KEYS_CHECK_SIZE];
	int error;

	if (m->has_master_key)
		error = keys_derive(k->bytes, m->master_key, l->salt, l->name);
	else
		error = keys_random(k->bytes);
	if (error == 0)
		error = keys_check_value(check, k->bytes);
	if (error != 0)
		return lockfile_fail(l, error, error_string(error));
	memcpy(h->check, check, sizeof h->check);
	atomic_store(&h->key_kind, m->has_master_key ? LOCKFILE_KEY_DERIVED : LOCKFILE_KEY_DRAWN);
	k->is_known = true;
	return 0;
}

int
segmentkey_find(struct segmentkey *k, const struct lockfile *l, const struct mount *m)
{
	const struct lockfile_head *h = l->untrusted_head;
	uint8_t check[KEYS_CHECK_SIZE];
	int error = 0;

	/* The process that drew it, and those forked from it, know it already. */
	if (!k->is_known && !m->has_master_key)
		return lockfile_fail(l, -EACCES,
		    atomic_load(&h->key_kind) == LOCKFILE_KEY_DERIVED ?
			"its key is derived from a master key: mount with key=PATH" :
			"another process drew its key; only processes forked from that one have it");
	if (!k->is_known)
		error = keys_derive(k->bytes, m->master_key, l->salt, l->name);
	if (error == 0)
		error = keys_check_value(check, k->bytes);
	if (error != 0)
		return lockfile_fail(l, error, error_string(error));
	if (memcmp(check, h->check, sizeof check) != 0)
		return lockfile_fail(l, -EKEYREJECTED,
		    atomic_load(&h->key_kind) == LOCKFILE_KEY_DRAWN ?
			"another process drew its key: key= does not give it" :
			"the master key of key= is not the one that it was created with");
	k->is_known = true;
	return 0;
}
