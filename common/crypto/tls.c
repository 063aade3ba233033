#include "common/crypto/tls.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/log.h"
#include "common/crypto/libctx.h"
#include "common/crypto/revocations.h"
#include "common/crypto/sslerror.h"
#include "common/crypto/tls_bio.h"
#include "common/crypto/tls_context.h"

enum {
	NAME_SIZE = 128,  /* of a certificate's name, with its NUL */
	REASON_SIZE = 200 /* of a sentence about a failure */
};

struct tls {
	SSL *ssl;
	struct tls_bio bio;
	bool wants_write;       /* the call that runs; those that follow: the last of its kind */
	bool read_wants_write;  /* tls_read() or tls_handshake() */
	bool write_wants_write; /* tls_write() */
	bool is_paused;
	unsigned silent_records; /* read since application data came */
	char reason[REASON_SIZE];
	char peer_name[LOG_ESCAPED_SIZE];
	char description[64];
};

/* In a step. */
static int
open_ssl(struct tls *t, const struct tls_context *ctx, int fd, const char *name)
{
	BIO *bio;
	int error = tls_bio_open(&t->bio, &bio, fd);

	if (error != 0)
		return error;
	error = libctx_start_drawing() == 0 ? tls_context_create_ssl(&t->ssl, ctx, name) : -ENOMEM;
	if (error == 0)
		SSL_set_bio(t->ssl, bio, bio);
	else
		BIO_free(bio);
	return error;
}

int
tls_create(struct tls **out, struct tls_context *ctx, int fd, const char *name)
{
	struct tls *t = calloc(1, sizeof *t);
	struct libctx_step step;
	int error;

	if (t == NULL)
		return -ENOMEM;
	error = libctx_begin(&step);
	if (error == 0) {
		error = open_ssl(t, ctx, fd, name);
		libctx_end(&step);
	}
	if (error == 0)
		*out = t;
	else
		tls_destroy(t);
	return error;
}

void
tls_destroy(struct tls *t)
{
	struct libctx_step step;

	if (t == NULL)
		return;
	/* Where no step can be taken, this memory is lost. */
	if (t->ssl != NULL && libctx_begin_quiet(&step) == 0) {
		SSL_free(t->ssl);
		libctx_end(&step);
	}
	tls_bio_close(&t->bio);
	free(t);
}

void
tls_take_rights(struct tls *t)
{
	t->bio.takes_rights = true;
}

/* True for OpenSSL's reasons that a certificate, or the lack of one, was refused by either end. */
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
set_reason(struct tls *t, const char *text)
{
	snprintf(t->reason, sizeof t->reason, "%s", text);
}

#define REFUSED "the peer's certificate is refused: "

/* True for the results of a chain that does not lead to a CA of ours. */
static bool
is_foreign(long verify)
{
	switch (verify) {
	case X509_V_ERR_CERT_SIGNATURE_FAILURE: /* of a CA that has the name of ours */
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		return true;
	default:
		return false;
	}
}

/* A server's certificate does not have the name that tls_create() got. */
static void
explain_name(struct tls *t)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);
	char *address = X509_VERIFY_PARAM_get1_ip_asc(param);
	const char *host = X509_VERIFY_PARAM_get0_host(param, 0);
	const char *name = address != NULL ? address : host;

	snprintf(t->reason, sizeof t->reason,
	    REFUSED "it is not for %.80s, the name that name=, -N or the address gives",
	    name != NULL ? name : "that host");
	OPENSSL_free(address);
}

/* The peer's certificate is refused. */
static void
explain_verification(struct tls *t)
{
	long verify = SSL_get_verify_result(t->ssl);
	const char *words = revocations_words(verify);

	if (words == NULL)
		words = X509_verify_cert_error_string(verify);
	if (verify == X509_V_ERR_HOSTNAME_MISMATCH || verify == X509_V_ERR_IP_ADDRESS_MISMATCH)
		explain_name(t);
	else if (is_foreign(verify))
		snprintf(t->reason, sizeof t->reason, REFUSED "no CA of %s has signed it: %s",
		    SSL_is_server(t->ssl) ? "-Z" : "CAFILE or -Z", words);
	else
		snprintf(t->reason, sizeof t->reason, REFUSED "%s", words);
}

