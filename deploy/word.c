#include "deploy/word.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/error.h"

int
word_copy(struct word *w, const char *file, const struct premanifest_line *line, size_t number)
{
	char *text = strdup(line->words[number]);

	if (text == NULL)
		return -ENOMEM;
	w->text = text;
	w->file = file;
	w->line = line->number;
	w->column = line->columns[number];
	return 0;
}

void
word_fini(struct word *w)
{
	free(w->text);
	w->text = NULL;
}

int
word_fail(const struct word *w, int error, const char *format, ...)
{
	char text[PREMANIFEST_REASON_SIZE];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	(void)error_message(error, "%s", text);
	return word_blame(w, error);
}

int
word_blame(const struct word *w, int error)
{
	if (w->line == 0)
		return error_prefix(error, "%s: ", w->file);
	return error_prefix(error, "%s:%u:%u: ", w->file, w->line, w->column);
}
