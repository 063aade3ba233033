/*
 * KeyUpdates of TLS 1.3: OpenSSL handles all that come inside one read, and answers them when asked
 * to. A peer that sends nothing else keeps nobody waiting, and one that does not read the answers
 * does not keep the server busy.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <openssl/bio.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "tests/hostile/attacker.h"
#include "tests/hostile/rig.h"
#include "tests/stress/patience.h"

enum { UPDATES = 100 * 1000, UPDATES_FULL = 300 * 1000, UNREAD = 20 * 1000, CALM_MS = 600 };

/* Makes that many records, to be sent in place of c's own. The caller frees the BIO. */
static BIO *
make_updates(struct raw *c, int count, int type)
{
	BIO *records = BIO_new(BIO_s_mem());
	int i;

	assert_non_null(records);
	assert_int_equal(SSL_version(c->ssl), TLS1_3_VERSION);
	assert_int_equal(BIO_up_ref(records), 1);
	SSL_set0_wbio(c->ssl, records);
	for (i = 0; i < count; i++) {
		assert_int_equal(SSL_key_update(c->ssl, type), 1);
		assert_int_equal(SSL_do_handshake(c->ssl), 1);
	}
	return records;
}

/*
 * Sends bytes until all are sent, the server ends the connection, or it takes none for a second.
 * Returns true when it has ended.
 */
static bool
send_records(int fd, BIO *records)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	char *data;
	long size = BIO_get_mem_data(records, &data);
	ssize_t n;

	while (size > 0) {
		n = send(fd, data, (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0) {
			data += n;
			size -= n;
		} else if (errno != EAGAIN) {
			return true;
		} else if (poll(&p, 1, 1000) == 0) {
			return false;
		}
	}
	return false;
}

static void
send_many_at_once(struct rig *r)
{
	struct raw c;
	BIO *records;

	attacker_begin(r, &c);
	records = make_updates(&c, rig_is_full() ? UPDATES_FULL : UPDATES,
	    SSL_KEY_UPDATE_NOT_REQUESTED);
	if (send_records(c.fd, records))
		attacker_count_ended(r);
	BIO_free(records);
	raw_close(&c);
}

static void
ask_for_answers_and_do_not_read(struct rig *r)
{
	struct raw c;
	BIO *records;

	attacker_begin(r, &c);
	records = make_updates(&c, UNREAD, SSL_KEY_UPDATE_REQUESTED);
	if (send_records(c.fd, records))
		attacker_count_ended(r);
	attacker_expect_calm_server(r, CALM_MS);
	BIO_free(records);
	raw_close(&c);
}

int
main(void)
{
	static const struct rig_attack attacks[] = {
		{ .name = "KeyUpdates, 300,000 (short: 100,000)",
		    .daemons = RIG_BOTH,
		    .run = send_many_at_once },
		{ .name = "KeyUpdates whose answers nobody reads",
		    .daemons = RIG_BOTH,
		    .run = ask_for_answers_and_do_not_read },
	};

	return rig_main("keyupdates", attacks, sizeof attacks / sizeof attacks[0]);
}
