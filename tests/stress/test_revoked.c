/*
 * Certificates that are revoked while their peers are connected or about to be: sessions end and
 * release their locks, and nobody gets in by a handshake that had begun or a session of TLS. An
 * operator revokes as well as SIGHUP does.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/wire/inspect.h"
#include "common/wire/protocol.h"
#include "common/wire/wire.h"
#include "tests/stress/client.h"
#include "tests/stress/daemon.h"
#include "tests/stress/patience.h"
#include "tests/stress/pki.h"
#include "tests/stress/raw.h"

enum {
	MANY = 300,
	HELD_BACK = 20, /* bytes: less than the last record of a handshake */
	WIRE_MOST = 16 * 1024
};

static struct pki pki;
static struct daemon servers[2]; /* smdish, smuf */
static struct daemon *server;    /* of the running test */
static struct raw boss, honest, peers[MANY];

static int
begin_all(void **state)
{
	static char list[2][PKI_PATH_SIZE];
	size_t i;

	(void)state;
	pki_create(&pki);
	pki_add(&pki, "client", "boss", NULL, NULL);
	pki_list(&pki);
	for (i = 0; i < 2; i++) {
		const struct daemon_config config = { .is_smuf = i == 1,
			.pki = &pki,
			.args = { "-v", "--operators", "boss,second", "-C",
			    pki_file(&pki, "root", "crl", list[i]) } };

		daemon_open(&servers[i], &config);
	}
	return 0;
}

static int
end_all(void **state)
{
	(void)state;
	daemon_fini(&servers[0]);
	daemon_fini(&servers[1]);
	pki_destroy(&pki);
	return 0;
}

static int
hang_up(void **state)
{
	size_t i;

	(void)state;
	raw_close(&boss);
	raw_close(&honest);
	for (i = 0; i < MANY; i++)
		raw_close(&peers[i]);
	return 0;
}

static void
connect_as(struct raw *r, const char *name)
{
	SSL_CTX *ctx = raw_context(&pki, name);

	raw_connect_plain(r, server);
	assert_int_equal(raw_handshake(r, ctx), 0);
	SSL_CTX_free(ctx);
	raw_begin(r, true);
}

/* A certificate that no other test has. */
static const char *
add_certificate(void)
{
	static unsigned count;
	static char name[32];

	snprintf(name, sizeof name, "leaked-%u", ++count);
	pki_add(&pki, "client", name, NULL, NULL);
	return name;
}

/* Revokes the certificate, and has the server load the list by SIGHUP. Returns the log's mark. */
static size_t
revoke_now(const char *name)
{
	size_t mark = daemon_log_mark(server);

	pki_revoke(&pki, name);
	daemon_signal(server, SIGHUP);
	daemon_log_await(server, mark, "SIGHUP: ", "reloaded");
	return mark;
}

/* The same by an operator's request. */
static struct inspect_reload
reload(struct raw *r)
{
	struct inspect_reload l;
	struct wire_reader records;

	assert_string_equal(RAW_ASK(r, OP_INSPECT, "bq", PROTOCOL_INSPECT_RELOAD, (uint64_t)0),
	    "0");
	records = wire_reader(buf_data(&r->body), buf_size(&r->body));
	assert_int_equal(wire_get_u64(&records), 0);
	assert_int_equal(wire_get_u32(&records), 1);
	inspect_get_reload(&records, &l);
	assert_true(wire_is_done(&records));
	return l;
}

static void
with_each_server(void (*test)(void))
{
	for (server = servers; server < servers + 2; server++) {
		test();
		hang_up(NULL);
	}
}

static void
expect_the_next_waiter_gets_the_lock(void)
{
	const char *name = add_certificate();
	uint32_t fd;
	size_t mark;

	connect_as(&peers[0], name);
	connect_as(&honest, "client");
	fd = raw_open(&peers[0], "/f", 0);
	assert_string_equal(RAW_ASK(&peers[0], OP_ACQUIRE, "wbwq", fd, PROTOCOL_EXCLUSIVE,
				UINT32_MAX, (uint64_t)0),
	    "0");
	fd = raw_open(&honest, "/f", 0);
	assert_true(
	    raw_say(&honest, OP_ACQUIRE, "wbwq", fd, PROTOCOL_EXCLUSIVE, UINT32_MAX, (uint64_t)0));
	mark = revoke_now(name);
	assert_true(raw_listen(&honest));
	assert_int_equal(honest.code, 0);
	raw_expect_end(&peers[0]);
	daemon_log_await(server, mark, name, "connection closed: its certificate is revoked");
	daemon_log_expect(server, mark, 1);
	raw_close(&peers[0]);
}

