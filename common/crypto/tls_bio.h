/*
 * tls_bio: the BIO through which OpenSSL reads and writes the socket of a TLS connection (tls.h).
 * It reads ahead a little, knows where records begin and end, and lets OpenSSL have a few at
 * a time.
 *
 * One system call brings a small record and what follows it, or the rest of a large one and the
 * beginning of the next; the rest of a large record goes into OpenSSL's memory without a copy.
 * While large records come one after the other, a larger buffer brings several of them at a time.
 *
 * OpenSSL handles records without data as long as they come. So a call gets TLS_BIO_RECORDS_AT_ONCE
 * records at most, and then is told to try again. OpenSSL does not read ahead itself: it asks for
 * the header of a record and then for the body of exactly that size, and no call of the BIO returns
 * bytes of two records. An SSL 2 hello, which has other headers, is an error.
 *
 * The host and the peer choose all bytes; a record's length only says where the next header is.
 */
#ifndef COMMON_CRYPTO_TLS_BIO_H
#define COMMON_CRYPTO_TLS_BIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	TLS_BIO_RECORDS_AT_ONCE = 16,
	TLS_BIO_HEADER_SIZE = 5,
	TLS_BIO_AHEAD_SIZE = 17 * 1024, /* a message of one full record, and a small one */
	TLS_BIO_BULK_SIZE = 64 * 1024
};

struct bio_st; /* OpenSSL's BIO */

struct tls_bio {
	int fd;
	bool takes_rights;   /* descriptors may come with the bytes, see closer.h */
	bool has_ended;      /* the peer has closed its side */
	bool is_drained;     /* the last read from the socket brought less than was asked for */
	bool is_paused;      /* the last read was told to try again although bytes may be there */
	int socket_error;    /* errno of the last system call that failed in this call */
	unsigned records;    /* that OpenSSL has got as a whole in this call */
	const char *refusal; /* why the peer's bytes are refused, a sentence, or NULL */

	/* How much OpenSSL has of the record that it reads. */
	uint8_t header[TLS_BIO_HEADER_SIZE];
	size_t header_have;
	size_t body_left; /* once header is complete */

	size_t ahead_head;
	size_t ahead_size;
	uint8_t *ahead;
	uint8_t *bulk; /* instead of ahead, while is_bulk, if there was memory for it; or NULL */
	bool is_bulk;  /* a large record came, and more than could be read ahead */
};

/*
 * Fills *b, and makes the BIO over it, which the caller gives to OpenSSL or frees with BIO_free().
 * b must outlive it; fd stays the caller's. Returns 0 or -ENOMEM.
 */
int tls_bio_open(struct tls_bio *b, struct bio_st **out, int fd);

/* Frees what *b has; the BIO is OpenSSL's to free. */
void tls_bio_close(struct tls_bio *b);

/* To be called before a call of OpenSSL. */
void tls_bio_begin_call(struct tls_bio *b);

/* True when OpenSSL can complete a record without the socket. */
bool tls_bio_has_record(const struct tls_bio *b);

#endif
