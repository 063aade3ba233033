/*
 * record: one use of key stream; testpoint_nonce() logs it and tests/nonces/check reads it.
 *
 * The key itself is not logged. Numbers are in host byte order: a log is read where it was written.
 *
 * SIGKILL may end a write(2) to a file early, but only between two pages. The size of a record
 * divides a page, so each record of a log lies within one page and is there whole or not at all.
 */
#ifndef TESTS_NONCES_RECORD_H
#define TESTS_NONCES_RECORD_H

#include <stdint.h>

struct nonce_record {
	uint8_t key[16]; /* the first half of the key's SHA-256 */
	uint8_t nonce[12];
	uint32_t first; /* units first to first + count - 1 of the stream of key and nonce */
	uint32_t count; /* at least 1 */
	uint8_t zeros[28];
};

_Static_assert(sizeof(struct nonce_record) == 64, "a record divides a page");

#endif
