#include "common/crypto/tls.h"

#include <assert.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/error.h"
#include "common/base/log.h"
#include "common/crypto/random.h"

enum { READ_AHEAD = 64 * 1024 }; /* bytes that one recv(2) may bring */

struct tls_context {
	SSL_CTX *ssl;
	enum tls_role role;
};

struct tls {
	SSL *ssl;
	int fd;
	int socket_error; /* errno of the last socket call that failed */
	bool end;         /* the socket has ended */
	bool wants_write;
	char reason[TLS_REASON_SIZE];
	char peer_name[LOG_ESCAPED_SIZE];
	char description[64];
};

/* A BIO of our own: OpenSSL's socket BIO writes with write(2), which can raise SIGPIPE. */

static int
bio_result(BIO *bio, struct tls *t, ssize_t n)
{
	BIO_clear_retry_flags(bio);
	if (n >= 0)
		return (int)n;
	t->socket_error = errno;
	return -1;
}

static int
bio_read(BIO *bio, char *out, int size)
{
	struct tls *t = BIO_get_data(bio);
	ssize_t n;

	do
		n = recv(t->fd, out, (size_t)size, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n == 0 && size > 0)
		t->end = true;
	n = bio_result(bio, t, n);
	if (n < 0 && (t->socket_error == EAGAIN || t->socket_error == EWOULDBLOCK))
		BIO_set_retry_read(bio);
	return (int)n;
}

static int
bio_write(BIO *bio, const char *data, int size)
{
	struct tls *t = BIO_get_data(bio);
	ssize_t n;

	do
		n = send(t->fd, data, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	n = bio_result(bio, t, n);
	if (n < 0 && (t->socket_error == EAGAIN || t->socket_error == EWOULDBLOCK))
		BIO_set_retry_write(bio);
	return (int)n;
}

static long
bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
	struct tls *t = BIO_get_data(bio);

	(void)number;
	(void)pointer;
	switch (command) {
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_EOF:
		return t->end;
	default:
		return 0;
	}
}

/* Made once and kept: it has no state of its own. */
static BIO_METHOD *
bio_method(void)
{
	static BIO_METHOD *method;
	BIO_METHOD *m = __atomic_load_n(&method, __ATOMIC_ACQUIRE), *none = NULL;

	if (m != NULL)
		return m;
	m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "memserver socket");
	if (m == NULL || BIO_meth_set_read(m, bio_read) != 1 ||
	    BIO_meth_set_write(m, bio_write) != 1 || BIO_meth_set_ctrl(m, bio_ctrl) != 1) {
		BIO_meth_free(m);
		return NULL;
	}
	if (!__atomic_compare_exchange_n(&method, &none, m, false, __ATOMIC_ACQ_REL,
		__ATOMIC_ACQUIRE)) {
		BIO_meth_free(m);
		m = none;
	}
	return m;
}

static const char *
queued_reason(void)
{
	unsigned long e = ERR_peek_last_error();
	const char *text = ERR_reason_error_string(e);

	if (text != NULL)
		return text;
	return ERR_SYSTEM_ERROR(e) ? error_string(-(int)ERR_GET_REASON(e)) : "no reason given";
}

void
tls_ignore_system_config(void)
{
	OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
}

/* A file that cannot be read at all gets the errno of open(2); what it holds is looked at later. */
static int
check_readable(const char *file, char reason[TLS_REASON_SIZE])
{
	FILE *f = fopen(file, "re");
	int r = f == NULL ? -errno : 0;

	if (f != NULL)
		fclose(f);
	else
		snprintf(reason, TLS_REASON_SIZE, "%s: %s", file, error_string(r));
	return r;
}

static int
load_own_certificate(SSL_CTX *ssl, const struct tls_config *config, char reason[TLS_REASON_SIZE])
{
	int server = config->role == TLS_SERVER;
	int purpose = server ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT;
	int r;

	if ((r = check_readable(config->cert_file, reason)) != 0 ||
	    (r = check_readable(config->key_file, reason)) != 0)
		return r;
	if (SSL_CTX_use_certificate_chain_file(ssl, config->cert_file) != 1) {
		snprintf(reason, TLS_REASON_SIZE, "%s: no certificate in PEM form: %s",
		    config->cert_file, queued_reason());
		return -EINVAL;
	}
	if (SSL_CTX_use_PrivateKey_file(ssl, config->key_file, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(ssl) != 1) {
		snprintf(reason, TLS_REASON_SIZE, "%s: no private key that fits %s: %s",
		    config->key_file, config->cert_file, queued_reason());
		return -EINVAL;
	}
	if (X509_check_purpose(SSL_CTX_get0_certificate(ssl), purpose, 0) != 1) {
		snprintf(reason, TLS_REASON_SIZE,
		    "%s: not a certificate for a %s (extended key usage)", config->cert_file,
		    server ? "server" : "client");
		return -EINVAL;
	}
	return 0;
}

/* The rules that hold for both ends; see the header. */
static bool
set_rules(SSL_CTX *ssl)
{
	SSL_CTX_set_options(ssl,
	    SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
		SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_CLEANSE_PLAINTEXT);
	SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_read_ahead(ssl, 1);
	SSL_CTX_set_default_read_buffer_len(ssl, READ_AHEAD);
	return SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) == 1 &&
	    SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) == 1 &&
	    SSL_CTX_set_cipher_list(ssl, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1 &&
	    SSL_CTX_set_ciphersuites(ssl,
		"TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256") ==
	    1 &&
	    SSL_CTX_set_num_tickets(ssl, 0) == 1 &&
	    SSL_CTX_set_session_id_context(ssl, (const unsigned char *)"memserver", 9) == 1;
}

