/*
 * A TLS connection against a peer that uses OpenSSL directly: the groups of the key exchange, what
 * is pending after a read, the end of a connection that only updates its keys, and a read that has
 * to write.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/crypto/tls.h"
#include "common/crypto/tls_bio.h"
#include "common/crypto/tls_context.h"
#include "tests/stress/pki.h"

enum { RECORD = 10, LARGE = 16384, WIRE_MOST = 64 * 1024 };

static struct pki pki;
static struct tls_context *contexts[2]; /* ours, by enum tls_role */

/* Ours and the peer, which writes into memory: deliver() sends as much as the test wants. */
static struct tls *tls;
static SSL *peer;
static int fds[2] = { -1, -1 }; /* tls has the first */

static int
begin_all(void **state)
{
	char cert[PKI_PATH_SIZE], key[PKI_PATH_SIZE], root[PKI_PATH_SIZE], reason[TLS_REASON_SIZE];
	struct tls_config config = { .ca_file = root, .cert_file = cert, .key_file = key };
	const char *names[2];

	(void)state;
	names[TLS_CLIENT] = "client";
	names[TLS_SERVER] = "server";
	pki_create(&pki);
	pki_file(&pki, "root", "crt", root);
	for (config.role = TLS_CLIENT; config.role <= TLS_SERVER; config.role++) {
		pki_file(&pki, names[config.role], "crt", cert);
		pki_file(&pki, names[config.role], "key", key);
		if (tls_context_create(&contexts[config.role], &config, reason) != 0)
			fail_msg("tls_context_create: %s", reason);
	}
	return 0;
}

static int
end_all(void **state)
{
	(void)state;
	tls_context_destroy(contexts[TLS_CLIENT]);
	tls_context_destroy(contexts[TLS_SERVER]);
	pki_destroy(&pki);
	return 0;
}

static int
hang_up(void **state)
{
	(void)state;
	tls_destroy(tls);
	SSL_free(peer);
	close(fds[0]);
	close(fds[1]);
	tls = NULL;
	peer = NULL;
	fds[0] = fds[1] = -1;
	return 0;
}

/* A peer of the other role than ours, for one version of TLS and these groups (NULL: all). */
static SSL *
make_peer(enum tls_role ours, int version, const char *groups)
{
	SSL_CTX *ctx = SSL_CTX_new(ours == TLS_SERVER ? TLS_client_method() : TLS_server_method());
	const char *name = ours == TLS_SERVER ? "client" : "server";
	char path[PKI_PATH_SIZE];
	SSL *ssl;

	assert_non_null(ctx);
	SSL_CTX_use_certificate_file(ctx, pki_file(&pki, name, "crt", path), SSL_FILETYPE_PEM);
	SSL_CTX_use_PrivateKey_file(ctx, pki_file(&pki, name, "key", path), SSL_FILETYPE_PEM);
	assert_int_equal(SSL_CTX_set_min_proto_version(ctx, version), 1);
	assert_int_equal(SSL_CTX_set_max_proto_version(ctx, version), 1);
	assert_true(groups == NULL || SSL_CTX_set1_groups_list(ctx, groups) == 1);
	assert_int_equal(SSL_CTX_set_num_tickets(ctx, 0), 1);
	ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);
	assert_non_null(ssl);
	if (ours == TLS_SERVER)
		SSL_set_connect_state(ssl);
	else
		SSL_set_accept_state(ssl);
	return ssl;
}

/* Sends size of the bytes that the peer has written, which must be that many. */
static void
deliver(size_t size)
{
	static uint8_t bytes[WIRE_MOST];

	assert_in_range(size, 1, sizeof bytes);
	assert_int_equal(BIO_read(SSL_get_wbio(peer), bytes, (int)size), size);
	assert_int_equal(send(fds[1], bytes, size, MSG_NOSIGNAL), size);
}

static size_t
written_by_peer(void)
{
	return BIO_ctrl_pending(SSL_get_wbio(peer));
}

static void
deliver_all(void)
{
	while (written_by_peer() > 0)
		deliver(written_by_peer() < WIRE_MOST ? written_by_peer() : WIRE_MOST);
}

static void
begin(enum tls_role ours, int version, const char *groups)
{
	BIO *in;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	assert_int_equal(tls_create(&tls, contexts[ours], fds[0], NULL), 0);
	peer = make_peer(ours, version, groups);
	in = BIO_new_socket(fds[1], BIO_NOCLOSE);
	assert_non_null(in);
	SSL_set_bio(peer, in, BIO_new(BIO_s_mem()));
}

