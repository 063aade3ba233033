/*
 * OpenSSL's queue of errors is the program's: no call of ours that fails in OpenSSL adds an error,
 * takes one away, or is misled by one that was there before.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/crypto/keys.h"
#include "common/crypto/pem.h"
#include "common/crypto/sealbox.h"
#include "common/crypto/tls.h"
#include "common/crypto/tls_context.h"
#include "tests/stress/pki.h"

enum { LINE = 4711 };

static struct pki pki;
static char no_pem[PKI_PATH_SIZE];

/* The failures: each returns the error of its call. */

static int
open_what_does_not_verify(void)
{
	const uint8_t key[SEALBOX_KEY_SIZE] = { 1 }, tag[SEALBOX_TAG_SIZE] = { 2 };
	uint8_t sealed[64] = { 0 }, plain[sizeof sealed];
	struct sealbox *b;
	int error = sealbox_create(&b);

	if (error != 0)
		return error;
	error = sealbox_set_key(b, key);
	if (error == 0)
		error = sealbox_open(b, 1, 0, sealed, sizeof sealed, tag, plain);
	sealbox_destroy(b);
	return error;
}

static int
derive_from_too_much(void)
{
	static const uint8_t info[64 * 1024]; /* more than any version of OpenSSL takes */
	uint8_t out[32];

	return keys_hkdf(out, sizeof out, info, 32, NULL, 0, info, sizeof info);
}

static int
create_context(struct tls_context **out, const char *authorities, const char *certificate)
{
	char cert[PKI_PATH_SIZE], key[PKI_PATH_SIZE], reason[TLS_REASON_SIZE];
	struct tls_config config = {
		.role = TLS_CLIENT,
		.ca_file = authorities,
		.cert_file = pki_file(&pki, certificate, "crt", cert),
		.key_file = pki_file(&pki, "client", "key", key),
	};

	return tls_context_create(out, &config, reason);
}

static int
load_no_authorities(void)
{
	struct tls_context *ctx;

	return create_context(&ctx, no_pem, "client");
}

static int
load_another_key(void)
{
	char root[PKI_PATH_SIZE];
	struct tls_context *ctx;

	return create_context(&ctx, pki_file(&pki, "root", "crt", root), "server");
}

static int
read_no_certificate(void)
{
	char *hex;

	return pem_certificate(&hex, no_pem);
}

static int
read_no_public_key(void)
{
	char *modulus, *exponent;

	return pem_rsa_public(&modulus, &exponent, no_pem);
}

/* A handshake with a peer that sends bytes. */
static int
shake_hands_with(const char *bytes)
{
	char root[PKI_PATH_SIZE];
	struct tls_context *ctx;
	struct tls *t;
	int fds[2], error;

	error = create_context(&ctx, pki_file(&pki, "root", "crt", root), "client");
	if (error != 0)
		return error;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(write(fds[1], bytes, strlen(bytes)), strlen(bytes));
	error = tls_create(&t, ctx, fds[0], NULL);
	if (error == 0) {
		error = tls_handshake(t);
		tls_destroy(t);
	}
	tls_context_destroy(ctx);
	close(fds[0]);
	close(fds[1]);
	return error;
}

static int
shake_hands_without_tls(void)
{
	return shake_hands_with("HTTP/1.1 400 Bad Request\r\n");
}

/* Not a failure yet, but one for a caller that mistakes an earlier error for one of its own. */
static int
shake_hands_with_nobody(void)
{
	return shake_hands_with("");
}

static const struct failure {
	const char *name;
	int (*run)(void);
	int error;
} failures[] = {
	{ "sealbox_open", open_what_does_not_verify, -EBADMSG },
	{ "keys_hkdf", derive_from_too_much, -EIO },
	{ "tls_context_create, authorities", load_no_authorities, -EINVAL },
	{ "tls_context_create, key", load_another_key, -EINVAL },
	{ "pem_certificate", read_no_certificate, -EINVAL },
	{ "pem_rsa_public", read_no_public_key, -EINVAL },
	{ "tls_handshake, no TLS", shake_hands_without_tls, -EPROTO },
	{ "tls_handshake, no answer", shake_hands_with_nobody, -EAGAIN },
};

enum { FAILURES = sizeof failures / sizeof failures[0] };

static void
expect_failure(const struct failure *f)
{
	int error = f->run();

	if (error != f->error)
		fail_msg("%s: expected %d, got %d", f->name, f->error, error);
}

static void
an_empty_queue_stays_empty(void **state)
{
	const struct failure *f;

	(void)state;
	for (f = failures; f < failures + FAILURES; f++) {
		ERR_clear_error();
		expect_failure(f);
		if (ERR_peek_error() != 0)
			fail_msg("%s left an error: %s", f->name,
			    ERR_reason_error_string(ERR_peek_error()));
	}
}

/* Two errors of the program, the first one with words. */
static void
raise_two(void)
{
	ERR_clear_error();
	ERR_new();
	ERR_set_debug("program.c", LINE, "function");
	ERR_set_error(ERR_LIB_USER, ERR_R_INTERNAL_ERROR, "%s", "words");
	ERR_raise(ERR_LIB_SYS, ENOSPC);
}

static void
expect_two(const char *name)
{
	const char *file, *function, *data;
	unsigned long first, second;
	int line, flags;

	first = ERR_get_error_all(&file, &line, &function, &data, &flags);
	if (ERR_GET_LIB(first) != ERR_LIB_USER || ERR_GET_REASON(first) != ERR_R_INTERNAL_ERROR)
		fail_msg("%s: the first error is %#lx", name, first);
	assert_string_equal(file, "program.c");
	assert_string_equal(function, "function");
	assert_string_equal(data, "words");
	assert_int_equal(line, LINE);
	second = ERR_get_error();
	if (!ERR_SYSTEM_ERROR(second) || ERR_GET_REASON(second) != ENOSPC)
		fail_msg("%s: the second error is %#lx", name, second);
	if (ERR_peek_error() != 0)
		fail_msg("%s: there is a third error, %#lx", name, ERR_peek_error());
}

static void
the_programs_errors_stay(void **state)
{
	const struct failure *f;

	(void)state;
	for (f = failures; f < failures + FAILURES; f++) {
		raise_two();
		expect_failure(f);
		expect_two(f->name);
	}
}

static void
a_full_queue_stays_full(void **state)
{
	int i;

	(void)state;
	ERR_clear_error();
	for (i = 1; i <= ERR_NUM_ERRORS; i++)
		ERR_raise(ERR_LIB_USER, i);
	assert_int_equal(derive_from_too_much(), -EIO);
	/* One place of the queue's ring is always free. */
	for (i = 2; i <= ERR_NUM_ERRORS; i++)
		assert_int_equal(ERR_GET_REASON(ERR_get_error()), i);
	assert_int_equal(ERR_peek_error(), 0);
}

static int
begin(void **state)
{
	FILE *f;

	(void)state;
	pki_create(&pki);
	snprintf(no_pem, sizeof no_pem, "%s/nothing", pki.dir);
	f = fopen(no_pem, "w");
	assert_non_null(f);
	assert_true(fputs("nothing\n", f) >= 0);
	assert_int_equal(fclose(f), 0);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	pki_destroy(&pki);
	return 0;
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_queue_stays_empty),
		cmocka_unit_test(the_programs_errors_stay),
		cmocka_unit_test(a_full_queue_stays_full),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
