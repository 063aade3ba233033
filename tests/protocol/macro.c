#include "tests/protocol/macro.h"

#include <bsd/string.h>
#include <ctype.h>
#include <string.h>

enum { ARGUMENT_SIZE = 256 };

/* Parses (one, two): count strings of at most size bytes each, as they stand between the commas. */
static bool
get_list(struct text *t, char *out, size_t size, size_t *count)
{
	size_t length;

	*count = 0;
	if (!text_expect(t, "("))
		return false;
	do {
		text_is_at_end(t);
		length = strcspn(t->next, ",)");
		if (*count == MACRO_PARAMETER_MOST || length >= size || t->next[length] == '\0')
			return text_fail(t, "no list of parameters: '%s'", t->next);
		strlcpy(out + *count * size, t->next, length + 1);
		t->next += length;
		++*count;
	} while (text_accept(t, ","));
	return text_expect(t, ")");
}

bool
macro_define(struct macro_list *m, struct text *t)
{
	struct macro new;
	size_t i;

	if (!text_get_word(t, new.name) ||
	    !get_list(t, new.parameters[0], TEXT_WORD_SIZE, &new.count))
		return false;
	if (strlcpy(new.body, t->next, sizeof new.body) >= sizeof new.body)
		return text_fail(t, "too long");
	t->next += strlen(t->next);
	for (i = 0; i < m->count; i++)
		if (strcmp(m->list[i].name, new.name) == 0)
			break;
	if (i == MACRO_MOST)
		return text_fail(t, "too many macros");
	if (i == m->count)
		m->count++;
	m->list[i] = new;
	return true;
}

const struct macro *
macro_find(const struct macro_list *m, const struct text *t)
{
	size_t i, size;

	for (i = 0; i < m->count; i++) {
		size = strlen(m->list[i].name);
		if (strncmp(t->next, m->list[i].name, size) == 0 && t->next[size] == '(')
			return &m->list[i];
	}
	return NULL;
}

static bool
is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* Returns the parameter that a word of size bytes begins with, or -1. */
static int
find_parameter(const struct macro *m, const char *word, size_t size)
{
	size_t i;

	for (i = 0; i < m->count; i++)
		if (strlen(m->parameters[i]) == size && memcmp(m->parameters[i], word, size) == 0)
			return (int)i;
	return -1;
}

bool
macro_expand(const struct macro *m, struct text *t, char out[MACRO_BODY_SIZE])
{
	char arguments[MACRO_PARAMETER_MOST][ARGUMENT_SIZE], piece[MACRO_BODY_SIZE];
	const char *from = m->body;
	size_t count, size;
	int parameter;

	t->next += strlen(m->name);
	if (!get_list(t, arguments[0], ARGUMENT_SIZE, &count))
		return false;
	if (count != m->count)
		return text_fail(t, "%s() takes %zu arguments", m->name, m->count);
	out[0] = '\0';
	for (; *from != '\0'; from += size) {
		for (size = 0; is_word(from[size]); size++)
			;
		parameter = find_parameter(m, from, size);
		if (size == 0)
			size = 1;
		strlcpy(piece, from, size + 1);
		if (strlcat(out, parameter >= 0 ? arguments[parameter] : piece, MACRO_BODY_SIZE) >=
		    MACRO_BODY_SIZE)
			return text_fail(t, "too long when expanded");
	}
	return true;
}