static void
a_revoked_session_ends_and_releases_its_locks(void **state)
{
	(void)state;
	with_each_server(expect_the_next_waiter_gets_the_lock);
}

/* Sends what the client's handshake has written, but for the last held_back bytes. */
static void
deliver(struct raw *r, size_t held_back)
{
	uint8_t bytes[WIRE_MOST];
	size_t size = BIO_ctrl_pending(SSL_get_wbio(r->ssl));

	assert_in_range(size, held_back + 1, sizeof bytes);
	size -= held_back;
	assert_int_equal(BIO_read(SSL_get_wbio(r->ssl), bytes, (int)size), size);
	assert_int_equal(write(r->fd, bytes, size), size);
}

/* Shakes hands until the client has only the end of its last record to send. */
static void
shake_hands_but_for_the_last_record(struct raw *r, SSL_CTX *ctx)
{
	uint64_t deadline = patience_until(PATIENCE_MS);
	bool is_first = true;

	raw_prepare(r, ctx);
	SSL_set0_wbio(r->ssl, BIO_new(BIO_s_mem()));
	SSL_set_connect_state(r->ssl);
	while (is_first || BIO_ctrl_pending(SSL_get_wbio(r->ssl)) == 0) {
		SSL_do_handshake(r->ssl);
		ERR_clear_error();
		if (is_first)
			deliver(r, 0);
		is_first = false;
		if (clock_now() > deadline)
			fail_msg("the server does not answer the hello");
		patience_breathe();
	}
	deliver(r, HELD_BACK);
}

static void
expect_late_handshake_refused(int version)
{
	const char *name = add_certificate();
	SSL_CTX *ctx = raw_context(&pki, name);
	size_t mark;

	assert_int_equal(SSL_CTX_set_min_proto_version(ctx, version), 1);
	assert_int_equal(SSL_CTX_set_max_proto_version(ctx, version), 1);
	raw_connect_plain(&peers[0], server);
	shake_hands_but_for_the_last_record(&peers[0], ctx);
	/* The server has handled all that when it has served another one. */
	connect_as(&honest, "client");
	mark = revoke_now(name);
	deliver(&peers[0], 0);
	daemon_log_await(server, mark, name, "connection closed: its certificate is revoked");
	daemon_log_expect(server, mark, 1);
	SSL_CTX_free(ctx);
	raw_close(&peers[0]);
	raw_close(&honest);
}

static void
expect_late_handshakes_refused(void)
{
	expect_late_handshake_refused(TLS1_2_VERSION);
	expect_late_handshake_refused(TLS1_3_VERSION);
}

static void
a_handshake_whose_certificate_was_verified_before_does_not_get_in(void **state)
{
	(void)state;
	with_each_server(expect_late_handshakes_refused);
}

/* Connects to get a session of TLS, which a second handshake offers once the peer is revoked. */
static void
expect_no_resumption(int version)
{
	const char *name = add_certificate();
	SSL_CTX *ctx = raw_context(&pki, name);
	SSL_SESSION *session;
	bool is_accepted;
	size_t mark;

	assert_int_equal(SSL_CTX_set_min_proto_version(ctx, version), 1);
	assert_int_equal(SSL_CTX_set_max_proto_version(ctx, version), 1);
	raw_connect_plain(&peers[0], server);
	assert_int_equal(raw_handshake(&peers[0], ctx), 0);
	raw_begin(&peers[0], true);
	session = SSL_get1_session(peers[0].ssl);
	assert_non_null(session);
	SSL_shutdown(peers[0].ssl);
	raw_close(&peers[0]);
	mark = revoke_now(name);
	raw_connect_plain(&peers[0], server);
	raw_prepare(&peers[0], ctx);
	assert_int_equal(SSL_set_session(peers[0].ssl, session), 1);
	is_accepted = raw_handshake(&peers[0], ctx) == 0 && !raw_is_refused(&peers[0]);
	if (is_accepted || SSL_session_reused(peers[0].ssl))
		fail_msg("version %x: a revoked peer resumed its session", version);
	daemon_log_await(server, mark, "refused in the TLS handshake", "it is revoked");
	SSL_SESSION_free(session);
	SSL_CTX_free(ctx);
	raw_close(&peers[0]);
}

