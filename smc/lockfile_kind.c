#include "smc/lockfile_kind.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/error.h"
#include "common/client/smclient.h"
#include "smc/lockfile_core.h"
#include "smc/lockfile_locks.h"

static bool
is_zero(const void *bytes, size_t size)
{
	static const uint8_t zeros[LOCKFILE_SIZE];

	return memcmp(bytes, zeros, size) == 0;
}

static int
fail_foreign(const struct lockfile *l)
{
	return lockfile_fail(l, -EEXIST,
	    "a foreign file has this name: move it away, or use another name");
}

/*
 * lockfile_kind_copy() through a mapping. The status has the size that the name had when this
 * process first saw it: then the file had no size yet, or that of a lock file, or is foreign.
 */
static int
copy_by_mapping(struct hostfile *file, uint8_t bytes[LOCKFILE_SIZE], size_t *count)
{
	struct stat st;
	size_t size;
	int error = 0;

	if (fstat(file->descriptor.fd, &st) != 0)
		return -EIO;
	size = st.st_size > LOCKFILE_SIZE ? LOCKFILE_SIZE + 1 : (size_t)st.st_size;
	if (size == 0 || size == LOCKFILE_SIZE) {
		size = LOCKFILE_SIZE;
		error = hostfile_set_size(file, size);
	}
	*count = size;
	size = size < LOCKFILE_SIZE ? size : LOCKFILE_SIZE;
	if (error == 0)
		error = hostfile_map(file, size);
	return error == 0 ? hostfile_read(file, 0, bytes, size) : error;
}

int
lockfile_kind_copy(struct hostfile *file, uint8_t bytes[LOCKFILE_SIZE + 1], size_t *count)
{
	return file->is_by_mapping ? copy_by_mapping(file, bytes, count) :
				     hostfile_read_start(file, bytes, LOCKFILE_SIZE + 1, count);
}

/*
 * Copies the head. Returns 0 and *is_empty; or -EIO, or -EEXIST for a foreign file, with a message.
 * Another process may start the file meanwhile; what it stores first is the format.
 */
static int
read_head(struct lockfile *l, struct lockfile_head *head, bool *is_empty)
{
	uint8_t bytes[LOCKFILE_SIZE + 1];
	size_t count;

	if (lockfile_kind_copy(&l->file, bytes, &count) != 0)
		return lockfile_fail(l, -EIO, "cannot be read");
	*is_empty = count <= LOCKFILE_SIZE && (count == 0 || count >= LOCKFILE_MAPPED) &&
	    is_zero(bytes, count);
	if (*is_empty)
		return 0;
	if (count < LOCKFILE_MAPPED)
		return fail_foreign(l);
	memcpy(head, bytes, sizeof *head);
	/* The copy may be older in front than behind. */
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
	int error = hostfile_set_size(&l->file, LOCKFILE_SIZE);

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

	if (error == 0 && is_empty && (l->flags & SM_OPEN_CREATE) == 0)
		return lockfile_fail_absent(l);
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
