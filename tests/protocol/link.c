#include "tests/protocol/link.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "tests/stress/patience.h"

enum { CHUNK = 64 * 1024, STEP_MS = 20 };

/* Executes the handshake on a socket that still blocks, with a time limit. */
static int
shake_hands(struct link *l, SSL_CTX *ctx)
{
	struct timeval limit = { .tv_sec = (time_t)(patience_ms(LINK_PATIENCE_MS) / 1000) };

	setsockopt(l->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	l->ssl = SSL_new(ctx);
	if (l->ssl == NULL || SSL_set_fd(l->ssl, l->fd) != 1)
		return -ENOMEM;
	return SSL_connect(l->ssl) == 1 ? 0 : -ECONNREFUSED;
}

static void
release(struct link *l)
{
	SSL_free(l->ssl);
	ERR_clear_error();
	if (l->fd >= 0)
		close(l->fd);
	buf_fini(&l->out);
	buf_fini(&l->in);
	*l = (struct link){ .fd = -1 };
}

int
link_open(struct link *l, int fd, SSL_CTX *ctx)
{
	int r;

	*l = (struct link){ .fd = fd };
	r = ctx != NULL ? shake_hands(l, ctx) : 0;
	if (r != 0) {
		release(l);
		return r;
	}
	fcntl(fd, F_SETFL, O_NONBLOCK);
	l->is_open = true;
	return 0;
}

/* Converts the result of SSL_read() or SSL_write(): a size, -EAGAIN, or -EPIPE at the end. */
static ssize_t
ssl_result(struct link *l, int r)
{
	int error = SSL_get_error(l->ssl, r);

	if (r > 0)
		return r;
	ERR_clear_error();
	return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? -EAGAIN : -EPIPE;
}

static ssize_t
write_some(struct link *l)
{
	size_t size = buf_size(&l->out) < CHUNK ? buf_size(&l->out) : CHUNK;
	ssize_t n;

	if (l->ssl != NULL)
		return ssl_result(l, SSL_write(l->ssl, buf_data(&l->out), (int)size));
	n = send(l->fd, buf_data(&l->out), size, MSG_NOSIGNAL);
	return n < 0 ? -errno : n;
}

static ssize_t
read_some(struct link *l)
{
	uint8_t *room = buf_reserve(&l->in, CHUNK);
	ssize_t n;

	if (l->ssl != NULL)
		return ssl_result(l, SSL_read(l->ssl, room, CHUNK));
	n = recv(l->fd, room, CHUNK, 0);
	if (n < 0)
		return -errno;
	return n == 0 ? -EPIPE : n;
}

void
link_pump(struct link *l)
{
	ssize_t n;

	while (buf_size(&l->out) > 0 && !l->is_ended) {
		n = write_some(l);
		if (n == -EAGAIN)
			break;
		/* The peer has closed, but may have replied before: go on reading. */
		buf_consume(&l->out, n < 0 ? buf_size(&l->out) : (size_t)n);
	}
	while (!l->is_ended && !l->is_paused && !l->is_deaf) {
		n = read_some(l);
		if (n == -EAGAIN)
			break;
		if (n < 0)
			l->is_ended = true;
		else
			buf_commit(&l->in, (size_t)n);
	}
}

short
link_events(const struct link *l)
{
	short events = 0;

	if (!l->is_open || l->is_ended)
		return 0;
	if (!l->is_paused && !l->is_deaf)
		events |= POLLIN;
	if (buf_size(&l->out) > 0)
		events |= POLLOUT;
	return events;
}

/* Pumps until all bytes are sent, or until the deadline. */
static void
pump_out(struct link *l, uint64_t deadline)
{
	struct pollfd pfd = { .fd = l->fd };

	for (;;) {
		link_pump(l);
		pfd.events = link_events(l);
		if (pfd.events == 0 || clock_now() >= deadline)
			return;
		poll(&pfd, 1, STEP_MS);
	}
}

void
link_close(struct link *l)
{
	uint64_t deadline = patience_until(LINK_PATIENCE_MS);

	if (!l->is_open)
		return;
	l->is_paused = true; /* first send only */
	pump_out(l, deadline);
	if (l->ssl != NULL && !l->is_ended)
		SSL_shutdown(l->ssl);
	shutdown(l->fd, SHUT_WR);
	l->is_paused = false;
	pump_out(l, deadline);
	release(l);
}
