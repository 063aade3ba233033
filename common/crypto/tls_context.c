#include "common/crypto/tls_context.h"

#include <assert.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/error.h"
#include "common/crypto/libctx.h"
#include "common/crypto/tls_load.h"

struct tls_context {
	SSL_CTX *ssl;
	enum tls_role role;
	struct revocations *revocations; /* a reference, or NULL */
};

void
tls_context_ignore_system_config(void)
{
	OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
}

/* The files of a context. */
struct files {
	struct tls_load ca, cert, key;
};

static int
read_file(struct tls_load *l, const char *file, char reason[TLS_REASON_SIZE])
{
	int error = tls_load_read(l, file);

	if (error != 0)
		snprintf(reason, TLS_REASON_SIZE, "%s: %s", file, error_string(error));
	return error;
}

static int
read_files(struct files *f, const struct tls_config *config, char reason[TLS_REASON_SIZE])
{
	int error = read_file(&f->ca, config->ca_file, reason);

	if (error == 0 && config->cert_file != NULL)
		error = read_file(&f->cert, config->cert_file, reason);
	if (error == 0 && config->cert_file != NULL)
		error = read_file(&f->key, config->key_file, reason);
	return error;
}

static void
wipe_files(struct files *f)
{
	tls_load_fini(&f->ca);
	tls_load_fini(&f->cert);
	tls_load_fini(&f->key);
}

static int
load_own_certificate(SSL_CTX *ssl, const struct tls_config *config, const struct files *f,
    char reason[TLS_REASON_SIZE])
{
	int server = config->role == TLS_SERVER;
	int purpose = server ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT, error;

	if (!tls_load_chain(ssl, &f->cert)) {
		snprintf(reason, TLS_REASON_SIZE, "%s: the file has no certificate in PEM form: %s",
		    config->cert_file, tls_load_fault(&f->cert, TLS_LOAD_CERTIFICATE));
		return -EINVAL;
	}
	error = tls_load_key(ssl, &f->key);
	if (error == -EKEYREJECTED) {
		snprintf(reason, TLS_REASON_SIZE, "%s: the private key is not that of %s",
		    config->key_file, config->cert_file);
		return -EINVAL;
	}
	if (error != 0) {
		snprintf(reason, TLS_REASON_SIZE, "%s: the file has no private key in PEM form: %s",
		    config->key_file, tls_load_fault(&f->key, TLS_LOAD_PRIVATE_KEY));
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
	SSL_CTX_set_read_ahead(ssl, 0); /* tls_bio does */
	return SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) == 1 &&
	    SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) == 1 &&
	    SSL_CTX_set_cipher_list(ssl, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1 &&
	    SSL_CTX_set_ciphersuites(ssl,
		"TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256") ==
	    1 &&
	    SSL_CTX_set1_groups_list(ssl, "X25519:P-256:P-384") == 1 &&
	    SSL_CTX_set_num_tickets(ssl, 0) == 1 &&
	    SSL_CTX_set_session_id_context(ssl, (const unsigned char *)"memserver", 9) == 1;
}

/* In a step. */
static int
fill(struct tls_context *ctx, const struct tls_config *config, const struct files *f,
    char reason[TLS_REASON_SIZE])
{
	bool server = config->role == TLS_SERVER;
	int verify = SSL_VERIFY_PEER;

	ctx->ssl = SSL_CTX_new_ex(libctx_get(), NULL,
	    server ? TLS_server_method() : TLS_client_method());
	if (ctx->ssl == NULL || !set_rules(ctx->ssl)) {
		snprintf(reason, TLS_REASON_SIZE, "no memory");
		return -ENOMEM;
	}
	if (server && !config->anonymous_clients)
		verify |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	SSL_CTX_set_verify(ctx->ssl, verify, NULL);
	if (!tls_load_authorities(ctx->ssl, &f->ca)) {
		snprintf(reason, TLS_REASON_SIZE,
		    "%s: the file has no CA certificate in PEM form: %s", config->ca_file,
		    tls_load_fault(&f->ca, TLS_LOAD_CERTIFICATE));
		return -EINVAL;
	}
	if (ctx->revocations != NULL)
		revocations_attach(ctx->revocations, ctx->ssl);
	return config->cert_file == NULL ? 0 : load_own_certificate(ctx->ssl, config, f, reason);
}

/* fill(), as a step. */
static int
begin_and_fill(struct tls_context *ctx, const struct tls_config *config, const struct files *f,
    char reason[TLS_REASON_SIZE])
{
	struct libctx_step step;
	int error = libctx_begin(&step);

	if (error != 0) {
		snprintf(reason, TLS_REASON_SIZE, "%s", error_text());
		return error;
	}
	error = fill(ctx, config, f, reason);
	libctx_end(&step);
	return error;
}

