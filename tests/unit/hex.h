/*
 * hex: bytes as published test vectors write them.
 */
#ifndef TESTS_UNIT_HEX_H
#define TESTS_UNIT_HEX_H

#include <stddef.h>
#include <stdint.h>

/* Decodes text, all of it, into out and returns how many bytes that were; the test fails when they are over most. */
size_t hex_decode(uint8_t *out, size_t most, const char *text);

#endif
