#include "common/remote/remote.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/size.h"
#include "common/client/mount.h"
#include "common/wire/stream.h"

enum {
	CONNECT_MS = 10000, /* for the socket, and again for handshake and HELLO */
	REPLY_MS = 30000    /* for what a server answers at once */
};

/* What went wrong, for people. */
static const char *
describe(struct mux *mux, int error, char *text, size_t size)
{
	bool may_be_tls = error == -ENOTCONN || error == -ECONNRESET || error == -EPROTO ||
	    error == -EACCES;

	if (mux != NULL && may_be_tls && *mux_reason(mux) != '\0')
		return mux_reason(mux);
	if (error == -ENOTCONN)
		return mux == NULL ? "no server listens there" : "the connection has ended before";
	if (error == -ECONNRESET)
		return "the server closed the connection";
	if (error == -EPROTO)
		return "the server does not keep to the protocol (is it of the mount's type?)";
	if (error == -EEXIST)
		return "a file of that name that is not the server's is in its directory, see its log";
	if (error == -EBADE)
		return "it is in use by clients of another version, or has a segment that is not mapped here";
	if (error == -ENOSPC || error == -EDQUOT)
		return "the server has no room left in its directory";
	if (error == -EIO)
		return "the server cannot use its directory, see its log";
	if (error == -EAGAIN)
		return "somebody else has the lock";
	if (error == -ETIMEDOUT)
		return "not in time";
	if (error == -ESTALE)
		return "the server had taken the lock away, nothing was published";
	return strerror_r(-error, text, size);
}

int
remote_fail(const struct remote *r, enum op op, const char *name, int error)
{
	char text[128];

	return error_message(error, "%s: %s %s: %s", r->address, protocol_op_name(op), name,
	    describe(r->mux, error, text, sizeof text));
}

static int
exchange(struct mux *mux, struct mux_call *c, uint32_t size)
{
	int error = mux_send(mux);

	if (error == 0)
		error = mux_wait(mux, c, clock_after_ms(clock_now(), REPLY_MS));
	if (error == -ETIMEDOUT && !mux_is_answered(mux, c))
		return mux_abort(mux, -ETIMEDOUT);
	if (error == 0 && c->reply.left != size)
		return mux_abort(mux, -EPROTO);
	return error;
}

int
remote_exchange(struct remote *r, struct mux_call *c, uint32_t size)
{
	return exchange(r->mux, c, size);
}

int
remote_configure(struct mount *m, const char *uri)
{
	static const char *const schemes[] = { "unix:", "abstract:", "pipe:", "tcp:" };
	size_t i, count = sizeof schemes / sizeof schemes[0];
	struct remote_mount *rm;
	int error;

	for (i = 0; i < count && strncmp(uri, schemes[i], strlen(schemes[i])) != 0; i++)
		continue;
	if (i == count)
		return error_message(-EINVAL,
		    "%s: a URI begins with unix:, abstract:, pipe: or tcp:", uri);
	rm = calloc(1, sizeof *rm);
	if (rm == NULL)
		return -ENOMEM;
	TAILQ_INIT(&rm->remotes);
	m->backend_state = rm;
	error = addr_parse(&rm->addr, uri, 0);
	if (error != 0)
		return error_message(error, "%s: not an address", uri);
	if (rm->addr.kind == ADDR_TCP && *rm->addr.host == '\0')
		return error_message(-EINVAL, "%s: which host?", uri);
	return 0;
}

void
remote_put(struct remote *r)
{
	struct remote_mount *rm;

	if (r == NULL || --r->references > 0)
		return;
	if (r->mux != NULL) {
		remotefork_settle(r);
		rm = r->mount->backend_state;
		TAILQ_REMOVE(&rm->remotes, r, link);
	}
	remotefork_fini(&r->fork);
	mux_destroy(r->mux);
	free(r);
}

static void
drop_current(struct remote_mount *rm)
{
	remote_put(rm->current);
	rm->current = NULL;
}

void
remote_detach(struct mount *m)
{
	if (m->backend_state != NULL)
		drop_current(m->backend_state);
	free(m->backend_state);
	m->backend_state = NULL;
}

bool
remote_is_connected(const struct mount *m)
{
	const struct remote_mount *rm = m->backend_state;

	return rm->current != NULL;
}

bool
remote_is_shared(const struct remote *r)
{
	const struct remote_mount *rm = r->mount->backend_state;
	unsigned mine = rm->current == r ? 2 : 1;

	return r->references > mine;
}

static int
read_hello(struct remote_terms *t, struct wire_reader reply)
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
	t->largest_body = protocol_largest_body(SIZE_SEGMENT_MOST);
	if (largest_body < t->largest_body)
		t->largest_body = largest_body;
	memcpy(t->instance_id, id, sizeof t->instance_id);
	return 0;
}

