/*
 * record: one use of key stream; testpoint_nonce() logs it and tests/nonces/check reads it.
 *
 * The key itself is not logged. Numbers are in host byte order: a log is read on the machine that
 * wrote it.
 */
#ifndef TESTS_NONCES_RECORD_H
#define TESTS_NONCES_RECORD_H

#include <stdint.h>

struct nonce_record {
	uint8_t key[16]; /* the first half of the key's SHA-256 */
	uint8_t nonce[12];
	uint32_t first; /* units first to first + count - 1 of the stream of key and nonce */
	uint32_t count; /* at least 1 */
};

_Static_assert(sizeof(struct nonce_record) == 36, "records are written and read as they are");

#endif
