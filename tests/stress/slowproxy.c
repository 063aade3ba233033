#include "tests/stress/slowproxy.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "tests/stress/child.h"

/* Its second is a long one: a record of 30 bytes must not come just when a silence of 30 s ends. */
enum { CHUNK = 64 * 1024, BACKLOG = 64, SECOND_MS = 1100 };

static bool
write_all(int fd, const char *bytes, ssize_t size)
{
	ssize_t n;

	for (; size > 0; size -= n, bytes += n)
		if ((n = send(fd, bytes, (size_t)size, MSG_NOSIGNAL)) <= 0)
			return false;
	return true;
}

static void
sleep_until(uint64_t due)
{
	uint64_t now;

	while ((now = clock_now()) < due)
		(void)poll(NULL, 0, (int)((due - now) / CLOCK_MS) + 1);
}

/* True when bytes have come that need not be waited for. Waits for some. */
static bool
await_bytes(int from)
{
	struct pollfd p = { .fd = from, .events = POLLIN };
	bool has_come = poll(&p, 1, 0) == 1;

	if (!has_come)
		(void)poll(&p, 1, -1);
	return has_come;
}

/*
 * Passes on what comes, until the end of either connection. NULL: at full speed. What a busy
 * machine delays does not lower the rate: the bytes behind it are passed on sooner.
 */
static void
pass_all(int from, int to, atomic_uint *limit)
{
	static char bytes[CHUNK];
	uint64_t due = 0;
	ssize_t n = 1;
	unsigned rate;
	bool is_behind;

	while (n > 0) {
		is_behind = await_bytes(from);
		/* The rate counts that is set when bytes have come. */
		rate = limit == NULL ? 0 : atomic_load(limit);
		if (!is_behind || rate == 0)
			due = clock_now();
		n = read(from, bytes, rate == 0 || rate > CHUNK ? CHUNK : rate);
		if (n > 0 && rate > 0) {
			due = clock_after_ms(due, SECOND_MS * (unsigned long)n / rate);
			sleep_until(due);
		}
		if (n > 0 && !write_all(to, bytes, n))
			n = 0;
	}
	(void)shutdown(from, SHUT_RDWR);
	(void)shutdown(to, SHUT_RDWR);
}

/* In a process of its own: one connection. */
static void
serve(const struct slowproxy *p, const struct daemon *d, int client)
{
	int server = daemon_dial(d);

	if (child_fork() == 0)
		pass_all(client, server, NULL);
	else
		pass_all(server, client, p->rate);
	_exit(EXIT_SUCCESS);
}

static void
serve_all(const struct slowproxy *p, const struct daemon *d, int listener)
{
	int client;

	(void)signal(SIGCHLD, SIG_IGN);
	while ((client = accept(listener, NULL, NULL)) >= 0) {
		if (child_fork() == 0)
			serve(p, d, client);
		close(client);
	}
	_exit(EXIT_FAILURE);
}

void
slowproxy_begin(struct slowproxy *p, const struct daemon *d)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*p = (struct slowproxy){ .pid = -1, .rate = child_share(sizeof *p->rate) };
	snprintf(sa.sun_path, sizeof sa.sun_path, "%s/proxy", d->dir);
	snprintf(p->address, sizeof p->address, "unix:%s", sa.sun_path);
	assert_int_equal(bind(listener, (struct sockaddr *)&sa, sizeof sa), 0);
	assert_int_equal(listen(listener, BACKLOG), 0);
	p->pid = child_begin();
	if (p->pid == 0)
		serve_all(p, d, listener);
	close(listener);
}

void
slowproxy_end(struct slowproxy *p)
{
	child_kill_all(&p->pid, 1);
}