/* Agrees on the version. */
static int
say_hello(const struct remote *r, struct mux *mux, struct remote_terms *t)
{
	struct mux_call c;
	int error = mux_become_sender(mux, CLOCK_NEVER);

	if (error != 0)
		return error;
	mux_begin_call(mux, &c, OP_HELLO, 8, PROTOCOL_HELLO_REPLY_SIZE);
	mux_put_u32(mux, PROTOCOL_VERSION_2);
	mux_put_u32(mux, 0);
	error = exchange(mux, &c, PROTOCOL_HELLO_REPLY_SIZE);
	if (error == 0)
		error = read_hello(t, c.reply);
	mux_end_call(mux, &c);
	if (error == 0)
		mux_use_tags(mux);
	if (error == -ENOSYS && r->speaks_version_1) {
		t->version = PROTOCOL_VERSION_1;
		error = 0;
	}
	return error == -ENOSYS ? -EPROTONOSUPPORT : error;
}

static int
make_table(struct remote *r)
{
	struct mux_call c;
	int error = mux_become_sender(r->mux, CLOCK_NEVER);

	if (error != 0)
		return error;
	mux_begin_call(r->mux, &c, OP_NEW_FDTABLE, 0, 0);
	error = remote_exchange(r, &c, 0);
	mux_end_call(r->mux, &c);
	return error;
}

/* What may not be said in plaintext, and what plaintext cannot keep. */
static int
check_plaintext(const struct mount *m)
{
	const struct addr *addr = &((const struct remote_mount *)m->backend_state)->addr;

	if (addr->kind == ADDR_TCP)
		return error_message(-EPERM,
		    "%s: plaintext over TCP is refused: a CAFILE is needed for TLS", addr->text);
	if (m->name != NULL)
		return error_message(-EPERM,
		    "%s: name=%s cannot be checked in plaintext: a CAFILE is needed for TLS",
		    addr->text, m->name);
	return 0;
}

/* A connected mux, which nothing was said on yet. */
static int
open_mux(struct mux **out, const struct mount *m, struct tls_context *tls)
{
	const struct addr *addr = &((const struct remote_mount *)m->backend_state)->addr;
	const char *name = m->name;
	struct stream *s;
	int fd, error;

	if (name == NULL && addr->kind == ADDR_TCP)
		name = addr->host;
	error = addr_connect(addr, CONNECT_MS, &fd);
	if (error != 0)
		return error;
	error = stream_create(&s, fd, tls, name);
	if (error != 0) {
		(void)close(fd);
		return error;
	}
	error = mux_create(out, s);
	if (error != 0)
		stream_destroy(s);
	return error;
}

/* What became of the attempt to connect, in words. */
static int
fail_to_connect(const struct remote *r, struct mux *mux, int error)
{
	char text[128];

	return error_message(error, "%s: %s%s", r->address, describe(mux, error, text, sizeof text),
	    error == -ECONNRESET && r->tls == NULL ? "; does it want TLS, and so a CAFILE here?" :
						     "");
}

int
remote_dial(const struct remote *r, struct mux **out, struct remote_terms *terms)
{
	struct remote_terms agreed = { 0 };
	struct mux *mux = NULL;
	int error = open_mux(&mux, r->mount, r->tls);

	if (error == 0) {
		mux_set_deadline(mux, clock_after_ms(clock_now(), CONNECT_MS));
		error = mux_handshake(mux);
	}
	if (error == 0)
		error = say_hello(r, mux, &agreed);
	if (error != 0) {
		fail_to_connect(r, mux, error);
		mux_destroy(mux);
		return error;
	}
	*out = mux;
	*terms = agreed;
	return 0;
}

static int
connect_to(struct remote *r)
{
	struct remote_mount *rm = r->mount->backend_state;
	struct mux *mux;
	int error = remote_dial(r, &mux, &r->terms);

	if (error != 0)
		return error;
	r->mux = mux;
	TAILQ_INSERT_TAIL(&rm->remotes, r, link);
	error = make_table(r);
	if (error != 0)
		return fail_to_connect(r, mux, error);
	mux_set_deadline(mux, CLOCK_NEVER);
	return 0;
}

/* Makes the connection that the mount's new files use. */
static int
connect_mount(struct mount *m, struct tls_context *tls, bool speaks_version_1)
{
	struct remote_mount *rm = m->backend_state;
	struct remote *r;
	int error;

	if (tls == NULL) {
		error = check_plaintext(m);
		if (error != 0)
			return error;
	}
	r = calloc(1, sizeof *r);
	if (r == NULL)
		return -ENOMEM;
	r->references = 1;
	r->address = rm->addr.text;
	r->mount = m;
	r->tls = tls;
	r->speaks_version_1 = speaks_version_1;
	remotefork_init(&r->fork);
	error = connect_to(r);
	if (error != 0) {
		remote_put(r);
		return error;
	}
	rm->current = r;
	return 0;
}

int
remote_get(struct remote **out, struct mount *m, struct tls_context *tls, bool speaks_version_1)
{
	struct remote_mount *rm = m->backend_state;
	int error;

	if (rm->current != NULL &&
	    (remotefork_enter(rm->current) != 0 || !mux_is_alive(rm->current->mux)))
		drop_current(rm);
	if (rm->current == NULL) {
		error = connect_mount(m, tls, speaks_version_1);
		if (error != 0)
			return error;
	}
	rm->current->references++;
	*out = rm->current;
	return 0;
}
