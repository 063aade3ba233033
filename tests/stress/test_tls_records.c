/*
 * TLS records that carry no data hold up nobody: KeyUpdates by the ten thousand, and KeyUpdates
 * that ask for an answer from a peer that does not read.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "tests/stress/patience.h"
#include "tests/stress/procfs.h"
#include "tests/stress/raw.h"
#include "tests/stress/siege.h"

enum {
	UPDATES = 40000, /* handled in one go, they took a server half a second */
	WAIT_MS = 200,   /* that an honest client may have to */
	UPDATES_BETWEEN_REQUESTS = 100,
	REQUESTS = 400, /* more bytes than the sockets take */
	STUCK_MS = 300, /* after which the server no longer reads */
	WATCH_MS = 500,
	CPU_MS = 100 /* that an idle server may use meanwhile; a loop takes all of WATCH_MS */
};

static struct siege siege;

/* What the attacker sends, in a thread; the bytes are made before. */
static struct raw peer;
static uint8_t *bytes;
static size_t size;
static atomic_bool is_sent; /* or the server has closed the connection */

static int
begin(void **state)
{
	const struct daemon_config config = { .has_keys = true };

	*state = &siege;
	siege_begin(&siege, &config);
	return 0;
}

/* Connects, and lets the records that follow go to memory. */
static void
connect_attacker(void)
{
	raw_connect(&peer, &siege.daemon);
	SSL_set0_wbio(peer.ssl, BIO_new(BIO_s_mem()));
}

static void
update_keys(unsigned count, int kind)
{
	while (count-- > 0) {
		assert_int_equal(SSL_key_update(peer.ssl, kind), 1);
		assert_int_equal(SSL_do_handshake(peer.ssl), 1);
	}
}

static void
take_bytes(void)
{
	BIO *bio = SSL_get_wbio(peer.ssl);

	size = BIO_ctrl_pending(bio);
	bytes = malloc(size);
	assert_non_null(bytes);
	assert_int_equal(BIO_read(bio, bytes, (int)size), size);
}

/* Sends until all is sent, the server closes the connection, or it has not read for STUCK_MS. */
static void *
feed(void *unused)
{
	struct pollfd p = { .fd = peer.fd, .events = POLLOUT };
	size_t sent = 0;
	ssize_t n;

	(void)unused;
	while (sent < size && poll(&p, 1, (int)patience_ms(STUCK_MS)) == 1) {
		n = send(peer.fd, bytes + sent, size - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			break;
		sent += n > 0 ? (size_t)n : 0;
	}
	atomic_store(&is_sent, true);
	return NULL;
}

/* Serves the honest client while the attacker sends. Returns the longest that it waited. */
static uint64_t
feed_and_serve(void)
{
	uint64_t longest = 0, start, took;
	pthread_t thread;

	atomic_store(&is_sent, false);
	assert_int_equal(pthread_create(&thread, NULL, feed, NULL), 0);
	do {
		start = clock_now();
		siege_serve(&siege);
		took = clock_now() - start;
		longest = took > longest ? took : longest;
	} while (!atomic_load(&is_sent));
	assert_int_equal(pthread_join(thread, NULL), 0);
	free(bytes);
	return longest;
}

static void
key_updates_in_one_go_hold_up_nobody(void **state)
{
	uint64_t longest;

	(void)state;
	connect_attacker();
	update_keys(UPDATES, SSL_KEY_UPDATE_NOT_REQUESTED);
	take_bytes();
	longest = feed_and_serve();
	raw_close(&peer);
	if (patience_is_over(longest, WAIT_MS))
		fail_msg("an honest client waited %llu ms",
		    (unsigned long long)(longest / 1000000));
	siege_lift(&siege, 0, 1, "the peer keeps updating its keys and sends nothing");
}

static void
answers_that_nobody_reads_cost_no_time(void **state)
{
	static const uint8_t request[8]; /* NEW_FDTABLE */
	int64_t cpu_ms;
	uint64_t end;
	unsigned i;

	(void)state;
	connect_attacker();
	for (i = 0; i < REQUESTS; i++) {
		update_keys(UPDATES_BETWEEN_REQUESTS, SSL_KEY_UPDATE_REQUESTED);
		assert_int_equal(SSL_write(peer.ssl, request, sizeof request), sizeof request);
	}
	take_bytes();
	feed_and_serve();
	cpu_ms = procfs_usage(siege.daemon.pid).cpu_ms;
	end = clock_after_ms(clock_now(), WATCH_MS);
	while (clock_now() < end)
		patience_breathe();
	cpu_ms = procfs_usage(siege.daemon.pid).cpu_ms - cpu_ms;
	if (cpu_ms > CPU_MS)
		fail_msg("an idle server used %ld of %d ms", (long)cpu_ms, WATCH_MS);
	raw_close(&peer);
	siege_lift(&siege, 0, 0, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SIEGE_ATTACK(key_updates_in_one_go_hold_up_nobody),
		SIEGE_ATTACK(answers_that_nobody_reads_cost_no_time),
	};

	return cmocka_run_group_tests(tests, begin, siege_teardown);
}
