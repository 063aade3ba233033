/*
 * hex: bytes in the form of published test vectors.
 */
#ifndef TESTS_UNIT_HEX_H
#define TESTS_UNIT_HEX_H

#include <stddef.h>
#include <stdint.h>

/*
 * Decodes all of text into out. Returns the number of bytes; fails the test when it is over most.
 */
size_t hex_decode(uint8_t *out, size_t most, const char *text);

#endif
