/*
 * escape: bytes that others chose, as text of printable ASCII characters, the same in all outputs.
 *
 * Characters from the blank to the tilde stand for themselves, a backslash is doubled, and every
 * other byte is written as \xHH. So no name or path moves a cursor, ends a line or looks like
 * another one, and the bytes can be told from the text.
 */
#ifndef COMMON_BASE_ESCAPE_H
#define COMMON_BASE_ESCAPE_H

#include <stddef.h>
#include <stdio.h>

/*
 * Writes the text of size bytes at data. One that is longer than most characters is cut and ends in
 * "..."; most is at least 3, and 0 for no limit.
 */
void escape_print(FILE *to, const char *data, size_t size, size_t most);

/* The same into a buffer of most + 1 bytes. Returns out, a string. */
const char *escape_copy(char *out, const char *data, size_t size, size_t most);

/* Writes the text whole, as a string in quotes, which JSON and Prometheus both read. */
void escape_quote(FILE *to, const char *data, size_t size);

#endif
