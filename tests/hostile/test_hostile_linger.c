/*
 * Descriptors that come with a message: the last close of a socket with SO_LINGER blocks, and a
 * peer of a unix socket can leave that close to the server.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/hostile/attacker.h"
#include "tests/hostile/rig.h"

enum { SOCKETS = 4, SMALL = 4096, LINGER_SECONDS = 1, PAUSE_MS = 100 };

/* A TCP socket with bytes that its peer does not read. That peer stays in the listener's queue. */
static int
open_lingering(int listener)
{
	const struct linger linger = { 1, LINGER_SECONDS };
	const int small = SMALL;
	struct sockaddr_in to;
	socklen_t size = sizeof to;
	char bytes[SMALL] = { 0 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(getsockname(listener, (struct sockaddr *)&to, &size), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	while (send(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
		;
	return fd;
}

static int
open_listener(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const int small = SMALL;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(fd, SOMAXCONN), 0);
	return fd;
}

/* Sends one byte and the descriptors, which a server may refuse to be sent. */
static void
pass(int fd, const int fds[SOCKETS])
{
	char byte = 0x16, control[CMSG_SPACE(SOCKETS * sizeof fds[0])] = { 0 };
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(SOCKETS * sizeof fds[0]);
	memcpy(CMSG_DATA(c), fds, SOCKETS * sizeof fds[0]);
	(void)sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* As a peer without a certificate. */
static void
leave_the_close_to_the_server(struct rig *r)
{
	int listener = open_listener(), fds[SOCKETS], fd, i;

	while (rig_is_on(r)) {
		fd = attacker_dial_unix(r);
		for (i = 0; i < SOCKETS; i++)
			fds[i] = open_lingering(listener);
		if (fd >= 0)
			pass(fd, fds);
		for (i = 0; i < SOCKETS; i++)
			close(fds[i]);
		poll(NULL, 0, PAUSE_MS);
		close(fd);
	}
}

int
main(void)
{
	static const struct rig_attack attacks[] = {
		{ .name = "sockets that linger, sent by SCM_RIGHTS",
		    .daemons = RIG_BOTH,
		    .run = leave_the_close_to_the_server },
	};

	return rig_main("linger", attacks, sizeof attacks / sizeof attacks[0]);
}
