#include "smuf/memdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/host/hostfile.h"
#include "smuf/layout.h"

enum {
	NAMED_MOST =
	    50, /* foreign files that are named in the log; of the others it tells how many */
	HEAD_SIZE = 96, /* of the lock file, what is not zeros */
	NAME_ROOM = NAME_MAX + sizeof LAYOUT_SUFFIX
};

struct memdir {
	int fd;
	int lock_fd; /* locked; holds the name of the lock file that is being made, else nothing */
	char *path;
	uint64_t logged_at; /* see memdir_may_log() */
};

/* The beginning of a lock file, as it is on the host. */
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

static void
segment_name(char out[NAME_ROOM], const char *name)
{
	snprintf(out, NAME_ROOM, "%s" LAYOUT_SUFFIX, name);
}

/* Opens a lock file and reads its head. life 0: any. */
static int
open_lock(const struct memdir *d, const char *name, uint64_t life, struct hostfile *h,
    struct head *head)
{
	int error = hostfile_open(h, d->fd, name, LAYOUT_LOCK_SIZE);

	if (error == -EMFILE || error == -ENFILE || error == -ENOMEM)
		return error;
	if (error != 0)
		return -EIO;
	/* A host that makes pread fail would have us map what it can cut short. */
	if (h->is_by_mapping) {
		hostfile_close(h);
		return -EIO;
	}
	error = hostfile_read(h, 0, head, sizeof *head);
	if (error == 0 && (!has_magic(head) || (life != 0 && head->life != life)))
		error = -EIO;
	if (error != 0)
		hostfile_close(h);
	return error;
}

/* Notes the lock file that is being made, or "" for none. A failure costs no more than a leftover that stays. */
static void
announce(const struct memdir *d, const char *name)
{
	if (ftruncate(d->lock_fd, 0) == 0 && *name != '\0')
		(void)!pwrite(d->lock_fd, name, strlen(name), 0);
}