/* True when our own certificate, or one that we send with it, has expired. */
static bool
has_expired(SSL *ssl)
{
	X509 *own = SSL_get_certificate(ssl);
	STACK_OF(X509) *chain = NULL;
	bool expired = own != NULL && X509_cmp_current_time(X509_get0_notAfter(own)) <= 0;
	int i;

	(void)SSL_get0_chain_certs(ssl, &chain);
	for (i = 0; i < sk_X509_num(chain); i++)
		expired |= X509_cmp_current_time(X509_get0_notAfter(sk_X509_value(chain, i))) <= 0;
	return expired;
}

/*
 * The peer refuses our certificate. The alert of a peer whose revocation list has expired is that
 * of an expired certificate.
 */
static void
explain_refusal(struct tls *t, int reason)
{
	snprintf(t->reason, sizeof t->reason, "the peer refuses our certificate: %s%s",
	    sslerror_reason(),
	    reason == SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED && !has_expired(t->ssl) ?
		"; it has not expired by the clock here: has the peer's revocation list or root expired, or is a clock wrong?" :
		"");
}

/* Turns the last error in OpenSSL's queue into the reason and an errno. */
static int
translate_queued(struct tls *t)
{
	unsigned long e = ERR_peek_last_error();
	int reason = ERR_GET_REASON(e);
	bool certificate = ERR_GET_LIB(e) == ERR_LIB_SSL && is_certificate_reason(reason);

	if (certificate && reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
		explain_verification(t);
	else if (certificate && reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
		set_reason(t, "the peer has no certificate");
	else if (certificate)
		explain_refusal(t, reason);
	else if (ERR_GET_LIB(e) == ERR_LIB_SSL &&
	    (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST ||
		reason == SSL_R_PACKET_LENGTH_TOO_LONG || reason == SSL_R_HTTPS_PROXY_REQUEST))
		snprintf(t->reason, sizeof t->reason, "the peer does not speak TLS: %s",
		    sslerror_reason());
	else
		snprintf(t->reason, sizeof t->reason, "TLS: %s", sslerror_reason());
	return certificate ? -EACCES : -EPROTO;
}

/* Reading or writing failed below OpenSSL. */
static int
translate_socket_error(struct tls *t)
{
	int error = t->bio.socket_error;

	if (t->bio.refusal != NULL) {
		set_reason(t, t->bio.refusal);
		return -EPROTO;
	}
	if (t->bio.has_ended || error == 0 || error == EPIPE) {
		set_reason(t, TLS_CLOSED);
		return !t->bio.has_ended && error == EPIPE ? -EPIPE : -ECONNRESET;
	}
	set_reason(t, error_string(-error));
	return -ECONNRESET;
}

/*
 * Turns the result of an OpenSSL call that did not succeed into an errno; see the header. 0: the
 * stream has ended, with close_notify or without (SSL_OP_IGNORE_UNEXPECTED_EOF).
 */
static int
translate(struct tls *t, int result)
{
	int kind = SSL_get_error(t->ssl, result);

	switch (kind) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		t->wants_write = kind == SSL_ERROR_WANT_WRITE;
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		return translate_socket_error(t);
	default:
		return translate_queued(t);
	}
}

static void
begin_call(struct tls *t)
{
	tls_bio_begin_call(&t->bio);
	t->wants_write = false;
}

/* Keeps what tls.h tells of a call that may have read. */
static void
end_reading_call(struct tls *t, ssize_t result)
{
	t->read_wants_write = result == -EAGAIN && t->wants_write;
	t->is_paused = result == -EAGAIN && t->bio.is_paused;
}

/* No step can be taken (libctx.h): the connection is of no use. */
static int
fail_step(struct tls *t)
{
	set_reason(t, error_text());
	return -EPROTO;
}

/* In a step. */
static int
shake_hands(struct tls *t)
{
	int result, error;

	begin_call(t);
	result = SSL_do_handshake(t->ssl);
	error = result == 1 ? 0 : translate(t, result);
	if (result != 1 && error == 0) {
		set_reason(t, TLS_CLOSED);
		error = -ECONNRESET;
	}
	return error;
}

int
tls_handshake(struct tls *t)
{
	struct libctx_step step;
	int error;

	if (libctx_begin(&step) == 0) {
		error = shake_hands(t);
		libctx_end(&step);
	} else {
		error = fail_step(t);
	}
	end_reading_call(t, error);
	return error;
}

/* Ends a connection that goes on without application data. */
static ssize_t
count_silent_records(struct tls *t, ssize_t n)
{
	if (n >= 0) {
		t->silent_records = 0;
		return n;
	}
	t->silent_records += t->bio.records;
	if (n != -EAGAIN || t->silent_records < TLS_SILENT_RECORDS_MOST)
		return n;
	set_reason(t, "the peer keeps updating its keys and sends nothing");
	return -EPROTO;
}

/* In a step. */
static ssize_t
read_some(struct tls *t, void *out, size_t size)
{
	size_t got;
	int result;

	begin_call(t);
	result = SSL_read_ex(t->ssl, out, size, &got);
	return count_silent_records(t, result == 1 ? (ssize_t)got : translate(t, result));
}

ssize_t
tls_read(struct tls *t, void *out, size_t size)
{
	struct libctx_step step;
	ssize_t n;

	if (libctx_begin_records(&step) == 0) {
		n = read_some(t, out, size);
		libctx_end(&step);
	} else {
		n = fail_step(t);
	}
	end_reading_call(t, n);
	return n;
}

/*
 * Writing failed with error because the peer is gone. A peer that refused our certificate has sent
 * an alert before: looks for it and returns -EACCES then. Peeking takes no data away from
 * tls_read().
 */
static int
find_refusal(struct tls *t, int error)
{
	char reason[REASON_SIZE];
	uint8_t byte;
	size_t n;
	int result;

	memcpy(reason, t->reason, sizeof reason);
	ERR_clear_error();
	begin_call(t);
	result = SSL_peek_ex(t->ssl, &byte, 1, &n);
	if (result != 1 && SSL_get_error(t->ssl, result) == SSL_ERROR_SSL &&
	    translate(t, result) == -EACCES)
		return -EACCES;
	memcpy(t->reason, reason, sizeof reason);
	return error;
}

/* In a step. */
static ssize_t
write_some(struct tls *t, const void *data, size_t size)
{
	size_t n;
	int result, error;

	begin_call(t);
	result = SSL_write_ex(t->ssl, data, size, &n);
	error = result == 1 ? 0 : translate(t, result);
	t->write_wants_write = error == -EAGAIN && t->wants_write;
	if (result == 1)
		return (ssize_t)n;
	if (error == 0)
		return -EPIPE;
	return error == -EPIPE || error == -ECONNRESET ? find_refusal(t, error) : error;
}

ssize_t
tls_write(struct tls *t, const void *data, size_t size)
{
	struct libctx_step step;
	ssize_t n;

	if (size == 0)
		return 0;
	if (libctx_begin_records(&step) != 0)
		return fail_step(t);
	n = write_some(t, data, size);
	libctx_end(&step);
	return n;
}

bool
tls_read_wants_write(const struct tls *t)
{
	return t->read_wants_write;
}

bool
tls_write_wants_write(const struct tls *t)
{
	return t->write_wants_write;
}

bool
tls_is_paused(const struct tls *t)
{
	return t->is_paused;
}

bool
tls_has_pending(const struct tls *t)
{
	/* OpenSSL sends its answer to a KeyUpdate before it reads on. */
	return !t->read_wants_write && (SSL_pending(t->ssl) > 0 || tls_bio_has_record(&t->bio));
}

bool
tls_may_have_more(const struct tls *t)
{
	return !t->read_wants_write && (t->is_paused || !t->bio.is_drained || tls_has_pending(t));
}

void
tls_shutdown(struct tls *t)
{
	struct libctx_step step;

	if (!SSL_is_init_finished(t->ssl) || libctx_begin_quiet(&step) != 0)
		return;
	begin_call(t);
	SSL_shutdown(t->ssl);
	libctx_end(&step);
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
	char name[NAME_SIZE];
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
tls_peer_single_name(const struct tls *t, size_t *size)
{
	X509 *cert = SSL_get0_peer_certificate(t->ssl);
	const ASN1_STRING *value;
	X509_NAME *subject;
	int at;

	if (cert == NULL || SSL_get_verify_result(t->ssl) != X509_V_OK)
		return NULL;
	subject = X509_get_subject_name(cert);
	at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
		return NULL;
	value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
	*size = (size_t)ASN1_STRING_length(value);
	return (const char *)ASN1_STRING_get0_data(value);
}

bool
tls_is_revoked(const struct tls *t)
{
	struct revocations *r = SSL_CTX_get_app_data(SSL_get_SSL_CTX(t->ssl));
	struct libctx_step step;
	bool is_revoked;

	if (r == NULL || libctx_begin_quiet(&step) != 0)
		return false;
	is_revoked = revocations_include(r, t->ssl);
	libctx_end(&step);
	return is_revoked;
}

const char *
tls_description(struct tls *t)
{
	snprintf(t->description, sizeof t->description, "%s %s", SSL_get_version(t->ssl),
	    SSL_get_cipher_name(t->ssl));
	return t->description;
}