/* Returns what tls_handshake() returns in the end. */
static int
shake_hands(void)
{
	int error = -EAGAIN, i;

	for (i = 0; i < 20 && error == -EAGAIN; i++) {
		SSL_do_handshake(peer);
		deliver_all();
		error = tls_handshake(tls);
	}
	SSL_do_handshake(peer);
	ERR_clear_error();
	return error;
}

static void
connect_both(enum tls_role ours, int version)
{
	begin(ours, version, NULL);
	if (shake_hands() != 0)
		fail_msg("tls_handshake: %s", tls_reason(tls));
	assert_true(SSL_is_init_finished(peer));
}

static void
write_record(size_t size)
{
	static const uint8_t zeros[LARGE];

	assert_int_equal(SSL_write(peer, zeros, (int)size), size);
}

static void
update_keys(unsigned count, int kind)
{
	while (count-- > 0) {
		assert_int_equal(SSL_key_update(peer, kind), 1);
		assert_int_equal(SSL_do_handshake(peer), 1);
	}
}

static ssize_t
read_some(void)
{
	static uint8_t out[WIRE_MOST];

	return tls_read(tls, out, sizeof out);
}

/* Groups. */

static void
expect_group(const char *group, int version, bool is_good)
{
	enum tls_role role;
	int error;

	for (role = TLS_CLIENT; role <= TLS_SERVER; role++) {
		begin(role, version, group);
		error = shake_hands();
		if ((error == 0) != is_good)
			fail_msg("our role %d, TLS %x, %s: expected %s, got %d (%s)", role, version,
			    group, is_good ? "a connection" : "a refusal", error, tls_reason(tls));
		hang_up(NULL);
	}
}

static void
elliptic_curves_are_good_for_the_key_exchange(void **state)
{
	static const char *const good[] = { "X25519", "P-256", "P-384" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof good / sizeof good[0]; i++)
		expect_group(good[i], TLS1_3_VERSION, true);
	/* TLS 1.2 needs the group of the certificate's key, too. */
	expect_group("P-256", TLS1_2_VERSION, true);
	expect_group("X25519:P-256", TLS1_2_VERSION, true);
}

static void
costly_groups_are_refused(void **state)
{
	(void)state;
	expect_group("ffdhe2048", TLS1_3_VERSION, false);
	expect_group("ffdhe8192", TLS1_3_VERSION, false);
	expect_group("P-521", TLS1_3_VERSION, false);
	expect_group("P-521", TLS1_2_VERSION, false);
}

/* What is pending. */

/* Two records, of which at first only cut bytes come. */
static void
cut_two_records(size_t first, size_t cut, size_t total)
{
	ssize_t n;

	deliver(cut);
	n = read_some();
	if (n != (cut >= first ? RECORD : -EAGAIN))
		fail_msg("%zu of %zu bytes: tls_read() returned %zd", cut, total, n);
	if (tls_has_pending(tls) != (cut == total))
		fail_msg("%zu of %zu bytes: pending is %d", cut, total, tls_has_pending(tls));
	if (cut < total)
		deliver(total - cut);
	if (cut < first)
		assert_int_equal(read_some(), RECORD);
	assert_int_equal(read_some(), RECORD);
	assert_false(tls_has_pending(tls));
	assert_int_equal(read_some(), -EAGAIN);
	assert_false(tls_has_pending(tls) || tls_is_paused(tls) || tls_read_wants_write(tls));
}

static void
a_whole_record_is_pending_and_a_part_of_one_is_not(void **state)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	size_t first, total, cut, i;

	(void)state;
	for (i = 0; i < 2; i++) {
		connect_both(TLS_SERVER, versions[i]);
		for (cut = 1, total = 2; cut <= total; cut++) {
			write_record(RECORD);
			first = written_by_peer();
			write_record(RECORD);
			total = written_by_peer();
			cut_two_records(first, cut, total);
		}
		hang_up(NULL);
	}
}

static void
a_part_of_a_large_record_is_not_pending(void **state)
{
	size_t i, part;

	(void)state;
	connect_both(TLS_CLIENT, TLS1_3_VERSION);
	for (i = 0; i < 3; i++) {
		write_record(LARGE);
		write_record(LARGE);
		for (part = 1; part < written_by_peer(); part *= 5) {
			deliver(part);
			if (read_some() > 0)
				break;
			assert_false(tls_has_pending(tls));
		}
		deliver_all();
		while (read_some() > 0)
			;
		assert_false(tls_has_pending(tls));
	}
}

