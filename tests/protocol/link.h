/*
 * link: one connection to a daemon, plain or over TLS, that never blocks once it is open. The
 * TLS is OpenSSL used directly, so that the protocol is not tested through the code that it is
 * tested for.
 */
#ifndef TESTS_PROTOCOL_LINK_H
#define TESTS_PROTOCOL_LINK_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"

enum { LINK_PATIENCE_MS = 10 * 1000 };

/* All zeros: closed. */
struct link {
	bool is_open;
	int fd;
	SSL *ssl;       /* NULL: plaintext */
	struct buf out; /* not taken by the kernel yet */
	struct buf in;
	bool is_ended;  /* the peer has closed it */
	bool is_deaf;   /* nothing is read any more */
	bool is_paused; /* nothing is read for now */
};

/*
 * Over the connected blocking socket fd, which it owns from then on. ctx NULL: plain. 0 or a
 * negative errno.
 */
int link_open(struct link *l, int fd, SSL_CTX *ctx);

/* Moves what can be moved now, both ways. */
void link_pump(struct link *l);

/* What to poll(2) for until the next link_pump(); 0 when that is useless. */
short link_events(const struct link *l);

/* Sends what waits, says goodbye, waits until the peer has closed its end too, and closes. */
void link_close(struct link *l);

#endif
