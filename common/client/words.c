#include "common/client/words.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { WORDS_SIZE = 512 };

static _Thread_local struct {
	bool is_fresh; /* said during this call */
	char text[WORDS_SIZE];
} words;

void
words_begin(void)
{
	words.is_fresh = false;
}

int
words_fail(int error, const char *format, ...)
{
	char text[WORDS_SIZE];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	/* Copied at the end: an argument may be the old words. */
	memcpy(words.text, text, sizeof text);
	words.is_fresh = true;
	return error;
}

int
words_prefix(int error, const char *format, ...)
{
	char prefix[WORDS_SIZE];
	va_list args;

	words_settle(error);
	va_start(args, format);
	(void)vsnprintf(prefix, sizeof prefix, format, args);
	va_end(args);
	return words_fail(error, "%s%s", prefix, words.text);
}

int
words_settle(int error)
{
	char text[128];

	if (!words.is_fresh)
		words_fail(error, "%s", strerror_r(-error, text, sizeof text));
	return error;
}

const char *
words_get(void)
{
	return words.text;
}
