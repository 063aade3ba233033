/*
 * Which peers trust each other: certificates that are missing, of another CA, expired or made for
 * the other role, old TLS, weak ciphers, resumption, names. A server logs each refusal in one line;
 * our client returns EACCES.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <bsd/string.h>
#include <errno.h>
#include <openssl/err.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/wire/protocol.h"
#include "tests/stress/client.h"
#include "tests/stress/daemon.h"
#include "tests/stress/pki.h"
#include "tests/stress/raw.h"

#define TWO_HOSTS "127.0.0.2" /* also this machine, but not in any certificate of mkpki */

static struct pki pki, other_pki;
static struct daemon strict, lenient; /* without -n, with it */
static struct raw peer;               /* of the running test */

static int
begin_all(void **state)
{
	const struct daemon_config with_tcp = { .pki = &pki,
		.tcp_host = "127.0.0.1",
		.args = { "-v" } };
	const struct daemon_config with_n = { .pki = &pki,
		.tcp_host = TWO_HOSTS,
		.args = { "-n", "-v" } };

	(void)state;
	pki_create(&pki);
	pki_add(&pki, "client", "late", "20200101000000Z", "20200201000000Z");
	pki_add(&pki, "client", "early", "20900101000000Z", "20900201000000Z");
	pki_add(&pki, "server", "lateserver", "20200101000000Z", "20200201000000Z");
	pki_create(&other_pki);
	daemon_open(&strict, &with_tcp);
	daemon_open(&lenient, &with_n);
	return 0;
}

static int
end_all(void **state)
{
	(void)state;
	daemon_fini(&strict);
	daemon_fini(&lenient);
	pki_destroy(&pki);
	pki_destroy(&other_pki);
	return 0;
}

static int
hang_up(void **state)
{
	(void)state;
	raw_close(&peer);
	return 0;
}

/* Certificates that a client shows. */

/* Makes a client's context with the certificate name of p (NULL: none), for one version of TLS. */
static SSL_CTX *
make_context(const struct pki *p, const char *name, int version)
{
	SSL_CTX *ctx = raw_context(&pki, NULL);

	assert_int_equal(SSL_CTX_set_min_proto_version(ctx, version), 1);
	assert_int_equal(SSL_CTX_set_max_proto_version(ctx, version), 1);
	if (name != NULL)
		raw_identify(ctx, p, name);
	return ctx;
}

/* True when the server accepts a client with that context; frees it. */
static bool
is_accepted(const struct daemon *d, SSL_CTX *ctx)
{
	bool accepted;

	raw_connect_plain(&peer, d);
	accepted = raw_handshake(&peer, ctx) == 0 && !raw_is_refused(&peer);
	SSL_CTX_free(ctx);
	raw_close(&peer);
	return accepted;
}

/* The server refuses that certificate in both versions of TLS, each time with one line of log. */
static void
expect_refused(const struct daemon *d, const struct pki *p, const char *name, const char *reason)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	size_t mark, i;

	for (i = 0; i < 2; i++) {
		mark = daemon_log_mark(d);
		if (is_accepted(d, make_context(p, name, versions[i])))
			fail_msg("TLS 1.%zu: the certificate was accepted", 2 + i);
		daemon_log_await(d, mark, "] warning: pid ", reason);
		daemon_log_expect(d, mark, 1);
	}
}

static void
the_certificates_of_mkpki_are_accepted(void **state)
{
	size_t mark = daemon_log_mark(&strict);

	(void)state;
	assert_true(is_accepted(&strict, make_context(&pki, "client", TLS1_2_VERSION)));
	assert_true(is_accepted(&strict, make_context(&pki, "client", TLS1_3_VERSION)));
	/* The log names them as their certificates do. */
	daemon_log_await(&strict, mark, "client (pid ", "connected, TLSv1.2 ECDHE-");
	daemon_log_await(&strict, mark, "client (pid ", "connected, TLSv1.3 TLS_");
	daemon_log_expect(&strict, mark, 0);
}

