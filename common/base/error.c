#include "common/base/error.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_SIZE = 512, STRING_SIZE = 128 };

#define CUT "..."

static _Thread_local struct {
	bool is_set; /* during this public call */
	char text[MESSAGE_SIZE];
} message;

void
error_begin(void)
{
	message.is_set = false;
}

bool
error_is_set(void)
{
	return message.is_set;
}

/* A text that is too long keeps its begin and its end, which says what is wrong. */
static void
shorten(char out[MESSAGE_SIZE], const char *whole, size_t size)
{
	const size_t end = MESSAGE_SIZE / 2, begin = MESSAGE_SIZE - 1 - end - strlen(CUT);

	(void)snprintf(out, MESSAGE_SIZE, "%.*s" CUT "%s", (int)begin, whole, whole + size - end);
}

/* A path may have control characters: a message is one line. */
static void
replace_controls(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || *text == '\x7f')
			*text = '?';
}

int
error_message(int error, const char *format, ...)
{
	char text[MESSAGE_SIZE], *whole;
	va_list args;
	int size;

	va_start(args, format);
	size = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	va_start(args, format);
	if (size >= MESSAGE_SIZE && vasprintf(&whole, format, args) == size) {
		shorten(text, whole, (size_t)size);
		free(whole);
	}
	va_end(args);
	replace_controls(text);
	/* Copied last: an argument may be the old message. */
	memcpy(message.text, text, sizeof text);
	message.is_set = true;
	return error;
}

int
error_prefix(int error, const char *format, ...)
{
	char prefix[MESSAGE_SIZE];
	va_list args;

	error_finish(error);
	va_start(args, format);
	(void)vsnprintf(prefix, sizeof prefix, format, args);
	va_end(args);
	return error_message(error, "%s%s", prefix, message.text);
}

int
error_finish(int error)
{
	if (!message.is_set)
		error_message(error, "%s", error_string(error));
	return error;
}

const char *
error_text(void)
{
	return message.text;
}

const char *
error_string(int error)
{
	static _Thread_local char text[STRING_SIZE];

	return strerror_r(-error, text, sizeof text);
}
