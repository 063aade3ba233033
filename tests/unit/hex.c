#include "tests/unit/hex.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

static uint8_t
digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *found = c != '\0' ? strchr(digits, c) : NULL;

	assert_non_null(found);
	return (uint8_t)(found - digits);
}

size_t
hex_decode(uint8_t *out, size_t most, const char *text)
{
	size_t size = strlen(text) / 2, i;

	assert_true(strlen(text) % 2 == 0 && size <= most);
	for (i = 0; i < size; i++)
		out[i] = (uint8_t)(digit(text[2 * i]) << 4 | digit(text[2 * i + 1]));
	return size;
}
