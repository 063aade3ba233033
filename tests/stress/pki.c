#include "tests/stress/pki.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <openssl/pem.h>
#include <stdio.h>

enum { SCRIPT_SIZE = 512, ARGS_MOST = 10 };

/* Runs mkpki with a command for the directory. start and end may be NULL. */
static void
make(const struct pki *p, const char *start, const char *end, const char *command, const char *name)
{
	char script[SCRIPT_SIZE];
	const char *args[ARGS_MOST] = { script };
	int n = 1;

	scratch_find(script, sizeof script, "SRC", "deploy/mkpki");
	if (start != NULL) {
		args[n++] = "-s";
		args[n++] = start;
	}
	if (end != NULL) {
		args[n++] = "-e";
		args[n++] = end;
	}
	args[n++] = command;
	args[n++] = p->dir;
	args[n++] = name;
	args[n] = NULL;
	scratch_run(args);
}

void
pki_create(struct pki *p)
{
	scratch_create(p->dir);
	make(p, NULL, NULL, "init", NULL);
	make(p, NULL, NULL, "server", "server");
	make(p, NULL, NULL, "client", "client");
}

void
pki_destroy(struct pki *p)
{
	scratch_remove(p->dir);
}

void
pki_add(const struct pki *p, const char *role, const char *name, const char *start, const char *end)
{
	make(p, start, end, role, name);
}

void
pki_list(const struct pki *p)
{
	make(p, NULL, NULL, "crl", NULL);
}

void
pki_revoke(const struct pki *p, const char *name)
{
	char path[PKI_PATH_SIZE];

	make(p, NULL, NULL, "revoke", pki_file(p, name, "crt", path));
}

const char *
pki_file(const struct pki *p, const char *name, const char *suffix, char out[PKI_PATH_SIZE])
{
	snprintf(out, PKI_PATH_SIZE, "%s/%s.%s", p->dir, name, suffix);
	return out;
}

static FILE *
open_file(const struct pki *p, const char *name, const char *suffix)
{
	char path[PKI_PATH_SIZE];
	FILE *f = fopen(pki_file(p, name, suffix, path), "r");

	assert_non_null(f);
	return f;
}

EVP_PKEY *
pki_read_key(const struct pki *p, const char *name)
{
	FILE *f = open_file(p, name, "key");
	EVP_PKEY *key = PEM_read_PrivateKey(f, NULL, NULL, NULL);

	fclose(f);
	assert_non_null(key);
	return key;
}

X509 *
pki_read_certificate(const struct pki *p, const char *name)
{
	FILE *f = open_file(p, name, "crt");
	X509 *cert = PEM_read_X509(f, NULL, NULL, NULL);

	fclose(f);
	assert_non_null(cert);
	return cert;
}
