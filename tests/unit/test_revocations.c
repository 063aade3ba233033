/*
 * Revocation lists: whom they refuse in both roles, and files that are no lists, or not the right
 * ones: these change nothing.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/crypto/revocations.h"
#include "common/crypto/tls.h"
#include "common/crypto/tls_context.h"
#include "common/crypto/tls_load.h"
#include "tests/stress/pki.h"

enum { HOUR = 3600, ROUNDS = 40, PEM_MOST = 16 * 1024 };

static struct pki pki, other; /* their roots have the same name */
static char list_file[PKI_PATH_SIZE], ca_file[PKI_PATH_SIZE];

/* Of the running test: a context that loads list_file, in either role, and its peer. */
static struct revocations *revocations;
static struct tls_context *ours, *theirs;
static struct tls *ends[2]; /* ours, theirs */
static int fds[2] = { -1, -1 };
static char reason[REVOCATIONS_REASON_SIZE];

/* What a list says. Numbers are left out when they are 0, times are seconds from now. */
struct spec {
	const struct pki *signer;
	long number;
	long made;
	long ends;
	const char *revoked[2]; /* of pki */
	bool never_ends;
	bool has_critical_extension;
};

static void
add_entry(X509_CRL *crl, const char *name)
{
	X509 *cert = pki_read_certificate(&pki, name);
	X509_REVOKED *entry = X509_REVOKED_new();
	ASN1_TIME *now = ASN1_TIME_set(NULL, time(NULL));

	assert_int_equal(X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(cert)), 1);
	assert_int_equal(X509_REVOKED_set_revocationDate(entry, now), 1);
	assert_int_equal(X509_CRL_add0_revoked(crl, entry), 1);
	ASN1_TIME_free(now);
	X509_free(cert);
}

static void
set_times(X509_CRL *crl, const struct spec *s)
{
	ASN1_TIME *made = ASN1_TIME_set(NULL, time(NULL) + s->made);
	ASN1_TIME *next = ASN1_TIME_set(NULL, time(NULL) + s->ends);

	assert_int_equal(X509_CRL_set1_lastUpdate(crl, made), 1);
	if (!s->never_ends)
		assert_int_equal(X509_CRL_set1_nextUpdate(crl, next), 1);
	ASN1_TIME_free(made);
	ASN1_TIME_free(next);
}

static void
add_extensions(X509_CRL *crl, const struct spec *s)
{
	ASN1_INTEGER *number = ASN1_INTEGER_new();

	assert_int_equal(ASN1_INTEGER_set(number, s->number), 1);
	if (s->number != 0)
		assert_int_equal(X509_CRL_add1_ext_i2d(crl, NID_crl_number, number, 0, 0), 1);
	/* That of a list of changes only. */
	if (s->has_critical_extension)
		assert_int_equal(X509_CRL_add1_ext_i2d(crl, NID_delta_crl, number, 1, 0), 1);
	ASN1_INTEGER_free(number);
}

/* Makes a list; the caller frees it. */
static X509_CRL *
make_list(const struct spec *s)
{
	EVP_PKEY *key = pki_read_key(s->signer, "root");
	X509 *root = pki_read_certificate(s->signer, "root");
	X509_CRL *crl = X509_CRL_new();
	size_t i;

	assert_int_equal(X509_CRL_set_version(crl, X509_CRL_VERSION_2), 1);
	assert_int_equal(X509_CRL_set_issuer_name(crl, X509_get_subject_name(root)), 1);
	set_times(crl, s);
	for (i = 0; i < 2 && s->revoked[i] != NULL; i++)
		add_entry(crl, s->revoked[i]);
	add_extensions(crl, s);
	assert_true(X509_CRL_sign(crl, key, EVP_sha256()) > 0);
	EVP_PKEY_free(key);
	X509_free(root);
	return crl;
}

