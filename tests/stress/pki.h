/*
 * pki: a trust domain of a test, made with deploy/mkpki: a root, a server and a client, and whoever else.
 */
#ifndef TESTS_STRESS_PKI_H
#define TESTS_STRESS_PKI_H

#include "tests/stress/scratch.h"

enum { PKI_PATH_SIZE = SCRATCH_PATH_SIZE + 64 };

struct pki {
	char dir[SCRATCH_PATH_SIZE];
};

/* A new root with the certificates "server" and "client". The test fails when that cannot be done. */
void pki_create(struct pki *p);

void pki_destroy(struct pki *p);

/*
 * One more certificate: role is "server" or "client". start and end: when it is valid, as mkpki has
 * them, or NULL.
 */
void pki_add(const struct pki *p, const char *role, const char *name, const char *start,
    const char *end);

/* The path of name's certificate ("crt") or key ("key"), in out, which is returned. */
const char *pki_file(const struct pki *p, const char *name, const char *suffix,
    char out[PKI_PATH_SIZE]);

#endif
