/*
 * raw: a peer that can say anything to a server, in plaintext or through TLS, byte by byte.
 *
 * It uses OpenSSL directly for TLS. No function waits longer than PATIENCE_MS; a server that needs
 * longer fails the test. The program ignores SIGPIPE from the first connection on.
 *
 * A request is written as its operation and a format with a letter for each field: b u8, w u32, q
 * u64 (given as uint8_t or int, uint32_t, uint64_t), s a string with its length in front, x raw
 * bytes (pointer, size_t).
 */
#ifndef TESTS_STRESS_RAW_H
#define TESTS_STRESS_RAW_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/wire/status.h"

struct daemon;
struct pki;

struct raw {
	int fd;
	SSL *ssl;       /* NULL: plaintext */
	bool has_ended; /* the server has closed it */
	struct buf in;  /* bytes that came and were not read yet */
	uint32_t code;  /* of the last reply */
	struct buf body;
};

/*
 * Makes a client's context with the pki's root and its certificate of that name (NULL: none). The
 * caller frees it with SSL_CTX_free().
 */
SSL_CTX *raw_context(const struct pki *p, const char *name);

/* Gives the context a certificate and its key. */
void raw_identify(SSL_CTX *ctx, const struct pki *p, const char *name);

/*
 * Connects as the server expects it, with the certificate "client" over TLS; completes the
 * handshake.
 */
void raw_connect(struct raw *r, const struct daemon *d);

/* Takes over a connected socket, which raw_close() closes. No handshake has begun. */
void raw_adopt(struct raw *r, int fd);

/* Connects without a handshake. */
void raw_connect_plain(struct raw *r, const struct daemon *d);

/* Makes r->ssl, a client's, for raw_handshake(). */
void raw_prepare(struct raw *r, SSL_CTX *ctx);

/*
 * Executes the handshake of a client, with r->ssl if raw_prepare() has made it. Returns 0, or
 * -EPROTO when it failed. In TLS 1.3 a server refuses after the handshake: see raw_is_refused().
 */
int raw_handshake(struct raw *r, SSL_CTX *ctx);

/* True when the server ends the connection instead of answering a NEW_FDTABLE. */
bool raw_is_refused(struct raw *r);

/* Closes the connection without a TLS shutdown. Does nothing when it is closed. */
void raw_close(struct raw *r);

/* For a teardown after a failed test: closes all sockets that are open. */
void raw_abandon(void);

/* Sends size bytes; false when the server has closed the connection. */
bool raw_send(struct raw *r, const void *data, size_t size);

/* Sends what needs no waiting. Returns how many bytes that were. */
size_t raw_send_some(struct raw *r, const void *data, size_t size);

/* Moves the bytes that have come to r->in, without waiting; sets has_ended. */
void raw_pump(struct raw *r);

/* Appends a request to b. */
void raw_put(struct buf *b, uint32_t code, const char *format, ...);

/* Sends a request; false when the server has closed the connection. */
bool raw_say(struct raw *r, uint32_t code, const char *format, ...);

/* Waits for the next reply, into code and body; false when the server has closed the connection. */
bool raw_listen(struct raw *r);

/*
 * Sends a request and waits for its reply. Returns the status; fails the test if the connection
 * ends instead.
 */
uint32_t raw_ask(struct raw *r, uint32_t code, const char *format, ...);

/* The same; the status by name, which makes a failure readable. */
#define RAW_ASK(...) status_name(raw_ask(__VA_ARGS__))

/* Returns the u64 that the body of the last reply begins with. */
uint64_t raw_first_u64(const struct raw *r);

/* Waits until the server closes the connection; the test fails if it does not. */
void raw_expect_end(struct raw *r);

/* Begins a session of version 2, or of version 1, with a table. */
void raw_begin(struct raw *r, bool version_2);

/* Opens a file, and gives it a segment when size is not 0. Returns the descriptor. */
uint32_t raw_open(struct raw *r, const char *name, uint32_t size);

#endif
