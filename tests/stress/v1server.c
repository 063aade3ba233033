#include "common/base/budget.h"
#include "tests/stress/v1server.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <bsd/string.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/server/core/schedule.h"
#include "common/server/core/server.h"
#include "common/server/core/session.h"
#include "common/wire/frame.h"
#include "common/wire/protocol.h"
#include "smdish/store.h"
#include "tests/unit/coretime.h"

enum { PEERS_MOST = 16, CHUNK = 64 * 1024 };

struct peer {
	int fd; /* -1: no peer */
	struct session *session;
	struct buf first; /* bytes that came before it was clear whether they are a HELLO */
	bool has_begun;
};

static struct server *core;
static struct peer peers[PEERS_MOST];

static void
hang_up(struct peer *p)
{
	session_destroy(p->session);
	close(p->fd);
	buf_fini(&p->first);
	*p = (struct peer){ .fd = -1 };
}

/* Blocking is good enough here: the peers read their replies. */
static void
send_all(int fd, const uint8_t *data, size_t size)
{
	ssize_t n;

	while (size > 0 && (n = send(fd, data, size, MSG_NOSIGNAL)) > 0) {
		data += n;
		size -= (size_t)n;
	}
}

static void
flush_all(void)
{
	const uint8_t *data;
	struct session *s;
	struct peer *p;
	size_t size;

	while ((s = server_next_ready(core)) != NULL) {
		p = session_owner(s);
		do {
			session_work(s, &BUDGET_UNLIMITED);
			while ((size = session_output(s, &data)) > 0) {
				send_all(p->fd, data, size);
				session_sent(s, size);
			}
		} while (session_has_work(s));
		session_turn_ended(s);
		if (session_is_over(s))
			hang_up(p);
	}
}

/* Replies as the original does to an unknown operation. */
static void
refuse_hello(struct peer *p)
{
	uint8_t reply[FRAME_HEADER_SIZE];

	frame_put(reply, (struct frame){ .code = ENOSYS, .body_size = 0 });
	send_all(p->fd, reply, sizeof reply);
}

/* Checks whether the first bytes of a peer are a HELLO. */
static void
look_for_hello(struct peer *p)
{
	struct frame f;

	if (buf_size(&p->first) < FRAME_HEADER_SIZE)
		return;
	f = frame_get(buf_data(&p->first));
	if (f.code == OP_HELLO) {
		if (buf_size(&p->first) < (size_t)FRAME_HEADER_SIZE + f.body_size)
			return;
		refuse_hello(p);
		buf_consume(&p->first, (size_t)FRAME_HEADER_SIZE + f.body_size);
	}
	p->has_begun = true;
	session_feed(p->session, buf_data(&p->first), buf_size(&p->first), &BUDGET_UNLIMITED);
	buf_fini(&p->first);
}

static void
read_peer(struct peer *p)
{
	static uint8_t bytes[CHUNK];
	ssize_t n = recv(p->fd, bytes, sizeof bytes, 0);

	if (n <= 0) {
		hang_up(p);
	} else if (p->has_begun) {
		session_feed(p->session, bytes, (size_t)n, &BUDGET_UNLIMITED);
	} else if (buf_append(&p->first, bytes, (size_t)n) == 0) {
		look_for_hello(p);
	}
}

static void
accept_peer(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	struct peer *p = peers;

	while (p < peers + PEERS_MOST && p->fd != -1)
		p++;
	if (fd < 0 || p == peers + PEERS_MOST || coretime_session(&p->session, core, "peer") != 0) {
		close(fd);
		return;
	}
	p->fd = fd;
	session_set_owner(p->session, p);
}

static void __attribute__((noreturn)) serve(int listener)
{
	struct pollfd fds[PEERS_MOST + 1];
	int i;

	for (;;) {
		fds[PEERS_MOST] = (struct pollfd){ .fd = listener, .events = POLLIN };
		for (i = 0; i < PEERS_MOST; i++)
			fds[i] = (struct pollfd){ .fd = peers[i].fd, .events = POLLIN };
		poll(fds, PEERS_MOST + 1,
		    clock_poll_timeout(clock_now(), server_next_deadline(core)));
		server_set_time(core, clock_now());
		server_run_timers(core, &BUDGET_UNLIMITED);
		for (i = 0; i < PEERS_MOST; i++)
			if (fds[i].revents != 0)
				read_peer(&peers[i]);
		if (fds[PEERS_MOST].revents != 0)
			accept_peer(listener);
		flush_all();
		while (schedule_run(server_schedule(core), &BUDGET_UNLIMITED))
			flush_all();
	}
}

static void __attribute__((noreturn)) run(int listener)
{
	struct server_config config = server_config_default();
	void *context;
	int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (i = 0; i < PEERS_MOST; i++)
		peers[i].fd = -1;
	if (smdish_store.start(&context, NULL) != 0 ||
	    server_create(&core, &config, &smdish_store, context) != 0)
		_exit(EXIT_FAILURE);
	server_set_time(core, clock_now());
	serve(listener);
}

pid_t
v1server_start(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid;

	strlcpy(sun.sun_path, path, sizeof sun.sun_path);
	assert_int_equal(bind(listener, (struct sockaddr *)&sun, sizeof sun), 0);
	assert_int_equal(listen(listener, PEERS_MOST), 0);
	pid = fork();
	if (pid == 0)
		run(listener);
	assert_int_not_equal(pid, -1);
	close(listener);
	return pid;
}
