#include "smc/lockfile_kind.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "smc/lockfile_core.h"

/*
 * A lock file; one that a process began to start afresh before it died; an empty file, or zeros,
 * that a process began to create before it died.
 */
enum kind { KIND_OURS, KIND_STARTED, KIND_EMPTY };

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

/* Returns 0, or -EEXIST with a message. */
static int
recognize(struct lockfile *l, enum kind *kind)
{
	struct lockfile_head head;

	if (l->file.is_by_mapping)
		(void)hostfile_map(&l->file, LOCKFILE_SIZE);
	*kind = KIND_EMPTY;
	if (hostfile_read(&l->file, 0, &head, sizeof head) != 0) {
		if (hostfile_map(&l->file, 1) != 0)
			return 0;
		/* The process that creates it may have given it its size between the two. */
		if (hostfile_read(&l->file, 0, &head, sizeof head) != 0)
			return fail_foreign(l);
	}
	if (is_zero(&head, sizeof head) && is_zero_behind(l))
		return 0;
	/* Without kernel locks another process may start it just now: then our copy is too old. */
	if (head.format != LOCKFILE_FORMAT && hostfile_read(&l->file, 0, &head, sizeof head) != 0)
		return fail_foreign(l);
	if (head.format != LOCKFILE_FORMAT || (head.magic != LOCKFILE_MAGIC && head.magic != 0))
		return fail_foreign(l);
	*kind = head.magic == 0 ? KIND_STARTED : KIND_OURS;
	return 0;
}

/* On a full disk a mapping without storage would kill the process: gives the file its storage. */
static int
preallocate(struct lockfile *l)
{
	static const uint8_t zeros[LOCKFILE_SIZE];
	int error = hostfile_extend(&l->file, LOCKFILE_SIZE);

	if (error == 0 && l->file.is_by_mapping)
		error = hostfile_map(&l->file, LOCKFILE_SIZE);
	if (error == 0)
		error = hostfile_write(&l->file, 0, zeros, sizeof zeros);
	return error == 0 ? 0 : lockfile_fail(l, error, error_string(error));
}

int
lockfile_kind_check(struct lockfile *l)
{
	uint64_t deadline = clock_after_ms(clock_now(), LOCKFILE_PATIENCE_MS);
	enum kind kind;
	int error = recognize(l, &kind);

	/* Without kernel locks only the process that created the file starts it. */
	while (error == 0 && kind != KIND_OURS && !l->presence.has_locks && !l->is_created) {
		if (clock_now() >= deadline)
			return lockfile_fail(l, -ETIMEDOUT,
			    "another process has been creating it for 10 s");
		lockfile_pause();
		error = recognize(l, &kind);
	}
	return error == 0 && kind == KIND_EMPTY ? preallocate(l) : error;
}