static void
many_records_come_in_one_piece(void **state)
{
	unsigned i;

	(void)state;
	connect_both(TLS_SERVER, TLS1_3_VERSION);
	for (i = 0; i < 100; i++)
		write_record(RECORD);
	deliver_all();
	for (i = 0; i < 100; i++)
		assert_int_equal(read_some(), RECORD);
	assert_int_equal(read_some(), -EAGAIN);
	assert_false(tls_is_paused(tls));
}

/* Records without data. */

/* Calls until it is not paused. Returns the result; *calls counts the calls. */
static ssize_t
read_paused(unsigned *calls)
{
	ssize_t n;

	*calls = 0;
	do {
		n = read_some();
		++*calls;
	} while (n == -EAGAIN && tls_is_paused(tls));
	return n;
}

static void
key_updates_are_read_a_few_at_a_time(void **state)
{
	unsigned calls, round;

	(void)state;
	connect_both(TLS_SERVER, TLS1_3_VERSION);
	/* A byte of data in between starts the count again. */
	for (round = 0; round < 3; round++) {
		update_keys(TLS_SILENT_RECORDS_MOST - 1, SSL_KEY_UPDATE_NOT_REQUESTED);
		write_record(RECORD);
		deliver_all();
		assert_int_equal(read_paused(&calls), RECORD);
		assert_int_equal(calls, TLS_SILENT_RECORDS_MOST / TLS_BIO_RECORDS_AT_ONCE);
		assert_false(tls_has_pending(tls));
	}
}

static void
a_peer_that_only_updates_its_keys_is_disconnected(void **state)
{
	unsigned calls;

	(void)state;
	connect_both(TLS_SERVER, TLS1_3_VERSION);
	update_keys(TLS_SILENT_RECORDS_MOST, SSL_KEY_UPDATE_NOT_REQUESTED);
	write_record(RECORD);
	deliver_all();
	assert_int_equal(read_paused(&calls), -EPROTO);
	assert_string_equal(tls_reason(tls), "the peer keeps updating its keys and sends nothing");
	assert_int_equal(calls, TLS_SILENT_RECORDS_MOST / TLS_BIO_RECORDS_AT_ONCE);
}

static void
a_peer_that_updates_its_keys_slowly_is_disconnected(void **state)
{
	unsigned i;

	(void)state;
	connect_both(TLS_SERVER, TLS1_3_VERSION);
	for (i = 1; i < TLS_SILENT_RECORDS_MOST; i++) {
		update_keys(1, SSL_KEY_UPDATE_NOT_REQUESTED);
		deliver_all();
		assert_int_equal(read_some(), -EAGAIN);
		assert_false(tls_is_paused(tls) || tls_has_pending(tls));
	}
	update_keys(1, SSL_KEY_UPDATE_NOT_REQUESTED);
	deliver_all();
	assert_int_equal(read_some(), -EPROTO);
}

static void
a_hello_in_tiny_records_is_read_a_few_at_a_time(void **state)
{
	uint8_t hello[2048], tiny[6] = { 22, 3, 1, 0, 1 };
	int size, i, error;
	unsigned pauses = 0;

	(void)state;
	begin(TLS_SERVER, TLS1_2_VERSION, NULL);
	SSL_do_handshake(peer);
	size = BIO_read(SSL_get_wbio(peer), hello, sizeof hello);
	assert_in_range(size, 100, sizeof hello - 1);
	for (i = TLS_BIO_HEADER_SIZE; i < size; i++) {
		tiny[5] = hello[i];
		assert_int_equal(BIO_write(SSL_get_wbio(peer), tiny, sizeof tiny), sizeof tiny);
	}
	deliver_all();
	while ((error = tls_handshake(tls)) == -EAGAIN && tls_is_paused(tls))
		pauses++;
	assert_int_equal(error, -EAGAIN);
	assert_int_equal(pauses, (size - TLS_BIO_HEADER_SIZE - 1) / TLS_BIO_RECORDS_AT_ONCE);
	assert_int_equal(shake_hands(), 0);
}

static void
an_ssl_2_hello_is_refused(void **state)
{
	static const uint8_t hello[] = { 0x80, 0x2e, 1, 3, 3, 0, 21, 0, 0, 0, 16 };

	(void)state;
	begin(TLS_SERVER, TLS1_2_VERSION, NULL);
	assert_int_equal(send(fds[1], hello, sizeof hello, 0), sizeof hello);
	assert_int_equal(tls_handshake(tls), -EPROTO);
	assert_string_equal(tls_reason(tls), "the peer does not speak TLS");
}

