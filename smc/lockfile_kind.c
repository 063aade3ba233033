#include "smc/lockfile_kind.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/error.h"
#include "smc/lockfile_locks.h"

static bool
is_zero(const void *bytes, size_t size)
{
	static const uint8_t zeros[LOCKFILE_MAPPED];

	return memcmp(bytes, zeros, size) == 0;
}

static int
fail_foreign(const struct lockfile *l)
{
	return lockfile_fail(l, -EEXIST,
	    "a foreign file has this name: move it away, or use another name");
}

/* The head is followed by zeros, if by anything, and by no more of them than in a lock file. */
static bool
is_zero_behind(const struct lockfile *l)
{
	uint8_t rest[LOCKFILE_SIZE - LOCKFILE_MAPPED];
	struct stat st;
	size_t size;

	if (fstat(l->file.descriptor.fd, &st) != 0 || st.st_size > LOCKFILE_SIZE)
		return false;
	size = st.st_size > LOCKFILE_MAPPED ? (size_t)st.st_size - LOCKFILE_MAPPED : 0;
	return size == 0 ||
	    (hostfile_read(&l->file, LOCKFILE_MAPPED, rest, size) == 0 && is_zero(rest, size));
}

/*
 * Copies the head. Returns 0 and *is_empty, or -EEXIST with a message. Another process may start
 * the file meanwhile; what it stores first is the format.
 */
static int
read_head(struct lockfile *l, struct lockfile_head *head, bool *is_empty)
{
	if (l->file.is_by_mapping)
		(void)hostfile_map(&l->file, LOCKFILE_SIZE);
	*is_empty = true;
	if (hostfile_read(&l->file, 0, head, sizeof *head) != 0) {
		if (hostfile_map(&l->file, 1) != 0)
			return 0;
		/* The process that creates it may have given it its size meanwhile. */
		if (l->file.is_by_mapping)
			(void)hostfile_map(&l->file, LOCKFILE_SIZE);
		if (hostfile_read(&l->file, 0, head, sizeof *head) != 0)
			return fail_foreign(l);
	}
	if (is_zero(head, sizeof *head) && is_zero_behind(l))
		return 0;
	*is_empty = false;
	/* Our copy may be older in front than behind. */
	if (head->format == 0 && hostfile_read(&l->file, 0, head, sizeof *head) != 0)
		return fail_foreign(l);
	return 0;
}

/*
 * On a full disk a mapping without storage would kill the process: gives the file its storage.
 * Another process, without kernel locks, may start it at the same time: writes only bytes that are
 * always zeros.
 */
static int
preallocate(struct lockfile *l)
{
	static const uint8_t zero;
	int error = hostfile_extend(&l->file, LOCKFILE_SIZE);

	if (error == 0 && l->file.is_by_mapping)
		error = hostfile_map(&l->file, LOCKFILE_SIZE);
	else if (error == 0 && fallocate(l->file.descriptor.fd, 0, 0, LOCKFILE_SIZE) != 0 &&
	    (errno == ENOSPC || errno == EDQUOT))
		error = -errno;
	/* Not every file system has fallocate(2); most have blocks of this size. */
	if (error == 0)
		error = hostfile_write(&l->file, offsetof(struct lockfile_head, zeros), &zero, 1);
	if (error == 0)
		error = hostfile_write(&l->file, LOCKFILE_SIZE - 1, &zero, 1);
	return error == 0 ? 0 : lockfile_fail(l, error, error_string(error));
}

int
lockfile_kind_check(struct lockfile *l)
{
	struct lockfile_head head;
	uint32_t format;
	bool is_empty;
	int error = read_head(l, &head, &is_empty);

	if (error == 0 && is_empty)
		error = lockfile_locks_choose(l, 0, &format);
	if (error != 0)
		return error;
	if (is_empty)
		return preallocate(l);
	if ((head.format != LOCKFILE_KERNEL_LOCKS && head.format != LOCKFILE_NO_LOCKS) ||
	    (head.magic != LOCKFILE_MAGIC && head.magic != 0))
		return fail_foreign(l);
	return 0;
}