static void
expect_no_resumptions(void)
{
	expect_no_resumption(TLS1_2_VERSION);
	expect_no_resumption(TLS1_3_VERSION);
}

static void
no_session_of_tls_lets_a_revoked_peer_in(void **state)
{
	(void)state;
	with_each_server(expect_no_resumptions);
}

static void
expect_an_operator_revokes(void)
{
	const char *name = add_certificate();
	struct inspect_reload l;
	size_t mark = daemon_log_mark(server);

	connect_as(&boss, "boss");
	connect_as(&peers[0], name);
	connect_as(&peers[1], name);
	connect_as(&honest, "client");
	pki_revoke(&pki, name);
	l = reload(&boss);
	assert_int_equal(l.failed, 0);
	assert_int_equal(l.has_lists, 1);
	assert_int_equal(l.ending, 2);
	assert_true(l.revoked > 0 && l.valid_s > 0);
	assert_int_equal(l.reason.size, 0);
	raw_expect_end(&peers[0]);
	raw_expect_end(&peers[1]);
	daemon_log_await(server, mark, "boss (pid ", ": certificates reloaded");
	/* Once more: nobody is left. */
	assert_int_equal(reload(&boss).ending, 0);
	raw_open(&honest, "/g", 0);
}

static void
an_operators_request_does_what_sighup_does(void **state)
{
	(void)state;
	with_each_server(expect_an_operator_revokes);
}

static void
nobody_else_may_reload(void **state)
{
	(void)state;
	server = servers;
	connect_as(&honest, "client");
	assert_string_equal(RAW_ASK(&honest, OP_INSPECT, "bq", PROTOCOL_INSPECT_RELOAD,
				(uint64_t)0),
	    "ENOSYS");
}

/* Of the requests that came together, the server executes none behind the one that ends it. */
static void
an_operator_may_revoke_itself(void **state)
{
	struct buf requests = { 0 };
	size_t mark;

	(void)state;
	server = servers;
	mark = daemon_log_mark(server);
	pki_add(&pki, "client", "second", NULL, NULL);
	connect_as(&boss, "second");
	pki_revoke(&pki, "second");
	raw_put(&requests, OP_INSPECT, "bq", PROTOCOL_INSPECT_RELOAD, (uint64_t)0);
	raw_put(&requests, OP_OPEN, "s", "/behind");
	assert_true(raw_send(&boss, buf_data(&requests), buf_size(&requests)));
	buf_fini(&requests);
	assert_true(raw_listen(&boss));
	assert_int_equal(boss.code, 0);
	assert_false(raw_listen(&boss));
	daemon_log_await(server, mark, "second", "connection closed: its certificate is revoked");
}

static void
expect_all_end(void)
{
	const char *name = add_certificate();
	size_t i;

	for (i = 0; i < MANY; i++) {
		connect_as(&peers[i], name);
		if (i % 3 == 0)
			raw_open(&peers[i], "/h", 0);
	}
	connect_as(&boss, "boss");
	connect_as(&honest, "client");
	pki_revoke(&pki, name);
	assert_int_equal(reload(&boss).ending, MANY);
	raw_open(&honest, "/h", 0);
	for (i = 0; i < MANY; i++)
		raw_expect_end(&peers[i]);
}

static void
many_sessions_end_at_once(void **state)
{
	(void)state;
	with_each_server(expect_all_end);
}