static void
descriptors_that_are_passed_end_the_connection(void **state)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec part = { "\26", 1 };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
	struct cmsghdr *c;

	(void)state;
	begin(TLS_SERVER, TLS1_3_VERSION, NULL);
	tls_take_rights(tls);
	m.msg_control = &control;
	m.msg_controllen = sizeof control.room;
	c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fds[1], sizeof(int));
	assert_int_equal(sendmsg(fds[1], &m, MSG_NOSIGNAL), 1);
	assert_int_equal(tls_handshake(tls), -EPROTO);
	assert_string_equal(tls_reason(tls), "the peer passes descriptors");
}

/* A read that has to write. */

/* Fills our side's way to the peer with bytes that are not TLS. Returns their number. */
static size_t
fill_socket(void)
{
	static const uint8_t junk[4096];
	size_t size = 0;
	ssize_t n;

	while ((n = send(fds[0], junk, sizeof junk, MSG_DONTWAIT)) > 0)
		size += (size_t)n;
	while ((n = send(fds[0], junk, 1, MSG_DONTWAIT)) > 0)
		size += (size_t)n;
	assert_int_equal(errno, EAGAIN);
	return size;
}

static void
empty_socket(size_t size)
{
	uint8_t junk[4096];
	ssize_t n;

	while (size > 0) {
		n = recv(fds[1], junk, size < sizeof junk ? size : sizeof junk, MSG_DONTWAIT);
		assert_true(n > 0);
		size -= (size_t)n;
	}
}

static void
a_read_that_has_to_write_says_so(void **state)
{
	size_t size;

	(void)state;
	connect_both(TLS_SERVER, TLS1_3_VERSION);
	size = fill_socket();
	update_keys(2, SSL_KEY_UPDATE_REQUESTED);
	write_record(RECORD);
	deliver_all();
	assert_int_equal(read_some(), -EAGAIN);
	assert_true(tls_read_wants_write(tls));
	assert_false(tls_write_wants_write(tls));
	/* A whole record is here, but has to wait. */
	assert_false(tls_has_pending(tls) || tls_is_paused(tls));
	assert_int_equal(tls_write(tls, "x", 1), -EAGAIN);
	assert_true(tls_write_wants_write(tls) && tls_read_wants_write(tls));
	empty_socket(size);
	assert_int_equal(read_some(), RECORD);
	assert_false(tls_read_wants_write(tls) || tls_has_pending(tls));
	assert_int_equal(tls_write(tls, "x", 1), 1);
	assert_false(tls_write_wants_write(tls));
}

static void
an_unfinished_write_does_not_change_what_a_read_waits_for(void **state)
{
	static const uint8_t zeros[LARGE];
	size_t size = 0;
	ssize_t n;

	(void)state;
	connect_both(TLS_SERVER, TLS1_3_VERSION);
	while ((n = tls_write(tls, zeros, sizeof zeros)) > 0)
		size += (size_t)n;
	assert_int_equal(n, -EAGAIN);
	assert_true(tls_write_wants_write(tls));
	assert_int_equal(read_some(), -EAGAIN);
	assert_false(tls_read_wants_write(tls));
	assert_true(tls_write_wants_write(tls));
	assert_true(size > 0);
}

#define CONNECTED(f) cmocka_unit_test_teardown(f, hang_up)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CONNECTED(elliptic_curves_are_good_for_the_key_exchange),
		CONNECTED(costly_groups_are_refused),
		CONNECTED(a_whole_record_is_pending_and_a_part_of_one_is_not),
		CONNECTED(a_part_of_a_large_record_is_not_pending),
		CONNECTED(many_records_come_in_one_piece),
		CONNECTED(key_updates_are_read_a_few_at_a_time),
		CONNECTED(a_peer_that_only_updates_its_keys_is_disconnected),
		CONNECTED(a_peer_that_updates_its_keys_slowly_is_disconnected),
		CONNECTED(a_hello_in_tiny_records_is_read_a_few_at_a_time),
		CONNECTED(an_ssl_2_hello_is_refused),
		CONNECTED(descriptors_that_are_passed_end_the_connection),
		CONNECTED(a_read_that_has_to_write_says_so),
		CONNECTED(an_unfinished_write_does_not_change_what_a_read_waits_for),
	};

	return cmocka_run_group_tests(tests, begin_all, end_all);
}
