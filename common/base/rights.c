#include "common/base/rights.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* alpha, mips, parisc and sparc have other numbers; none has SGX */
#endif

static bool
is_unix(int fd)
{
	int domain = AF_UNSPEC;
	socklen_t size = sizeof domain;

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

void
rights_refuse(int fd)
{
#ifndef RIGHTS_NO_OPTION
	int zero = 0;

	/* Where it fails, rights_may_come() tells. */
	(void)setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &zero, sizeof zero);
#else
	(void)fd;
#endif
}

bool
rights_may_come(int fd)
{
#ifndef RIGHTS_NO_OPTION
	int passes = 1;
	socklen_t size = sizeof passes;

	if (getsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &passes, &size) == 0 && passes == 0)
		return false;
#endif
	return is_unix(fd);
}

static void
collect(struct msghdr *m, struct rights *came)
{
	struct cmsghdr *c;
	size_t count;

	for (c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (count > RIGHTS_MOST - came->count)
			count = RIGHTS_MOST - came->count;
		memcpy(came->fds + came->count, CMSG_DATA(c), count * sizeof(int));
		came->count += count;
	}
}

ssize_t
rights_receive(int fd, struct iovec *parts, size_t part_count, struct rights *came)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(RIGHTS_MOST * sizeof(int))];
	} control;
	struct msghdr m = { .msg_iov = parts, .msg_iovlen = part_count };
	ssize_t n;

	m.msg_control = &control;
	m.msg_controllen = sizeof control.room;
	came->count = 0;
	do
		n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n >= 0 && m.msg_controllen > 0)
		collect(&m, came);
	return n;
}
