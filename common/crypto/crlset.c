#include "common/crypto/crlset.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/crypto/libctx.h"
#include "common/crypto/tls_load.h"

enum { NAME_SIZE = 80, TIME_SIZE = 32, DAY_S = 24 * 3600 };

/* A list, and the CA that has signed it. */
struct list {
	X509_CRL *crl;
	X509 *ca;
};

struct crlset {
	size_t count;
	struct list at[];
};

/* The state of reading. */
struct reader {
	STACK_OF(X509_INFO) * parts; /* of the file */
	STACK_OF(X509) * cas;
	struct crlset *set;
	char *reason;
	size_t size;
};

static int __attribute__((format(printf, 2, 3)))
refuse(const struct reader *r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(r->reason, r->size, format, args);
	va_end(args);
	return -EINVAL;
}

static int
refuse_memory(const struct reader *r)
{
	(void)refuse(r, "no memory");
	return -ENOMEM;
}

/* The common name of a CA, for people. Bytes that are no ASCII letters come escaped. */
static const char *
name_of(const X509_NAME *subject, char out[NAME_SIZE])
{
	BIO *bio = BIO_new(BIO_s_mem());
	int n = 0;

	if (bio != NULL && X509_NAME_print_ex(bio, subject, 0, XN_FLAG_RFC2253) >= 0)
		n = BIO_read(bio, out, NAME_SIZE - 1);
	out[n > 0 ? n : 0] = '\0';
	BIO_free(bio);
	return out;
}

static const char *
time_of(const ASN1_TIME *t, char out[TIME_SIZE])
{
	struct tm tm;

	if (ASN1_TIME_to_tm(t, &tm) != 1 ||
	    strftime(out, TIME_SIZE, "%Y-%m-%d %H:%M:%SZ", &tm) == 0)
		out[0] = '\0';
	return out;
}

static bool
has_name(X509 *ca, const X509_NAME *name)
{
	return X509_NAME_cmp(X509_get_subject_name(ca), name) == 0;
}

static bool
have_one_key(X509 *a, X509 *b)
{
	return a == b || EVP_PKEY_eq(X509_get0_pubkey(a), X509_get0_pubkey(b)) == 1;
}

/* The list of a CA, which has that name and that key; NULL: there is none. */
static const struct list *
find_list(const struct crlset *s, X509 *ca)
{
	size_t i;

	for (i = 0; s != NULL && i < s->count; i++)
		if (has_name(s->at[i].ca, X509_get_subject_name(ca)) &&
		    have_one_key(s->at[i].ca, ca))
			return &s->at[i];
	return NULL;
}

/* True when the certificate says that the CA signs lists, or does not say for what its key is. */
static bool
may_sign_lists(X509 *ca)
{
	return (X509_get_key_usage(ca) & X509v3_KU_CRL_SIGN) != 0;
}

/*
 * The CA that has signed the list, if there are several of its name and key one that may. NULL:
 * there is none.
 */
static X509 *
find_signer(const struct reader *r, X509_CRL *crl)
{
	X509 *ca, *found = NULL;
	int i;

	for (i = 0; i < sk_X509_num(r->cas); i++) {
		ca = sk_X509_value(r->cas, i);
		if (!has_name(ca, X509_CRL_get_issuer(crl)) ||
		    X509_CRL_verify(crl, X509_get0_pubkey(ca)) != 1)
			continue;
		if (found == NULL || may_sign_lists(ca))
			found = ca;
	}
	return found;
}

static bool
has_critical_extension(const X509_CRL *crl)
{
	int i;

	for (i = 0; i < X509_CRL_get_ext_count(crl); i++)
		if (X509_EXTENSION_get_critical(X509_CRL_get_ext(crl, i)))
			return true;
	return false;
}

