#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>

#include "tests/preload/conform.h"

extern char **environ;

static char byte[1];
static const struct iovec vector = { byte, 1 };

static const char *
read_it(void)
{
	return outcome(read(make(O_RDWR), byte, 1));
}

static const char *
write_it(void)
{
	return outcome(write(make(O_RDWR), byte, 1));
}

static const char *
pread_it(void)
{
	return outcome(pread(make(O_RDWR), byte, 1, 0));
}

static const char *
pwrite_it(void)
{
	return outcome(pwrite(make(O_RDWR), byte, 1, 0));
}

static const char *
readv_it(void)
{
	return outcome(readv(make(O_RDWR), &vector, 1));
}

static const char *
writev_it(void)
{
	return outcome(writev(make(O_RDWR), &vector, 1));
}

static const char *
preadv2_it(void)
{
	return outcome(preadv2(make(O_RDWR), &vector, 1, 0, 0));
}

static const char *
pwritev2_it(void)
{
	return outcome(pwritev2(make(O_RDWR), &vector, 1, 0, 0));
}

static const char *
sendfile_from(void)
{
	return outcome(sendfile(open("/dev/null", O_WRONLY), make_page(), NULL, 1));
}

static const char *
copy_to(void)
{
	return outcome(copy_file_range(open("/proc/self/exe", O_RDONLY), NULL, make(O_RDWR), NULL,
			   1, 0) == -1 &&
		    errno == EBADF ?
		-1 :
		0);
}

static const char *
ioctl_it(void)
{
	int n;

	return outcome(ioctl(make(O_RDWR), FIONREAD, &n));
}

static const char *
isatty_it(void)
{
	return outcome(isatty(make(O_RDWR)) ? 0 : -1);
}

static const char *
getown_it(void)
{
	return outcome(fcntl(make(O_RDWR), F_GETOWN));
}

static const char *
futimens_it(void)
{
	return outcome(futimens(make(O_RDWR), NULL));
}

static const char *
flistxattr_it(void)
{
	return outcome(flistxattr(make(O_RDWR), NULL, 0));
}

static const char *
readahead_it(void)
{
	return outcome(readahead(make_page(), 0, PAGE));
}

static const char *
sync_file_range_it(void)
{
	return outcome(sync_file_range(make_page(), 0, PAGE, 0));
}

static const char *
posix_fadvise_it(void)
{
	errno = posix_fadvise(make(O_RDWR), 0, 0, POSIX_FADV_NORMAL);
	return errno == 0 ? "0" : outcome(-1);
}

static const char *
fsync_it(void)
{
	return outcome(fsync(make(O_RDWR)));
}

static const char *
fallocate_it(void)
{
	return outcome(fallocate(make(O_RDWR), 0, 0, PAGE));
}

static const char *
posix_fallocate_it(void)
{
	errno = posix_fallocate(make(O_RDWR), 0, PAGE);
	return errno == 0 ? "0" : outcome(-1);
}

static const char *
fopen_update(void)
{
	FILE *f = fopen(path, "w+");

	return f != NULL ? outcome(lock_bytes(fileno(f), F_SETLK, F_WRLCK, 0, 0)) : outcome(-1);
}

static const char *
fopen_exclusive(void)
{
	FILE *f = fopen(path, "wx");

	return f == NULL ? outcome(-1) : fopen(path, "wx") == NULL ? outcome(-1) : "twice";
}

static const char *
fopen_missing(void)
{
	return fopen(path, "r") == NULL ? outcome(-1) : "opened";
}

static const char *
fopen_read(void)
{
	FILE *f = fopen(path, "w+");

	errno = 0;
	if (getc(f) != EOF)
		return "a byte";
	return ferror(f) ? outcome(-1) : "end of file";
}

static const char *
fopen_write(void)
{
	FILE *f = fopen(path, "w");

	return fputc('x', f) == 'x' ? outcome(fflush(f)) : outcome(-1);
}

static const char *
fclose_drops(void)
{
	FILE *f = fopen(path, "w+");
	int fd = open(path, O_RDWR);

	lock_bytes(fd, F_SETLK, F_WRLCK, 0, 0);
	fclose(f);
	return in_child(try_write, fd);
}

static const char *
fdopen_update(void)
{
	FILE *f = fdopen(make(O_RDWR), "r+");

	return f != NULL ? outcome(lock_bytes(fileno(f), F_SETLK, F_WRLCK, 0, 0)) : outcome(-1);
}

static const char *
fdopen_mismatch(void)
{
	return fdopen(make(O_RDONLY), "w") == NULL ? outcome(-1) : "opened";
}

static const char *
freopen_stdin(void)
{
	make(O_RDWR);
	return freopen(path, "r+", stdin) != NULL ?
	    outcome(lock_bytes(STDIN_FILENO, F_SETLK, F_WRLCK, 0, 0)) :
	    outcome(-1);
}

static const char *
exec_flock(int fd)
{
	char self[PATH_SIZE], number_of_fd[16];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	int copy = dup(STDOUT_FILENO);

	(void)copy;
	self[n > 0 ? n : 0] = '\0';
	snprintf(number_of_fd, sizeof number_of_fd, "%d", fd);
	execl(self, "conform", "after", number_of_fd, (char *)NULL);
	return "exec";
}

/* The descriptor in the program that takes this one's place, which prints what it gets. */
static const char *
exec_inherits(void)
{
	return exec_flock(make(O_RDWR));
}