static void
a_client_without_a_certificate_is_refused(void **state)
{
	(void)state;
	expect_refused(&strict, &pki, NULL, "the peer has no certificate");
}

static void
a_certificate_of_another_ca_is_refused(void **state)
{
	static const char reason[] =
	    "the peer's certificate is refused: no CA of -Z has signed it: ";

	(void)state;
	expect_refused(&strict, &other_pki, "client", reason);
	expect_refused(&lenient, &other_pki, "client", reason);
}

static void
an_expired_certificate_is_refused(void **state)
{
	(void)state;
	expect_refused(&strict, &pki, "late",
	    "the peer's certificate is refused: certificate has expired");
	expect_refused(&lenient, &pki, "late",
	    "the peer's certificate is refused: certificate has expired");
}

static void
a_certificate_of_the_future_is_refused(void **state)
{
	(void)state;
	expect_refused(&strict, &pki, "early",
	    "the peer's certificate is refused: certificate is not yet valid");
}

static void
a_servers_certificate_cannot_play_client(void **state)
{
	(void)state;
	expect_refused(&strict, &pki, "server", "the peer's certificate is refused: ");
	expect_refused(&lenient, &pki, "server", "the peer's certificate is refused: ");
}

static void
the_root_cannot_play_client(void **state)
{
	(void)state;
	expect_refused(&strict, &pki, "root", "the peer's certificate is refused: ");
}

static void
with_n_a_client_without_a_certificate_is_accepted_and_the_start_warns(void **state)
{
	(void)state;
	assert_true(is_accepted(&lenient, make_context(&pki, NULL, TLS1_2_VERSION)));
	assert_true(is_accepted(&lenient, make_context(&pki, NULL, TLS1_3_VERSION)));
	assert_true(is_accepted(&lenient, make_context(&pki, "client", TLS1_3_VERSION)));
	assert_int_equal(daemon_log_count(&lenient, 0, "] warning: -n: ", "without a certificate"),
	    1);
	assert_int_equal(daemon_log_count(&strict, 0, "] warning: -n: ", ""), 0);
}

/* Versions and properties of TLS. */

static void
expect_no_agreement(SSL_CTX *ctx, const char *what)
{
	size_t mark = daemon_log_mark(&strict);

	if (is_accepted(&strict, ctx))
		fail_msg("%s was accepted", what);
	daemon_log_await(&strict, mark, "] warning: pid ", "refused in the TLS handshake: TLS: ");
	daemon_log_expect(&strict, mark, 1);
}

static void
tls_1_1_is_refused(void **state)
{
	SSL_CTX *ctx = make_context(&pki, "client", TLS1_1_VERSION);

	(void)state;
	/* Otherwise OpenSSL itself would not offer it. */
	SSL_CTX_set_security_level(ctx, 0);
	expect_no_agreement(ctx, "TLS 1.1");
}

static void
ciphers_without_forward_secrecy_or_aead_are_refused(void **state)
{
	static const char *const ciphers[] = { "ECDHE-ECDSA-AES128-SHA256",
		"ECDHE-ECDSA-AES256-SHA", "ECDHE-ECDSA-AES256-CCM", "AES256-GCM-SHA384",
		"DHE-RSA-AES256-GCM-SHA384" };
	SSL_CTX *ctx;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof ciphers / sizeof ciphers[0]; i++) {
		ctx = make_context(&pki, "client", TLS1_2_VERSION);
		assert_int_equal(SSL_CTX_set_cipher_list(ctx, ciphers[i]), 1);
		expect_no_agreement(ctx, ciphers[i]);
	}
	ctx = make_context(&pki, "client", TLS1_2_VERSION);
	assert_int_equal(SSL_CTX_set_cipher_list(ctx, "ECDHE-ECDSA-AES128-GCM-SHA256"), 1);
	assert_true(is_accepted(&strict, ctx));
}

