#include "tests/hostile/attacker.h"

#include <arpa/inet.h>
#include <bsd/string.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/hostile/rig.h"

int
attacker_dial_tcp(struct rig *r)
{
	struct sockaddr_in from = { .sin_family = AF_INET }, to = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), error;

	if (fd < 0)
		return -errno;
	inet_pton(AF_INET, ATTACKER_ADDRESS, &from.sin_addr);
	inet_pton(AF_INET, r->daemon.config.tcp_host, &to.sin_addr);
	to.sin_port = htons((uint16_t)atoi(strrchr(r->daemon.tcp, ':') + 1));
	atomic_fetch_add(&r->shared->attempts, 1);
	if (bind(fd, (struct sockaddr *)&from, sizeof from) == 0 &&
	    connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

int
attacker_dial_unix(struct rig *r)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), error = 0;

	if (fd < 0)
		return -errno;
	/* Its group opens the socket; the directories above are closed to it. */
	assert_int_equal(chdir(r->daemon.dir), 0);
	assert_int_equal(chmod(".", 0710), 0);
	strlcpy(to.sun_path, strrchr(r->daemon.socket, '/') + 1, sizeof to.sun_path);
	atomic_fetch_add(&r->shared->attempts, 1);
	assert_int_equal(seteuid(ATTACKER_UID), 0);
	if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
		error = -errno;
	assert_int_equal(seteuid(0), 0);
	if (error == 0)
		return fd;
	close(fd);
	return error;
}

/* The attackers' context, made once. */
static SSL_CTX *
context(const struct rig *r)
{
	static SSL_CTX *ctx;

	if (ctx == NULL)
		ctx = raw_context(r->daemon.config.pki, RIG_ATTACKER_CERTIFICATE);
	return ctx;
}

bool
attacker_connect(struct rig *r, struct raw *c)
{
	int fd = attacker_dial_tcp(r);

	if (fd >= 0) {
		raw_adopt(c, fd);
		if (raw_handshake(c, context(r)) == 0)
			return true;
		raw_close(c);
	}
	attacker_count_ended(r);
	return false;
}

void
attacker_begin(struct rig *r, struct raw *c)
{
	atomic_fetch_add(&r->shared->attempts, 1);
	raw_connect_plain(c, &r->daemon);
	assert_int_equal(raw_handshake(c, context(r)), 0);
	raw_begin(c, true);
}

void
attacker_count_ended(struct rig *r)
{
	atomic_fetch_add(&r->shared->ended, 1);
}
