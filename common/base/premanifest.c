#include "common/base/premanifest.h"

#include <bsd/string.h>
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
	unsigned number;                /* of the line */
	const char *begin, *next, *end; /* the line, and its rest */
	char *reason;
	size_t count; /* of words */
	const char *words[PREMANIFEST_WORDS_MOST];
	unsigned columns[PREMANIFEST_WORDS_MOST];
	size_t used; /* of text */
	char text[PREMANIFEST_LINE_SIZE];
};

static unsigned
column_of(const struct lexer *l, const char *at)
{
	return (unsigned)(at - l->begin) + 1;
}

/* Sets the reason, which begins with file, line and column. Returns error. */
static int __attribute__((format(printf, 4, 5)))
fail(struct lexer *l, unsigned column, int error, const char *format, ...)
{
	va_list args;
	int n;

	n = snprintf(l->reason, PREMANIFEST_REASON_SIZE, "%.256s:%u:%u: ", l->file, l->number,
	    column);
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

/* Appends to the current word size bytes, which come from the line at at. */
static int
append(struct lexer *l, const char *at, const char *bytes, size_t size)
{
	size_t i;

	/* One byte stays free for the word's NUL. */
	if (size >= sizeof l->text - l->used)
		return fail(l, column_of(l, at), -EINVAL, "the line is too long");
	for (i = 0; i < size; i++)
		if (is_control(bytes[i]))
			return fail(l, column_of(l, at), -EINVAL,
			    "there is a control character on the line");
	memcpy(l->text + l->used, bytes, size);
	l->used += size;
	return 0;
}

/* Appends the value of the variable of that name, which the line at at asks for. */
static int
append_variable(struct lexer *l, const char *at, const char *name, size_t size)
{
	char copy[VARIABLE_SIZE];
	const char *value;

	if (size >= sizeof copy)
		return fail(l, column_of(l, at), -EINVAL, "the name of a variable is too long");
	memcpy(copy, name, size);
	copy[size] = '\0';
	value = getenv(copy);
	if (value == NULL)
		return fail(l, column_of(l, at), -EINVAL, "$%s is not set", copy);
	return append(l, at, value, strlen(value));
}

/* At a $: appends the value of the variable that is named there, in braces or not. */
static int
expand(struct lexer *l)
{
	const char *dollar = l->next++, *name;
	bool has_brace = l->next < l->end && *l->next == '{';
	size_t size;

	l->next += has_brace;
	name = l->next;
	while (
	    l->next < l->end && (is_name_start(*l->next) || (l->next > name && is_digit(*l->next))))
		l->next++;
	size = (size_t)(l->next - name);
	if (size == 0)
		return fail(l, column_of(l, dollar), -EINVAL,
		    "the name of a variable must follow a $%s", has_brace ? "{" : "");
	if (has_brace && (l->next == l->end || *l->next != '}'))
		return fail(l, column_of(l, dollar), -EINVAL,
		    "a } must follow the name of a variable that begins with ${");
	l->next += has_brace;
	return append_variable(l, dollar, name, size);
}

/* At a ~ that begins a word: appends $HOME. */
static int
expand_home(struct lexer *l)
{
	const char *tilde = l->next++;

	if (l->next < l->end && *l->next != '/' && !is_blank(*l->next))
		return fail(l, column_of(l, tilde), -EINVAL,
		    "a ~ stands for $HOME only alone or before a slash");
	return append_variable(l, tilde, "HOME", strlen("HOME"));
}

/* Parses the word at l->next. */
static int
parse_word(struct lexer *l)
{
	size_t begin = l->used;
	int error = 0;

	if (l->count == PREMANIFEST_WORDS_MOST)
		return fail(l, column_of(l, l->next), -EINVAL,
		    "there are too many words on the line");
	l->columns[l->count] = column_of(l, l->next);
	if (*l->next == '~')
		error = expand_home(l);
	while (error == 0 && l->next < l->end && !is_blank(*l->next)) {
		if (*l->next == '$') {
			error = expand(l);
		} else {
			error = append(l, l->next, l->next, 1);
			l->next++;
		}
	}
	if (error != 0)
		return error;
	l->text[l->used++] = '\0';
	l->words[l->count++] = l->text + begin;
	return 0;
}

/* Splits the line from l->begin to l->end into words. */
static int
parse_line(struct lexer *l)
{
	const char *nul;
	int error = 0;

	l->next = l->begin;
	l->count = 0;
	l->used = 0;
	if (l->end > l->next && l->end[-1] == '\r')
		l->end--;
	nul = memchr(l->next, '\0', (size_t)(l->end - l->next));
	if (nul != NULL)
		return fail(l, column_of(l, nul), -EINVAL, "there is a NUL on the line");
	while (error == 0 && l->next < l->end && *l->next != '#') {
		if (is_blank(*l->next))
			l->next++;
		else
			error = parse_word(l);
	}
	return error;
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
		.columns = l->columns,
	};
	struct premanifest_fault fault = { .word = 0 };
	int error;

	if (l->count == 0)
		return 0;
	error = directive(arg, &line, &fault);
	return error == 0 ? 0 : fail(l, l->columns[fault.word], error, "%s", fault.reason);
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
	if (size >= strlen(PREMANIFEST_MARK) &&
	    memcmp(text, PREMANIFEST_MARK, strlen(PREMANIFEST_MARK)) == 0)
		text += strlen(PREMANIFEST_MARK);
	for (l->number = 1; error == 0 && text < end; l->number++) {
		newline = memchr(text, '\n', (size_t)(end - text));
		l->begin = text;
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

int
premanifest_refuse(struct premanifest_fault *fault, size_t word, int error, const char *text)
{
	fault->word = word;
	(void)strlcpy(fault->reason, text, sizeof fault->reason);
	return error;
}

int
premanifest_refuse_told(struct premanifest_fault *fault, size_t word, int error)
{
	error_finish(error);
	return premanifest_refuse(fault, word, error, error_text());
}