/* Sends fd over a socket, and returns the descriptor that arrives. */
static int
send_and_receive(int fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof fd)];
	} control = { .header = { CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec data = { byte, 1 };
	struct msghdr message = { .msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control };
	int ends[2];

	memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0 || sendmsg(ends[0], &message, 0) != 1 ||
	    recvmsg(ends[1], &message, 0) != 1)
		return -1;
	memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
	return fd;
}

static const char *
sent_over_a_socket(void)
{
	int fd = send_and_receive(make(O_RDWR));

	return fd != -1 ? outcome(lock_bytes(fd, F_SETLK, F_WRLCK, 0, 0)) : "a socket";
}

static const char *
spawn_beside(void)
{
	char *const argv[] = { "true", NULL };
	int fd = make(O_RDWR), status = -1;
	pid_t child;

	lock_bytes(fd, F_SETLK, F_WRLCK, 0, 0);
	if (posix_spawn(&child, "/bin/true", NULL, NULL, argv, environ) == 0)
		waitpid(child, &status, 0);
	return status == 0 ? in_child(try_write, fd) : "spawn";
}

/* A child of vfork(2) has descriptors of its own, and our memory. */
static const char *
vfork_closes(void)
{
	int fd = make(O_RDWR), status;
	pid_t child;

	lock_bytes(fd, F_SETLK, F_WRLCK, 0, 0);
	child = vfork();
	if (child == 0) {
		close(fd);
		_exit(0);
	}
	waitpid(child, &status, 0);
	return in_child(try_write, fd);
}

static const char *
vfork_duplicates(void)
{
	int fd = make(O_RDWR), status;
	pid_t child;

	child = vfork();
	if (child == 0) {
		dup2(STDERR_FILENO, fd);
		_exit(0);
	}
	waitpid(child, &status, 0);
	return outcome(lock_bytes(fd, F_SETLK, F_WRLCK, 0, 0));
}

static const char *
proc_fd_open(void)
{
	char name[64];

	snprintf(name, sizeof name, "/proc/self/fd/%d", make(O_RDWR));
	return outcome(open(name, O_RDWR));
}

static const char *
system_call_flock(void)
{
	return outcome(syscall(SYS_flock, make(O_RDWR), LOCK_EX | LOCK_NB));
}

static const char *
system_call_write(void)
{
	return outcome(syscall(SYS_write, make(O_RDWR), "x", 1));
}

static const char *
close_behind(void)
{
	int fd = make(O_RDWR);

	syscall(SYS_close, fd);
	return open("/dev/null", O_RDWR) == fd ? outcome(lock_bytes(fd, F_SETLK, F_WRLCK, 0, 0)) :
						 "another number";
}

/* Calls that succeed leave errno alone: a program may look later at an earlier failure. */
static const char *
errno_stays(void)
{
	int fd = make_page(), other = open(path, O_RDWR);
	char *base = map_page(fd);
	struct stat st;

	lock_bytes(fd, F_SETLK, F_WRLCK, 0, 0);
	errno = EXDEV;
	base[0] = 'x';
	if (fstat(fd, &st) != 0 || lock_bytes(fd, F_SETLK, F_UNLCK, 0, 0) != 0 || errno != EXDEV)
		return "changes in unlocking";
	if (lock_bytes(fd, F_SETLKW, F_RDLCK, 0, 0) != 0 || errno != EXDEV)
		return "changes in locking";
	if (close(other) != 0 || munmap(base, PAGE) != 0 || close(fd) != 0 || errno != EXDEV)
		return "changes in closing";
	fd = make(O_RDWR);
	return ftruncate(fd, PAGE) == 0 && errno == EXDEV ? "stays" : "changes in opening";
}

const struct row rows_rest[] = {
	{ "read", read_it },
	{ "write", write_it },
	{ "pread", pread_it },
	{ "pwrite", pwrite_it },
	{ "readv", readv_it },
	{ "writev", writev_it },
	{ "preadv2", preadv2_it },
	{ "pwritev2", pwritev2_it },
	{ "sendfile", sendfile_from },
	{ "copy-file-range", copy_to },
	{ "ioctl", ioctl_it },
	{ "isatty", isatty_it },
	{ "fcntl-getown", getown_it },
	{ "futimens", futimens_it },
	{ "flistxattr", flistxattr_it },
	{ "readahead", readahead_it },
	{ "sync-file-range", sync_file_range_it },
	{ "posix-fadvise", posix_fadvise_it },
	{ "fsync", fsync_it },
	{ "fallocate", fallocate_it },
	{ "posix-fallocate", posix_fallocate_it },
	{ "fopen-update", fopen_update },
	{ "fopen-exclusive", fopen_exclusive },
	{ "fopen-missing", fopen_missing },
	{ "fopen-read", fopen_read },
	{ "fopen-write", fopen_write },
	{ "fclose-drops", fclose_drops },
	{ "fdopen-update", fdopen_update },
	{ "fdopen-mismatch", fdopen_mismatch },
	{ "freopen-stdin", freopen_stdin },
	{ "exec-inherits", exec_inherits },
	{ "sent-over-a-socket", sent_over_a_socket },
	{ "spawn-beside", spawn_beside },
	{ "vfork-closes", vfork_closes },
	{ "vfork-duplicates", vfork_duplicates },
	{ "proc-fd-open", proc_fd_open },
	{ "system-call-flock", system_call_flock },
	{ "system-call-write", system_call_write },
	{ "close-behind", close_behind },
	{ "errno-stays", errno_stays },
	{ NULL, NULL },
};