/* Sets ctx->revocations. */
static int
take_revocations(struct tls_context *ctx, const struct tls_config *config,
    char reason[TLS_REASON_SIZE])
{
	int error = 0;

	if (config->revocations != NULL)
		ctx->revocations = revocations_get(config->revocations);
	else if (config->crl_file != NULL)
		error = revocations_create(&ctx->revocations, config->crl_file);
	if (error != 0)
		snprintf(reason, TLS_REASON_SIZE, "no memory");
	return error;
}

/* Loads the lists of crl_file. */
static int
load_own_revocations(const struct tls_context *ctx, const struct tls_config *config,
    char reason[TLS_REASON_SIZE])
{
	char why[REVOCATIONS_REASON_SIZE];
	int error;

	if (config->crl_file == NULL)
		return 0;
	error = tls_context_load_revocations(ctx, why);
	if (error != 0)
		snprintf(reason, TLS_REASON_SIZE, "%s: %s", config->crl_file, why);
	return error;
}

int
tls_context_create(struct tls_context **out, const struct tls_config *config,
    char reason[TLS_REASON_SIZE])
{
	struct tls_context *ctx = calloc(1, sizeof *ctx);
	struct files f = { 0 };
	int error;

	assert((config->cert_file == NULL) == (config->key_file == NULL));
	assert(config->role != TLS_SERVER || config->cert_file != NULL);
	if (ctx == NULL) {
		snprintf(reason, TLS_REASON_SIZE, "no memory");
		return -ENOMEM;
	}
	ctx->role = config->role;
	error = take_revocations(ctx, config, reason);
	if (error == 0)
		error = read_files(&f, config, reason);
	if (error == 0)
		error = begin_and_fill(ctx, config, &f, reason);
	wipe_files(&f);
	if (error == 0)
		error = load_own_revocations(ctx, config, reason);
	if (error == 0)
		*out = ctx;
	else
		tls_context_destroy(ctx);
	return error;
}

void
tls_context_destroy(struct tls_context *ctx)
{
	struct libctx_step step;

	if (ctx == NULL)
		return;
	if (ctx->ssl != NULL && libctx_begin_quiet(&step) == 0) {
		SSL_CTX_free(ctx->ssl);
		libctx_end(&step);
	}
	revocations_put(ctx->revocations);
	free(ctx);
}

int
tls_context_load_revocations(const struct tls_context *ctx, char reason[REVOCATIONS_REASON_SIZE])
{
	return revocations_load(ctx->revocations, ctx->ssl, reason);
}

int
tls_context_reload_revocations(const struct tls_context *ctx, char reason[REVOCATIONS_REASON_SIZE])
{
	if (ctx->revocations == NULL)
		return -EALREADY;
	return revocations_reload(ctx->revocations, ctx->ssl, reason);
}

bool
tls_context_is_revoked(const struct tls_context *ctx)
{
	struct libctx_step step;
	bool is_revoked;

	if (ctx->revocations == NULL || libctx_begin_quiet(&step) != 0)
		return false;
	is_revoked = revocations_include_own(ctx->revocations, ctx->ssl);
	libctx_end(&step);
	return is_revoked;
}

void
tls_context_revocations_fault(const struct tls_context *ctx, char out[REVOCATIONS_REASON_SIZE])
{
	struct libctx_step step;

	out[0] = '\0';
	if (ctx->revocations == NULL || libctx_begin_quiet(&step) != 0)
		return;
	revocations_reason(ctx->revocations, out);
	libctx_end(&step);
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

int64_t
tls_context_seconds_to_begin(const struct tls_context *ctx)
{
	X509 *cert = SSL_CTX_get0_certificate(ctx->ssl);
	int days, seconds;

	if (cert == NULL || ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notBefore(cert)) != 1)
		return INT64_MIN;
	return (int64_t)days * 86400 + seconds;
}

/* Verification requires name, an IP address or a host name, in the peer's certificate. */
static bool
require_name(SSL *ssl, const char *name)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	if (X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1)
		return true;
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return X509_VERIFY_PARAM_set1_host(param, name, 0) == 1 &&
	    SSL_set_tlsext_host_name(ssl, name) == 1;
}

int
tls_context_create_ssl(struct ssl_st **out, const struct tls_context *ctx, const char *name)
{
	SSL *ssl = SSL_new(ctx->ssl);

	if (ssl == NULL)
		return -ENOMEM;
	if (name != NULL && !require_name(ssl, name)) {
		SSL_free(ssl);
		return -EINVAL;
	}
	if (ctx->role == TLS_SERVER)
		SSL_set_accept_state(ssl);
	else
		SSL_set_connect_state(ssl);
	*out = ssl;
	return 0;
}
