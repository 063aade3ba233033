#include "common/wire/socket.h"

#include <arpa/inet.h>
#include <bsd/string.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/closer.h"
#include "common/base/highfd.h"
#include "common/base/rights.h"
#include "common/host/ownfd.h"

enum {
	BACKLOG = 512,
	DIRECTORY_LOCK_MS = 1000 /* other servers keep it for the time of a few system calls */
};

/* One address as the kernel wants it. */
struct target {
	struct sockaddr_storage sa;
	socklen_t size;
};

static void
fill_unix(const struct addr *a, struct target *t)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&t->sa;
	size_t n = strlen(a->name);

	memset(t, 0, sizeof *t);
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path + (a->kind != ADDR_UNIX), a->name, n);
	t->size = sizeof *un;
	if (a->kind == ADDR_ABSTRACT_EXACT)
		t->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n);
}

/* Why a name was not resolved: the resolver itself does not tell of a shortage of descriptors. */
static int
resolver_error(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE))
		return -errno;
	if (fd >= 0)
		close(fd);
	return -ENXIO;
}

/* Resolves the address into targets. Returns their number, -ENXIO, -EMFILE or -ENFILE. */
static int
resolve(const struct addr *a, struct target targets[SOCKET_LISTEN_MOST], bool passive)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC };
	struct addrinfo *list, *i;
	int count = 0;

	if (a->kind != ADDR_TCP) {
		fill_unix(a, &targets[0]);
		return 1;
	}
	hints.ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : 0);
	if (getaddrinfo(a->host[0] != '\0' ? a->host : NULL, a->port, &hints, &list) != 0)
		return resolver_error();
	for (i = list; i != NULL && count < SOCKET_LISTEN_MOST; i = i->ai_next) {
		memcpy(&targets[count].sa, i->ai_addr, i->ai_addrlen);
		targets[count++].size = i->ai_addrlen;
	}
	freeaddrinfo(list);
	return count > 0 ? count : -ENXIO;
}

static int
open_socket(const struct target *t)
{
	int fd = highfd(socket(t->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));

	return fd < 0 ? -errno : fd;
}

/* True when the path is a socket file that no process listens at any more. */
static bool
is_stale(const struct addr *a, const struct target *t)
{
	struct stat st;
	bool stale;
	int fd;

	if (a->kind != ADDR_UNIX || lstat(a->name, &st) != 0 || !S_ISSOCK(st.st_mode))
		return false;
	fd = open_socket(t);
	if (fd < 0)
		return false;
	stale = connect(fd, (const struct sockaddr *)&t->sa, t->size) != 0 && errno == ECONNREFUSED;
	close(fd);
	return stale;
}

static int
bind_tcp(const struct target *t, int fd)
{
	const struct sockaddr *sa = (const struct sockaddr *)&t->sa;
	int one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	/* Each family has a socket of its own: that of [::] must not take 0.0.0.0 too. */
	if (sa->sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
	return bind(fd, sa, t->size) == 0 ? 0 : -errno;
}

/*
 * Gives the socket file that bind_unix() has made to the group, and no other file: -EADDRINUSE when
 * another one is there now.
 */
static int
set_group(const char *path, gid_t group)
{
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC), error = 0;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) != 0)
		error = -errno;
	else if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid())
		error = -EADDRINUSE;
	else if (st.st_gid != group && fchownat(fd, "", (uid_t)-1, group, AT_EMPTY_PATH) != 0)
		error = -errno;
	close(fd);
	return error;
}

static int
bind_unix(const struct addr *a, const struct target *t, const struct socket_access *access, int fd)
{
	const struct sockaddr *sa = (const struct sockaddr *)&t->sa;
	/* The mode must be right at once: before a chmod(2) other users could connect. */
	mode_t mask = umask(~access->mode & 0777);
	int error = bind(fd, sa, t->size) == 0 ? 0 : -errno;

	if (error == -EADDRINUSE && is_stale(a, t) && unlink(a->name) == 0)
		error = bind(fd, sa, t->size) == 0 ? 0 : -errno;
	umask(mask);
	if (error != 0 || a->kind != ADDR_UNIX || access->group == (gid_t)-1)
		return error;
	/* No process can connect before listen(2). */
	error = set_group(a->name, access->group);
	if (error != 0 && error != -EADDRINUSE)
		unlink(a->name);
	return error;
}

