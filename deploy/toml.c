#include "deploy/toml.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deploy/lines.h"

/* Appends one byte of the string at out. Returns the end. */
static char *
put_byte(char *out, char c)
{
	if ((unsigned char)c < 0x20 || c == 0x7f || c == '{')
		return out + sprintf(out, "\\u%04X", (unsigned)c);
	if (c == '"' || c == '\\')
		*out++ = '\\';
	*out++ = c;
	return out;
}

char *
toml_quote(struct lines *texts, const char *text)
{
	enum { BYTE_MOST = 6 };
	char *room = calloc(strlen(text) + 1, BYTE_MOST), *end = room;
	char *quoted;

	if (room == NULL) {
		texts->error = -ENOMEM;
		return lines_add(texts, "%s", "");
	}
	for (; *text != '\0'; text++)
		end = put_byte(end, *text);
	quoted = lines_add(texts, "\"%s\"", room);
	free(room);
	return quoted;
}

/* The number of bytes that follow a first byte, or -1 for no first byte; *least: of such a code. */
static int
following(unsigned char c, uint32_t *code, uint32_t *least)
{
	static const uint32_t leasts[] = { 0, 0x80, 0x800, 0x10000 };
	int n = c < 0x80 ? 0 : c < 0xc0 ? -1 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : c < 0xf8 ? 3 : -1;

	if (n < 0)
		return n;
	*code = n == 0 ? c : c & (0x3fu >> n);
	*least = leasts[n];
	return n;
}

bool
toml_is_utf8(const char *text)
{
	uint32_t code, least;
	int n;

	while (*text != '\0') {
		n = following((unsigned char)*text++, &code, &least);
		if (n < 0)
			return false;
		for (; n > 0; n--, text++) {
			if (((unsigned char)*text & 0xc0) != 0x80)
				return false;
			code = code << 6 | ((unsigned char)*text & 0x3f);
		}
		if (code < least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
			return false;
	}
	return true;
}

bool
toml_is_key(const char *text)
{
	return *text != '\0' &&
	    text[strspn(text,
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")] == '\0';
}
