#include "common/preload/mountwords.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/premanifest.h"
#include "common/client/directive.h"

enum { NAME_SIZE = 256 };

/* A line's rest, and the word that was read last. */
struct reader {
	const char *next, *end;
	bool is_bad; /* the word is malformed: some of it is missing */
	size_t length;
	char word[PATH_MAX];
};

static bool
is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

static bool
append(struct reader *r, const char *bytes, size_t size)
{
	size_t i;

	if (size >= sizeof r->word - r->length)
		return false;
	for (i = 0; i < size; i++)
		if (is_control(bytes[i]))
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

static bool
is_of_name(char c, bool is_first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	    (!is_first && c >= '0' && c <= '9');
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
	while (r->next < r->end && is_of_name(*r->next, r->next == name))
		r->next++;
	size = (size_t)(r->next - name);
	if (has_brace && (r->next == r->end || *r->next != '}'))
		return false;
	r->next += has_brace;
	return append_variable(r, name, size);
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* At a ~ that begins a word. */
static bool
expand_home(struct reader *r)
{
	r->next++;
	if (r->next < r->end && *r->next != '/' && !is_blank(*r->next))
		return false;
	return append_variable(r, "HOME", strlen("HOME"));
}

/* Reads the next word. Returns false when there is none. */
static bool
read_word(struct reader *r)
{
	bool is_good = true;

	r->length = 0;
	while (r->next < r->end && is_blank(*r->next))
		r->next++;
	if (r->next == r->end || *r->next == '#')
		return false;
	if (*r->next == '~')
		is_good = expand_home(r);
	while (is_good && r->next < r->end && !is_blank(*r->next))
		is_good = *r->next == '$' ? expand(r) : append(r, r->next++, 1);
	while (r->next < r->end && !is_blank(*r->next))
		r->next++;
	r->word[r->length] = '\0';
	r->is_bad = !is_good;
	return true;
}

/* A line is told its first fault. */
static void
blame(struct mountwords_line *line, const char *fault)
{
	if (line->fault == NULL)
		line->fault = fault;
}

/* Reads a word that a MOUNT line must have. Returns false when it is not there, or malformed. */
static bool
require_word(struct reader *r, struct mountwords_line *line)
{
	if (!read_word(r)) {
		blame(line, "MOUNT needs a URI, a path and a type");
		return false;
	}
	if (r->is_bad)
		blame(line, "a word is malformed");
	return !r->is_bad;
}

/* PATH or PATH,PATH: a packager mounts the directory at the second one. */
static void
take_point(const struct reader *r, struct mountwords_line *line, char point[PATH_MAX])
{
	if (r->word[0] != '/') {
		blame(line, "the mount point is not absolute");
		return;
	}
	memcpy(point, r->word, r->length + 1);
	point[strcspn(point, ",")] = '\0';
	line->point = point;
}

/* The types of the backends that common/client/backends.c lists. */
static bool
is_served(const char *type)
{
	return strcmp(type, "smdish") == 0 || strcmp(type, "smuf") == 0 || strcmp(type, "smc") == 0;
}

/* MOUNT URI PATH TYPE [OPTIONS]. Returns false for a line that the client library skips. */
static bool
read_line(struct reader *r, struct mountwords_line *line, char point[PATH_MAX])
{
	bool is_mount;

	if (!read_word(r) || (!r->is_bad && directive_makes_no_mount(r->word)))
		return false;
	is_mount = !r->is_bad && strcmp(r->word, "MOUNT") == 0;
	if (!is_mount)
		blame(line, "there is no such directive (" DIRECTIVE_NAMES ")");
	(void)require_word(r, line);
	if (require_word(r, line))
		take_point(r, line, point);
	if (!require_word(r, line) || is_served(r->word))
		return true;
	if (directive_is_packagers_type(r->word)) {
		line->point = NULL;
		return !is_mount;
	}
	blame(line, "there is no such type of mount (smdish, smuf, smc)");
	return true;
}

void
mountwords_each_mount(const char *bytes, size_t size,
    void (*found)(void *arg, const struct mountwords_line *line), void *arg)
{
	const char *end = bytes + size, *newline;
	struct mountwords_line line = { .number = 0 };
	char point[PATH_MAX];
	struct reader r;

	if (size >= strlen(PREMANIFEST_MARK) &&
	    memcmp(bytes, PREMANIFEST_MARK, strlen(PREMANIFEST_MARK)) == 0)
		bytes += strlen(PREMANIFEST_MARK);
	while (bytes < end) {
		newline = memchr(bytes, '\n', (size_t)(end - bytes));
		r.next = bytes;
		r.end = newline != NULL ? newline : end;
		bytes = newline != NULL ? newline + 1 : end;
		if (r.end > r.next && r.end[-1] == '\r')
			r.end--;
		line = (struct mountwords_line){ .number = line.number + 1 };
		if (read_line(&r, &line, point))
			found(arg, &line);
	}
}