/* Writes lists into list_file, in the place of what is there. */
static void
write_lists(const struct spec *specs, size_t count)
{
	FILE *f = fopen(list_file, "w");
	X509_CRL *crl;
	size_t i;

	assert_non_null(f);
	for (i = 0; i < count; i++) {
		crl = make_list(&specs[i]);
		assert_int_equal(PEM_write_X509_CRL(f, crl), 1);
		X509_CRL_free(crl);
	}
	assert_int_equal(fclose(f), 0);
}

static void
write_list(struct spec s)
{
	if (s.signer == NULL)
		s.signer = &pki;
	if (s.ends == 0)
		s.ends = HOUR;
	write_lists(&s, 1);
}

static void
write_bytes(const void *bytes, size_t size)
{
	FILE *f = fopen(list_file, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

static struct tls_context *
make_context(enum tls_role role, const char *ca, const char *name, struct revocations *r)
{
	char cert[PKI_PATH_SIZE], key[PKI_PATH_SIZE], why[TLS_REASON_SIZE];
	struct tls_config config = { .role = role,
		.ca_file = ca,
		.cert_file = pki_file(&pki, name, "crt", cert),
		.key_file = pki_file(&pki, name, "key", key),
		.revocations = r };
	struct tls_context *ctx;

	if (tls_context_create(&ctx, &config, why) != 0)
		fail_msg("tls_context_create: %s", why);
	return ctx;
}

static void
use_role(enum tls_role role, const char *ca)
{
	if (revocations == NULL)
		assert_int_equal(revocations_create(&revocations, list_file), 0);
	tls_context_destroy(ours);
	ours = make_context(role, ca, role == TLS_SERVER ? "server" : "client", revocations);
}

static int
load(void)
{
	return tls_context_load_revocations(ours, reason);
}

static void
load_well(void)
{
	if (load() != 0)
		fail_msg("expected that the list is loaded, got: %s", reason);
	assert_string_equal(reason, "");
}

/* The file is refused with that error, and words that are in the reason. */
static void
expect_kept(int error, const char *words)
{
	int came = load();

	if (came != error || strstr(reason, words) == NULL)
		fail_msg("expected %d and \"%s\", got %d and \"%s\"", error, words, came, reason);
}

static void
hang_up(void)
{
	size_t i;

	for (i = 0; i < 2; i++) {
		tls_destroy(ends[i]);
		ends[i] = NULL;
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
	tls_context_destroy(theirs);
	theirs = NULL;
}

/* Connects the context to a peer of that name, without a handshake. */
static void
meet(enum tls_role role, const char *name)
{
	char ca[PKI_PATH_SIZE];

	hang_up();
	theirs = make_context(role == TLS_SERVER ? TLS_CLIENT : TLS_SERVER,
	    pki_file(&pki, "root", "crt", ca), name, NULL);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	assert_int_equal(tls_create(&ends[0], ours, fds[0], NULL), 0);
	assert_int_equal(tls_create(&ends[1], theirs, fds[1], NULL), 0);
}

/* Returns what the handshake returns at our end. */
static int
shake_hands(void)
{
	int error = -EAGAIN, i;

	for (i = 0; i < ROUNDS && error == -EAGAIN; i++) {
		(void)tls_handshake(ends[1]);
		error = tls_handshake(ends[0]);
	}
	return error;
}

static void
expect_accepted(enum tls_role role, const char *name)
{
	meet(role, name);
	if (shake_hands() != 0)
		fail_msg("role %d: expected that %s is accepted, got: %s", role, name,
		    tls_reason(ends[0]));
}

static void
expect_refused(enum tls_role role, const char *name, const char *words)
{
	int error;

	meet(role, name);
	error = shake_hands();
	if (error != -EACCES || strstr(tls_reason(ends[0]), words) == NULL)
		fail_msg("role %d: expected that %s is refused (%s), got %d: %s", role, name, words,
		    error, tls_reason(ends[0]));
}

static int
begin_all(void **state)
{
	(void)state;
	pki_create(&pki);
	pki_create(&other);
	pki_add(&pki, "client", "leaked", NULL, NULL);
	pki_add(&pki, "client", "lost", NULL, NULL);
	pki_add(&pki, "server", "stolen", NULL, NULL);
	(void)pki_file(&pki, "list", "pem", list_file);
	(void)pki_file(&pki, "root", "crt", ca_file);
	return 0;
}

static int
end_all(void **state)
{
	(void)state;
	pki_destroy(&pki);
	pki_destroy(&other);
	return 0;
}

static int
begin(void **state)
{
	(void)state;
	use_role(TLS_SERVER, ca_file);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	hang_up();
	tls_context_destroy(ours);
	revocations_put(revocations);
	ours = NULL;
	revocations = NULL;
	(void)unlink(list_file);
	(void)rmdir(list_file);
	return 0;
}

/* Whom a list refuses. */

static void
a_server_refuses_revoked_clients_and_no_others(void **state)
{
	(void)state;
	write_list((struct spec){ .revoked = { "leaked" } });
	load_well();
	expect_refused(TLS_SERVER, "leaked", "it is revoked");
	expect_accepted(TLS_SERVER, "client");
	expect_accepted(TLS_SERVER, "lost");
}

static void
a_client_refuses_revoked_servers_and_no_others(void **state)
{
	(void)state;
	use_role(TLS_CLIENT, ca_file);
	write_list((struct spec){ .revoked = { "stolen", "leaked" } });
	load_well();
	expect_refused(TLS_CLIENT, "stolen", "it is revoked");
	expect_accepted(TLS_CLIENT, "server");
}

static void
without_a_list_everybody_is_refused(void **state)
{
	struct crlset_summary s;

	(void)state;
	assert_false(revocations_summarise(revocations, &s));
	expect_refused(TLS_SERVER, "client", "there is no revocation list of its CA");
	expect_kept(-ENOENT, "No such file");
	expect_refused(TLS_SERVER, "client", "there is no revocation list of its CA");
}

static void
an_expired_list_refuses_everybody_new(void **state)
{
	struct crlset_summary s;

	(void)state;
	write_list((struct spec){ .made = -HOUR, .ends = -1, .revoked = { "leaked" } });
	load_well();
	expect_refused(TLS_SERVER, "client", "has expired here");
	expect_refused(TLS_SERVER, "leaked", "it is revoked");
	assert_true(revocations_summarise(revocations, &s));
	assert_int_equal(s.count, 1);
	assert_in_range(s.seconds, HOUR - 2, HOUR);
	assert_true(s.seconds_left < 0);
}

static void
a_load_reaches_handshakes_and_connections_that_have_begun(void **state)
{
	(void)state;
	write_list((struct spec){ .number = 1 });
	load_well();
	meet(TLS_SERVER, "leaked");
	assert_int_equal(tls_handshake(ends[1]), -EAGAIN);
	assert_int_equal(tls_handshake(ends[0]), -EAGAIN);
	write_list((struct spec){ .number = 2, .revoked = { "leaked" } });
	load_well();
	assert_int_equal(shake_hands(), -EACCES);

	expect_accepted(TLS_SERVER, "lost");
	assert_false(tls_is_revoked(ends[0]));
	write_list((struct spec){ .number = 3, .revoked = { "leaked", "lost" } });
	load_well();
	assert_true(tls_is_revoked(ends[0]));
	/* Who is connected is not asked for a list that has not expired. */
	expect_accepted(TLS_SERVER, "client");
	write_list((struct spec){ .number = 4, .made = -HOUR, .ends = -1, .revoked = { "lost" } });
	load_well();
	assert_false(tls_is_revoked(ends[0]));
}

static void
a_second_context_has_the_same_lists(void **state)
{
	(void)state;
	write_list((struct spec){ .number = 2, .revoked = { "leaked" } });
	load_well();
	use_role(TLS_SERVER, ca_file);
	expect_refused(TLS_SERVER, "leaked", "it is revoked");
	expect_accepted(TLS_SERVER, "client");
	write_list((struct spec){ .number = 1 });
	expect_kept(-ESTALE, "older");
}

static void
the_summary_counts_all_lists(void **state)
{
	struct crlset_summary s;

	(void)state;
	write_list(
	    (struct spec){ .made = -HOUR, .ends = 3 * HOUR, .revoked = { "leaked", "lost" } });
	load_well();
	assert_true(revocations_summarise(revocations, &s));
	assert_int_equal(s.count, 2);
	assert_in_range(s.seconds, 4 * HOUR - 1, 4 * HOUR + 1);
	assert_in_range(s.seconds_left, 2 * HOUR, 3 * HOUR);
	write_list((struct spec){ .made = -1 });
	load_well();
	assert_true(revocations_summarise(revocations, &s));
	assert_int_equal(s.count, 0);
}

/* Files that are refused: the lists in use stay. */

static void
use_good_list(void)
{
	write_list((struct spec){ .number = 7, .revoked = { "leaked" } });
	load_well();
}

static void
expect_still_good(void)
{
	expect_refused(TLS_SERVER, "leaked", "it is revoked");
	expect_accepted(TLS_SERVER, "client");
}

static void
what_is_no_readable_file_changes_nothing(void **state)
{
	static char large[REVOCATIONS_FILE_MOST + 1];

	(void)state;
	use_good_list();
	assert_int_equal(unlink(list_file), 0);
	expect_kept(-ENOENT, "No such file or directory: put a list there");
	assert_int_equal(mkdir(list_file, 0700), 0);
	expect_kept(-EISDIR, "put a list there");
	assert_int_equal(rmdir(list_file), 0);
	/* Nobody writes there: opening must not wait. */
	assert_int_equal(mkfifo(list_file, 0600), 0);
	expect_kept(-ENOTSUP, "put a list there");
	assert_int_equal(unlink(list_file), 0);
	write_bytes(large, sizeof large);
	expect_kept(-EFBIG, "more than 524288 bytes");
	/* Of that size it is read. */
	write_bytes(large, REVOCATIONS_FILE_MOST);
	expect_kept(-EINVAL, "");
	expect_still_good();
}

static void
what_is_no_list_changes_nothing(void **state)
{
	char text[PEM_MOST], path[PKI_PATH_SIZE];
	struct tls_load crt = { 0 };

	(void)state;
	use_good_list();
	write_bytes("", 0);
	expect_kept(-EINVAL, "it is empty");
	write_bytes("nothing", 7);
	expect_kept(-EINVAL, "it is no PEM text");
	assert_int_equal(tls_load_read(&crt, pki_file(&pki, "root", "crt", path)), 0);
	write_bytes(crt.text, crt.size);
	tls_load_fini(&crt);
	expect_kept(-EINVAL, "it has a certificate instead");
	memset(text, 'A', sizeof text);
	write_bytes(text,
	    (size_t)snprintf(text, sizeof text,
		"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"));
	expect_kept(-EINVAL, "it is damaged");
	expect_still_good();
}

static void
no_changed_bit_of_a_list_counts(void **state)
{
	X509_CRL *crl = make_list(&(struct spec){ .signer = &pki, .number = 9, .ends = HOUR });
	uint8_t *der = NULL;
	int size = i2d_X509_CRL(crl, &der), bit;
	FILE *f;

	(void)state;
	use_good_list();
	assert_true(size > 100);
	for (bit = 0; bit < 8 * size; bit += 5) {
		der[bit / 8] ^= (uint8_t)(1U << bit % 8);
		f = fopen(list_file, "w");
		assert_non_null(f);
		assert_true(PEM_write(f, "X509 CRL", "", der, size) > 0);
		assert_int_equal(fclose(f), 0);
		if (load() == 0)
			fail_msg("bit %d was changed, and the list was loaded", bit);
		der[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	OPENSSL_free(der);
	X509_CRL_free(crl);
	expect_still_good();
}

static void
a_list_that_another_root_has_signed_changes_nothing(void **state)
{
	(void)state;
	use_good_list();
	write_list((struct spec){ .signer = &other, .number = 8 });
	expect_kept(-EINVAL, "no CA that is trusted here has signed the list of CN=memserver root");
	expect_still_good();
}

static void
an_older_list_changes_nothing(void **state)
{
	(void)state;
	use_good_list();
	write_list((struct spec){ .number = 6 });
	expect_kept(-ESTALE, "is older than the one in use");
	/* The number decides, not the time. */
	write_list((struct spec){ .number = 6, .made = HOUR, .ends = 2 * HOUR });
	expect_kept(-ESTALE, "is older than the one in use");
	write_list((struct spec){ .number = 7, .made = -HOUR });
	expect_kept(-ESTALE, "is older than the one in use");
	expect_still_good();
	write_list((struct spec){ .number = 8, .made = -HOUR, .revoked = { "lost" } });
	load_well();
	expect_accepted(TLS_SERVER, "leaked");
}

static void
without_numbers_the_time_decides(void **state)
{
	(void)state;
	write_list((struct spec){ .made = -60, .revoked = { "leaked" } });
	load_well();
	write_list((struct spec){ .made = -120 });
	expect_kept(-ESTALE, "is older than the one in use");
	write_list((struct spec){ .number = 100, .made = -120 });
	expect_kept(-ESTALE, "is older than the one in use");
	expect_still_good();
	write_list((struct spec){ .made = -30 });
	load_well();
	expect_accepted(TLS_SERVER, "leaked");
}

static void
partial_lists_and_lists_without_an_end_change_nothing(void **state)
{
	(void)state;
	use_good_list();
	write_list((struct spec){ .number = 8, .has_critical_extension = true });
	expect_kept(-EINVAL, "partial or indirect");
	write_list((struct spec){ .number = 8, .never_ends = true });
	expect_kept(-EINVAL, "never expires");
	expect_still_good();
}

/* Writes a CA file with the roots of both. */
static void
write_both_roots(char path[PKI_PATH_SIZE])
{
	X509 *roots[] = { pki_read_certificate(&pki, "root"),
		pki_read_certificate(&other, "root") };
	FILE *f = fopen(pki_file(&pki, "both", "pem", path), "w");
	size_t i;

	assert_non_null(f);
	for (i = 0; i < 2; i++) {
		assert_int_equal(PEM_write_X509(f, roots[i]), 1);
		X509_free(roots[i]);
	}
	assert_int_equal(fclose(f), 0);
}

static void
each_ca_needs_one_list(void **state)
{
	const struct spec both[] = {
		{ .signer = &pki, .number = 8, .ends = HOUR, .revoked = { "lost" } },
		{ .signer = &other, .number = 3, .ends = HOUR, .revoked = { "client" } },
	};
	const struct spec twice[] = { both[0], both[0], both[1] };
	char path[PKI_PATH_SIZE];

	(void)state;
	use_good_list();
	write_lists(twice, 2);
	expect_kept(-EINVAL, "two lists of CN=memserver root");
	write_both_roots(path);
	use_role(TLS_SERVER, path);
	write_lists(both, 1);
	expect_kept(-EINVAL, "there is no list of the CA CN=memserver root");
	write_lists(twice, 3);
	expect_kept(-EINVAL, "two lists of CN=memserver root");
	expect_still_good();
	write_lists(both, 2);
	load_well();
	/* The other root, of the same name, does not speak for the certificates of this one. */
	expect_accepted(TLS_SERVER, "client");
	expect_refused(TLS_SERVER, "lost", "it is revoked");
}

/* Writes the root as one that may not sign lists. */
static void
write_weak_root(char path[PKI_PATH_SIZE])
{
	X509 *root = pki_read_certificate(&pki, "root");
	EVP_PKEY *key = pki_read_key(&pki, "root");
	X509_EXTENSION *usage = X509V3_EXT_conf_nid(NULL, NULL, NID_key_usage,
	    "critical,keyCertSign");
	int at = X509_get_ext_by_NID(root, NID_key_usage, -1);
	FILE *f = fopen(pki_file(&pki, "weak", "pem", path), "w");

	assert_non_null(f);
	assert_non_null(usage);
	assert_true(at >= 0);
	X509_EXTENSION_free(X509_delete_ext(root, at));
	assert_int_equal(X509_add_ext(root, usage, -1), 1);
	assert_true(X509_sign(root, key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_X509(f, root), 1);
	assert_int_equal(fclose(f), 0);
	X509_EXTENSION_free(usage);
	EVP_PKEY_free(key);
	X509_free(root);
}

static void
a_root_that_may_not_sign_lists_has_none(void **state)
{
	char path[PKI_PATH_SIZE];

	(void)state;
	use_good_list();
	write_weak_root(path);
	use_role(TLS_SERVER, path);
	write_list((struct spec){ .number = 8 });
	expect_kept(-EINVAL, "may not sign lists (key usage): make it one that may (mkpki renew");
	/* The lists in use are those of the same key. */
	expect_still_good();
}

/* Reloading. */

static void
a_file_that_is_as_before_is_not_loaded_again(void **state)
{
	(void)state;
	assert_int_equal(tls_context_reload_revocations(ours, reason), -ENOENT);
	assert_int_equal(tls_context_reload_revocations(ours, reason), -EALREADY);
	use_good_list();
	assert_int_equal(tls_context_reload_revocations(ours, reason), -EALREADY);
	write_bytes("", 0);
	assert_int_equal(tls_context_reload_revocations(ours, reason), -EINVAL);
	write_bytes("x", 1);
	assert_int_equal(tls_context_reload_revocations(ours, reason), -EINVAL);
	assert_int_equal(tls_context_reload_revocations(ours, reason), -EALREADY);
	revocations_reason(revocations, reason);
	assert_non_null(strstr(reason, "it is no PEM text"));
	write_list((struct spec){ .number = 8 });
	assert_int_equal(tls_context_reload_revocations(ours, reason), 0);
	revocations_reason(revocations, reason);
	assert_string_equal(reason, "");
	assert_int_equal(unlink(list_file), 0);
	assert_int_equal(tls_context_reload_revocations(ours, reason), -ENOENT);
	assert_int_equal(tls_context_reload_revocations(ours, reason), -EALREADY);
	expect_accepted(TLS_SERVER, "leaked");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_server_refuses_revoked_clients_and_no_others),
		TEST(a_client_refuses_revoked_servers_and_no_others),
		TEST(without_a_list_everybody_is_refused),
		TEST(an_expired_list_refuses_everybody_new),
		TEST(a_load_reaches_handshakes_and_connections_that_have_begun),
		TEST(a_second_context_has_the_same_lists),
		TEST(the_summary_counts_all_lists),
		TEST(what_is_no_readable_file_changes_nothing),
		TEST(what_is_no_list_changes_nothing),
		TEST(no_changed_bit_of_a_list_counts),
		TEST(a_list_that_another_root_has_signed_changes_nothing),
		TEST(an_older_list_changes_nothing),
		TEST(without_numbers_the_time_decides),
		TEST(partial_lists_and_lists_without_an_end_change_nothing),
		TEST(each_ca_needs_one_list),
		TEST(a_root_that_may_not_sign_lists_has_none),
		TEST(a_file_that_is_as_before_is_not_loaded_again),
	};

	return cmocka_run_group_tests_name("revocations", tests, begin_all, end_all);
}