/* Any process that can read the directory can hold its lock: so the wait is bounded. */
static bool
wait_for_lock(int fd)
{
	uint64_t deadline = clock_after_ms(clock_now(), DIRECTORY_LOCK_MS);

	while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if ((errno != EWOULDBLOCK && errno != EINTR) || clock_now() >= deadline)
			return false;
		poll(NULL, 0, 1);
	}
	return true;
}

/*
 * Locks the directory of a socket file, so that no other server replaces the same stale file
 * between the test and the listen(2). Returns a descriptor to close, or -1 where that is
 * impossible, and when another process keeps the lock.
 */
static int
lock_directory(const struct addr *a)
{
	char path[sizeof a->name];
	char *slash;
	int fd;

	if (a->kind != ADDR_UNIX)
		return -1;
	strlcpy(path, a->name, sizeof path);
	slash = strrchr(path, '/');
	if (slash == NULL)
		strlcpy(path, ".", sizeof path);
	else
		slash[slash == path] = '\0';
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && !wait_for_lock(fd)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* A listening socket at one target, or a negative errno. */
static int
listen_at(const struct addr *a, const struct target *t, const struct socket_access *access)
{
	int fd = open_socket(t), error;

	if (fd < 0)
		return fd;
	rights_refuse(fd);
	error = a->kind == ADDR_TCP ? bind_tcp(t, fd) : bind_unix(a, t, access, fd);
	if (error == 0 && listen(fd, BACKLOG) != 0) {
		error = -errno;
		if (a->kind == ADDR_UNIX)
			unlink(a->name);
	}
	if (error != 0)
		close(fd);
	return error != 0 ? error : fd;
}

int
socket_listen(const struct addr *a, const struct socket_access *access, int fds[SOCKET_LISTEN_MOST],
    struct socket_file *file)
{
	struct target targets[SOCKET_LISTEN_MOST];
	int count = resolve(a, targets, true), i, lock;
	struct stat st;

	if (count < 0)
		return count;
	lock = lock_directory(a);
	for (i = 0; i < count; i++) {
		fds[i] = listen_at(a, &targets[i], access);
		if (fds[i] < 0)
			break;
	}
	*file = (struct socket_file){ 0 };
	if (i == count && a->kind == ADDR_UNIX && lstat(a->name, &st) == 0)
		*file = (struct socket_file){ st.st_dev, st.st_ino };
	if (lock >= 0)
		close(lock);
	if (i == count)
		return count;
	count = fds[i];
	while (i-- > 0)
		close(fds[i]);
	return count;
}

void
socket_unlink(const struct addr *a, const struct socket_file *file)
{
	int lock = lock_directory(a);
	struct stat st;

	if (file->inode != 0 && lstat(a->name, &st) == 0 && st.st_dev == file->device &&
	    st.st_ino == file->inode)
		unlink(a->name);
	if (lock >= 0)
		close(lock);
}

/* Waits until the connection is made or refused. */
static int
finish_connect(int fd, uint64_t until)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	socklen_t size = sizeof(int);
	int error = 0, n;

	do
		n = poll(&p, 1, clock_poll_timeout(clock_now(), until));
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return -ETIMEDOUT;
	if (n < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
		return -errno;
	return -error;
}

static int
connect_target(const struct target *t, uint64_t until, int *out)
{
	int fd = open_socket(t), error;
	struct ownfd own;

	if (fd < 0)
		return fd;
	own = ownfd_of(fd);
	do {
		error = connect(fd, (const struct sockaddr *)&t->sa, t->size) == 0 ? 0 : -errno;
		/* The backlog of a unix socket is full, and poll(2) cannot wait for room in it. */
		if (error == -EAGAIN)
			poll(NULL, 0, 1);
	} while (error == -EINTR || (error == -EAGAIN && clock_now() < until));
	if (error == -EINPROGRESS)
		error = finish_connect(fd, until);
	if (!ownfd_is_intact(&own))
		error = -EBADF;
	if (error != 0) {
		ownfd_close(&own);
		if (error == -ECONNREFUSED || error == -ENOENT)
			return -ENOTCONN;
		return error == -EAGAIN ? -ETIMEDOUT : error;
	}
	*out = fd;
	return 0;
}

int
socket_connect(const struct addr *a, uint64_t until, int *fd)
{
	struct target targets[SOCKET_LISTEN_MOST];
	int count = resolve(a, targets, false), i, error = -ENXIO;
	uint64_t share;

	if (count < 0)
		return count;
	/* An address that does not answer leaves time for the others. */
	for (i = 0; i < count; i++) {
		share = clock_share(clock_now(), until, (size_t)(count - i));
		error = connect_target(&targets[i], share, fd);
		if (error == 0)
			return 0;
	}
	return error;
}

void
socket_tune(int fd, unsigned ms)
{
	const int count = 2, interval = SOCKET_IDLE_MS / 1000 / 4, idle = count * interval, one = 1;
	struct sockaddr_storage sa;
	socklen_t size = sizeof sa;

	if (getsockname(fd, (struct sockaddr *)&sa, &size) != 0 || sa.ss_family == AF_UNIX)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms);
}

