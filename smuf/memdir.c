#include "smuf/memdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/host/filename.h"
#include "common/host/hostfile.h"
#include "common/wire/protocol.h"
#include "smuf/dirlock.h"
#include "smuf/hostid.h"
#include "smuf/layout.h"

enum {
	FOREIGN_LOGGED_MOST = 50, /* foreign files that the log names; it counts the others */
	HEAD_SIZE = 96,           /* of a lock file; zeros follow */
};

struct memdir {
	int fd;
	struct dirlock lock;
	char *path;
	uint64_t logged_at; /* see memdir_may_log() */
};

/* The beginning of a lock file on the host. */
struct head {
	uint32_t ticket;
	uint32_t turn;
	uint8_t zeros[LAYOUT_MAGIC_AT - 8];
	char magic[16];
	uint64_t life;
	uint64_t segment_size;
};

_Static_assert(sizeof(struct head) == HEAD_SIZE, "the lock file's layout");
_Static_assert(offsetof(struct head, turn) == LAYOUT_TURN_AT, "the lock file's layout");
_Static_assert(offsetof(struct head, magic) == LAYOUT_MAGIC_AT, "the lock file's layout");
_Static_assert(offsetof(struct head, life) == LAYOUT_LIFE_AT, "the lock file's layout");
_Static_assert(offsetof(struct head, segment_size) == LAYOUT_SEGMENT_AT, "the lock file's layout");

static bool
has_magic(const struct head *h)
{
	return memcmp(h->magic, LAYOUT_MAGIC, sizeof h->magic) == 0;
}

/*
 * Opens a lock file and reads its head. Returns 0; -ESTALE for a file that is gone, cut short, or
 * not a lock file of that life (0: of any); -EMFILE, -ENFILE or -ENOMEM.
 */
static int
open_lock(const struct memdir *d, const char *name, uint64_t life, struct hostfile *h,
    struct head *head)
{
	int error = hostfile_open(h, d->fd, name, LAYOUT_LOCK_SIZE);

	if (error == -EMFILE || error == -ENFILE || error == -ENOMEM)
		return error;
	if (error != 0)
		return -ESTALE;
	/* A host that makes pread(2) fail could make us map the file, and then cut it short. */
	if (h->is_by_mapping) {
		hostfile_close(h);
		return -ESTALE;
	}
	error = hostfile_read(h, 0, head, sizeof *head);
	if (error != 0 || !has_magic(head) || (life != 0 && head->life != life))
		error = -ESTALE;
	if (error != 0)
		hostfile_close(h);
	return error;
}

