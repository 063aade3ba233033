#include "common/remote/dial.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/size.h"
#include "common/crypto/tls.h"
#include "common/crypto/tls_context.h"
#include "common/host/ownfd.h"
#include "common/wire/socket.h"
#include "common/wire/stream.h"

enum { CONNECT_MS = 10000 }; /* for the socket, and again for handshake and HELLO */

const char *
dial_describe(struct mux *mux, int error, char *text, size_t size)
{
	bool has_reason = error == -ENOTCONN || error == -ECONNRESET || error == -EPROTO ||
	    error == -EACCES || error == -EBADF || error == -ETIMEDOUT;

	if (mux != NULL && has_reason && *mux_reason(mux) != '\0')
		return mux_reason(mux);
	if (error == -ENOTCONN)
		return mux == NULL ? "no server listens there" : "the connection has ended";
	if (error == -ECONNRESET)
		return "the server closed the connection";
	if (error == -EBADF && mux == NULL)
		return OWNFD_LOST;
	if (error == -EPROTO)
		return "the server violates the protocol (is it of the mount's type?)";
	if (error == -EEXIST)
		return "the server's directory has a file of that name that is not its own, see its log";
	if (error == -EBADE)
		return "it is in use by clients of another version, or has a segment that is not mapped here";
	if (error == -ENOSPC || error == -EDQUOT)
		return "the server has no room left in its directory";
	if (error == -EIO)
		return "the server cannot use its directory, see its log";
	if (error == -ENXIO)
		return "the host's name has no address: is it right?";
	if (error == -EADDRNOTAVAIL)
		return "this system has no free port, or no address, to connect from";
	if (error == -EAGAIN)
		return "another client has the lock";
	if (error == -ETIMEDOUT)
		return "timed out";
	if (error == -EDEADLK)
		return "another reader waits to write";
	if (error == -EINTR)
		return "a signal ended the wait";
	if (error == -ENOTRECOVERABLE)
		return "another thread was in OpenSSL at the fork that made this process";
	if (error == -ESTALE)
		return "the server had taken the lock away, nothing was published";
	return strerror_r(-error, text, size);
}

int
dial_fail(const struct dial_target *t, struct mux *mux, int error)
{
	char text[128], fault[REVOCATIONS_REASON_SIZE] = "";

	/* A list that could not be loaded may be why the one in use is too old. */
	if (error == -EACCES && t->tls != NULL)
		tls_context_revocations_fault(t->tls, fault);
	return error_message(error, "%s: %s%s%s", t->addr->text,
	    dial_describe(mux, error, text, sizeof text),
	    *fault != '\0' ? "; the last revocation list cannot be loaded: " : "", fault);
}

bool
dial_was_closed(struct mux *mux)
{
	const char *reason = mux_reason(mux);

	return *reason == '\0' || strcmp(reason, TLS_CLOSED) == 0 ||
	    strcmp(reason, error_string(-ECONNRESET)) == 0;
}

/* The server closed a connection that it had accepted, before HELLO was answered. */
static int
fail_closed(const struct dial_target *t, bool is_secure)
{
	const char *cause =
	    "does it require TLS, and so a CAFILE here, or are all sessions that it allows taken (-c)?";

	if (is_secure)
		cause = "are all sessions that it allows taken (-c), or is it no memory server?";
	else if (t->tls != NULL)
		cause = "does it run without -Z, or is it no memory server?";
	return error_message(-ECONNRESET, "%s: the server closed the connection; %s", t->addr->text,
	    cause);
}

void
dial_end(struct mux *mux)
{
	(void)mux_abort(mux, -ECONNRESET);
	mux_destroy(mux);
}

int
dial_exchange(struct mux *mux, struct mux_call *c, uint32_t size, struct mux_limit limit)
{
	int error = mux_send(mux);

	if (error == 0)
		error = mux_wait(mux, c, limit);
	/* The server never answers so. */
	if (error == -ETIMEDOUT)
		return mux_abort(mux, -ETIMEDOUT);
	if (error == 0 && c->reply.left != size)
		return mux_abort(mux, -EPROTO);
	return error;
}

int
dial_ping(struct mux *mux, struct mux_limit limit)
{
	int error = mux_become_sender(mux, limit);
	struct mux_call c;

	if (error == -ETIMEDOUT)
		return mux_abort(mux, error);
	if (error != 0)
		return error;
	mux_begin_call(mux, &c, OP_CANCEL, sizeof(uint32_t), 0);
	mux_put_u32(mux, MUX_NO_TAG);
	error = dial_exchange(mux, &c, 0, limit);
	mux_end_call(mux, &c);
	return error;
}

int
dial_exchange_in_time(struct mux *mux, struct mux_call *c, uint32_t size, uint64_t until)
{
	int error = mux_send(mux);

	if (error == 0)
		error = mux_wait(mux, c, mux_limit_exact(until));
	if (error == -ETIMEDOUT && !mux_has_ended(mux) && !mux_leave(mux, c))
		error = mux_wait(mux, c, mux_limit_exact(until));
	if (error == 0 && c->reply.left != size)
		return mux_abort(mux, -EPROTO);
	return error;
}

int
dial_new_table(struct mux *mux, uint64_t until)
{
	struct mux_limit limit = mux_limit_exact(until);
	struct mux_call c;
	int error = mux_become_sender(mux, limit);

	if (error != 0)
		return error;
	mux_begin_call(mux, &c, OP_NEW_FDTABLE, 0, 0);
	error = dial_exchange(mux, &c, 0, limit);
	mux_end_call(mux, &c);
	return error;
}

