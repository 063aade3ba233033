/*
 * filedigest: a SHA-256 digest (FIPS 180-4) over the contents of files, to see whether one of them
 * has changed. Times of modification do not tell: a library OS does not pass them on.
 *
 * The files may be the host's, which can change them at any time: the bytes that are loaded later
 * need not be those that were digested.
 */
#ifndef COMMON_CRYPTO_FILEDIGEST_H
#define COMMON_CRYPTO_FILEDIGEST_H

#include <stdint.h>

enum { FILEDIGEST_SIZE = 32 };

/*
 * Digests the files at paths, up to a NULL, each with its length. Returns 0; a negative errno of
 * open(2) or read(2); -ENOTSUP for what is no regular file, of which nothing is read; -EFBIG
 * for more than TLS_LOAD_MOST bytes; -ENOMEM; or see libctx_begin().
 */
int filedigest_get(uint8_t out[FILEDIGEST_SIZE], const char *const *paths);

#endif
