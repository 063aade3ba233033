#include "common/base/error.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_SIZE = 512, STRING_SIZE = 128 };

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

int
error_message(int error, const char *format, ...)
{
	char text[MESSAGE_SIZE];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
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