static int
read_hello(struct dial_terms *t, struct wire_reader reply)
{
	uint32_t version = wire_get_u32(&reply);
	uint32_t features = wire_get_u32(&reply);
	uint32_t block_size = wire_get_u32(&reply);
	uint32_t largest_body = wire_get_u32(&reply);
	const uint8_t *id = wire_get_bytes(&reply, sizeof t->instance_id);

	assert(wire_is_done(&reply));
	if (version != PROTOCOL_VERSION_2 || block_size != SIZE_BLOCK)
		return -EPROTONOSUPPORT;
	t->version = PROTOCOL_VERSION_2;
	t->has_leases = (features & PROTOCOL_FEATURE_LEASES) != 0;
	t->has_extensions = (features & PROTOCOL_FEATURE_EXTENSIONS) != 0;
	t->largest_body = protocol_largest_body(PROTOCOL_SEGMENT_MOST);
	if (largest_body < t->largest_body)
		t->largest_body = largest_body;
	memcpy(t->instance_id, id, sizeof t->instance_id);
	return 0;
}

/* HELLO: agrees on the version. */
static int
agree(const struct dial_target *t, struct mux *mux, struct dial_terms *terms, uint64_t until)
{
	struct mux_limit limit = mux_limit_exact(until);
	struct mux_call c;
	int error = mux_become_sender(mux, limit);

	if (error != 0)
		return error;
	mux_begin_call(mux, &c, OP_HELLO, 8, PROTOCOL_HELLO_REPLY_SIZE);
	mux_put_u32(mux, PROTOCOL_VERSION_2);
	mux_put_u32(mux, 0);
	error = dial_exchange(mux, &c, PROTOCOL_HELLO_REPLY_SIZE, limit);
	if (error == 0)
		error = read_hello(terms, c.reply);
	mux_end_call(mux, &c);
	if (error == 0)
		mux_use_tags(mux);
	if (error == -ENOSYS && t->speaks_version_1) {
		terms->version = PROTOCOL_VERSION_1;
		error = 0;
	}
	return error == -ENOSYS ? -EPROTONOSUPPORT : error;
}

void
dial_tell_process(struct mux *mux, uint64_t until)
{
	struct mux_call c;

	if (mux_become_quick_sender(mux, until, mux_limit(mux, until)) != 0)
		return;
	mux_begin_call(mux, &c, OP_PROCESS, 4, 0);
	mux_put_u32(mux, (uint32_t)getpid());
	if (mux_send(mux) == 0)
		(void)mux_leave(mux, &c);
	mux_end_call(mux, &c);
}

/* Refuses plaintext over TCP, and a name that only TLS can check. */
static int
check_plaintext(const struct dial_target *t)
{
	if (t->addr->kind == ADDR_TCP)
		return error_message(-EPERM,
		    "%s: plaintext over TCP is refused: a CAFILE is needed for TLS", t->addr->text);
	if (t->name != NULL)
		return error_message(-EPERM,
		    "%s: name=%s cannot be checked in plaintext: a CAFILE is needed for TLS",
		    t->addr->text, t->name);
	return 0;
}

/* The earlier one of until and ms milliseconds from now. */
static uint64_t
sooner(uint64_t until, uint64_t ms)
{
	uint64_t then = clock_after_ms(clock_now(), ms);

	return then < until ? then : until;
}

/* Connects; nothing has been sent yet. */
static int
open_mux(struct mux **out, const struct dial_target *t, uint64_t until)
{
	char unused[REVOCATIONS_REASON_SIZE];
	const char *name = t->name;
	struct stream *s;
	int fd, error;

	if (name == NULL && t->addr->kind == ADDR_TCP)
		name = t->addr->host;
	/* Newer lists, if there are; else those of before. */
	if (t->tls != NULL)
		(void)tls_context_reload_revocations(t->tls, unused);
	error = socket_connect(t->addr, sooner(until, CONNECT_MS), &fd);
	if (error != 0)
		return error;
	/* The system gives up when the library does. */
	socket_tune(fd, (unsigned)(t->silence / CLOCK_MS));
	error = stream_create(&s, fd, t->tls, name);
	if (error != 0) {
		(void)close(fd);
		return error;
	}
	error = mux_create(out, s, t->silence);
	if (error != 0)
		stream_destroy(s);
	return error;
}

int
dial_connect(const struct dial_target *t, struct mux **out, struct dial_terms *terms,
    uint64_t until)
{
	struct dial_terms agreed = { 0 };
	struct mux *mux = NULL;
	int error = t->tls == NULL ? check_plaintext(t) : 0;
	bool is_secure = false; /* the TLS handshake is complete on this side */

	if (error != 0)
		return error;
	error = open_mux(&mux, t, until);
	if (error == 0) {
		until = sooner(until, CONNECT_MS);
		error = mux_handshake(mux, until);
	}
	if (error == 0) {
		is_secure = t->tls != NULL;
		error = agree(t, mux, &agreed, until);
	}
	if (error == 0 && agreed.has_extensions)
		dial_tell_process(mux, until);
	if (error != 0) {
		if (mux != NULL && error == -ECONNRESET && dial_was_closed(mux))
			fail_closed(t, is_secure);
		else
			dial_fail(t, mux, error);
		mux_destroy(mux);
		return error == -ENXIO ? -EADDRNOTAVAIL : error;
	}
	*out = mux;
	*terms = agreed;
	return 0;
}
