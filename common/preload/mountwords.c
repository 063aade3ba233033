#include "common/preload/mountwords.h"

#include <ctype.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_SIZE = 256 };

/* A line's rest, and the word that was read last. */
struct reader {
	const char *next, *end;
	size_t length;
	char word[PATH_MAX];
};

static bool
append(struct reader *r, const char *bytes, size_t size)
{
	if (size >= sizeof r->word - r->length)
		return false;
	memcpy(r->word + r->length, bytes, size);
	r->length += size;
	return true;
}

static bool
append_variable(struct reader *r, const char *name, size_t size)
{
	char copy[NAME_SIZE];
	const char *value;

	if (size == 0 || size >= sizeof copy)
		return false;
	memcpy(copy, name, size);
	copy[size] = '\0';
	value = secure_getenv(copy);
	return value != NULL && append(r, value, strlen(value));
}

/* At a $. */
static bool
expand(struct reader *r)
{
	const char *name;
	bool has_brace;
	size_t size;

	r->next++;
	has_brace = r->next < r->end && *r->next == '{';
	name = r->next += has_brace;
	while (r->next < r->end && (isalnum((unsigned char)*r->next) || *r->next == '_'))
		r->next++;
	size = (size_t)(r->next - name);
	if (has_brace && (r->next == r->end || *r->next++ != '}'))
		return false;
	return append_variable(r, name, size);
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Reads the next word. Returns false when there is none, or it is malformed. */
static bool
read_word(struct reader *r)
{
	bool is_good = true;

	r->length = 0;
	while (r->next < r->end && is_blank(*r->next))
		r->next++;
	if (r->next == r->end || *r->next == '#')
		return false;
	if (*r->next == '~') {
		r->next++;
		is_good = append_variable(r, "HOME", strlen("HOME"));
	}
	while (is_good && r->next < r->end && !is_blank(*r->next))
		is_good = *r->next == '$' ? expand(r) : append(r, r->next++, 1);
	r->word[r->length] = '\0';
	return is_good;
}

/* Types that packagers mount; the client library skips them, too. */
static bool
is_served(const char *type)
{
	return strcmp(type, "smdish") == 0 || strcmp(type, "smuf") == 0 || strcmp(type, "smc") == 0;
}

/* MOUNT URI PATH TYPE [OPTIONS] */
static void
read_line(const char *begin, const char *end, void (*found)(const char *word))
{
	struct reader r = { .next = begin, .end = end };
	char point[PATH_MAX];

	if (!read_word(&r) || strcmp(r.word, "MOUNT") != 0 || !read_word(&r) || !read_word(&r))
		return;
	memcpy(point, r.word, r.length + 1);
	if (read_word(&r) && is_served(r.word))
		found(point);
}

void
mountwords_each_point(const char *bytes, size_t size, void (*found)(const char *word))
{
	const char *end = bytes + size, *newline;

	while (bytes < end) {
		newline = memchr(bytes, '\n', (size_t)(end - bytes));
		if (newline == NULL)
			newline = end;
		read_line(bytes, newline, found);
		bytes = newline + 1;
	}
}