/* Connects, with an earlier session or NULL, and sends a request; peer is that connection. */
static void
connect_with(SSL_CTX *ctx, SSL_SESSION *earlier)
{
	raw_connect_plain(&peer, &strict);
	raw_prepare(&peer, ctx);
	if (earlier != NULL)
		assert_int_equal(SSL_set_session(peer.ssl, earlier), 1);
	assert_int_equal(raw_handshake(&peer, ctx), 0);
	/* The messages that TLS 1.3 sends after the handshake have come with the reply. */
	assert_int_equal(raw_ask(&peer, OP_NEW_FDTABLE, ""), 0);
}

static void
expect_no_resumption(int version)
{
	SSL_CTX *ctx = make_context(&pki, "client", version);
	SSL_SESSION *session;

	connect_with(ctx, NULL);
	session = SSL_get1_session(peer.ssl);
	assert_non_null(session);
	assert_false(SSL_SESSION_is_resumable(session));
	/* Without this the end of the connection would invalidate the session here. */
	SSL_shutdown(peer.ssl);
	raw_close(&peer);
	connect_with(ctx, session);
	assert_false(SSL_session_reused(peer.ssl));
	raw_close(&peer);
	SSL_SESSION_free(session);
	SSL_CTX_free(ctx);
}

static void
sessions_are_not_resumed(void **state)
{
	(void)state;
	expect_no_resumption(TLS1_2_VERSION);
	expect_no_resumption(TLS1_3_VERSION);
}

static void
connections_are_not_renegotiated(void **state)
{
	SSL_CTX *ctx = make_context(&pki, "client", TLS1_2_VERSION);
	size_t mark = daemon_log_mark(&strict);

	(void)state;
	connect_with(ctx, NULL);
	assert_int_equal(SSL_renegotiate(peer.ssl), 1);
	assert_true(raw_is_refused(&peer));
	raw_close(&peer);
	SSL_CTX_free(ctx);
	/* OpenSSL treats the refusal as a failure and alerts the server before it disconnects. */
	daemon_log_await(&strict, mark, "] warning: client (pid ", "connection closed: TLS: ");
	daemon_log_expect(&strict, mark, 1);
}

/* Our client against these servers. */

/* Opens a file. Returns 0 or errno. */
static int
open_error(const struct daemon *d, const char *address, const char *certificate,
    const char *options)
{
	struct sm *sm = client_create_as(d, address, certificate, options);
	int error = 0;

	if (sm == NULL)
		fail_msg("sm_load: %s", sm_error(NULL));
	errno = 0;
	if (sm_open(sm, CLIENT_MOUNT "/f") == NULL)
		error = errno;
	sm_free(sm);
	return error;
}

static void
our_client_is_told_that_its_certificate_is_refused(void **state)
{
	size_t mark = daemon_log_mark(&strict);

	(void)state;
	assert_int_equal(open_error(&strict, strict.address, "client", NULL), 0);
	assert_int_equal(open_error(&strict, strict.address, NULL, NULL), EACCES);
	assert_int_equal(open_error(&strict, strict.address, "late", NULL), EACCES);
	daemon_log_await(&strict, mark, "the peer has no certificate", "");
	daemon_log_await(&strict, mark, "certificate has expired", "");
	daemon_log_expect(&strict, mark, 2);
}

static void
our_client_does_not_take_a_servers_certificate_for_its_own(void **state)
{
	(void)state;
	errno = 0;
	assert_null(client_create_as(&strict, strict.address, "server", NULL));
	assert_int_equal(errno, EINVAL);
}

