#include "common/wire/addr.h"

#include <arpa/inet.h>
#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BACKLOG = 512 };

/* One address as the kernel wants it. */
struct target {
	struct sockaddr_storage sa;
	socklen_t size;
};

static bool
skip_prefix(const char **text, const char *prefix)
{
	size_t n = strlen(prefix);

	if (strncmp(*text, prefix, n) != 0)
		return false;
	*text += n;
	return true;
}

/* HOST:PORT, [IPv6]:PORT, *:PORT, :PORT */
static int
parse_tcp(struct addr *a, const char *text)
{
	const char *colon, *host = text;
	const char *error;
	size_t n;

	a->kind = ADDR_TCP;
	if (*text == '[') {
		host = text + 1;
		colon = strchr(host, ']');
		if (colon == NULL || colon[1] != ':')
			return -EINVAL;
		n = (size_t)(colon - host);
		colon++;
	} else {
		colon = strrchr(text, ':');
		if (colon == NULL || memchr(text, ':', (size_t)(colon - text)) != NULL)
			return -EINVAL;
		n = (size_t)(colon - host);
	}
	if (n == 1 && *host == '*')
		n = 0;
	if (n >= sizeof a->host || strlcpy(a->port, colon + 1, sizeof a->port) >= sizeof a->port)
		return -EINVAL;
	memcpy(a->host, host, n);
	a->host[n] = '\0';
	strtonum(a->port, 0, 65535, &error);
	return error == NULL ? 0 : -EINVAL;
}

static int
parse_pipe(struct addr *a, const char *text)
{
	const char *error;
	long long number = strtonum(text, 0, UINT32_MAX, &error);

	if (error != NULL)
		return -EINVAL;
	a->kind = ADDR_ABSTRACT_PADDED;
	snprintf(a->name, sizeof a->name, "/graphene/123456/%08llx", number);
	return 0;
}

/* A path fits sun_path with its NUL; an abstract name has a NUL in front and needs none behind. */
static int
parse_unix(struct addr *a, const char *text, enum addr_kind kind)
{
	a->kind = kind;
	if (*text == '\0')
		return -EINVAL;
	if (strlen(text) > sizeof a->name - 2)
		return -ENAMETOOLONG;
	strlcpy(a->name, text, sizeof a->name);
	return 0;
}

int
addr_parse(struct addr *out, const char *text, int flags)
{
	struct addr a = { 0 };
	const char *rest = text;
	int r;

	if (strlcpy(a.text, text, sizeof a.text) >= sizeof a.text)
		return -ENAMETOOLONG;
	if (skip_prefix(&rest, "tcp://") || skip_prefix(&rest, "tcp:"))
		r = parse_tcp(&a, rest);
	else if (skip_prefix(&rest, "unix:"))
		r = parse_unix(&a, rest, ADDR_UNIX);
	else if (skip_prefix(&rest, "abstract:"))
		r = parse_unix(&a, rest, ADDR_ABSTRACT_EXACT);
	else if (skip_prefix(&rest, "pipe:"))
		r = parse_pipe(&a, rest);
	else if (flags & ADDR_ABSTRACT)
		r = parse_unix(&a, rest, ADDR_ABSTRACT_PADDED);
	else if (strchr(rest, '/') != NULL)
		r = parse_unix(&a, rest, ADDR_UNIX);
	else
		r = -EINVAL;
	if (r == 0)
		*out = a;
	return r;
}

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

/* What the address stands for, in targets; their number, or -EADDRNOTAVAIL. */
static int
resolve(const struct addr *a, struct target targets[ADDR_LISTEN_MOST], bool passive)
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
		return -EADDRNOTAVAIL;
	for (i = list; i != NULL && count < ADDR_LISTEN_MOST; i = i->ai_next) {
		memcpy(&targets[count].sa, i->ai_addr, i->ai_addrlen);
		targets[count++].size = i->ai_addrlen;
	}
	freeaddrinfo(list);
	return count > 0 ? count : -EADDRNOTAVAIL;
}

