#include "deploy/lines.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
lines_fini(struct lines *l)
{
	size_t i;

	for (i = 0; i < l->count; i++)
		free(l->at[i]);
	free(l->at);
	*l = (struct lines){ .count = 0 };
}

/* Adds text, which becomes the list's own; NULL: there was no memory for it. Returns the line. */
static char *
adopt(struct lines *l, char *text)
{
	static char lost[1];
	char **more = NULL;

	if (text != NULL && l->error == 0)
		more = reallocarray(l->at, l->count + 1, sizeof *l->at);
	if (more == NULL) {
		free(text);
		l->error = -ENOMEM;
		return lost;
	}
	l->at = more;
	l->at[l->count++] = text;
	return text;
}

char *
lines_add(struct lines *l, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	return adopt(l, text);
}

bool
lines_has(const struct lines *l, const char *text)
{
	size_t i;

	for (i = 0; i < l->count; i++)
		if (strcmp(l->at[i], text) == 0)
			return true;
	return false;
}

void
lines_add_once(struct lines *l, const char *text)
{
	if (!lines_has(l, text))
		(void)adopt(l, strdup(text));
}

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void
lines_sort(struct lines *l)
{
	if (l->count > 0)
		qsort(l->at, l->count, sizeof *l->at, compare);
}

int
lines_error(const struct lines *l)
{
	return l->error;
}
