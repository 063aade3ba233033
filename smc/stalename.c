#include "smc/stalename.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/host/hostfile.h"
#include "common/host/hostio.h"
#include "smc/lockfile.h"

enum { FILE_MODE = 0660 };

static int
make(int directory, const char *name)
{
	return openat(directory, name,
	    O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, FILE_MODE);
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
	struct stat st;

	if (fd < 0)
		return;
	/* The size may be remembered, too: sets the host's. Another size is a foreign file's. */
	if (fstat(fd, &st) == 0 && (st.st_size == 0 || st.st_size == LOCKFILE_SIZE) &&
	    hostio_check_limit(LOCKFILE_SIZE) == 0 && ftruncate(fd, LOCKFILE_SIZE) == 0 &&
	    hostfile_open(&file, directory, name, LOCKFILE_SIZE) == 0) {
		if (end_unused(&file))
			(void)unlinkat(directory, name, 0);
		hostfile_close(&file);
	}
	(void)close(fd);
}