int
tls_context_create(struct tls_context **out, const struct tls_config *config,
    char reason[TLS_REASON_SIZE])
{
	bool server = config->role == TLS_SERVER;
	struct tls_context *ctx;
	int verify = SSL_VERIFY_PEER, r;

	assert((config->cert_file == NULL) == (config->key_file == NULL));
	assert(!server || config->cert_file != NULL);
	ERR_clear_error();
	snprintf(reason, TLS_REASON_SIZE, "no memory");
	ctx = calloc(1, sizeof *ctx);
	if (ctx == NULL)
		return -ENOMEM;
	r = -ENOMEM;
	ctx->role = config->role;
	ctx->ssl = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	if (ctx->ssl == NULL || !set_rules(ctx->ssl))
		goto out;
	if (server && !config->anonymous_clients)
		verify |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	SSL_CTX_set_verify(ctx->ssl, verify, NULL);
	r = check_readable(config->ca_file, reason);
	if (r != 0)
		goto out;
	r = -EINVAL;
	if (SSL_CTX_load_verify_file(ctx->ssl, config->ca_file) != 1) {
		snprintf(reason, TLS_REASON_SIZE, "%s: no CA certificate in PEM form: %s",
		    config->ca_file, queued_reason());
		goto out;
	}
	if (config->cert_file != NULL) {
		r = load_own_certificate(ctx->ssl, config, reason);
		if (r != 0)
			goto out;
	}
	*out = ctx;
	ctx = NULL;
	r = 0;
out:
	tls_context_destroy(ctx);
	ERR_clear_error();
	return r;
}

void
tls_context_destroy(struct tls_context *ctx)
{
	if (ctx == NULL)
		return;
	SSL_CTX_free(ctx->ssl);
	free(ctx);
}

int64_t
tls_context_seconds_left(const struct tls_context *ctx)
{
	X509 *cert = SSL_CTX_get0_certificate(ctx->ssl);
	int days, seconds;

	if (cert == NULL || ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(cert)) != 1)
		return INT64_MAX;
	return (int64_t)days * 86400 + seconds;
}

static bool
expect_name(SSL *ssl, const char *name)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	if (X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1)
		return true;
	ERR_clear_error();
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return X509_VERIFY_PARAM_set1_host(param, name, 0) == 1 &&
	    SSL_set_tlsext_host_name(ssl, name) == 1;
}

int
tls_create(struct tls **out, struct tls_context *ctx, int fd, const char *name)
{
	BIO_METHOD *method = bio_method();
	struct tls *t = calloc(1, sizeof *t);
	BIO *bio = NULL;
	int r = -ENOMEM;

	if (t == NULL || method == NULL)
		goto out;
	/* TLS draws by itself. */
	if (random_check_fork() != 0)
		goto out;
	t->fd = fd;
	t->ssl = SSL_new(ctx->ssl);
	bio = BIO_new(method);
	if (t->ssl == NULL || bio == NULL)
		goto out;
	if (name != NULL && !expect_name(t->ssl, name)) {
		r = -EINVAL;
		goto out;
	}
	BIO_set_data(bio, t);
	BIO_set_init(bio, 1);
	SSL_set_bio(t->ssl, bio, bio);
	bio = NULL;
	if (ctx->role == TLS_SERVER)
		SSL_set_accept_state(t->ssl);
	else
		SSL_set_connect_state(t->ssl);
	*out = t;
	t = NULL;
	r = 0;
out:
	BIO_free(bio);
	tls_destroy(t);
	ERR_clear_error();
	return r;
}

void
tls_destroy(struct tls *t)
{
	if (t == NULL)
		return;
	SSL_free(t->ssl);
	free(t);
}

/* True for OpenSSL's reasons that mean "your certificate", or the lack of one, seen here or told by the peer. */
static bool
is_certificate_reason(int reason)
{
	switch (reason) {
	case SSL_R_CERTIFICATE_VERIFY_FAILED:
	case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
	case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
	case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
	case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
	case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
		return true;
	default:
		return false;
	}
}

static void
say(struct tls *t, const char *text)
{
	snprintf(t->reason, sizeof t->reason, "%s", text);
}

