#include "common/server/notify.h"

#include <bsd/stdlib.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { NS_IN_US = 1000 };

/*
 * The number, at most most, in a variable of the environment; 0 without the variable, or for
 * anything else.
 */
static long long
number_from_env(const char *name, long long most)
{
	const char *text = getenv(name), *reason;
	long long n;

	if (text == NULL)
		return 0;
	n = strtonum(text, 1, most, &reason);
	return reason == NULL ? n : 0;
}

int
notify_socket_count(void)
{
	long long count = number_from_env("LISTEN_FDS", INT_MAX);
	int i;

	if (number_from_env("LISTEN_PID", INT_MAX) != getpid() || count > INT_MAX - NOTIFY_FIRST_FD)
		return 0;
	for (i = 0; i < count; i++)
		if (fcntl(NOTIFY_FIRST_FD + i, F_SETFD, FD_CLOEXEC) != 0)
			return i;
	return (int)count;
}

uint64_t
notify_watchdog_us(void)
{
	if (getenv("WATCHDOG_PID") != NULL && number_from_env("WATCHDOG_PID", INT_MAX) != getpid())
		return 0;
	return (uint64_t)number_from_env("WATCHDOG_USEC", LLONG_MAX / NS_IN_US);
}

/* flags: MSG_DONTWAIT, or 0. */
static int
send_state(const char *state, int flags)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	size_t n;
	int fd, error = 0;

	if (path == NULL)
		return 0;
	n = strlen(path);
	if ((path[0] != '/' && path[0] != '@') || n >= sizeof un.sun_path)
		return -EINVAL;
	memcpy(un.sun_path, path, n);
	if (path[0] == '@')
		un.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL | flags, (struct sockaddr *)&un,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
		error = -errno;
	close(fd);
	return error;
}

int
notify_send(const char *state)
{
	return send_state(state, 0);
}

int
notify_try(const char *state)
{
	return send_state(state, MSG_DONTWAIT);
}