/* Something has that name: what is announced must never be a foreign file's. */
static bool
is_taken(const struct memdir *d, const char *name)
{
	struct stat st;

	return fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

int
memdir_create_lock(struct memdir *d, const char *name, uint64_t life)
{
	struct head head = { .life = life };
	struct hostfile h;
	int error;

	memcpy(head.magic, LAYOUT_MAGIC, sizeof head.magic);
	if (is_taken(d, name))
		return -EEXIST;
	announce(d, name);
	error = hostfile_create(&h, d->fd, name, LAYOUT_LOCK_SIZE);
	if (error == 0) {
		error = hostfile_write(&h, 0, &head, sizeof head);
		hostfile_close(&h);
		if (error != 0)
			(void)unlinkat(d->fd, name, 0);
	}
	announce(d, "");
	return error;
}

int
memdir_create_segment(struct memdir *d, const char *name, uint64_t life, uint64_t size)
{
	const uint64_t none = 0;
	char segment[NAME_ROOM];
	struct hostfile h, made;
	struct head head;
	int error = open_lock(d, name, life, &h, &head);

	if (error != 0)
		return error;
	segment_name(segment, name);
	if (is_taken(d, segment)) {
		hostfile_close(&h);
		return -EEXIST;
	}
	/* Announced first: a server that is killed in between leaves nothing that the next one does not know. */
	error = hostfile_write(&h, LAYOUT_SEGMENT_AT, &size, sizeof size);
	if (error == 0)
		error = hostfile_create(&made, d->fd, segment, size);
	if (error == 0)
		hostfile_close(&made);
	else
		(void)hostfile_write(&h, LAYOUT_SEGMENT_AT, &none, sizeof none);
	hostfile_close(&h);
	return error;
}

void
memdir_remove(struct memdir *d, const char *name, bool has_segment)
{
	char segment[NAME_ROOM];

	if (has_segment) {
		segment_name(segment, name);
		(void)unlinkat(d->fd, segment, 0);
	}
	(void)unlinkat(d->fd, name, 0);
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
	return error != 0 ? -EIO : 0;
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

/* At start: what a server that was killed has left. */

static bool
is_empty_file(const struct memdir *d, const char *name)
{
	struct stat st;

	return fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	    (st.st_size == 0 || st.st_size == LAYOUT_LOCK_SIZE) && st.st_blocks == 0;
}

/* The lock file that was being made: it has a name and nothing in it. */
static void
remove_announced(const struct memdir *d)
{
	char name[NAME_MAX + 1], escaped[LOG_ESCAPED_SIZE];
	ssize_t n = pread(d->lock_fd, name, sizeof name - 1, 0);

	if (n > 0 && memchr(name, '/', (size_t)n) == NULL) {
		name[n] = '\0';
		if (is_empty_file(d, name) && unlinkat(d->fd, name, 0) == 0)
			log_info("%s/%s: half made by a server that was killed, removed", d->path,
			    log_escape(escaped, name, (size_t)n));
	}
	announce(d, "");
}

static bool
is_skipped(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	    strcmp(name, LAYOUT_DIRECTORY_LOCK) == 0;
}

/* Removes name if it is a lock file of ours, and the segment file that it announces. */
static bool
remove_leftover(struct memdir *d, const char *name)
{
	struct hostfile h;
	struct head head;
	struct stat st;

	/* Opening what is no file may have effects of its own. */
	if (fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
		return false;
	if (strlen(name) >= LAYOUT_NAME_LIMIT || open_lock(d, name, 0, &h, &head) != 0)
		return false;
	hostfile_close(&h);
	memdir_remove(d, name, head.segment_size != 0);
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

	if (list == NULL)
		return -errno;
	while ((e = readdir(list)) != NULL)
		removed += !is_skipped(e->d_name) && remove_leftover(d, e->d_name);
	(void)closedir(list);
	if (removed > 0)
		log_info("%s: removed what a server that was killed has left: memory files: %u",
		    d->path, removed);
	return 0;
}

static int
name_foreign_files(const struct memdir *d)
{
	DIR *list = open_list(d);
	char name[LOG_ESCAPED_SIZE];
	struct dirent *e;
	unsigned count = 0;

	if (list == NULL)
		return -errno;
	while ((e = readdir(list)) != NULL) {
		if (is_skipped(e->d_name))
			continue;
		if (count++ < NAMED_MOST)
			log_warning(
			    "%s/%s is not ours: left alone; no memory file of that name until it is moved away",
			    d->path, log_escape(name, e->d_name, strlen(e->d_name)));
	}
	(void)closedir(list);
	if (count > NAMED_MOST)
		log_warning("%s: and %u more that are not ours", d->path, count - NAMED_MOST);
	return 0;
}

/* True when the file that was locked is the one that has the name now. */
static bool
has_name_still(const struct memdir *d)
{
	struct stat mine, there;

	return fstat(d->lock_fd, &mine) == 0 &&
	    fstatat(d->fd, LAYOUT_DIRECTORY_LOCK, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	    mine.st_dev == there.st_dev && mine.st_ino == there.st_ino;
}

/* Locks the directory; the file that was locked must be the one that has the name now. */
static int
lock(struct memdir *d)
{
	for (;;) {
		d->lock_fd = openat(d->fd, LAYOUT_DIRECTORY_LOCK,
		    O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
		if (d->lock_fd < 0)
			return -errno;
		if (flock(d->lock_fd, LOCK_EX | LOCK_NB) != 0)
			return errno == EWOULDBLOCK ? -EEXIST : -errno;
		if (has_name_still(d))
			return 0;
		(void)close(d->lock_fd);
	}
}

static int
take_over(struct memdir *d)
{
	int error = lock(d);

	if (error != 0)
		return error;
	remove_announced(d);
	error = remove_leftovers(d);
	return error != 0 ? error : name_foreign_files(d);
}

int
memdir_open(struct memdir **out, const char *path)
{
	struct memdir *d = calloc(1, sizeof *d);
	int error = -ENOMEM;

	if (d == NULL)
		return error;
	d->fd = d->lock_fd = -1;
	d->path = strdup(path);
	if (d->path != NULL) {
		d->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		error = d->fd < 0 ? -errno : take_over(d);
	}
	if (error == -EEXIST)
		log_error("-r %s: another smufserver has this directory: each needs its own", path);
	else if (error != 0)
		log_error("-r %s: %s: a directory that this user may read and write is wanted",
		    path, strerror(-error));
	if (error != 0) {
		/* Its lock file is somebody else's, or will be found again. */
		if (d->lock_fd >= 0)
			(void)close(d->lock_fd);
		d->lock_fd = -1;
		memdir_close(d);
		return error;
	}
	*out = d;
	return 0;
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
	if (d->lock_fd >= 0) {
		/* Another one in its place keeps others out for another server. */
		if (has_name_still(d))
			(void)unlinkat(d->fd, LAYOUT_DIRECTORY_LOCK, 0);
		(void)close(d->lock_fd);
	}
	if (d->fd >= 0)
		(void)close(d->fd);
	free(d->path);
	free(d);
}