/* What OpenSSL's own error queue has to say. */
static int
protocol_error(struct tls *t)
{
	unsigned long e = ERR_peek_last_error();
	long verify = SSL_get_verify_result(t->ssl);
	int reason = ERR_GET_REASON(e);
	bool certificate = ERR_GET_LIB(e) == ERR_LIB_SSL && is_certificate_reason(reason);

	if (certificate && reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
		snprintf(t->reason, sizeof t->reason, "the peer's certificate is refused: %s",
		    X509_verify_cert_error_string(verify));
	else if (certificate && reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
		say(t, "the peer has no certificate");
	else if (certificate)
		snprintf(t->reason, sizeof t->reason, "the peer refuses our certificate: %s",
		    queued_reason());
	else if (ERR_GET_LIB(e) == ERR_LIB_SSL &&
	    (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST ||
		reason == SSL_R_PACKET_LENGTH_TOO_LONG || reason == SSL_R_HTTPS_PROXY_REQUEST))
		snprintf(t->reason, sizeof t->reason, "the peer does not speak TLS: %s",
		    queued_reason());
	else
		snprintf(t->reason, sizeof t->reason, "TLS: %s", queued_reason());
	return certificate ? -EACCES : -EPROTO;
}

/* Turns the result of an OpenSSL call that did not succeed into an error; see the header. */
static int
result(struct tls *t, int r)
{
	int error = SSL_get_error(t->ssl, r);

	switch (error) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		t->wants_write = error == SSL_ERROR_WANT_WRITE;
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		if (t->end || t->socket_error == 0) {
			say(t, "the peer closed the connection");
			return -ECONNRESET;
		}
		snprintf(t->reason, sizeof t->reason, "%s", error_string(-t->socket_error));
		return t->socket_error == EPIPE ? -EPIPE : -ECONNRESET;
	default:
		r = protocol_error(t);
		ERR_clear_error();
		return r;
	}
}

static void
begin_call(struct tls *t)
{
	ERR_clear_error();
	t->socket_error = 0;
	t->wants_write = false;
}

int
tls_handshake(struct tls *t)
{
	int r;

	begin_call(t);
	r = SSL_do_handshake(t->ssl);
	if (r == 1)
		return 0;
	r = result(t, r);
	if (r == 0) {
		say(t, "the peer closed the connection");
		return -ECONNRESET;
	}
	return r;
}

ssize_t
tls_read(struct tls *t, void *out, size_t size)
{
	size_t n;
	int r;

	begin_call(t);
	r = SSL_read_ex(t->ssl, out, size, &n);
	return r == 1 ? (ssize_t)n : result(t, r);
}

/*
 * Writing failed with error because the peer is gone. If it left for our certificate's sake it said so before,
 * and that is what the caller wants to know. Peeking takes no data away from tls_read().
 */
static int
find_out_why(struct tls *t, int error)
{
	char reason[TLS_REASON_SIZE];
	uint8_t byte;
	size_t n;
	int r;

	memcpy(reason, t->reason, sizeof reason);
	begin_call(t);
	r = SSL_peek_ex(t->ssl, &byte, 1, &n);
	if (r != 1 && SSL_get_error(t->ssl, r) == SSL_ERROR_SSL && result(t, r) == -EACCES)
		return -EACCES;
	memcpy(t->reason, reason, sizeof reason);
	ERR_clear_error();
	return error;
}

ssize_t
tls_write(struct tls *t, const void *data, size_t size)
{
	size_t n;
	int r;

	if (size == 0)
		return 0;
	begin_call(t);
	r = SSL_write_ex(t->ssl, data, size, &n);
	if (r == 1)
		return (ssize_t)n;
	r = result(t, r);
	if (r == 0)
		return -EPIPE;
	return r == -EPIPE || r == -ECONNRESET ? find_out_why(t, r) : r;
}

bool
tls_wants_write(const struct tls *t)
{
	return t->wants_write;
}

bool
tls_has_pending(const struct tls *t)
{
	return SSL_has_pending(t->ssl) == 1;
}

void
tls_shutdown(struct tls *t)
{
	if (!SSL_is_init_finished(t->ssl))
		return;
	begin_call(t);
	SSL_shutdown(t->ssl);
	ERR_clear_error();
}

const char *
tls_reason(const struct tls *t)
{
	return t->reason;
}

const char *
tls_peer_name(const struct tls *t)
{
	struct tls *mutable = (struct tls *)t;
	X509 *cert = SSL_get0_peer_certificate(t->ssl);
	char name[TLS_NAME_SIZE];
	int n;

	if (t->peer_name[0] != '\0' || cert == NULL || SSL_get_verify_result(t->ssl) != X509_V_OK)
		return t->peer_name;
	n = X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, name,
	    sizeof name);
	if (n > 0)
		log_escape(mutable->peer_name, name,
		    (size_t)n < sizeof name ? (size_t)n : sizeof name - 1);
	return t->peer_name;
}

const char *
tls_description(struct tls *t)
{
	snprintf(t->description, sizeof t->description, "%s %s", SSL_get_version(t->ssl),
	    SSL_get_cipher_name(t->ssl));
	return t->description;
}
