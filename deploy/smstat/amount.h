/*
 * amount: numbers as people read them, in a few characters.
 */
#ifndef DEPLOY_SMSTAT_AMOUNT_H
#define DEPLOY_SMSTAT_AMOUNT_H

#include <stdint.h>

enum { AMOUNT_SIZE = 32 };

/* All return out. */

/* Bytes: "512", "4.0K", "12M"; powers of 1024. */
const char *amount_bytes(char out[AMOUNT_SIZE], double bytes);

/* "0", "0.4", "12". */
const char *amount_rate(char out[AMOUNT_SIZE], double n);

/* Milliseconds: "12ms", "3.5s", "2m05s", "3h02m", "12d05h". */
const char *amount_time(char out[AMOUNT_SIZE], uint64_t ms);

#endif