/* Verifies a list and finds its CA. */
static int
check_list(const struct reader *r, X509_CRL *crl, X509 **ca)
{
	char name[NAME_SIZE];

	(void)name_of(X509_CRL_get_issuer(crl), name);
	*ca = find_signer(r, crl);
	if (*ca == NULL)
		return refuse(r,
		    "no CA that is trusted here has signed the list of %s: take the list of the right root, or make it anew (mkpki crl)",
		    name);
	if (!may_sign_lists(*ca))
		return refuse(r,
		    "the root %s may not sign lists (key usage): make it one that may (mkpki renew DIR root), and give it to servers and clients",
		    name);
	if (has_critical_extension(crl))
		return refuse(r,
		    "the list of %s is partial or indirect (a critical extension): a whole one is needed",
		    name);
	if (X509_CRL_get0_nextUpdate(crl) == NULL)
		return refuse(r, "the list of %s never expires: one with a nextUpdate is needed",
		    name);
	if (find_list(r->set, *ca) != NULL)
		return refuse(r, "there are two lists of %s: leave the older one out", name);
	return 0;
}

static int
add_list(const struct reader *r, X509_CRL *crl)
{
	X509_REVOKED *unused;
	X509 *ca;
	int error = check_list(r, crl, &ca);

	if (error != 0)
		return error;
	/* OpenSSL sorts the list when it looks something up for the first time. */
	(void)X509_CRL_get0_by_serial(crl, &unused, X509_get0_serialNumber(ca));
	X509_CRL_up_ref(crl);
	X509_up_ref(ca);
	r->set->at[r->set->count++] = (struct list){ crl, ca };
	return 0;
}

static int
add_lists(const struct reader *r)
{
	const X509_INFO *part;
	int error = 0, i;

	for (i = 0; error == 0 && i < sk_X509_INFO_num(r->parts); i++) {
		part = sk_X509_INFO_value(r->parts, i);
		if (part->crl != NULL)
			error = add_list(r, part->crl);
	}
	return error;
}

/* Refuses a set that says nothing of a CA: its certificates would all be refused. */
static int
check_whole(const struct reader *r)
{
	char name[NAME_SIZE];
	X509 *ca;
	int i;

	for (i = 0; i < sk_X509_num(r->cas); i++) {
		ca = sk_X509_value(r->cas, i);
		if (find_list(r->set, ca) == NULL)
			return refuse(r,
			    "there is no list of the CA %s: put the lists of all CAs into the file",
			    name_of(X509_get_subject_name(ca), name));
	}
	return 0;
}

static int
count_lists(const struct reader *r)
{
	int i, count = 0;

	for (i = 0; i < sk_X509_INFO_num(r->parts); i++)
		count += sk_X509_INFO_value(r->parts, i)->crl != NULL;
	return count;
}

static int
read_lists(struct reader *r, const struct tls_load *l)
{
	int count = count_lists(r), error;

	if (count == 0)
		return refuse(r,
		    "the file has no revocation list in PEM form: %s; make one (mkpki crl)",
		    tls_load_fault(l, TLS_LOAD_REVOCATION_LIST));
	r->set = calloc(1, sizeof *r->set + (size_t)count * sizeof r->set->at[0]);
	if (r->set == NULL)
		return refuse_memory(r);
	error = add_lists(r);
	return error == 0 ? check_whole(r) : error;
}

int
crlset_create(struct crlset **out, const struct tls_load *l, X509_STORE *store, char *reason,
    size_t size)
{
	struct reader r = { .reason = reason, .size = size };
	BIO *bio = BIO_new_mem_buf(l->text, (int)l->size);
	int error;

	if (bio != NULL)
		r.parts = PEM_X509_INFO_read_bio_ex(bio, NULL, tls_load_no_password, NULL,
		    libctx_get(), NULL);
	r.cas = X509_STORE_get1_all_certs(store);
	error = r.cas == NULL ? refuse_memory(&r) : read_lists(&r, l);
	if (error == 0)
		*out = r.set;
	else
		crlset_destroy(r.set);
	sk_X509_pop_free(r.cas, X509_free);
	sk_X509_INFO_pop_free(r.parts, X509_INFO_free);
	BIO_free(bio);
	return error;
}

void
crlset_destroy(struct crlset *s)
{
	size_t i;

	for (i = 0; s != NULL && i < s->count; i++) {
		X509_CRL_free(s->at[i].crl);
		X509_free(s->at[i].ca);
	}
	free(s);
}

