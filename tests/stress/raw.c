#include "tests/stress/raw.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/wire/frame.h"
#include "common/wire/protocol.h"
#include "common/wire/wire.h"
#include "tests/stress/daemon.h"
#include "tests/stress/patience.h"
#include "tests/stress/pki.h"

enum { CHUNK = 64 * 1024, FDS_MOST = 4096 };

static bool is_open[FDS_MOST]; /* sockets that this module has opened */

void
raw_identify(SSL_CTX *ctx, const struct pki *p, const char *name)
{
	char path[PKI_PATH_SIZE];
	int r;

	r = SSL_CTX_use_certificate_file(ctx, pki_file(p, name, "crt", path), SSL_FILETYPE_PEM);
	assert_int_equal(r, 1);
	r = SSL_CTX_use_PrivateKey_file(ctx, pki_file(p, name, "key", path), SSL_FILETYPE_PEM);
	assert_int_equal(r, 1);
}

SSL_CTX *
raw_context(const struct pki *p, const char *name)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	char path[PKI_PATH_SIZE];

	assert_non_null(ctx);
	assert_int_equal(SSL_CTX_load_verify_file(ctx, pki_file(p, "root", "crt", path)), 1);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	if (name != NULL)
		raw_identify(ctx, p, name);
	return ctx;
}

void
raw_adopt(struct raw *r, int fd)
{
	*r = (struct raw){ .fd = fd };
	assert_in_range(fd, 0, FDS_MOST - 1);
	is_open[fd] = true;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	signal(SIGPIPE, SIG_IGN);
}

void
raw_connect_plain(struct raw *r, const struct daemon *d)
{
	int fd = daemon_dial(d);

	if (fd < 0)
		fail_msg("connect to %s: %s", d->socket, strerror(-fd));
	raw_adopt(r, fd);
}

void
raw_connect(struct raw *r, const struct daemon *d)
{
	SSL_CTX *ctx;

	raw_connect_plain(r, d);
	if (d->config.pki == NULL)
		return;
	ctx = raw_context(d->config.pki, "client");
	assert_int_equal(raw_handshake(r, ctx), 0);
	SSL_CTX_free(ctx);
}

/* Waits until the socket is ready for these events; fails the test at the deadline. */
static void
wait_for(struct raw *r, short events, uint64_t deadline)
{
	struct pollfd p = { .fd = r->fd, .events = events };

	if (clock_now() >= deadline)
		fail_msg("the server neither reads, nor writes, nor closes the connection");
	poll(&p, 1, clock_poll_timeout(clock_now(), deadline));
}

/* Returns the event that a failed call of OpenSSL waits for, or 0 when the connection has ended. */
static short
wanted(struct raw *r, int result)
{
	int error = SSL_get_error(r->ssl, result);

	ERR_clear_error();
	return error == SSL_ERROR_WANT_READ ? POLLIN : error == SSL_ERROR_WANT_WRITE ? POLLOUT : 0;
}

void
raw_prepare(struct raw *r, SSL_CTX *ctx)
{
	r->ssl = SSL_new(ctx);
	assert_non_null(r->ssl);
	assert_int_equal(SSL_set_fd(r->ssl, r->fd), 1);
}

int
raw_handshake(struct raw *r, SSL_CTX *ctx)
{
	uint64_t deadline = patience_until(PATIENCE_MS);
	short events;
	int n;

	if (r->ssl == NULL)
		raw_prepare(r, ctx);
	while ((n = SSL_connect(r->ssl)) != 1) {
		events = wanted(r, n);
		if (events == 0)
			return -EPROTO;
		wait_for(r, events, deadline);
	}
	return 0;
}

void
raw_close(struct raw *r)
{
	SSL_free(r->ssl);
	if (r->fd >= 0) {
		is_open[r->fd] = false;
		close(r->fd);
	}
	buf_fini(&r->in);
	buf_fini(&r->body);
	*r = (struct raw){ .fd = -1 };
}

void
raw_abandon(void)
{
	int fd;

	for (fd = 0; fd < FDS_MOST; fd++)
		if (is_open[fd]) {
			is_open[fd] = false;
			close(fd);
		}
}

/* Sends a part. Returns its size, or 0 with *events set when it has to wait. */
static size_t
send_part(struct raw *r, const uint8_t *data, size_t size, short *events)
{
	ssize_t n;

	*events = POLLOUT;
	if (r->ssl != NULL) {
		n = SSL_write(r->ssl, data, size > CHUNK ? CHUNK : (int)size);
		if (n > 0)
			return (size_t)n;
		*events = wanted(r, (int)n);
		r->has_ended = *events == 0;
		return 0;
	}
	n = send(r->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN)
		r->has_ended = true;
	return n > 0 ? (size_t)n : 0;
}

size_t
raw_send_some(struct raw *r, const void *data, size_t size)
{
	size_t sent = 0, n;
	short events;

	while (sent < size && !r->has_ended) {
		n = send_part(r, (const uint8_t *)data + sent, size - sent, &events);
		if (n == 0)
			break;
		sent += n;
	}
	return sent;
}

bool
raw_send(struct raw *r, const void *data, size_t size)
{
	uint64_t deadline = patience_until(PATIENCE_MS);
	const uint8_t *next = data;
	short events;
	size_t n;

	while (size > 0 && !r->has_ended) {
		n = send_part(r, next, size, &events);
		next += n;
		size -= n;
		if (n == 0 && !r->has_ended)
			wait_for(r, events, deadline);
	}
	return !r->has_ended;
}