/* True when a file has that name: the name of a foreign file must never be recorded. */
static bool
exists(const struct memdir *d, const char *name)
{
	struct stat st;

	return fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

int
memdir_create_lock(struct memdir *d, const char *name, uint64_t life, struct hostid *id)
{
	struct head head = { .life = life };
	struct hostfile h;
	int error;

	memcpy(head.magic, LAYOUT_MAGIC, sizeof head.magic);
	if (!dirlock_is_ours(&d->lock))
		return -EIO;
	if (exists(d, name))
		return -EEXIST;
	dirlock_record(&d->lock, name);
	error = hostfile_create(&h, d->fd, name, LAYOUT_LOCK_SIZE);
	if (error == 0) {
		/* As in open_lock(). */
		error = h.is_by_mapping ? -EIO : hostfile_write(&h, 0, &head, sizeof head);
		hostfile_close(&h);
		if (error != 0)
			(void)unlinkat(d->fd, name, 0);
	}
	dirlock_record(&d->lock, "");
	hostid_get(id, d->fd, name);
	return error;
}

int
memdir_create_segment(struct memdir *d, const char *name, uint64_t life, uint64_t size,
    struct hostid *id)
{
	const uint64_t none = 0;
	char segment[FILENAME_SEGMENT_SIZE];
	struct hostfile h, made;
	struct head head;
	int error;

	if (!dirlock_is_ours(&d->lock))
		return -EIO;
	error = open_lock(d, name, life, &h, &head);
	if (error != 0)
		return error;
	filename_segment(segment, name);
	if (exists(d, segment)) {
		hostfile_close(&h);
		return -EEXIST;
	}
	/* Record it first: of a server that is killed in between, the next one finds every file. */
	error = hostfile_write(&h, LAYOUT_SEGMENT_AT, &size, sizeof size);
	if (error == 0)
		error = hostfile_create(&made, d->fd, segment, size);
	if (error == 0) {
		hostfile_close(&made);
		hostid_get(id, d->fd, segment);
	} else {
		(void)hostfile_write(&h, LAYOUT_SEGMENT_AT, &none, sizeof none);
	}
	hostfile_close(&h);
	return error;
}

int
memdir_remove_segment(struct memdir *d, const char *name, const struct hostid *id,
    uint64_t *cleared)
{
	char segment[FILENAME_SEGMENT_SIZE];

	if (!dirlock_is_ours(&d->lock))
		return 0;
	filename_segment(segment, name);
	return hostid_remove(d->fd, segment, id, cleared);
}

int
memdir_remove_lock(struct memdir *d, const char *name, const struct hostid *id)
{
	uint64_t cleared = UINT64_MAX;

	if (!dirlock_is_ours(&d->lock))
		return 0;
	return hostid_remove(d->fd, name, id, &cleared);
}

int
memdir_read_lock(const struct memdir *d, const char *name, uint64_t life, uint32_t *ticket,
    uint32_t *turn)
{
	struct hostfile h;
	struct head head;
	int error = open_lock(d, name, life, &h, &head);

	if (error != 0)
		return error;
	hostfile_close(&h);
	*ticket = head.ticket;
	*turn = head.turn;
	return 0;
}

static int
write_words(const struct memdir *d, const char *name, uint64_t life, uint64_t at,
    const uint32_t *words, size_t size)
{
	struct hostfile h;
	struct head head;
	int error = open_lock(d, name, life, &h, &head);

	if (error != 0)
		return error;
	error = hostfile_write(&h, at, words, size);
	hostfile_close(&h);
	return error;
}

int
memdir_write_turn(const struct memdir *d, const char *name, uint64_t life, uint32_t turn)
{
	return write_words(d, name, life, LAYOUT_TURN_AT, &turn, sizeof turn);
}

int
memdir_write_lock(const struct memdir *d, const char *name, uint64_t life, uint32_t ticket,
    uint32_t turn)
{
	const uint32_t words[] = { ticket, turn };

	return write_words(d, name, life, LAYOUT_TICKET_AT, words, sizeof words);
}

/* At start: files that a killed server left. */

static bool
is_empty_file(const struct memdir *d, const char *name)
{
	struct stat st;

	return fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	    (st.st_size == 0 || st.st_size == LAYOUT_LOCK_SIZE) && st.st_blocks == 0;
}

/* Removes the lock file whose creation is recorded, if nothing was written into it. */
static void
remove_unfinished(const struct memdir *d)
{
	char name[NAME_MAX + 1], escaped[LOG_ESCAPED_SIZE];
	size_t n = dirlock_recorded(&d->lock, name);

	if (n > 0 && strchr(name, '/') == NULL && is_empty_file(d, name) &&
	    unlinkat(d->fd, name, 0) == 0)
		log_info("%s/%s: removed: a killed server had begun to create it", d->path,
		    log_escape(escaped, name, n));
	dirlock_record(&d->lock, "");
}

static bool
is_own_name(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	    strcmp(name, LAYOUT_DIRECTORY_LOCK) == 0;
}

/* Removes name if it is a lock file, and its segment file if it records one. */
static bool
remove_leftover(struct memdir *d, const char *name)
{
	char segment[FILENAME_SEGMENT_SIZE];
	struct hostfile h;
	struct head head;
	struct stat st;

	/* Opening a device or a FIFO can have effects. */
	if (fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
		return false;
	if (strlen(name) > PROTOCOL_SMUF_NAME_MOST || open_lock(d, name, 0, &h, &head) != 0)
		return false;
	hostfile_close(&h);
	if (head.segment_size != 0) {
		filename_segment(segment, name);
		(void)unlinkat(d->fd, segment, 0);
	}
	(void)unlinkat(d->fd, name, 0);
	return true;
}

static DIR *
open_list(const struct memdir *d)
{
	int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);

	if (list == NULL && fd >= 0)
		(void)close(fd);
	return list;
}

static int
remove_leftovers(struct memdir *d)
{
	DIR *list = open_list(d);
	struct dirent *e;
	unsigned removed = 0;
	int error = 0;

	if (list == NULL)
		return -errno;
	/* There may be many: the count must not stand still meanwhile. */
	while (error == 0 && (e = readdir(list)) != NULL) {
		removed += !is_own_name(e->d_name) && remove_leftover(d, e->d_name);
		error = dirlock_keep(&d->lock, clock_now());
	}
	(void)closedir(list);
	if (removed > 0)
		log_info("%s: removed the files that a killed server left; memory files: %u",
		    d->path, removed);
	return error;
}

static int
log_foreign_files(const struct memdir *d)
{
	DIR *list = open_list(d);
	char name[LOG_ESCAPED_SIZE];
	struct dirent *e;
	unsigned count = 0;

	if (list == NULL)
		return -errno;
	while ((e = readdir(list)) != NULL) {
		if (is_own_name(e->d_name))
			continue;
		if (count++ < FOREIGN_LOGGED_MOST)
			log_warning(
			    "%s/%s is a foreign file: no memory file can have its name until it is moved away",
			    d->path, log_escape(name, e->d_name, strlen(e->d_name)));
	}
	(void)closedir(list);
	if (count > FOREIGN_LOGGED_MOST)
		log_warning("%s: and %u more foreign files", d->path, count - FOREIGN_LOGGED_MOST);
	return 0;
}

static int
lock_and_clean(struct memdir *d)
{
	int error = dirlock_take(&d->lock, d->fd);

	if (error != 0)
		return error;
	remove_unfinished(d);
	error = remove_leftovers(d);
	return error != 0 ? error : log_foreign_files(d);
}

/* What to do about an error of the directory, with a colon before it; "" where nobody can tell. */
static const char *
remedy(int error)
{
	switch (error) {
	case -ENOSPC:
	case -EDQUOT:
		return ": make room there";
	case -EACCES:
	case -EISDIR:
	case -ELOOP:
	case -ENAMETOOLONG:
	case -ENOENT:
	case -ENOTDIR:
	case -EPERM:
	case -EROFS:
		return ": give a directory that this user may read and write";
	default:
		return "";
	}
}

/* Sets the message of memdir_open(). */
static int
refuse(const char *path, int error)
{
	switch (error) {
	case -EEXIST:
	case -ESTALE:
		return error_message(error,
		    "-r %s: another smufserver uses this directory: each needs its own", path);
	case -ENOTSUP:
		return error_message(error,
		    "-r %s: files here are read and written by mapping only: in a library OS, mount the directory as chroot, with allowed files, and not as untrusted_shm",
		    path);
	default:
		return error_message(error, "-r %s: %s%s", path, strerror(-error), remedy(error));
	}
}

int
memdir_open(struct memdir **out, const char *path)
{
	struct memdir *d = calloc(1, sizeof *d);
	int error = -ENOMEM;

	if (d == NULL)
		return error;
	d->fd = -1;
	d->lock = DIRLOCK_NONE;
	d->path = strdup(path);
	if (d->path != NULL) {
		d->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		error = d->fd < 0 ? -errno : lock_and_clean(d);
	}
	if (error != 0) {
		/* Its lock file belongs to another server, or to the next start. */
		dirlock_leave(&d->lock);
		memdir_close(d);
		return refuse(path, error);
	}
	*out = d;
	return 0;
}

int
memdir_keep(struct memdir *d, uint64_t now)
{
	int error = dirlock_keep(&d->lock, now);

	if (error != 0)
		log_error("-r %s: another smufserver has taken this directory over: stopping",
		    d->path);
	return error;
}

bool
memdir_may_log(struct memdir *d, uint64_t now)
{
	if (d->logged_at != 0 && now - d->logged_at < CLOCK_SEC)
		return false;
	d->logged_at = now;
	return true;
}

const char *
memdir_path(const struct memdir *d)
{
	return d->path;
}

void
memdir_close(struct memdir *d)
{
	if (d == NULL)
		return;
	dirlock_release(&d->lock);
	if (d->fd >= 0)
		(void)close(d->fd);
	free(d->path);
	free(d);
}
