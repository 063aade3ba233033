/*
 * link: one connection to a daemon, plain or over TLS, that never blocks once it is open. It uses
 * OpenSSL directly for TLS, so that no code under test is part of the test.
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
 * Opens a link over the connected blocking socket fd, which it owns from then on. ctx NULL: plain.
 * Returns 0 or a negative errno.
 */
int link_open(struct link *l, int fd, SSL_CTX *ctx);

/* Sends and receives what needs no waiting. */
void link_pump(struct link *l);

/* Returns the events to poll(2) for until the next link_pump(); 0 when there are none. */
short link_events(const struct link *l);

/* Sends all pending bytes, shuts down, waits until the peer has closed its end too, and closes. */
void link_close(struct link *l);

#endif
