#include "common/crypto/revocations.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/error.h"
#include "common/crypto/libctx.h"
#include "common/crypto/tls_load.h"

struct revocations {
	char *file;
	atomic_uint references;
	pthread_mutex_t mutex; /* guards the rest */
	struct crlset *set;    /* in use; NULL: none yet */
	bool was_loaded;       /* the members below are those of the last load */
	int error;
	char reason[REVOCATIONS_REASON_SIZE];
	struct tls_load text;
};

int
revocations_create(struct revocations **out, const char *file)
{
	struct revocations *r = calloc(1, sizeof *r);

	if (r != NULL)
		r->file = strdup(file);
	if (r == NULL || r->file == NULL) {
		free(r);
		return -ENOMEM;
	}
	(void)pthread_mutex_init(&r->mutex, NULL);
	atomic_store(&r->references, 1);
	*out = r;
	return 0;
}

struct revocations *
revocations_get(struct revocations *r)
{
	atomic_fetch_add(&r->references, 1);
	return r;
}

void
revocations_put(struct revocations *r)
{
	struct libctx_step step;

	if (r == NULL || atomic_fetch_sub(&r->references, 1) > 1)
		return;
	/* Where no step can be taken, this memory is lost. */
	if (r->set != NULL && libctx_begin_quiet(&step) == 0) {
		crlset_destroy(r->set);
		libctx_end(&step);
	}
	(void)pthread_mutex_destroy(&r->mutex);
	tls_load_fini(&r->text);
	free(r->file);
	free(r);
}

/* A member of X509_STORE: the check of a chain that is complete, before its signatures. */
static int
check_chain(X509_STORE_CTX *ctx)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);
	int depth = 0, verdict;
	struct revocations *r;

	/* It is our own, which OpenSSL completes to send it. */
	if (ssl == NULL)
		return 1;
	r = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	(void)pthread_mutex_lock(&r->mutex);
	verdict = crlset_judge(r->set, chain, &depth);
	(void)pthread_mutex_unlock(&r->mutex);
	if (verdict == X509_V_OK)
		return 1;
	X509_STORE_CTX_set_error(ctx, verdict);
	X509_STORE_CTX_set_error_depth(ctx, depth);
	X509_STORE_CTX_set_current_cert(ctx, sk_X509_value(chain, depth));
	return 0;
}

void
revocations_attach(struct revocations *r, SSL_CTX *ssl)
{
	(void)SSL_CTX_set_app_data(ssl, r);
	X509_STORE_set_check_revocation(SSL_CTX_get_cert_store(ssl), check_chain);
}

/* True when the last load has read the same, or met the same error. With the mutex. */
static bool
is_as_before(const struct revocations *r, const struct tls_load *text, int error)
{
	if (!r->was_loaded)
		return false;
	if (error != 0)
		return r->error == error && r->text.size == 0;
	return r->text.size == text->size && text->size > 0 &&
	    memcmp(r->text.text, text->text, text->size) == 0;
}

/* Uses the lists of text. In a step, with the mutex. */
static int
use(struct revocations *r, const struct tls_load *text, SSL_CTX *ssl)
{
	struct crlset *set;
	int error = crlset_create(&set, text, SSL_CTX_get_cert_store(ssl), r->reason,
	    sizeof r->reason);

	if (error != 0)
		return error;
	if (r->set != NULL && crlset_is_older(set, r->set, r->reason, sizeof r->reason)) {
		crlset_destroy(set);
		return -ESTALE;
	}
	crlset_destroy(r->set);
	r->set = set;
	return 0;
}

/* After reading, whose result is error. In a step, with the mutex. Takes over *text. */
static int
load(struct revocations *r, struct tls_load *text, int error, SSL_CTX *ssl)
{
	r->reason[0] = '\0';
	if (error == -EFBIG)
		(void)snprintf(r->reason, sizeof r->reason,
		    "the file has more than %d bytes: is it a list?", REVOCATIONS_FILE_MOST);
	else if (error != 0)
		(void)snprintf(r->reason, sizeof r->reason,
		    "%s: put a list there that can be read (mkpki crl)", error_string(error));
	else
		error = use(r, text, ssl);
	tls_load_fini(&r->text);
	r->text = *text;
	*text = (struct tls_load){ 0 };
	r->error = error;
	r->was_loaded = true;
	return error;
}

