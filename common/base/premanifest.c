#include "common/base/premanifest.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/wholefile.h"

enum { VARIABLE_SIZE = 256 };

/* The state of one parse. */
struct lexer {
	const char *file;
	unsigned number;        /* of the line */
	const char *next, *end; /* the rest of the line */
	char *reason;
	size_t count; /* of words */
	const char *words[PREMANIFEST_WORDS_MOST];
	size_t used; /* of text */
	char text[PREMANIFEST_LINE_SIZE];
};

/* Sets the reason, which begins with file and line. Returns error. */
static int __attribute__((format(printf, 3, 4)))
fail(struct lexer *l, int error, const char *format, ...)
{
	va_list args;
	int n;

	n = snprintf(l->reason, PREMANIFEST_REASON_SIZE, "%.256s:%u: ", l->file, l->number);
	va_start(args, format);
	(void)vsnprintf(l->reason + n, PREMANIFEST_REASON_SIZE - (size_t)n, format, args);
	va_end(args);
	return error;
}

static bool
is_name_start(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* No word may have a control character in it: messages quote words. */
static bool
is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

/* Appends size bytes to the current word. */
static int
append(struct lexer *l, const char *bytes, size_t size)
{
	/* One byte stays free for the word's NUL. */
	if (size >= sizeof l->text - l->used)
		return fail(l, -EINVAL, "the line is too long");
	memcpy(l->text + l->used, bytes, size);
	l->used += size;
	return 0;
}

/* Behind a $: appends the value of the variable that is named there. */
static int
expand(struct lexer *l)
{
	char name[VARIABLE_SIZE];
	const char *begin = l->next, *value;
	size_t size;

	while (l->next < l->end &&
	    (is_name_start(*l->next) || (l->next > begin && is_digit(*l->next))))
		l->next++;
	size = (size_t)(l->next - begin);
	if (size == 0)
		return fail(l, -EINVAL, "the name of a variable must follow a $");
	if (size >= sizeof name)
		return fail(l, -EINVAL, "the name of a variable is too long");
	memcpy(name, begin, size);
	name[size] = '\0';
	value = getenv(name);
	if (value == NULL)
		return fail(l, -EINVAL, "$%s is not set", name);
	return append(l, value, strlen(value));
}

/* Parses the word at l->next. */
static int
parse_word(struct lexer *l)
{
	size_t begin = l->used;
	int error = 0;

	if (l->count == PREMANIFEST_WORDS_MOST)
		return fail(l, -EINVAL, "there are too many words on the line");
	while (error == 0 && l->next < l->end && !is_blank(*l->next)) {
		if (*l->next == '$') {
			l->next++;
			error = expand(l);
		} else {
			error = append(l, l->next++, 1);
		}
	}
	if (error != 0)
		return error;
	l->text[l->used++] = '\0';
	l->words[l->count++] = l->text + begin;
	return 0;
}

/* Refuses control characters, also those that came from a variable. */
static int
check_words(struct lexer *l)
{
	const char *c;
	size_t i;

	for (i = 0; i < l->count; i++)
		for (c = l->words[i]; *c != '\0'; c++)
			if (is_control(*c))
				return fail(l, -EINVAL, "there is a control character on the line");
	return 0;
}

/* Splits the line from l->next to l->end into words. */
static int
parse_line(struct lexer *l)
{
	int error = 0;

	l->count = 0;
	l->used = 0;
	if (l->end > l->next && l->end[-1] == '\r')
		l->end--;
	if (memchr(l->next, '\0', (size_t)(l->end - l->next)) != NULL)
		return fail(l, -EINVAL, "there is a NUL on the line");
	while (error == 0 && l->next < l->end && *l->next != '#') {
		if (is_blank(*l->next))
			l->next++;
		else
			error = parse_word(l);
	}
	return error == 0 ? check_words(l) : error;
}

/* Calls directive if the line has words. */
static int
call_directive(struct lexer *l, premanifest_directive *directive, void *arg)
{
	struct premanifest_line line = {
		.file = l->file,
		.number = l->number,
		.count = l->count,
		.words = l->words,
	};
	char reason[PREMANIFEST_REASON_SIZE] = "";
	int error;

	if (l->count == 0)
		return 0;
	error = directive(arg, &line, reason);
	return error == 0 ? 0 : fail(l, error, "%s", reason);
}

int
premanifest_parse(const char *file, const void *bytes, size_t size,
    premanifest_directive *directive, void *arg, char reason[PREMANIFEST_REASON_SIZE])
{
	const char *text = bytes, *end = text + size, *newline;
	struct lexer *l = malloc(sizeof *l);
	int error = 0;

	if (l == NULL)
		return -ENOMEM;
	l->file = file;
	l->reason = reason;
	for (l->number = 1; error == 0 && text < end; l->number++) {
		newline = memchr(text, '\n', (size_t)(end - text));
		l->next = text;
		l->end = newline == NULL ? end : newline;
		text = newline == NULL ? end : newline + 1;
		error = parse_line(l);
		if (error == 0)
			error = call_directive(l, directive, arg);
	}
	free(l);
	return error;
}

int
premanifest_load(const char *path, premanifest_directive *directive, void *arg,
    char reason[PREMANIFEST_REASON_SIZE])
{
	size_t room = PREMANIFEST_SIZE_MOST + 1, size;
	char *bytes = malloc(room);
	int error = bytes == NULL ? -ENOMEM : wholefile_read(path, bytes, room, &size);

	if (error == 0 && size == room)
		error = -EFBIG;
	if (error == 0)
		error = premanifest_parse(path, bytes, size, directive, arg, reason);
	else
		(void)snprintf(reason, PREMANIFEST_REASON_SIZE, "%.256s: %s", path,
		    error_string(error));
	free(bytes);
	return error;
}
