#include "common/wire/stream.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/closer.h"
#include "common/base/rights.h"
#include "common/crypto/tls.h"
#include "common/host/ownfd.h"
#include "common/wire/protocol.h"

struct stream {
	struct ownfd socket;
	uint64_t looked;   /* when it was last looked at */
	struct tls *tls;   /* NULL: plain */
	bool is_accepted;  /* in a daemon, which closes no descriptor that it does not know */
	bool takes_rights; /* descriptors may come with the bytes: the closer closes the socket */
	bool is_lost;      /* the program has closed the socket */

	/* Plain only. */
	bool write_wants_write;
	bool has_rights; /* descriptors came */
	bool is_filled;  /* the last read brought as much as it had room for */
};

_Static_assert((int)TLS_SILENT_RECORDS_MOST == PROTOCOL_SILENT_RECORDS_MOST, "PROTOCOL 8");

static int
create(struct stream **out, int fd, struct tls_context *ctx, const char *name)
{
	struct stream *s = calloc(1, sizeof *s);
	int error;

	if (s == NULL)
		return -ENOMEM;
	if (ctx != NULL) {
		error = tls_create(&s->tls, ctx, fd, name);
		if (error != 0) {
			free(s);
			return error;
		}
	}
	s->socket.fd = fd;
	*out = s;
	return 0;
}

int
stream_create(struct stream **out, int fd, struct tls_context *ctx, const char *name)
{
	int error = create(out, fd, ctx, name);

	if (error == 0)
		(*out)->socket = ownfd_of(fd);
	return error;
}

int
stream_create_accepted(struct stream **out, int fd, struct tls_context *ctx)
{
	struct stream *s;
	int error = create(&s, fd, ctx, NULL);

	if (error != 0)
		return error;
	s->is_accepted = true;
	s->takes_rights = rights_may_come(fd);
	if (s->takes_rights && s->tls != NULL)
		tls_take_rights(s->tls);
	*out = s;
	return 0;
}

void
stream_destroy(struct stream *s)
{
	if (s == NULL)
		return;
	tls_destroy(s->tls);
	if (s->takes_rights)
		closer_close(s->socket.fd);
	else if (s->is_accepted)
		close(s->socket.fd);
	else
		ownfd_close(&s->socket);
	free(s);
}

bool
stream_is_intact(struct stream *s)
{
	if (s->is_accepted)
		return true;
	s->looked = clock_coarse();
	if (!ownfd_is_intact(&s->socket))
		s->is_lost = true;
	return !s->is_lost;
}

/* A reply that comes at once, until the next tick of the clock, is read without another look. */
static bool
is_readable(struct stream *s)
{
	if (s->is_accepted || (!s->is_lost && clock_coarse() == s->looked))
		return true;
	return stream_is_intact(s);
}

int
stream_handshake(struct stream *s)
{
	if (!stream_is_intact(s))
		return -EBADF;
	return s->tls != NULL ? tls_handshake(s->tls) : 0;
}

static ssize_t
read_plain(struct stream *s, void *out, size_t size)
{
	struct iovec part = { out, size };
	ssize_t n;

	if (s->takes_rights) {
		n = closer_receive(s->socket.fd, &part, 1);
		s->has_rights = n < 0 && errno == EPROTO;
		return n;
	}
	do
		n = recv(s->socket.fd, out, size, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n;
}

/* The error of a system call, as the callers know it. */
static int
plain_error(void)
{
	return errno == EWOULDBLOCK ? -EAGAIN : -errno;
}

ssize_t
stream_read(struct stream *s, void *out, size_t size)
{
	ssize_t n;

	if (!is_readable(s))
		return -EBADF;
	if (s->tls != NULL)
		return tls_read(s->tls, out, size);
	n = read_plain(s, out, size);
	s->is_filled = n > 0 && (size_t)n == size;
	return n >= 0 ? n : plain_error();
}

ssize_t
stream_write(struct stream *s, const void *data, size_t size)
{
	return stream_is_intact(s) ? stream_write_rest(s, data, size) : -EBADF;
}

ssize_t
stream_write_rest(struct stream *s, const void *data, size_t size)
{
	ssize_t n;

	if (s->is_lost)
		return -EBADF;
	if (s->tls != NULL)
		return tls_write(s->tls, data, size);
	do
		n = send(s->socket.fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		n = plain_error();
	s->write_wants_write = n == -EAGAIN;
	return n;
}

bool
stream_read_wants_write(const struct stream *s)
{
	return s->tls != NULL && tls_read_wants_write(s->tls);
}

bool
stream_write_wants_write(const struct stream *s)
{
	return s->tls != NULL ? tls_write_wants_write(s->tls) : s->write_wants_write;
}

bool
stream_is_paused(const struct stream *s)
{
	return s->tls != NULL && tls_is_paused(s->tls);
}

bool
stream_has_pending(const struct stream *s)
{
	return s->tls != NULL && tls_has_pending(s->tls);
}

bool
stream_may_have_more(const struct stream *s)
{
	return s->tls != NULL ? tls_may_have_more(s->tls) : s->is_filled;
}

void
stream_shutdown(struct stream *s)
{
	if (!stream_is_intact(s))
		return;
	if (s->tls != NULL)
		tls_shutdown(s->tls);
	shutdown(s->socket.fd, SHUT_WR);
}

void
stream_abort(struct stream *s)
{
	if (stream_is_intact(s))
		shutdown(s->socket.fd, SHUT_RDWR);
}

int
stream_fd(const struct stream *s)
{
	return s->socket.fd;
}

const char *
stream_reason(const struct stream *s)
{
	if (s->is_lost)
		return OWNFD_LOST;
	if (s->tls != NULL)
		return tls_reason(s->tls);
	return s->has_rights ? "the peer passes descriptors" : "";
}

const char *
stream_peer_name(const struct stream *s)
{
	return s->tls != NULL ? tls_peer_name(s->tls) : "";
}

const char *
stream_peer_single_name(const struct stream *s, size_t *size)
{
	return s->tls != NULL ? tls_peer_single_name(s->tls, size) : NULL;
}

bool
stream_is_revoked(const struct stream *s)
{
	return s->tls != NULL && tls_is_revoked(s->tls);
}

const char *
stream_description(struct stream *s)
{
	return s->tls != NULL ? tls_description(s->tls) : "plaintext";
}
