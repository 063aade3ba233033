#include "smc/stalename.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/base/highfd.h"
#include "common/host/hostfile.h"
#include "smc/lockfile_kind.h"

enum { FILE_MODE = 0660 };

static int
make(int directory, const char *name)
{
	return highfd(openat(directory, name,
	    O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, FILE_MODE));
}

void
stalename_forget(int directory, const char *name)
{
	int fd = make(directory, name);

	if (fd < 0)
		return;
	(void)close(fd);
	(void)unlinkat(directory, name, 0);
}

/* True when it is empty, or the zeros of a new lock file. */
static bool
is_unused(struct hostfile *file)
{
	static const uint8_t zeros[LOCKFILE_SIZE];
	uint8_t first[LOCKFILE_SIZE + 1];
	size_t count;

	return lockfile_kind_copy(file, first, &count) == 0 &&
	    (count == 0 || count == LOCKFILE_SIZE) && memcmp(first, zeros, count) == 0;
}

/* True when no process has begun the file, and none will. */
static bool
end_unused(struct hostfile *file)
{
	struct lockfile_head *h;
	uint32_t found = 0;

	if (hostfile_map(file, LOCKFILE_MAPPED) != 0)
		return false;
	h = (struct lockfile_head *)file->untrusted_base;
	if (!atomic_compare_exchange_strong(&h->format, &found, LOCKFILE_NO_LOCKS))
		return false;
	atomic_store(&h->dead, 1);
	return true;
}

void
stalename_forget_lockfile(int directory, const char *name)
{
	int fd = make(directory, name);
	struct hostfile file;

	if (fd < 0)
		return;
	(void)close(fd);
	if (hostfile_open(&file, directory, name, 0) != 0)
		return;
	if (is_unused(&file) && hostfile_set_size(&file, LOCKFILE_SIZE) == 0 && end_unused(&file))
		(void)unlinkat(directory, name, 0);
	hostfile_close(&file);
}
