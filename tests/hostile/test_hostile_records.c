/*
 * TLS records of one byte: they cost the server more than the peer that sends them. Four hundred
 * connections full of them keep nobody waiting.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <openssl/bio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/wire/protocol.h"
#include "tests/hostile/attacker.h"
#include "tests/hostile/rig.h"
#include "tests/stress/patience.h"

enum { PEERS = 400, PINGS = 200, PINGS_FULL = 500, CHUNK = 16 * 1024 };

/* One connection, and the records that it still has to send. */
struct peer {
	struct raw raw;
	BIO *records;
	char *next;
	long size;
};

/* Makes the records, of one byte each, before the attack: they cost the peer much, too. */
static void
begin(struct rig *r, struct peer *p, const struct buf *pings)
{
	size_t i;

	attacker_begin(r, &p->raw);
	p->records = BIO_new(BIO_s_mem());
	assert_non_null(p->records);
	SSL_set0_wbio(p->raw.ssl, p->records);
	for (i = 0; i < buf_size(pings); i++)
		assert_int_equal(SSL_write(p->raw.ssl, buf_data(pings) + i, 1), 1);
	p->size = BIO_get_mem_data(p->records, &p->next);
}

/* Sends what the socket takes, and throws the replies away. */
static void
turn(struct rig *r, struct peer *p)
{
	char replies[CHUNK];
	ssize_t n = send(p->raw.fd, p->next, (size_t)p->size, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n > 0) {
		p->next += n;
		p->size -= n;
	}
	if (recv(p->raw.fd, replies, sizeof replies, MSG_DONTWAIT) == 0) {
		attacker_count_ended(r);
		raw_close(&p->raw);
	}
}

static void
send_bytes_one_by_one(struct rig *r)
{
	static struct peer peers[PEERS];
	struct buf pings = { 0 };
	int i;

	for (i = 0; i < (rig_is_full() ? PINGS_FULL : PINGS); i++)
		raw_put(&pings, OP_CANCEL, "w", UINT32_C(1));
	for (i = 0; i < PEERS; i++)
		begin(r, &peers[i], &pings);
	rig_restart(r);
	while (rig_is_on(r)) {
		for (i = 0; i < PEERS; i++)
			if (peers[i].raw.fd >= 0)
				turn(r, &peers[i]);
		patience_breathe();
	}
	for (i = 0; i < PEERS; i++)
		raw_close(&peers[i].raw);
	buf_fini(&pings);
}

int
main(void)
{
	static const struct rig_attack attacks[] = {
		{ .name = "records of one byte, 400 connections",
		    .daemons = RIG_BOTH,
		    .run = send_bytes_one_by_one },
	};

	return rig_main("records", attacks, sizeof attacks / sizeof attacks[0]);
}