static void
our_client_is_told_that_its_certificate_is_revoked(void **state)
{
	const char *name;
	struct client c;
	struct sm *other;
	int error;

	(void)state;
	server = servers;
	name = add_certificate();
	c = (struct client){ .sm = client_create_as(server, server->address, name, NULL) };
	if (!client_open_file(&c, CLIENT_MOUNT "/i", 0))
		fail_msg("sm_open: %s", sm_error(c.sm));
	assert_int_equal(sm_lock(c.file), 0);
	(void)revoke_now(name);
	/* The release goes out, or not; the next lock is refused in any case. */
	(void)sm_unlock(c.file);
	errno = 0;
	if (sm_lock(c.file) == 0)
		fail_msg("a revoked client still gets the lock");
	error = errno;
	if (error != ENOTCONN && error != ECONNRESET)
		fail_msg("expected ENOTCONN or ECONNRESET, got %s: %s", strerror(error),
		    sm_error(c.sm));
	client_close(&c);
	other = client_create_as(server, server->address, name, NULL);
	assert_non_null(other);
	errno = 0;
	assert_null(sm_open(other, CLIENT_MOUNT "/i"));
	assert_int_equal(errno, EACCES);
	if (strstr(sm_error(other), "certificate revoked") == NULL)
		fail_msg("expected that the certificate is revoked, got: %s", sm_error(other));
	sm_free(other);
}

static struct sm *
load_client_with_a_list(void)
{
	char conf[PKI_PATH_SIZE];
	struct sm *sm = sm_new();
	FILE *f = fopen(pki_file(&pki, "client", "conf", conf), "w");

	assert_non_null(sm);
	assert_non_null(f);
	fprintf(f, "MOUNT %s %s smdish\n", server->address, CLIENT_MOUNT);
	fprintf(f, "CAFILE root.crt\nCERTFILE client.crt\nKEYFILE client.key\nCRLFILE root.crl\n");
	assert_int_equal(fclose(f), 0);
	if (sm_load(sm, conf) != 0)
		fail_msg("sm_load: %s", sm_error(sm));
	return sm;
}

/* The client refuses the server; what it says has these words. */
static void
expect_server_refused(struct sm *sm, const char *words)
{
	errno = 0;
	if (sm_open(sm, CLIENT_MOUNT "/j") != NULL)
		fail_msg("expected that the server is refused");
	if (errno != EACCES || strstr(sm_error(sm), words) == NULL)
		fail_msg("expected EACCES and \"%s\", got %s: %s", words, strerror(errno),
		    sm_error(sm));
}

/* The last test: the servers' certificate is worth nothing to clients with a list from then on. */
static void
our_client_looks_at_its_list_whenever_it_connects(void **state)
{
	char list[PKI_PATH_SIZE];
	struct sm_file *file;
	struct sm *sm;
	FILE *f;

	(void)state;
	server = servers;
	sm = load_client_with_a_list();
	file = sm_open(sm, CLIENT_MOUNT "/j");
	if (file == NULL)
		fail_msg("sm_open: %s", sm_error(sm));
	pki_revoke(&pki, "server");
	/* The connection goes on. */
	assert_int_equal(sm_lock(file), 0);
	assert_int_equal(sm_unlock(file), 0);
	daemon_stop(server);
	daemon_start(server);
	expect_server_refused(sm, "it is revoked");
	f = fopen(pki_file(&pki, "root", "crl", list), "w");
	assert_non_null(f);
	assert_int_equal(fclose(f), 0);
	expect_server_refused(sm, "it is revoked; the last revocation list cannot be loaded: ");
	sm_free(sm);
	pki_list(&pki);
}

#define TEST(f) cmocka_unit_test_teardown(f, hang_up)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_revoked_session_ends_and_releases_its_locks),
		TEST(a_handshake_whose_certificate_was_verified_before_does_not_get_in),
		TEST(no_session_of_tls_lets_a_revoked_peer_in),
		TEST(an_operators_request_does_what_sighup_does),
		TEST(nobody_else_may_reload),
		TEST(an_operator_may_revoke_itself),
		TEST(many_sessions_end_at_once),
		TEST(our_client_is_told_that_its_certificate_is_revoked),
		TEST(our_client_looks_at_its_list_whenever_it_connects),
	};

	return cmocka_run_group_tests_name("revoked peers", tests, begin_all, end_all);
}
