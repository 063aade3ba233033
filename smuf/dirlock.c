#include "smuf/dirlock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/crypto/random.h"
#include "common/host/ground.h"
#include "common/host/hostio.h"
#include "common/host/hostprobe.h"
#include "smuf/layout.h"

enum {
	OPEN_FLAGS = O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK,
	TRIES = 100 /* how often the file may be replaced, or come and go, while it is opened */
};

/* The beginning of the lock file; the recorded name follows. */
struct head {
	uint64_t owner;
	uint64_t count;
	uint64_t has_kernel_lock; /* 1: the owner's flock(2) is seen by every process of the host */
};

_Static_assert(offsetof(struct head, count) == LAYOUT_COUNT_AT, "the directory's lock file");
_Static_assert(sizeof(struct head) == LAYOUT_RECORD_AT, "the directory's lock file");

/* Reads the head. A file that is too short has no owner. */
static struct head
read_head(int fd)
{
	struct head h;

	if (hostio_read(fd, 0, &h, sizeof h) != 0)
		h = (struct head){ 0 };
	return h;
}

static int
write_head(const struct dirlock *l)
{
	struct head h = { l->owner, l->count, ground_has(GROUND_KERNEL_LOCKS) };

	return hostio_write(l->fd, 0, &h, sizeof h);
}

/* Reads the head of the file that has the name now. */
static bool
read_named_head(int directory, struct head *h)
{
	int fd = openat(directory, LAYOUT_DIRECTORY_LOCK, OPEN_FLAGS);

	if (fd < 0)
		return false;
	*h = read_head(fd);
	(void)close(fd);
	return true;
}

/* Taking it. */

/* Opens or creates the file. -ENOENT: it went meanwhile. */
static int
open_file(int directory, int *fd, bool *is_new)
{
	*is_new = true;
	*fd = openat(directory, LAYOUT_DIRECTORY_LOCK, OPEN_FLAGS | O_CREAT | O_EXCL, 0600);
	if (*fd < 0 && errno == EEXIST) {
		*is_new = false;
		*fd = openat(directory, LAYOUT_DIRECTORY_LOCK, OPEN_FLAGS);
	}
	return *fd < 0 ? -errno : 0;
}

static int
check_access(int fd)
{
	bool is_by_mapping;
	struct stat st;
	int error = fstat(fd, &st) == 0 ? hostprobe_find_access(fd, &st, 0, &is_by_mapping) :
					  -errno;

	return error == 0 && is_by_mapping ? -ENOTSUP : error;
}

/* Without flock(2) the count alone tells. */
static int
lock_file(int fd)
{
	if (!ground_has(GROUND_FLOCK) || flock(fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	return errno == EWOULDBLOCK ? -EEXIST : -errno;
}

/* True when the locked file still has its name. */
static bool
is_current(int directory, int fd)
{
	struct stat mine, there;

	return fstat(fd, &mine) == 0 &&
	    fstatat(directory, LAYOUT_DIRECTORY_LOCK, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	    mine.st_dev == there.st_dev && mine.st_ino == there.st_ino;
}

/* One try. Returns 0 with the file open and locked; -EAGAIN when the name has another file now. */
static int
open_and_lock(int directory, int *out, bool *is_new)
{
	int fd, error = open_file(directory, &fd, is_new);

	if (error != 0)
		return error == -ENOENT ? -EAGAIN : error;
	error = check_access(fd);
	if (error != 0 && *is_new)
		(void)unlinkat(directory, LAYOUT_DIRECTORY_LOCK, 0);
	if (error == 0)
		error = lock_file(fd);
	if (error == 0 && !is_current(directory, fd))
		error = -EAGAIN;
	if (error == 0)
		*out = fd;
	else
		(void)close(fd);
	return error;
}

/* The locked file's last owner is dead: it would have the lock. */
static bool
is_free(int fd)
{
	return ground_has(GROUND_FLOCK) && ground_has(GROUND_KERNEL_LOCKS) &&
	    read_head(fd).has_kernel_lock == 1;
}

/* Waits for beats. Returns -EEXIST as soon as there is one. */
static int
wait_for_beats(int fd)
{
	struct head before = read_head(fd), now;
	int i;

	for (i = 0; i < DIRLOCK_BEATS; i++) {
		(void)poll(NULL, 0, DIRLOCK_BEAT_MS);
		now = read_head(fd);
		if (memcmp(&now, &before, sizeof now) != 0)
			return -EEXIST;
	}
	return 0;
}

/* Two starters may both have found the file still: the one that wrote last owns the directory. */
static int
wait_for_rivals(struct dirlock *l)
{
	(void)poll(NULL, 0, DIRLOCK_BEAT_MS);
	return dirlock_is_ours(l) ? 0 : -EEXIST;
}

static int
take(struct dirlock *l, bool is_new)
{
	const bool is_sure = is_new || is_free(l->fd);
	int error = is_sure ? 0 : wait_for_beats(l->fd);

	if (error == 0)
		error = random_u64(&l->owner);
	if (error == 0)
		error = write_head(l);
	if (error == 0 && !is_sure)
		error = wait_for_rivals(l);
	l->kept_at = clock_now();
	return error;
}

int
dirlock_take(struct dirlock *l, int directory)
{
	struct dirlock taken = { .directory = directory, .fd = -1, .count = 1 };
	int error, tries = 0;
	bool is_new;

	do
		error = open_and_lock(directory, &taken.fd, &is_new);
	while (error == -EAGAIN && ++tries < TRIES);
	if (error == 0)
		error = take(&taken, is_new);
	if (error == 0)
		*l = taken;
	else
		dirlock_leave(&taken);
	return error;
}

/* Having it. */

/* No other owner is in a file that is gone, cut short or unreadable. */
bool
dirlock_is_ours(struct dirlock *l)
{
	struct head h;

	if (!l->is_lost && read_named_head(l->directory, &h) && h.owner != 0 && h.owner != l->owner)
		l->is_lost = true;
	return !l->is_lost;
}

int
dirlock_keep(struct dirlock *l, uint64_t now)
{
	/* A timer may fire a little early by this clock. */
	if (now < clock_after_ms(l->kept_at, DIRLOCK_BEAT_MS / 2))
		return l->is_lost ? -ESTALE : 0;
	if (!dirlock_is_ours(l))
		return -ESTALE;
	l->kept_at = now;
	l->count++;
	/* Without room the count stands still for one beat; the next one may succeed. */
	(void)write_head(l);
	return 0;
}

void
dirlock_record(const struct dirlock *l, const char *name)
{
	if (ftruncate(l->fd, LAYOUT_RECORD_AT) == 0 && *name != '\0')
		(void)hostio_write(l->fd, LAYOUT_RECORD_AT, name, strlen(name));
}

size_t
dirlock_recorded(const struct dirlock *l, char out[NAME_MAX + 1])
{
	ssize_t n = pread(l->fd, out, NAME_MAX, LAYOUT_RECORD_AT);

	out[n > 0 ? n : 0] = '\0';
	return strlen(out);
}

void
dirlock_leave(struct dirlock *l)
{
	if (l->fd >= 0)
		(void)close(l->fd);
	*l = DIRLOCK_NONE;
}

void
dirlock_release(struct dirlock *l)
{
	/* A file that replaced it belongs to another server: leave it. */
	if (l->fd >= 0 && dirlock_is_ours(l) && is_current(l->directory, l->fd))
		(void)unlinkat(l->directory, LAYOUT_DIRECTORY_LOCK, 0);
	dirlock_leave(l);
}