/* Compares the numbers of two lists, or else their times: negative, 0, positive. */
static int
compare_ages(X509_CRL *a, X509_CRL *b)
{
	ASN1_INTEGER *n = X509_CRL_get_ext_d2i(a, NID_crl_number, NULL, NULL);
	ASN1_INTEGER *m = X509_CRL_get_ext_d2i(b, NID_crl_number, NULL, NULL);
	int order = n != NULL && m != NULL ? ASN1_INTEGER_cmp(n, m) : 0;

	ASN1_INTEGER_free(n);
	ASN1_INTEGER_free(m);
	return order != 0 ?
	    order :
	    ASN1_TIME_compare(X509_CRL_get0_lastUpdate(a), X509_CRL_get0_lastUpdate(b));
}

bool
crlset_is_older(const struct crlset *s, const struct crlset *other, char *reason, size_t size)
{
	char name[NAME_SIZE], was[TIME_SIZE], is[TIME_SIZE];
	const struct list *l;
	size_t i;

	for (i = 0; i < s->count; i++) {
		l = find_list(other, s->at[i].ca);
		if (l == NULL || compare_ages(s->at[i].crl, l->crl) >= 0)
			continue;
		(void)snprintf(reason, size,
		    "the list of %s, made %s, is older than the one in use, made %s: put the newest there, or make it anew (mkpki crl)",
		    name_of(X509_CRL_get_issuer(l->crl), name),
		    time_of(X509_CRL_get0_lastUpdate(s->at[i].crl), is),
		    time_of(X509_CRL_get0_lastUpdate(l->crl), was));
		return true;
	}
	return false;
}

/* Seconds from one time to another; from now when from is NULL. */
static int64_t
seconds_between(const ASN1_TIME *from, const ASN1_TIME *to)
{
	int days, seconds;

	/* A time that is none: as if it were past. */
	if (ASN1_TIME_diff(&days, &seconds, from, to) != 1)
		return -1;
	return (int64_t)days * DAY_S + seconds;
}

/* Judges one certificate of that issuer, as crlset_judge() does a chain. */
static int
judge(const struct crlset *s, X509 *certificate, X509 *issuer)
{
	const struct list *l = find_list(s, issuer);
	X509_REVOKED *entry;

	if (l == NULL)
		return X509_V_ERR_UNABLE_TO_GET_CRL;
	if (X509_CRL_get0_by_serial(l->crl, &entry, X509_get0_serialNumber(certificate)) != 0)
		return X509_V_ERR_CERT_REVOKED;
	if (seconds_between(NULL, X509_CRL_get0_nextUpdate(l->crl)) < 0)
		return X509_V_ERR_CRL_HAS_EXPIRED;
	return X509_V_OK;
}

int
crlset_judge(const struct crlset *s, STACK_OF(X509) * chain, int *depth)
{
	int last = sk_X509_num(chain) - 1, verdict = X509_V_OK, one, i;

	for (i = 0; i <= last && verdict != X509_V_ERR_CERT_REVOKED; i++) {
		/* The last one is its own issuer. */
		one = judge(s, sk_X509_value(chain, i), sk_X509_value(chain, i < last ? i + 1 : i));
		if (one == X509_V_OK || (verdict != X509_V_OK && one != X509_V_ERR_CERT_REVOKED))
			continue;
		verdict = one;
		*depth = i;
	}
	return verdict;
}

/* OpenSSL has no stack at all for a list of nobody. */
static uint64_t
count_revoked(X509_CRL *crl)
{
	int count = sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl));

	return count > 0 ? (uint64_t)count : 0;
}

void
crlset_summarise(const struct crlset *s, struct crlset_summary *out)
{
	const ASN1_TIME *end;
	int64_t left;
	size_t i;

	*out = (struct crlset_summary){ .seconds_left = INT64_MAX };
	for (i = 0; i < s->count; i++) {
		end = X509_CRL_get0_nextUpdate(s->at[i].crl);
		out->count += count_revoked(s->at[i].crl);
		left = seconds_between(NULL, end);
		if (left >= out->seconds_left)
			continue;
		out->seconds_left = left;
		out->seconds = seconds_between(X509_CRL_get0_lastUpdate(s->at[i].crl), end);
	}
}
