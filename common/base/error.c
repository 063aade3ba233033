#include "common/base/error.h"

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
error_begin(void)
{
	words.is_fresh = false;
}

int
error_message(int error, const char *format, ...)
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
error_prefix(int error, const char *format, ...)
{
	char prefix[WORDS_SIZE];
	va_list args;

	error_finish(error);
	va_start(args, format);
	(void)vsnprintf(prefix, sizeof prefix, format, args);
	va_end(args);
	return error_message(error, "%s%s", prefix, words.text);
}

int
error_finish(int error)
{
	char text[128];

	if (!words.is_fresh)
		error_message(error, "%s", strerror_r(-error, text, sizeof text));
	return error;
}

const char *
error_text(void)
{
	return words.text;
}
