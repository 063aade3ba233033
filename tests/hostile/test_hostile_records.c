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

enum { PEERS = 400, PINGS = 40 };

/* One connection, and the records that it still has to send. */
struct peer {
	struct raw raw;
	BIO *records;
};

/* Makes the records of PINGS requests, each byte in one of its own. */
static void
make_records(struct peer *p, const struct buf *pings)
{
	size_t i;

	for (i = 0; i < buf_size(pings); i++)
		assert_int_equal(SSL_write(p->raw.ssl, buf_data(pings) + i, 1), 1);
}

/* Sends what the socket takes; once all is sent, makes more. Reads the replies. */
static void
turn(struct rig *r, struct peer *p, const struct buf *pings)
{
	char bytes[16 * 1024];
	char *data;
	long size = BIO_get_mem_data(p->records, &data);
	ssize_t n = send(p->raw.fd, data, (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT);

	for (; n > 0; n -= size) {
		size = n < (ssize_t)sizeof bytes ? n : (ssize_t)sizeof bytes;
		assert_int_equal(BIO_read(p->records, bytes, (int)size), size);
	}
	if (BIO_pending(p->records) == 0)
		make_records(p, pings);
	raw_pump(&p->raw);
	buf_consume(&p->raw.in, buf_size(&p->raw.in));
	if (p->raw.has_ended) {
		attacker_count_ended(r);
		raw_close(&p->raw);
	}
}

static void
begin(struct rig *r, struct peer *p, const struct buf *pings)
{
	attacker_begin(r, &p->raw);
	p->records = BIO_new(BIO_s_mem());
	assert_non_null(p->records);
	SSL_set0_wbio(p->raw.ssl, p->records);
	make_records(p, pings);
}

static void
send_bytes_one_by_one(struct rig *r)
{
	static struct peer peers[PEERS];
	struct buf pings = { 0 };
	int i;

	for (i = 0; i < PINGS; i++)
		raw_put(&pings, OP_CANCEL, "w", UINT32_C(1));
	for (i = 0; i < PEERS; i++)
		begin(r, &peers[i], &pings);
	rig_restart(r);
	while (rig_is_on(r))
		for (i = 0; i < PEERS; i++)
			if (peers[i].raw.fd >= 0)
				turn(r, &peers[i], &pings);
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