/* As a step. */
static int
begin_and_load(struct revocations *r, struct tls_load *text, int error, SSL_CTX *ssl,
    bool is_forced, char reason[REVOCATIONS_REASON_SIZE])
{
	struct libctx_step step;
	int broken = libctx_begin(&step);

	if (broken != 0) {
		(void)snprintf(reason, REVOCATIONS_REASON_SIZE, "%s", error_text());
		return broken;
	}
	(void)pthread_mutex_lock(&r->mutex);
	if (!is_forced && is_as_before(r, text, error)) {
		error = -EALREADY;
	} else {
		error = load(r, text, error, ssl);
		(void)snprintf(reason, REVOCATIONS_REASON_SIZE, "%s", r->reason);
	}
	(void)pthread_mutex_unlock(&r->mutex);
	libctx_end(&step);
	return error;
}

static int
read_and_load(struct revocations *r, SSL_CTX *ssl, bool is_forced,
    char reason[REVOCATIONS_REASON_SIZE])
{
	struct tls_load text = { 0 };
	int error = tls_load_read_regular(&text, r->file, REVOCATIONS_FILE_MOST);

	error = begin_and_load(r, &text, error, ssl, is_forced, reason);
	tls_load_fini(&text);
	return error;
}

int
revocations_load(struct revocations *r, SSL_CTX *ssl, char reason[REVOCATIONS_REASON_SIZE])
{
	return read_and_load(r, ssl, true, reason);
}

int
revocations_reload(struct revocations *r, SSL_CTX *ssl, char reason[REVOCATIONS_REASON_SIZE])
{
	return read_and_load(r, ssl, false, reason);
}

bool
revocations_include(struct revocations *r, const SSL *ssl)
{
	STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);
	int depth, verdict = X509_V_OK;

	if (chain == NULL)
		return false;
	(void)pthread_mutex_lock(&r->mutex);
	verdict = crlset_judge(r->set, chain, &depth);
	(void)pthread_mutex_unlock(&r->mutex);
	return verdict == X509_V_ERR_CERT_REVOKED;
}

/* Finds our certificate's chain, whatever the time; false when it does not end at a CA of ssl. */
static bool
complete_own(X509_STORE_CTX *ctx, SSL_CTX *ssl)
{
	STACK_OF(X509) *others = NULL;

	(void)SSL_CTX_get0_chain_certs(ssl, &others);
	if (X509_STORE_CTX_init(ctx, SSL_CTX_get_cert_store(ssl), SSL_CTX_get0_certificate(ssl),
		others) != 1)
		return false;
	X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_NO_CHECK_TIME);
	return X509_verify_cert(ctx) == 1;
}

bool
revocations_include_own(struct revocations *r, SSL_CTX *ssl)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new_ex(libctx_get(), NULL);
	int depth, verdict = X509_V_OK;

	if (ctx != NULL && complete_own(ctx, ssl)) {
		(void)pthread_mutex_lock(&r->mutex);
		verdict = crlset_judge(r->set, X509_STORE_CTX_get0_chain(ctx), &depth);
		(void)pthread_mutex_unlock(&r->mutex);
	}
	X509_STORE_CTX_free(ctx);
	return verdict == X509_V_ERR_CERT_REVOKED;
}

bool
revocations_summarise(struct revocations *r, struct crlset_summary *out)
{
	bool has_set;

	(void)pthread_mutex_lock(&r->mutex);
	has_set = r->set != NULL;
	if (has_set)
		crlset_summarise(r->set, out);
	(void)pthread_mutex_unlock(&r->mutex);
	return has_set;
}

void
revocations_reason(struct revocations *r, char out[REVOCATIONS_REASON_SIZE])
{
	(void)pthread_mutex_lock(&r->mutex);
	(void)snprintf(out, REVOCATIONS_REASON_SIZE, "%s", r->reason);
	(void)pthread_mutex_unlock(&r->mutex);
}

const char *
revocations_words(long verify_result)
{
	switch (verify_result) {
	case X509_V_ERR_CERT_REVOKED:
		return "it is revoked";
	case X509_V_ERR_CRL_HAS_EXPIRED:
		return "the revocation list of its CA has expired here";
	case X509_V_ERR_UNABLE_TO_GET_CRL:
		return "there is no revocation list of its CA here";
	default:
		return NULL;
	}
}
