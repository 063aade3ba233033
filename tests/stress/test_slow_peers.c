/*
 * Slow peers: half a frame, half a handshake, a byte a second, silence. Two servers, plaintext and
 * TLS, have all of them at the same time for WATCH_MS or longer, while they serve honest clients;
 * then a test for each kind judges the results. A third server is left alone that long, and a
 * fourth has forks that no client adopts, which takes a minute.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "common/wire/frame.h"
#include "common/wire/protocol.h"
#include "common/wire/status.h"
#include "common/wire/wire.h"
#include "tests/stress/daemon.h"
#include "tests/stress/patience.h"
#include "tests/stress/pki.h"
#include "tests/stress/raw.h"
#include "tests/stress/siege.h"

enum {
	LIMIT_MS = 10 * 1000, /* PROTOCOL 8: of a handshake, and of half a frame */
	LATE_MS = 1500,       /* by which a server may be late, and an honest client wait */
	WATCH_MS = 13 * 1000,
	DRIP_MS = 1000,
	SERVE_MS = 250,
	CPU_MS = 1000, /* that all this may cost a server, the honest clients included */
	GRACE_MS = 60 * 1000,
	HELLO_SIZE = 2048
};

/* A peer that has sent something, sends the rest slowly, and is watched. */
struct slow {
	struct raw r;
	struct buf rest; /* to be sent, a byte at a time */
	uint64_t next_drip;
	uint64_t last; /* when it sent something last, or connected */
	uint64_t connected;
	uint64_t ended; /* when the server closed the connection; 0: it did not */
	uint8_t reply[FRAME_HEADER_SIZE];
	size_t reply_size;
};

/* The slow peers of a server, in plaintext or through TLS. */
struct front {
	struct siege siege;
	struct slow half_header, half_body, half_large_body, idle, drip;
	int64_t cpu_before, cpu_after;
	uint64_t longest; /* that an honest client waited */
};

/* The slow peers of a TLS server's handshake and records. */
struct tls_front {
	struct slow no_hello, half_hello, no_finish, drip_hello, half_record;
};

static struct pki pki;
static struct front plain, tls;
static struct tls_front handshakes;
static struct daemon quiet;
static struct siege forked;
static uint64_t forked_idents[2], forked_at;

static struct slow *const all[] = { &plain.half_header, &plain.half_body, &plain.half_large_body,
	&plain.idle, &plain.drip, &tls.half_header, &tls.half_body, &tls.half_large_body, &tls.idle,
	&tls.drip, &handshakes.no_hello, &handshakes.half_hello, &handshakes.no_finish,
	&handshakes.drip_hello, &handshakes.half_record };
enum { COUNT = sizeof all / sizeof all[0] };

/* Makes the first message of a client with OpenSSL. */
static size_t
make_hello(uint8_t out[HELLO_SIZE])
{
	SSL_CTX *ctx = raw_context(&pki, "client");
	SSL *ssl = SSL_new(ctx);
	BIO *in = BIO_new(BIO_s_mem()), *sent = BIO_new(BIO_s_mem());
	int n;

	SSL_set_bio(ssl, in, sent);
	assert_int_not_equal(SSL_connect(ssl), 1);
	n = BIO_read(sent, out, HELLO_SIZE);
	assert_in_range(n, 100, HELLO_SIZE - 1);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	return (size_t)n;
}

static void
sent_now(struct slow *p)
{
	p->last = clock_now();
	p->next_drip = p->last + DRIP_MS * CLOCK_MS;
}

/* Sends the first now of size bytes at once; the rest follows slowly. */
static void
begin_with(struct slow *p, const void *bytes, size_t now, size_t size)
{
	assert_true(raw_send(&p->r, bytes, now));
	assert_int_equal(buf_append(&p->rest, (const uint8_t *)bytes + now, size - now), 0);
	sent_now(p);
}

static void
connect_slow(struct slow *p, const struct daemon *d, bool with_session)
{
	if (with_session)
		raw_connect(&p->r, d);
	else
		raw_connect_plain(&p->r, d);
	sent_now(p);
	p->connected = p->last;
	if (with_session)
		raw_begin(&p->r, true);
}

static void
begin_frames(struct front *f)
{
	const struct daemon *d = &f->siege.daemon;
	uint8_t *large = calloc(1, SIZE_MIB);
	struct buf close = { 0 };

	assert_non_null(large);
	raw_put(&close, OP_CLOSE, "w", UINT32_MAX);
	connect_slow(&f->half_header, d, true);
	begin_with(&f->half_header, buf_data(&close), 3, 3);
	connect_slow(&f->half_body, d, true);
	begin_with(&f->half_body, buf_data(&close), FRAME_HEADER_SIZE + 2, FRAME_HEADER_SIZE + 2);
	/* A release of 1 MiB, most of which never comes. */
	frame_put(large, (struct frame){ OP_RELEASE, SIZE_MIB });
	connect_slow(&f->half_large_body, d, true);
	begin_with(&f->half_large_body, large, SIZE_MIB / 8, SIZE_MIB / 8);
	connect_slow(&f->idle, d, true);
	connect_slow(&f->drip, d, true);
	begin_with(&f->drip, buf_data(&close), 1, buf_size(&close));
	buf_fini(&close);
	free(large);
}

