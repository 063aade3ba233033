#include "tests/stress/slowproxy.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/stress/child.h"

enum { CHUNK = 64 * 1024, PAUSE_MS = 1000, BACKLOG = 8 };

static bool
write_all(int fd, const char *bytes, ssize_t size)
{
	ssize_t n;

	for (; size > 0; size -= n, bytes += n)
		if ((n = send(fd, bytes, (size_t)size, MSG_NOSIGNAL)) <= 0)
			return false;
	return true;
}

/* Passes on what has come. Returns false at the end. */
static bool
pass(int from, int to, bool is_slow)
{
	char bytes[CHUNK];
	ssize_t n = read(from, bytes, is_slow ? 1 : sizeof bytes);

	if (n <= 0)
		return false;
	if (is_slow)
		poll(NULL, 0, PAUSE_MS);
	return write_all(to, bytes, n);
}

static void
serve(const struct slowproxy *p, const struct daemon *d, int client)
{
	int server = daemon_dial(d);
	struct pollfd ends[] = { { .fd = client, .events = POLLIN },
		{ .fd = server, .events = POLLIN } };
	bool goes_on = server >= 0;

	while (goes_on && poll(ends, 2, -1) > 0) {
		if (ends[0].revents != 0)
			goes_on = pass(client, server, false);
		if (goes_on && ends[1].revents != 0)
			goes_on = pass(server, client, atomic_load(p->is_slow));
	}
	close(server);
	close(client);
}

void
slowproxy_begin(struct slowproxy *p, const struct daemon *d)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*p = (struct slowproxy){ .pid = -1, .is_slow = child_share(sizeof *p->is_slow) };
	snprintf(sa.sun_path, sizeof sa.sun_path, "%s/proxy", d->dir);
	snprintf(p->address, sizeof p->address, "unix:%s", sa.sun_path);
	assert_int_equal(bind(listener, (struct sockaddr *)&sa, sizeof sa), 0);
	assert_int_equal(listen(listener, BACKLOG), 0);
	p->pid = child_begin();
	while (p->pid == 0)
		serve(p, d, accept(listener, NULL, NULL));
	close(listener);
}

void
slowproxy_end(struct slowproxy *p)
{
	child_kill_all(&p->pid, 1);
}