void
raw_pump(struct raw *r)
{
	uint8_t *room;
	ssize_t n;

	for (;;) {
		room = buf_reserve(&r->in, CHUNK);
		assert_non_null(room);
		if (r->ssl != NULL) {
			n = SSL_read(r->ssl, room, CHUNK);
			if (n <= 0) {
				r->has_ended |= wanted(r, (int)n) == 0;
				return;
			}
		} else {
			n = recv(r->fd, room, CHUNK, MSG_DONTWAIT);
			if (n <= 0) {
				r->has_ended |= n == 0 || errno != EAGAIN;
				return;
			}
		}
		buf_commit(&r->in, (size_t)n);
	}
}

/* Waits until r->in has size bytes. False when the connection ends before. */
static bool
await(struct raw *r, size_t size)
{
	uint64_t deadline = patience_until(PATIENCE_MS);

	raw_pump(r);
	while (buf_size(&r->in) < size && !r->has_ended) {
		wait_for(r, POLLIN, deadline);
		raw_pump(r);
	}
	return buf_size(&r->in) >= size;
}

/* Requests. */

static void
put_bytes(struct buf *b, const void *bytes, size_t size)
{
	assert_int_equal(buf_append(b, bytes, size), 0);
}

static void
put_number(struct buf *b, uint64_t value, size_t size)
{
	uint8_t bytes[8];
	struct wire_writer w = wire_writer(bytes, sizeof bytes);

	wire_put_u64(&w, value);
	put_bytes(b, bytes + sizeof bytes - size, size);
}

static void
put_fields(struct buf *b, const char *format, va_list args)
{
	const void *bytes;

	for (; *format != '\0'; format++) {
		switch (*format) {
		case 'b':
			put_number(b, (uint64_t)va_arg(args, int), 1);
			break;
		case 'w':
			put_number(b, va_arg(args, uint32_t), 4);
			break;
		case 'q':
			put_number(b, va_arg(args, uint64_t), 8);
			break;
		case 's':
			bytes = va_arg(args, const char *);
			put_number(b, strlen(bytes), 4);
			put_bytes(b, bytes, strlen(bytes));
			break;
		default:
			bytes = va_arg(args, const void *);
			put_bytes(b, bytes, va_arg(args, size_t));
		}
	}
}

static void
put_request(struct buf *b, uint32_t code, const char *format, va_list args)
{
	struct buf body = { 0 };

	put_fields(&body, format, args);
	put_number(b, code, 4);
	put_number(b, buf_size(&body), 4);
	put_bytes(b, buf_data(&body), buf_size(&body));
	buf_fini(&body);
}

void
raw_put(struct buf *b, uint32_t code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	put_request(b, code, format, args);
	va_end(args);
}

static bool
say(struct raw *r, uint32_t code, const char *format, va_list args)
{
	struct buf b = { 0 };
	bool sent;

	put_request(&b, code, format, args);
	sent = raw_send(r, buf_data(&b), buf_size(&b));
	buf_fini(&b);
	return sent;
}

bool
raw_say(struct raw *r, uint32_t code, const char *format, ...)
{
	va_list args;
	bool sent;

	va_start(args, format);
	sent = say(r, code, format, args);
	va_end(args);
	return sent;
}

bool
raw_listen(struct raw *r)
{
	struct frame f;

	if (!await(r, FRAME_HEADER_SIZE))
		return false;
	f = frame_get(buf_data(&r->in));
	if (!await(r, (size_t)FRAME_HEADER_SIZE + f.body_size))
		return false;
	buf_consume(&r->in, FRAME_HEADER_SIZE);
	buf_consume(&r->body, buf_size(&r->body));
	put_bytes(&r->body, buf_data(&r->in), f.body_size);
	buf_consume(&r->in, f.body_size);
	r->code = f.code;
	return true;
}

uint32_t
raw_ask(struct raw *r, uint32_t code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(r, code, format, args);
	va_end(args);
	if (!raw_listen(r))
		fail_msg("expected a reply to %s, the connection was closed",
		    protocol_op_name(frame_untagged(code)));
	return frame_untagged(r->code);
}

uint64_t
raw_first_u64(const struct raw *r)
{
	struct wire_reader body = wire_reader(buf_data(&r->body), buf_size(&r->body));

	return wire_get_u64(&body);
}

bool
raw_is_refused(struct raw *r)
{
	return !raw_say(r, OP_NEW_FDTABLE, "") || !raw_listen(r);
}

void
raw_expect_end(struct raw *r)
{
	uint64_t deadline = patience_until(PATIENCE_MS);

	while (!r->has_ended) {
		raw_pump(r);
		buf_consume(&r->in, buf_size(&r->in));
		if (!r->has_ended)
			wait_for(r, POLLIN, deadline);
	}
}

/* Sends a request and fails the test unless its status is 0. */
static void
must(struct raw *r, uint32_t code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(r, code, format, args);
	va_end(args);
	if (!raw_listen(r))
		fail_msg("%s: the connection was closed", protocol_op_name(code));
	if (frame_untagged(r->code) != 0)
		fail_msg("%s: expected 0, got %s", protocol_op_name(code),
		    status_name(frame_untagged(r->code)));
}

void
raw_begin(struct raw *r, bool version_2)
{
	if (version_2)
		must(r, OP_HELLO, "ww", (uint32_t)PROTOCOL_VERSION_2, (uint32_t)0);
	must(r, OP_NEW_FDTABLE, "");
}

uint32_t
raw_open(struct raw *r, const char *name, uint32_t size)
{
	struct wire_reader body;
	uint32_t fd;

	must(r, OP_OPEN, "s", name);
	body = wire_reader(buf_data(&r->body), buf_size(&r->body));
	fd = wire_get_u32(&body);
	assert_true(wire_is_done(&body));
	if (size != 0)
		must(r, OP_MMAP, "ww", fd, size);
	return fd;
}