static void
begin_handshakes(void)
{
	const struct daemon *d = &tls.siege.daemon;
	struct tls_front *h = &handshakes;
	uint8_t hello[HELLO_SIZE];
	size_t size = make_hello(hello);

	connect_slow(&h->no_hello, d, false);
	connect_slow(&h->half_hello, d, false);
	begin_with(&h->half_hello, hello, size / 2, size / 2);
	connect_slow(&h->no_finish, d, false);
	begin_with(&h->no_finish, hello, size, size);
	connect_slow(&h->drip_hello, d, false);
	begin_with(&h->drip_hello, hello, 1, size);
	/* The head of a record that never comes, after a complete handshake. */
	connect_slow(&h->half_record, d, true);
	assert_int_equal(write(h->half_record.r.fd, "\x17\x03\x03", 3), 3);
}

static uint64_t
fork_table(struct raw *r)
{
	assert_int_equal(raw_ask(r, OP_FORK, ""), 0);
	return raw_first_u64(r);
}

/* A session leaves as many descriptors as it can, in forks that no client adopts. */
static void
abandon_forks(void)
{
	struct raw r;
	char name[32];
	int i;

	siege_attack(&forked);
	raw_connect(&r, &forked.daemon);
	raw_begin(&r, true);
	for (i = 0; i < PROTOCOL_DESCRIPTORS_MOST; i++) {
		snprintf(name, sizeof name, "/forked%d", i);
		raw_open(&r, name, 0);
	}
	for (i = 0; i < PROTOCOL_FORKS_MOST; i++)
		forked_idents[i % 2] = fork_table(&r);
	raw_close(&r);
	forked_at = clock_now();
}

static void
watch(struct slow *p)
{
	size_t n;

	if (p->r.fd < 0 || p->ended != 0)
		return;
	if (buf_size(&p->rest) > 0 && clock_now() >= p->next_drip) {
		if (raw_send_some(&p->r, buf_data(&p->rest), 1) == 1) {
			buf_consume(&p->rest, 1);
			sent_now(p);
		}
	}
	raw_pump(&p->r);
	n = buf_size(&p->r.in);
	if (n > sizeof p->reply - p->reply_size)
		n = sizeof p->reply - p->reply_size;
	memcpy(p->reply + p->reply_size, buf_data(&p->r.in), n);
	p->reply_size += n;
	buf_consume(&p->r.in, buf_size(&p->r.in));
	if (p->r.has_ended)
		p->ended = clock_now();
}

static void
serve(struct front *f)
{
	uint64_t begin = clock_now(), took;

	siege_serve(&f->siege);
	took = clock_now() - begin;
	if (took > f->longest)
		f->longest = took;
}

/* On a busy machine the bytes of a frame come later than one a second. */
static bool
is_over(uint64_t begin, uint64_t end)
{
	uint64_t now = clock_now();

	if (now < begin + WATCH_MS * CLOCK_MS)
		return false;
	return now >= end ||
	    (plain.drip.reply_size == FRAME_HEADER_SIZE &&
		tls.drip.reply_size == FRAME_HEADER_SIZE);
}

static void
watch_all(void)
{
	uint64_t begin = clock_now(), end = patience_until(2 * WATCH_MS), served = 0;
	size_t i;

	plain.cpu_before = procfs_usage(plain.siege.daemon.pid).cpu_ms;
	tls.cpu_before = procfs_usage(tls.siege.daemon.pid).cpu_ms;
	while (!is_over(begin, end)) {
		for (i = 0; i < COUNT; i++)
			watch(all[i]);
		if (clock_now() > served + SERVE_MS * CLOCK_MS) {
			serve(&plain);
			serve(&tls);
			served = clock_now();
		}
		patience_breathe();
	}
	plain.cpu_after = procfs_usage(plain.siege.daemon.pid).cpu_ms;
	tls.cpu_after = procfs_usage(tls.siege.daemon.pid).cpu_ms;
}

static int
begin_all(void **state)
{
	struct daemon_config without = { .pki = NULL }, with = { .pki = &pki };

	(void)state;
	pki_create(&pki);
	daemon_open(&quiet, &with);
	siege_begin(&forked, &without);
	siege_begin(&plain.siege, &without);
	siege_begin(&tls.siege, &with);
	abandon_forks();
	siege_attack(&plain.siege);
	siege_attack(&tls.siege);
	begin_frames(&plain);
	begin_frames(&tls);
	begin_handshakes();
	watch_all();
	return 0;
}

