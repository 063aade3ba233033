#include "common/base/escape.h"

#include <string.h>

enum { UNIT_MOST = 4 }; /* characters for a byte */

/* Writes the characters for a byte to out, and returns their number. */
static size_t
encode(char out[UNIT_MOST], unsigned char byte)
{
	static const char digits[] = "0123456789abcdef";

	out[0] = '\\';
	if (byte == '\\') {
		out[1] = '\\';
		return 2;
	}
	if (byte >= ' ' && byte <= '~') {
		out[0] = (char)byte;
		return 1;
	}
	out[1] = 'x';
	out[2] = digits[byte >> 4];
	out[3] = digits[byte & 0xf];
	return 4;
}

/*
 * Finds how many of the bytes have a text of at most so many characters, whose number it writes to
 * *length.
 */
static size_t
fit(const char *data, size_t size, size_t most, size_t *length)
{
	char unit[UNIT_MOST];
	size_t i, n;

	for (i = 0, *length = 0; i < size; i++, *length += n) {
		n = encode(unit, (unsigned char)data[i]);
		if (n > most - *length)
			break;
	}
	return i;
}

const char *
escape_copy(char *out, const char *data, size_t size, size_t most)
{
	size_t i, length, whole = fit(data, size, most, &length);
	char *next = out;

	if (whole < size)
		whole = fit(data, size, most - 3, &length);
	for (i = 0; i < whole; i++)
		next += encode(next, (unsigned char)data[i]);
	if (whole < size) {
		memcpy(next, "...", 3);
		next += 3;
	}
	*next = '\0';
	return out;
}

void
escape_print(FILE *to, const char *data, size_t size, size_t most)
{
	size_t i, n, length, whole = size;
	char unit[UNIT_MOST];

	if (most != 0 && fit(data, size, most, &length) < size)
		whole = fit(data, size, most - 3, &length);
	for (i = 0; i < whole; i++) {
		n = encode(unit, (unsigned char)data[i]);
		(void)fwrite(unit, 1, n, to);
	}
	if (whole < size)
		(void)fputs("...", to);
}

void
escape_quote(FILE *to, const char *data, size_t size)
{
	char unit[UNIT_MOST];
	size_t i, j, n;

	(void)fputc('"', to);
	for (i = 0; i < size; i++) {
		n = encode(unit, (unsigned char)data[i]);
		for (j = 0; j < n; j++) {
			if (unit[j] == '\\' || unit[j] == '"')
				(void)fputc('\\', to);
			(void)fputc(unit[j], to);
		}
	}
	(void)fputc('"', to);
}
