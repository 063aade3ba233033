#include "tests/hostile/attacker.h"

#include <arpa/inet.h>
#include <bsd/string.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "common/wire/frame.h"
#include "common/wire/protocol.h"
#include "common/wire/wire.h"
#include "smuf/sealdelta.h"
#include "tests/hostile/rig.h"
#include "tests/stress/patience.h"

enum {
	LOOKS_MOST = 8,  /* at a server that should be calm, on a quiet machine */
	SLEEPS_LEAST = 5 /* of such a server in a look */
};

int
attacker_dial(const struct daemon *d)
{
	struct sockaddr_in from = { .sin_family = AF_INET }, to = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), error;

	if (fd < 0)
		return -errno;
	inet_pton(AF_INET, ATTACKER_ADDRESS, &from.sin_addr);
	inet_pton(AF_INET, d->config.tcp_host, &to.sin_addr);
	to.sin_port = htons((uint16_t)atoi(strrchr(d->tcp, ':') + 1));
	if (bind(fd, (struct sockaddr *)&from, sizeof from) == 0 &&
	    connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

int
attacker_dial_tcp(struct rig *r)
{
	atomic_fetch_add(&r->shared->attempts, 1);
	return attacker_dial(&r->daemon);
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

int
attacker_step(struct rig *r, struct raw *c)
{
	int n, error;

	if (c->ssl == NULL)
		raw_prepare(c, context(r));
	n = SSL_connect(c->ssl);
	if (n == 1)
		return 1;
	error = SSL_get_error(c->ssl, n);
	ERR_clear_error();
	return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

void
attacker_begin(struct rig *r, struct raw *c)
{
	atomic_fetch_add(&r->shared->attempts, 1);
	raw_connect_plain(c, &r->daemon);
	assert_int_equal(raw_handshake(c, context(r)), 0);
	raw_begin(c, true);
}

/* Appends the delta of a release of all blocks of smuf, with tags that nobody verifies here. */
static void
put_tags(struct buf *b, uint32_t blocks)
{
	uint8_t head[4], piece[SEALDELTA_RELEASE_PIECE_SIZE];
	struct wire_writer w = wire_writer(head, sizeof head);
	uint32_t i;

	wire_put_u32(&w, blocks);
	assert_int_equal(buf_append(b, head, sizeof head), 0);
	for (i = 0; i < blocks; i++) {
		memset(piece, 0, sizeof piece);
		w = wire_writer(piece, sizeof piece);
		wire_put_u32(&w, i);
		assert_int_equal(buf_append(b, piece, sizeof piece), 0);
	}
}

/* The same of smdish: one piece of size zeros. */
static void
put_zeros(struct buf *b, uint32_t size)
{
	uint8_t head[12];
	struct wire_writer w = wire_writer(head, sizeof head);
	uint8_t *room;

	wire_put_u32(&w, 1);
	wire_put_u32(&w, 0);
	wire_put_u32(&w, size);
	assert_int_equal(buf_append(b, head, sizeof head), 0);
	room = buf_reserve(b, size);
	assert_non_null(room);
	memset(room, 0, size);
	buf_commit(b, size);
}

uint32_t
attacker_open_loud(struct rig *r, struct raw *c, const char *name, uint32_t bytes, uint64_t *grant)
{
	const uint32_t blocks = bytes / SEALDELTA_GRANT_PIECE_SIZE;
	const bool is_smuf = r->daemon.config.is_smuf;
	struct buf b = { 0 };
	uint32_t fd = raw_open(c, name, is_smuf ? blocks * SIZE_BLOCK : bytes);

	assert_string_equal(RAW_ASK(c, OP_ACQUIRE, "wbwq", fd, PROTOCOL_EXCLUSIVE,
				PROTOCOL_TIMEOUT_TRY, UINT64_C(0)),
	    "0");
	*grant = raw_first_u64(c);
	if (is_smuf)
		put_tags(&b, blocks);
	else
		put_zeros(&b, bytes);
	assert_string_equal(RAW_ASK(c, OP_RELEASE, "wqbx", fd, *grant, 0, buf_data(&b),
				buf_size(&b)),
	    "0");
	buf_fini(&b);
	return fd;
}

void
attacker_put_loud(struct buf *b, uint16_t tag, uint32_t fd, uint64_t grant)
{
	raw_put(b, frame_tagged(tag, OP_ACQUIRE), "wbwq", fd, PROTOCOL_EXCLUSIVE,
	    PROTOCOL_TIMEOUT_NEVER, UINT64_C(0));
	raw_put(b, frame_tagged(tag, OP_RELEASE), "wqbw", fd, grant, PROTOCOL_RELEASE_ONE_WAY,
	    UINT32_C(0));
}

void
attacker_expect_calm_server(struct rig *r, uint64_t ms)
{
	uint64_t awake, took, begun, looks = 0;
	int64_t sleeps;
	bool is_calm;

	do {
		begun = clock_now();
		awake = procfs_awake_ns(r->daemon.pid);
		sleeps = procfs_sleeps(r->daemon.pid);
		poll(NULL, 0, (int)ms);
		awake = procfs_awake_ns(r->daemon.pid) - awake;
		sleeps = procfs_sleeps(r->daemon.pid) - sleeps;
		took = clock_now() - begun;
		is_calm = awake <= took - took / 5;
		/* It may wait for a processor; but a server that spins never sleeps. */
		if (!is_calm && patience_is_busy())
			is_calm = sleeps >= SLEEPS_LEAST;
	} while (!is_calm && ++looks < LOOKS_MOST);
	if (!is_calm)
		child_complain(&r->shared->complaint,
		    "the server was awake for %lu of %lu ms, though only the honest clients wanted "
		    "anything",
		    (unsigned long)(awake / CLOCK_MS), (unsigned long)(took / CLOCK_MS));
}

void
attacker_count_ended(struct rig *r)
{
	atomic_fetch_add(&r->shared->ended, 1);
}