static int
end_all(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT; i++) {
		raw_close(&all[i]->r);
		buf_fini(&all[i]->rest);
	}
	siege_fini(&plain.siege);
	siege_fini(&tls.siege);
	siege_fini(&forked);
	daemon_fini(&quiet);
	pki_destroy(&pki);
	return 0;
}

/* The server has closed the connection LIMIT_MS after since, not earlier and hardly later. */
static void
expect_cut(const struct slow *p, uint64_t since)
{
	uint64_t ms;

	if (p->ended == 0)
		fail_msg("expected the server to close the connection after %d ms, it did not",
		    LIMIT_MS);
	ms = (p->ended - since) / CLOCK_MS;
	if (ms + 1 < LIMIT_MS || ms > LIMIT_MS + patience_ms(LATE_MS))
		fail_msg("expected the server to close the connection after %d ms, it was %lu ms",
		    LIMIT_MS, (unsigned long)ms);
}

static void
expect_cut_on_both(const struct slow *a, const struct slow *b)
{
	expect_cut(a, a->last);
	expect_cut(b, b->last);
}

static void
half_a_header_is_cut_off_after_10_s(void **state)
{
	(void)state;
	expect_cut_on_both(&plain.half_header, &tls.half_header);
}

static void
half_a_body_is_cut_off_after_10_s(void **state)
{
	(void)state;
	expect_cut_on_both(&plain.half_body, &tls.half_body);
}

static void
half_a_body_that_is_thrown_away_is_cut_off_after_10_s(void **state)
{
	(void)state;
	expect_cut_on_both(&plain.half_large_body, &tls.half_large_body);
}

static void
a_handshake_that_does_not_begin_is_cut_off_after_10_s(void **state)
{
	(void)state;
	expect_cut(&handshakes.no_hello, handshakes.no_hello.connected);
}

static void
a_handshake_that_is_not_finished_is_cut_off_after_10_s(void **state)
{
	(void)state;
	expect_cut(&handshakes.half_hello, handshakes.half_hello.connected);
	expect_cut(&handshakes.no_finish, handshakes.no_finish.connected);
}

static void
a_handshake_of_a_byte_a_second_is_cut_off_after_10_s(void **state)
{
	(void)state;
	assert_true(buf_size(&handshakes.drip_hello.rest) > 0);
	expect_cut(&handshakes.drip_hello, handshakes.drip_hello.connected);
}

/* The server executes a frame that takes longer than the limit but never pauses for so long. */
static void
expect_executed(const struct slow *p)
{
	assert_int_equal(p->ended, 0);
	assert_int_equal(buf_size(&p->rest), 0);
	assert_true(p->last - p->connected > LIMIT_MS * CLOCK_MS);
	assert_int_equal(p->reply_size, FRAME_HEADER_SIZE);
	assert_string_equal(status_name(frame_get(p->reply).code), "EBADF");
}

static void
a_frame_of_a_byte_a_second_is_executed(void **state)
{
	(void)state;
	expect_executed(&plain.drip);
	expect_executed(&tls.drip);
}

static void
peers_that_say_nothing_between_frames_may_stay(void **state)
{
	(void)state;
	assert_int_equal(plain.idle.ended, 0);
	assert_int_equal(tls.idle.ended, 0);
	assert_int_equal(handshakes.half_record.ended, 0);
	assert_int_equal(raw_ask(&plain.idle.r, OP_CANCEL, "w", (uint32_t)0), 0);
	assert_int_equal(raw_ask(&tls.idle.r, OP_CANCEL, "w", (uint32_t)0), 0);
}

static void
expect_lines(const struct siege *s, unsigned frames, unsigned unfinished)
{
	char peer[64];

	snprintf(peer, sizeof peer, "%spid %ld uid ",
	    s->daemon.config.pki != NULL ? "client (" : "", (long)getpid());
	assert_int_equal(daemon_log_count(&s->daemon, s->mark, peer,
			     "connection closed: 3 bytes of a frame, then 10 s of silence"),
	    1);
	assert_int_equal(daemon_log_count(&s->daemon, s->mark, peer, "then 10 s of silence"),
	    frames);
	assert_int_equal(daemon_log_count(&s->daemon, s->mark, strchr(peer, 'p'),
			     "refused: no TLS handshake within 10 s"),
	    unfinished);
	daemon_log_expect(&s->daemon, s->mark, frames + unfinished);
}

static void
every_one_that_was_cut_off_has_one_line_in_the_log(void **state)
{
	(void)state;
	expect_lines(&plain.siege, 3, 0);
	expect_lines(&tls.siege, 3, 4);
}

