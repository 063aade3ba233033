#include "common/crypto/tls_context.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/error.h"
#include "common/crypto/sslerror.h"

struct tls_context {
	SSL_CTX *ssl;
	enum tls_role role;
};

void
tls_context_ignore_system_config(void)
{
	OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
}

/* Returns 0 or the negative errno of open(2), with a reason. OpenSSL reads the contents later. */
static int
check_readable(const char *file, char reason[TLS_REASON_SIZE])
{
	FILE *f = fopen(file, "re");
	int error = f == NULL ? -errno : 0;

	if (f != NULL)
		fclose(f);
	else
		snprintf(reason, TLS_REASON_SIZE, "%s: %s", file, error_string(error));
	return error;
}

static int
load_own_certificate(SSL_CTX *ssl, const struct tls_config *config, char reason[TLS_REASON_SIZE])
{
	int server = config->role == TLS_SERVER;
	int purpose = server ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT;
	int error;

	if ((error = check_readable(config->cert_file, reason)) != 0 ||
	    (error = check_readable(config->key_file, reason)) != 0)
		return error;
	if (SSL_CTX_use_certificate_chain_file(ssl, config->cert_file) != 1) {
		snprintf(reason, TLS_REASON_SIZE, "%s: the file has no certificate in PEM form: %s",
		    config->cert_file, sslerror_reason());
		return -EINVAL;
	}
	if (SSL_CTX_use_PrivateKey_file(ssl, config->key_file, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(ssl) != 1) {
		snprintf(reason, TLS_REASON_SIZE,
		    "%s: the file has no private key that fits %s: %s", config->key_file,
		    config->cert_file, sslerror_reason());
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

int
tls_context_create(struct tls_context **out, const struct tls_config *config,
    char reason[TLS_REASON_SIZE])
{
	bool server = config->role == TLS_SERVER;
	struct tls_context *ctx;
	int verify = SSL_VERIFY_PEER, error;

	assert((config->cert_file == NULL) == (config->key_file == NULL));
	assert(!server || config->cert_file != NULL);
	ERR_clear_error();
	snprintf(reason, TLS_REASON_SIZE, "no memory");
	ctx = calloc(1, sizeof *ctx);
	if (ctx == NULL)
		return -ENOMEM;
	error = -ENOMEM;
	ctx->role = config->role;
	ctx->ssl = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	if (ctx->ssl == NULL || !set_rules(ctx->ssl))
		goto out;
	if (server && !config->anonymous_clients)
		verify |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	SSL_CTX_set_verify(ctx->ssl, verify, NULL);
	error = check_readable(config->ca_file, reason);
	if (error != 0)
		goto out;
	error = -EINVAL;
	if (SSL_CTX_load_verify_file(ctx->ssl, config->ca_file) != 1) {
		snprintf(reason, TLS_REASON_SIZE,
		    "%s: the file has no CA certificate in PEM form: %s", config->ca_file,
		    sslerror_reason());
		goto out;
	}
	if (config->cert_file != NULL) {
		error = load_own_certificate(ctx->ssl, config, reason);
		if (error != 0)
			goto out;
	}
	*out = ctx;
	ctx = NULL;
	error = 0;
out:
	tls_context_destroy(ctx);
	ERR_clear_error();
	return error;
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

/* Verification requires name, an IP address or a host name, in the peer's certificate. */
static bool
require_name(SSL *ssl, const char *name)
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