static int
open_socket(const struct target *t)
{
	int fd = socket(t->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

/* True when the path is a socket file at which nobody answers any more. */
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
	/* Each family has its own socket, so that [::] leaves 0.0.0.0 to the other one. */
	if (sa->sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
	return bind(fd, sa, t->size) == 0 ? 0 : -errno;
}

static int
bind_unix(const struct addr *a, const struct target *t, int fd)
{
	const struct sockaddr *sa = (const struct sockaddr *)&t->sa;
	/* The mode must be right from the first moment on: chmod(2) afterwards would leave a gap. */
	mode_t mask = umask(0117);
	int r = bind(fd, sa, t->size) == 0 ? 0 : -errno;

	if (r == -EADDRINUSE && is_stale(a, t) && unlink(a->name) == 0)
		r = bind(fd, sa, t->size) == 0 ? 0 : -errno;
	umask(mask);
	return r;
}

/*
 * Locks the directory of a socket file: between finding a file stale and listening on a new one no other
 * server may do the same. Returns a descriptor to close, or -1 where that cannot be done.
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
	if (fd >= 0 && flock(fd, LOCK_EX) != 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* A listening socket at one target, or a negative errno. */
static int
listen_at(const struct addr *a, const struct target *t)
{
	int fd = open_socket(t), r;

	if (fd < 0)
		return fd;
	r = a->kind == ADDR_TCP ? bind_tcp(t, fd) : bind_unix(a, t, fd);
	if (r == 0 && listen(fd, BACKLOG) != 0) {
		r = -errno;
		if (a->kind == ADDR_UNIX)
			unlink(a->name);
	}
	if (r != 0)
		close(fd);
	return r != 0 ? r : fd;
}

int
addr_listen(const struct addr *a, int fds[ADDR_LISTEN_MOST], struct addr_file *file)
{
	struct target targets[ADDR_LISTEN_MOST];
	int count = resolve(a, targets, true), i, lock;
	struct stat st;

	if (count < 0)
		return count;
	lock = lock_directory(a);
	for (i = 0; i < count; i++) {
		fds[i] = listen_at(a, &targets[i]);
		if (fds[i] < 0)
			break;
	}
	*file = (struct addr_file){ 0 };
	if (i == count && a->kind == ADDR_UNIX && lstat(a->name, &st) == 0)
		*file = (struct addr_file){ st.st_dev, st.st_ino };
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
addr_unlink(const struct addr *a, const struct addr_file *file)
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
finish_connect(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	socklen_t size = sizeof(int);
	int error = 0, n;

	do
		n = poll(&p, 1, timeout_ms);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return -ETIMEDOUT;
	if (n < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
		return -errno;
	return -error;
}

static int
connect_target(const struct target *t, int timeout_ms, int *out)
{
	int fd = open_socket(t), r;

	if (fd < 0)
		return fd;
	do {
		r = connect(fd, (const struct sockaddr *)&t->sa, t->size) == 0 ? 0 : -errno;
		/* A unix socket whose backlog is full says EAGAIN at once and cannot be polled for. */
		if (r == -EAGAIN && timeout_ms > 0) {
			poll(NULL, 0, 1);
			timeout_ms--;
		}
	} while (r == -EINTR || (r == -EAGAIN && timeout_ms > 0));
	if (r == -EINPROGRESS)
		r = finish_connect(fd, timeout_ms);
	if (r != 0) {
		close(fd);
		return r == -ECONNREFUSED || r == -ENOENT ? -ENOTCONN :
		    r == -EAGAIN                          ? -ETIMEDOUT :
							    r;
	}
	addr_tune(fd);
	*out = fd;
	return 0;
}

int
addr_connect(const struct addr *a, int timeout_ms, int *fd)
{
	struct target targets[ADDR_LISTEN_MOST];
	int count = resolve(a, targets, false), i, r = -EADDRNOTAVAIL;

	if (count < 0)
		return count;
	for (i = 0; i < count; i++) {
		r = connect_target(&targets[i], timeout_ms, fd);
		if (r == 0)
			return 0;
	}
	return r;
}

void
addr_tune(int fd)
{
	struct sockaddr_storage sa;
	socklen_t size = sizeof sa;
	int one = 1, idle = 60, interval = 10, count = 3;

	if (getsockname(fd, (struct sockaddr *)&sa, &size) != 0 || sa.ss_family == AF_UNIX)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

void
addr_describe_peer(int fd, char out[ADDR_TEXT_SIZE])
{
	struct sockaddr_storage sa;
	socklen_t size = sizeof sa;
	struct ucred cred;
	char host[INET6_ADDRSTRLEN + 24], port[ADDR_PORT_SIZE];

	strlcpy(out, "unknown", ADDR_TEXT_SIZE);
	if (getpeername(fd, (struct sockaddr *)&sa, &size) != 0)
		return;
	if (sa.ss_family == AF_UNIX) {
		size = sizeof cred;
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) == 0)
			snprintf(out, ADDR_TEXT_SIZE, "pid %ld uid %lu", (long)cred.pid,
			    (unsigned long)cred.uid);
		return;
	}
	if (getnameinfo((struct sockaddr *)&sa, size, host, sizeof host, port, sizeof port,
		NI_NUMERICHOST | NI_NUMERICSERV) == 0)
		snprintf(out, ADDR_TEXT_SIZE, sa.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host,
		    port);
}