static void
expect_cheap(const struct front *f)
{
	if (patience_is_over(f->longest, LATE_MS))
		fail_msg("an honest client waited for %lu ms",
		    (unsigned long)(f->longest / CLOCK_MS));
	if (f->cpu_after - f->cpu_before > (int64_t)patience_ms(CPU_MS))
		fail_msg("the server used %ld ms of processor time within %d ms",
		    (long)(f->cpu_after - f->cpu_before), WATCH_MS);
}

static void
meanwhile_honest_clients_are_served_and_the_server_sleeps(void **state)
{
	(void)state;
	expect_cheap(&plain);
	expect_cheap(&tls);
}

static void
afterwards_everything_is_as_before(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT; i++)
		raw_close(&all[i]->r);
	siege_lift(&plain.siege, 0, 3, "");
	siege_lift(&tls.siege, 0, 7, "");
	siege_end(&plain.siege);
	siege_end(&tls.siege);
}

/* The server has slept since it started, longer than a handshake may take. */
static void
who_comes_after_a_long_silence_is_served(void **state)
{
	size_t mark = daemon_log_mark(&quiet);
	struct raw r;

	(void)state;
	raw_connect_plain(&r, &quiet);
	raw_close(&r);
	daemon_log_await(&quiet, mark, "refused in the TLS handshake: the peer closed", "");
	raw_connect(&r, &quiet);
	raw_begin(&r, true);
	raw_close(&r);
	daemon_stop(&quiet);
}

static uint32_t
adopt(uint64_t ident)
{
	uint32_t status;
	struct raw r;

	raw_connect(&r, &forked.daemon);
	raw_begin(&r, true);
	status = raw_ask(&r, OP_CHILD_ATTACH, "q", ident);
	if (status == 0)
		assert_int_equal(raw_ask(&r, OP_STAT, "w", (uint32_t)PROTOCOL_DESCRIPTORS_MOST - 1),
		    0);
	raw_close(&r);
	return status;
}

/* True while a pending fork has the first file of the parent open. */
static bool
is_forked_file_open(void)
{
	struct protocol_stat stat;
	struct wire_reader body;
	struct raw r;
	uint32_t fd;

	raw_connect(&r, &forked.daemon);
	raw_begin(&r, true);
	fd = raw_open(&r, "/forked0", 0);
	assert_int_equal(raw_ask(&r, OP_STAT, "w", fd), 0);
	body = wire_reader(buf_data(&r.body), buf_size(&r.body));
	protocol_get_stat(&body, &stat);
	raw_close(&r);
	return stat.open_count > 1;
}

static void
forks_of_a_parent_that_left_live_for_60_s(void **state)
{
	uint64_t early = forked_at + (GRACE_MS - 5000) * CLOCK_MS;
	uint64_t late = forked_at + GRACE_MS * CLOCK_MS + patience_ms(LATE_MS) * CLOCK_MS;

	(void)state;
	assert_string_equal(status_name(adopt(forked_idents[0])), "0");
	while (is_forked_file_open()) {
		if (clock_now() > late)
			fail_msg("forks are still there after %lu ms",
			    (unsigned long)((clock_now() - forked_at) / CLOCK_MS));
		poll(NULL, 0, 100); /* each check is a connection */
	}
	if (clock_now() < early)
		fail_msg("forks are gone after %lu ms",
		    (unsigned long)((clock_now() - forked_at) / CLOCK_MS));
	assert_string_equal(status_name(adopt(forked_idents[1])), "EINVAL");
	siege_lift(&forked, 0, 0, "");
	siege_end(&forked);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(half_a_header_is_cut_off_after_10_s),
		cmocka_unit_test(half_a_body_is_cut_off_after_10_s),
		cmocka_unit_test(half_a_body_that_is_thrown_away_is_cut_off_after_10_s),
		cmocka_unit_test(a_handshake_that_does_not_begin_is_cut_off_after_10_s),
		cmocka_unit_test(a_handshake_that_is_not_finished_is_cut_off_after_10_s),
		cmocka_unit_test(a_handshake_of_a_byte_a_second_is_cut_off_after_10_s),
		cmocka_unit_test(a_frame_of_a_byte_a_second_is_executed),
		cmocka_unit_test(peers_that_say_nothing_between_frames_may_stay),
		cmocka_unit_test(every_one_that_was_cut_off_has_one_line_in_the_log),
		cmocka_unit_test(meanwhile_honest_clients_are_served_and_the_server_sleeps),
		cmocka_unit_test(afterwards_everything_is_as_before),
		cmocka_unit_test(who_comes_after_a_long_silence_is_served),
		cmocka_unit_test(forks_of_a_parent_that_left_live_for_60_s),
	};

	return cmocka_run_group_tests_name("slow peers", tests, begin_all, end_all);
}