int
socket_count_unsent(int fd)
{
	int count;

	return ioctl(fd, SIOCOUTQNSD, &count) == 0 ? count : -errno;
}

/* The peer's address, and with a unix socket its user and process. Returns false if unknown. */
static bool
get_peer(int fd, struct sockaddr_storage *sa, socklen_t *size, struct ucred *cred)
{
	socklen_t cred_size = sizeof *cred;

	*size = sizeof *sa;
	if (getpeername(fd, (struct sockaddr *)sa, size) != 0)
		return false;
	return sa->ss_family != AF_UNIX ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, cred, &cred_size) == 0;
}

/* Leaves of an address of IPv6 the first 64 bits: whoever has one usually has all of these. */
static const char *
cut_address(struct sockaddr_storage *sa)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)sa;

	if (sa->ss_family != AF_INET6 || IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr) ||
	    IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr))
		return "";
	memset(in6->sin6_addr.s6_addr + 8, 0, 8);
	return "/64";
}

void
socket_peer_key(int fd, char out[ADDR_TEXT_SIZE])
{
	const char *suffix;
	struct sockaddr_storage sa;
	char host[INET6_ADDRSTRLEN + 24];
	struct ucred cred;
	socklen_t size;

	strlcpy(out, "unknown", ADDR_TEXT_SIZE);
	if (!get_peer(fd, &sa, &size, &cred))
		return;
	if (sa.ss_family == AF_UNIX) {
		snprintf(out, ADDR_TEXT_SIZE, "uid %lu", (unsigned long)cred.uid);
		return;
	}
	suffix = cut_address(&sa);
	if (getnameinfo((struct sockaddr *)&sa, size, host, sizeof host, NULL, 0, NI_NUMERICHOST) ==
	    0)
		snprintf(out, ADDR_TEXT_SIZE, "host %s%s", host, suffix);
}

void
socket_close(int fd)
{
	if (rights_may_come(fd))
		closer_close(fd);
	else
		close(fd);
}

/* Writes an address of TCP; leaves out as it is for any other. */
static void
describe_tcp(const struct sockaddr_storage *sa, socklen_t size, char out[ADDR_TEXT_SIZE])
{
	char host[INET6_ADDRSTRLEN + 24], port[ADDR_PORT_SIZE];

	if (sa->ss_family != AF_UNIX &&
	    getnameinfo((const struct sockaddr *)sa, size, host, sizeof host, port, sizeof port,
		NI_NUMERICHOST | NI_NUMERICSERV) == 0)
		snprintf(out, ADDR_TEXT_SIZE, sa->ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host,
		    port);
}

void
socket_describe_own(int fd, char out[ADDR_TEXT_SIZE])
{
	struct sockaddr_storage sa;
	socklen_t size = sizeof sa;

	strlcpy(out, "unknown", ADDR_TEXT_SIZE);
	if (getsockname(fd, (struct sockaddr *)&sa, &size) == 0)
		describe_tcp(&sa, size, out);
}

void
socket_describe_peer(int fd, char out[ADDR_TEXT_SIZE])
{
	struct sockaddr_storage sa;
	socklen_t size;
	struct ucred cred;

	strlcpy(out, "unknown", ADDR_TEXT_SIZE);
	if (!get_peer(fd, &sa, &size, &cred))
		return;
	if (sa.ss_family == AF_UNIX)
		snprintf(out, ADDR_TEXT_SIZE, "pid %ld uid %lu", (long)cred.pid,
		    (unsigned long)cred.uid);
	else
		describe_tcp(&sa, size, out);
}
