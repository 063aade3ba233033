#include "common/host/groundfiles.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/crypto/random.h"
#include "common/host/hostfile.h"
#include "common/host/hostio.h"
#include "common/host/hostprobe.h"

enum {
	SIZE = 8192,
	PROBE_AT = 4096,
	LARGER = 16384,
	WOKEN_NS = 300 * 1000 * 1000, /* that a process waits for a futex */
	PAUSE_NS = 1000 * 1000
};

/* The file of a probe. */
struct place {
	int directory;
	char name[48];
	struct hostfile file; /* of this process */
};

/* Runs run in a forked process, which opens the file anew. Returns its pid or a negative errno. */
static pid_t
begin_other(struct place *p, bool (*run)(struct hostfile *other))
{
	struct hostfile other;
	pid_t pid = fork();

	if (pid == 0)
		_exit(
		    hostfile_open(&other, p->directory, p->name, SIZE) == 0 && run(&other) ? 0 : 1);
	return pid < 0 ? -errno : pid;
}

/* 0 when run returned true there, -ENOTSUP when it did not. */
static int
await_other(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return status == 0 ? 0 : -ENOTSUP;
}

static int
ask_other(struct place *p, bool (*run)(struct hostfile *other))
{
	pid_t pid = begin_other(p, run);

	return pid < 0 ? pid : await_other(pid);
}

static int
try_pread(struct place *p)
{
	return p->file.is_by_mapping ? -ESPIPE : 0;
}

static int
try_mapping(struct place *p)
{
	return hostprobe_check_shared(p->directory, p->name, PROBE_AT);
}

/* value: what the word is when waiting, how many to wake when waking. */
static long
futex(const struct hostfile *h, int operation, uint32_t value, const struct timespec *timeout)
{
	return syscall(SYS_futex, h->untrusted_base, operation, value, timeout, NULL, 0);
}

static bool
is_woken(struct hostfile *other)
{
	const struct timespec timeout = { .tv_nsec = WOKEN_NS };

	return hostfile_map(other, SIZE) == 0 && futex(other, FUTEX_WAIT, 0, &timeout) == 0;
}

static int
try_futex(struct place *p)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	int error = hostfile_map(&p->file, SIZE), status;
	pid_t pid = error == 0 ? begin_other(p, is_woken) : error;

	if (pid < 0)
		return pid;
	while (futex(&p->file, FUTEX_WAKE, 1, NULL) < 1) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return status == 0 ? 0 : -ENOTSUP;
		(void)nanosleep(&pause, NULL);
	}
	return await_other(pid);
}

static bool
sees_lock(struct hostfile *other)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };

	return fcntl(other->descriptor.fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}

static int
try_locks(struct place *p)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };

	if (fcntl(p->file.descriptor.fd, F_OFD_SETLK, &l) != 0)
		return -errno;
	return ask_other(p, sees_lock);
}

static bool
sees_flock(struct hostfile *other)
{
	return flock(other->descriptor.fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

static int
try_flock(struct place *p)
{
	if (flock(p->file.descriptor.fd, LOCK_EX | LOCK_NB) != 0)
		return -errno;
	return ask_other(p, sees_flock);
}

static bool
makes_larger(struct hostfile *other)
{
	return ftruncate(other->descriptor.fd, LARGER) == 0;
}

static int
try_size(struct place *p)
{
	struct stat st;
	int error = ask_other(p, makes_larger);

	if (error != 0)
		return error;
	return fstatat(p->directory, p->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		st.st_size == LARGER ?
	    0 :
	    -ENOTSUP;
}

/* The last: the name is gone then. */
static int
try_links(struct place *p)
{
	struct stat st;

	if (unlinkat(p->directory, p->name, 0) != 0 || fstat(p->file.descriptor.fd, &st) != 0)
		return -errno;
	return st.st_nlink == 0 ? 0 : -ENOTSUP;
}

static int (*const probes[GROUNDFILES_FACTS])(struct place *) = {
	[GROUNDFILES_PREAD] = try_pread,
	[GROUNDFILES_MAPPING] = try_mapping,
	[GROUNDFILES_FUTEX] = try_futex,
	[GROUNDFILES_LOCKS] = try_locks,
	[GROUNDFILES_FLOCK] = try_flock,
	[GROUNDFILES_SIZE] = try_size,
	[GROUNDFILES_LINKS] = try_links,
};

/*
 * On a full disk a mapping without storage would kill the process: gives the file its storage.
 * A library OS that only maps files has no call that could say so.
 */
static int
allocate(const struct place *p)
{
	static const uint8_t zeros[SIZE];

	return p->file.is_by_mapping ? 0 : hostfile_write(&p->file, 0, zeros, sizeof zeros);
}

static int
create(struct place *p)
{
	uint64_t number;
	int error = random_u64(&number);

	if (error != 0)
		return error;
	snprintf(p->name, sizeof p->name, ".memserver-probe-%016" PRIx64, number);
	error = hostfile_create(&p->file, p->directory, p->name, SIZE);
	if (error != 0)
		return error;
	error = allocate(p);
	if (error != 0)
		(void)unlinkat(p->directory, p->name, 0);
	return error;
}

int
groundfiles_probe(struct groundfiles *g, const char *path)
{
	struct place p = { .file = HOSTFILE_CLOSED };
	int error = hostio_open_directory(&p.directory, path), i;

	if (error != 0)
		return error;
	error = create(&p);
	for (i = 0; i < GROUNDFILES_FACTS && error == 0; i++)
		g->errors[i] = probes[i](&p);
	hostfile_close(&p.file);
	(void)close(p.directory);
	return error;
}
