/* The library's OpenSSL context: nothing of ours is in the program's. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/crypto/ctrbox.h"
#include "common/crypto/filedigest.h"
#include "common/crypto/keys.h"
#include "common/crypto/sealbox.h"
#include "common/crypto/tls.h"
#include "common/crypto/tls_context.h"
#include "tests/stress/pki.h"

static struct pki pki;

/* Objects that were made in the program's context. */
static atomic_int made;

/* What the program has drawn there first. */
static int first_number;

static void
count_object(void *parent, void *value, CRYPTO_EX_DATA *data, int index, long number, void *arg)
{
	(void)parent;
	(void)value;
	(void)data;
	(void)index;
	(void)number;
	(void)arg;
	(void)atomic_fetch_add(&made, 1);
}

static OSSL_PROVIDER *null_provider;

/* The program's context can do nothing, and counts all objects that are made in it. */
static int
cripple_default_context(void **state)
{
	int kind, number;

	(void)state;
	null_provider = OSSL_PROVIDER_load(NULL, "null");
	assert_non_null(null_provider);
	assert_null(EVP_MD_fetch(NULL, "SHA256", NULL));
	for (kind = 0; kind < CRYPTO_EX_INDEX__COUNT; kind++) {
		number = CRYPTO_get_ex_new_index(kind, 0, NULL, count_object, NULL, NULL);
		if (kind == CRYPTO_EX_INDEX_X509_STORE_CTX)
			first_number = number;
	}
	pki_create(&pki);
	return 0;
}

static int
remove_keys(void **state)
{
	(void)state;
	assert_int_equal(OSSL_PROVIDER_unload(null_provider), 1);
	pki_destroy(&pki);
	return 0;
}

static struct tls_context *
create_context(enum tls_role role, const char *name)
{
	char cert[PKI_PATH_SIZE], key[PKI_PATH_SIZE], root[PKI_PATH_SIZE], reason[TLS_REASON_SIZE];
	struct tls_config config = {
		.role = role,
		.ca_file = pki_file(&pki, "root", "crt", root),
		.cert_file = pki_file(&pki, name, "crt", cert),
		.key_file = pki_file(&pki, name, "key", key),
	};
	struct tls_context *ctx;

	if (tls_context_create(&ctx, &config, reason) != 0)
		fail_msg("%s: %s", name, reason);
	return ctx;
}

static void
talk_over_tls(void)
{
	struct tls_context *contexts[2] = { create_context(TLS_CLIENT, "client"),
		create_context(TLS_SERVER, "server") };
	struct tls *ends[2];
	int fds[2], i, done = 0;
	char byte = 0;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	for (i = 0; i < 2; i++)
		assert_int_equal(tls_create(&ends[i], contexts[i], fds[i], NULL), 0);
	for (i = 0; i < 100 && done != 2; i++)
		done = (tls_handshake(ends[0]) == 0) + (tls_handshake(ends[1]) == 0);
	assert_int_equal(done, 2);
	assert_int_equal(tls_write(ends[0], "x", 1), 1);
	assert_int_equal(tls_read(ends[1], &byte, 1), 1);
	assert_int_equal(byte, 'x');
	for (i = 0; i < 2; i++) {
		tls_shutdown(ends[i]);
		tls_destroy(ends[i]);
		tls_context_destroy(contexts[i]);
		close(fds[i]);
	}
}

static void
use_keys(void)
{
	const uint8_t key[KEYS_SIZE] = { 1 }, iv[CTRBOX_IV_SIZE] = { 2 };
	uint8_t derived[KEYS_SIZE], out[1], tag[SEALBOX_TAG_SIZE];
	struct sealbox *seal;
	struct ctrbox *box;

	assert_int_equal(keys_derive(derived, key, key, "name"), 0);
	assert_int_equal(ctrbox_create(&box), 0);
	assert_int_equal(ctrbox_set_key(box, derived), 0);
	assert_int_equal(ctrbox_encrypt(box, iv, 0, "x", 1, out), 0);
	ctrbox_destroy(box);
	assert_int_equal(sealbox_create(&seal), 0);
	assert_int_equal(sealbox_set_key(seal, derived), 0);
	assert_int_equal(sealbox_seal(seal, 1, 0, "x", 1, out, tag), 0);
	sealbox_destroy(seal);
}

static void
digest_file(void)
{
	char path[PKI_PATH_SIZE];
	const char *const paths[] = { pki_file(&pki, "root", "crt", path), NULL };
	uint8_t digest[FILEDIGEST_SIZE];

	assert_int_equal(filedigest_get(digest, paths), 0);
}

static void
the_programs_context_is_never_used(void **state)
{
	(void)state;
	atomic_store(&made, 0);
	use_keys();
	digest_file();
	talk_over_tls();
	assert_int_equal(atomic_load(&made), 0);
	assert_ptr_equal(OSSL_LIB_CTX_set0_default(NULL), OSSL_LIB_CTX_get0_global_default());
}

/* TLS draws one, too, when it is first used: by the library. */
static void
the_programs_numbers_are_not_that_of_tls(void **state)
{
	int tls, next;

	(void)state;
	tls = SSL_get_ex_data_X509_STORE_CTX_idx();
	next = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_X509_STORE_CTX, 0, NULL, NULL, NULL, NULL);
	assert_int_not_equal(tls, first_number);
	assert_int_not_equal(tls, next);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_programs_context_is_never_used),
		cmocka_unit_test(the_programs_numbers_are_not_that_of_tls),
	};

	return cmocka_run_group_tests(tests, cripple_default_context, remove_keys);
}
