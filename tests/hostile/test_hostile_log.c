/*
 * The log: nobody reads it, or a peer fills it. It holds up nobody, and stays small.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/wire/protocol.h"
#include "tests/hostile/attacker.h"
#include "tests/hostile/rig.h"

enum { TOGETHER = 500 };

/* Connects, and says what is no TLS: the server refuses it, with a line of log. */
static void
connect_badly(struct rig *r)
{
	static const char request[] = "GET / HTTP/1.0\r\n\r\n";
	const struct timeval most = { 0, 100 * 1000 };
	char answer[64];
	int fd;

	while (rig_is_on(r)) {
		fd = attacker_dial_tcp(r);
		if (fd < 0)
			continue;
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
		(void)send(fd, request, sizeof request - 1, MSG_NOSIGNAL);
		if (recv(fd, answer, sizeof answer, 0) == 0)
			attacker_count_ended(r);
		close(fd);
	}
}

/* Each release of this kind is a line of log that names file and grant. */
static void
complain_of_blocks(struct rig *r)
{
	uint64_t grant = 0;
	struct buf b = { 0 };
	struct raw c;
	uint32_t fd;
	int i;

	attacker_begin(r, &c);
	fd = raw_open(&c, "/complaints", 0);
	while (rig_is_on(r) && !c.has_ended) {
		for (i = 0; i < TOGETHER; i++) {
			raw_put(&b, OP_ACQUIRE, "wbwq", fd, PROTOCOL_EXCLUSIVE,
			    PROTOCOL_TIMEOUT_TRY, UINT64_C(0));
			raw_put(&b, OP_RELEASE, "wqb", fd, ++grant,
			    PROTOCOL_RELEASE_ONE_WAY | PROTOCOL_RELEASE_UNVERIFIED);
		}
		raw_send(&c, buf_data(&b), buf_size(&b));
		buf_consume(&b, buf_size(&b));
		for (i = 0; i < TOGETHER && raw_listen(&c); i++)
			assert_int_equal(c.code, 0);
	}
	buf_fini(&b);
	raw_close(&c);
}

int
main(void)
{
	static const struct rig_attack attacks[] = {
		{ .name = "bad connects, nobody reads standard error",
		    .daemons = RIG_BOTH,
		    .run = connect_badly,
		    .config = { .is_unheard = true } },
		{ .name = "bad connects", .daemons = RIG_BOTH, .run = connect_badly },
		{ .name = "releases that say unverified",
		    .daemons = RIG_BOTH,
		    .run = complain_of_blocks },
	};

	return rig_main("log", attacks, sizeof attacks / sizeof attacks[0]);
}
