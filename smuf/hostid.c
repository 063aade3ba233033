#include "smuf/hostid.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"

enum { STORAGE_UNIT = 512 }; /* bytes, of stx_blocks */

/* More bytes than any file of the server has. Others may have made it larger, without end. */
#define CLEARED_MOST (UINT64_C(5) << 30)

static bool
look(int directory, const char *name, struct statx *st, struct hostid *id)
{
	*id = (struct hostid){ 0 };
	if (statx(directory, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, st) != 0)
		return false;
	id->device = (uint64_t)st->stx_dev_major << 32 | st->stx_dev_minor;
	id->inode = st->stx_ino;
	if (st->stx_mask & STATX_BTIME)
		id->born = (uint64_t)st->stx_btime.tv_sec * CLOCK_SEC + st->stx_btime.tv_nsec;
	return true;
}

void
hostid_get(struct hostid *id, int directory, const char *name)
{
	struct statx st;

	(void)look(directory, name, &st, id);
}

static bool
is_same(const struct hostid *a, const struct hostid *b)
{
	return a->device == b->device && a->inode == b->inode && a->born == b->born;
}

/* Gives the storage from offset on back. The size stays: a client may have the file mapped. */
static bool
clear(int directory, const char *name, uint64_t offset)
{
	int fd = openat(directory, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	int result;

	if (fd < 0)
		return false;
	result = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
	    HOSTID_CLEAR);
	(void)close(fd);
	return result == 0;
}

int
hostid_remove(int directory, const char *name, const struct hostid *id, uint64_t *cleared)
{
	struct statx st;
	struct hostid there;

	if (!look(directory, name, &st, &there))
		return 0;
	if (!is_same(id, &there))
		return -EEXIST;
	if (S_ISREG(st.stx_mode) && st.stx_blocks > HOSTID_CLEAR / STORAGE_UNIT &&
	    *cleared < st.stx_size && *cleared < CLEARED_MOST && clear(directory, name, *cleared)) {
		*cleared += HOSTID_CLEAR;
		return -EINPROGRESS;
	}
	(void)unlinkat(directory, name, 0);
	return 0;
}
