#include "common/host/hostfd.h"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/host/ground.h"

bool
hostfd_is_intact(const struct hostfd *d)
{
	struct statx sx;
	struct stat st;

	if (d->fd < 0)
		return false;
	/*
	 * Request STATX_INO only: since Linux 6.13, querying timestamps makes the next write update
	 * the inode, which costs twice as much as the write.
	 */
	if (ground_has(GROUND_STATX) &&
	    statx(d->fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &sx) == 0)
		return sx.stx_ino == d->inode &&
		    makedev(sx.stx_dev_major, sx.stx_dev_minor) == d->device;
	/* Whatever statx(2) answers without being there: fstat(2) knows of a closed descriptor. */
	return fstat(d->fd, &st) == 0 && st.st_dev == d->device && st.st_ino == d->inode;
}

void
hostfd_close(struct hostfd *d)
{
	if (hostfd_is_intact(d))
		(void)close(d->fd);
	d->fd = -1;
}