static void
the_servers_name_is_checked(void **state)
{
	char localhost[DAEMON_ADDRESS_SIZE];

	(void)state;
	snprintf(localhost, sizeof localhost, "tcp:localhost%s", strrchr(strict.tcp, ':'));
	/* The default over TCP is the host of the address. */
	assert_int_equal(open_error(&strict, strict.tcp, "client", NULL), 0);
	assert_int_equal(open_error(&strict, localhost, "client", NULL), 0);
	assert_int_equal(open_error(&lenient, lenient.tcp, "client", NULL), EACCES);
	/* An explicit name= overrides it, and works on a unix socket too. */
	assert_int_equal(open_error(&strict, strict.tcp, "client", "name=server"), 0);
	assert_int_equal(open_error(&strict, strict.tcp, "client", "name=elsewhere"), EACCES);
	assert_int_equal(open_error(&strict, strict.tcp, "client", "name=client"), EACCES);
	assert_int_equal(open_error(&strict, strict.tcp, "client", "name=" TWO_HOSTS), EACCES);
	assert_int_equal(open_error(&lenient, lenient.tcp, "client", "name=127.0.0.1"), 0);
	assert_int_equal(open_error(&strict, strict.address, "client", "name=server"), 0);
	assert_int_equal(open_error(&strict, strict.address, "client", "name=elsewhere"), EACCES);
	assert_int_equal(open_error(&strict, strict.address, "client", NULL), 0);
}

/*
 * In a child: a server with that certificate, which may be the wrong kind; serves one connection.
 */
static void
play_server(int listener, SSL_CTX *ctx)
{
	int fd = accept(listener, NULL, NULL);
	SSL *ssl = SSL_new(ctx);
	uint8_t bytes[64];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	SSL_set_fd(ssl, fd);
	if (SSL_accept(ssl) == 1)
		(void)SSL_read(ssl, bytes, sizeof bytes);
	_exit(0);
}

static int
listen_at(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strlcpy(sun.sun_path, path, sizeof sun.sun_path);
	unlink(path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof sun), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

/* Returns the error of our client with a server that has that certificate of p. */
static int
error_with_server(const struct pki *p, const char *name)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	char path[DAEMON_PATH_SIZE], address[DAEMON_PATH_SIZE + 8];
	int listener, error;
	pid_t pid;

	snprintf(path, sizeof path, "%s/rogue", strict.dir);
	snprintf(address, sizeof address, "unix:%s", path);
	listener = listen_at(path);
	raw_identify(ctx, p, name);
	pid = fork();
	if (pid == 0)
		play_server(listener, ctx);
	assert_int_not_equal(pid, -1);
	close(listener);
	error = open_error(&strict, address, "client", NULL);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	SSL_CTX_free(ctx);
	return error;
}

static void
our_client_refuses_what_is_no_server_of_its_ca(void **state)
{
	(void)state;
	assert_int_equal(error_with_server(&pki, "client"), EACCES);
	assert_int_equal(error_with_server(&other_pki, "server"), EACCES);
	assert_int_equal(error_with_server(&pki, "lateserver"), EACCES);
	assert_int_equal(error_with_server(&pki, "root"), EACCES);
	/* It is the certificate: with the right one the same server gets as far as a request. */
	assert_int_equal(error_with_server(&pki, "server"), ECONNRESET);
}

static void
the_servers_exit_with_0(void **state)
{
	(void)state;
	daemon_stop(&strict);
	daemon_stop(&lenient);
}

#define TEST(f) cmocka_unit_test_teardown(f, hang_up)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(the_certificates_of_mkpki_are_accepted),
		TEST(a_client_without_a_certificate_is_refused),
		TEST(a_certificate_of_another_ca_is_refused),
		TEST(an_expired_certificate_is_refused),
		TEST(a_certificate_of_the_future_is_refused),
		TEST(a_servers_certificate_cannot_play_client),
		TEST(the_root_cannot_play_client),
		TEST(with_n_a_client_without_a_certificate_is_accepted_and_the_start_warns),
		TEST(tls_1_1_is_refused),
		TEST(ciphers_without_forward_secrecy_or_aead_are_refused),
		TEST(sessions_are_not_resumed),
		TEST(connections_are_not_renegotiated),
		TEST(our_client_is_told_that_its_certificate_is_refused),
		TEST(our_client_does_not_take_a_servers_certificate_for_its_own),
		TEST(the_servers_name_is_checked),
		TEST(our_client_refuses_what_is_no_server_of_its_ca),
		cmocka_unit_test(the_servers_exit_with_0),
	};

	return cmocka_run_group_tests_name("TLS identity", tests, begin_all, end_all);
}
