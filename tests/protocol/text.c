#include "tests/protocol/text.h"

#include <bsd/string.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"

enum { BYTES_MOST = 64 * 1024 * 1024 }; /* of one value; more is an error in the script */

bool
text_fail(struct text *t, const char *format, ...)
{
	va_list args;

	if (t->error[0] != '\0')
		return false;
	va_start(args, format);
	vsnprintf(t->error, sizeof t->error, format, args);
	va_end(args);
	return false;
}

bool
text_is_at_end(struct text *t)
{
	t->next += strspn(t->next, " \t");
	return *t->next == '\0';
}

bool
text_accept(struct text *t, const char *string)
{
	size_t size = strlen(string);

	text_is_at_end(t);
	if (strncmp(t->next, string, size) != 0)
		return false;
	t->next += size;
	return true;
}

bool
text_expect(struct text *t, const char *string)
{
	return text_accept(t, string) ||
	    text_fail(t, "'%s' is missing before '%s'", string, t->next);
}

bool
text_has_number(struct text *t)
{
	text_is_at_end(t);
	return isdigit((unsigned char)*t->next) || *t->next == '$';
}

bool
text_has_bytes(struct text *t)
{
	text_is_at_end(t);
	return *t->next == '"' || *t->next == '$' || strncmp(t->next, "hex:", 4) == 0;
}

bool
text_get_word(struct text *t, char out[TEXT_WORD_SIZE])
{
	size_t size = 0;

	text_is_at_end(t);
	while (
	    isalnum((unsigned char)t->next[size]) || t->next[size] == '_' || t->next[size] == '-')
		size++;
	if (size == 0 || size >= TEXT_WORD_SIZE)
		return text_fail(t, "a word is missing before '%s'", t->next);
	memcpy(out, t->next, size);
	out[size] = '\0';
	t->next += size;
	return true;
}

const struct text_value *
text_find(const struct text_variables *v, const char *name)
{
	size_t i;

	for (i = 0; i < v->count; i++)
		if (strcmp(v->list[i].name, name) == 0)
			return &v->list[i].value;
	return NULL;
}

bool
text_set(struct text *t, const char *name, struct text_value value)
{
	struct text_variables *v = t->variables;
	size_t i;

	for (i = 0; i < v->count; i++)
		if (strcmp(v->list[i].name, name) == 0)
			break;
	if (i == TEXT_VARIABLE_MOST)
		return text_fail(t, "too many variables");
	if (i == v->count)
		v->count++;
	strlcpy(v->list[i].name, name, sizeof v->list[i].name);
	v->list[i].value = value;
	return true;
}

void
text_forget(struct text_variables *v, const char *name)
{
	size_t i;

	for (i = 0; i < v->count; i++)
		if (strcmp(v->list[i].name, name) == 0)
			v->list[i] = v->list[--v->count];
}

bool
text_get_name(struct text *t, char out[TEXT_WORD_SIZE])
{
	size_t size = 0;

	while (isalnum((unsigned char)t->next[size]) || t->next[size] == '_')
		size++;
	if (size == 0 || size >= TEXT_WORD_SIZE)
		return text_fail(t, "a variable's name is missing before '%s'", t->next);
	strlcpy(out, t->next, size + 1);
	t->next += size;
	return true;
}

/* Parses $name, which must have a numeric value. */
static bool
get_variable(struct text *t, uint64_t *out)
{
	const struct text_value *value;
	char name[TEXT_WORD_SIZE];

	if (!text_expect(t, "$") || !text_get_name(t, name))
		return false;
	value = text_find(t->variables, name);
	if (value == NULL)
		return text_fail(t, "$%s has no value yet", name);
	if (value->size != 0)
		return text_fail(t, "$%s is no number", name);
	*out = value->number;
	return true;
}

static bool
get_primary(struct text *t, uint64_t *out)
{
	unsigned shift = 0;
	char *end;

	if (*t->next == '$')
		return get_variable(t, out);
	if (!isdigit((unsigned char)*t->next))
		return text_fail(t, "a number is missing before '%s'", t->next);
	errno = 0;
	*out = strtoull(t->next, &end, 0);
	if (errno != 0)
		return text_fail(t, "a number too large: '%s'", t->next);
	switch (*end) {
	case 'G':
		shift += 10;
		/* FALLTHROUGH */
	case 'M':
		shift += 10;
		/* FALLTHROUGH */
	case 'K':
		shift += 10;
		end++;
	}
	*out <<= shift;
	t->next = end;
	return true;
}

/* Parses factors with * between them. */
static bool
get_product(struct text *t, uint64_t *out)
{
	uint64_t value, factor;

	if (!get_primary(t, &value))
		return false;
	while (*t->next == '*') {
		t->next++;
		if (!get_primary(t, &factor))
			return false;
		value *= factor;
	}
	*out = value;
	return true;
}

bool
text_get_number(struct text *t, uint64_t *out)
{
	uint64_t value, operand;

	text_is_at_end(t);
	if (!get_product(t, &value))
		return false;
	while (*t->next == '+' || *t->next == '-') {
		char sign = *t->next++;

		if (!get_product(t, &operand))
			return false;
		value = sign == '+' ? value + operand : value - operand;
	}
	*out = value;
	return true;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* Parses pairs of hexadecimal digits, as far as they go. */
static bool
get_hex_digits(struct text *t, struct buf *out)
{
	for (; hex_digit(t->next[0]) >= 0; t->next += 2) {
		uint8_t byte;

		if (hex_digit(t->next[1]) < 0)
			return text_fail(t, "half a byte at '%s'", t->next);
		byte = (uint8_t)(hex_digit(t->next[0]) << 4 | hex_digit(t->next[1]));
		if (buf_append(out, &byte, 1) != 0)
			return text_fail(t, "no memory");
	}
	return true;
}

bool
text_get_hex(struct text *t, struct buf *out)
{
	while (!text_is_at_end(t)) {
		if (hex_digit(*t->next) < 0)
			return text_fail(t, "no hexadecimal digit: '%s'", t->next);
		if (!get_hex_digits(t, out))
			return false;
	}
	return true;
}

/* Parses the character after a backslash. */
static bool
get_escape(struct text *t, uint8_t *out)
{
	switch (*t->next++) {
	case 'n':
		*out = '\n';
		return true;
	case '0':
		*out = 0;
		return true;
	case '\\':
	case '"':
		*out = (uint8_t)t->next[-1];
		return true;
	case 'x':
		if (hex_digit(t->next[0]) >= 0 && hex_digit(t->next[1]) >= 0) {
			*out = (uint8_t)(hex_digit(t->next[0]) << 4 | hex_digit(t->next[1]));
			t->next += 2;
			return true;
		}
	}
	return text_fail(t, "no such escape before '%s'", t->next - 1);
}

/* Parses a string from behind the opening quote to behind the closing one. */
static bool
get_string(struct text *t, struct buf *out)
{
	uint8_t byte;

	for (; *t->next != '"'; buf_append(out, &byte, 1)) {
		byte = (uint8_t)*t->next;
		if (byte == '\0')
			return text_fail(t, "a quote is missing");
		t->next++;
		if (byte == '\\' && !get_escape(t, &byte))
			return false;
	}
	t->next++;
	return true;
}

static bool
get_term(struct text *t, struct buf *out)
{
	char digits[24];
	uint64_t number;

	if (*t->next == '"') {
		t->next++;
		return get_string(t, out);
	}
	if (strncmp(t->next, "hex:", 4) == 0) {
		t->next += 4;
		return get_hex_digits(t, out);
	}
	if (*t->next != '$')
		return text_fail(t, "bytes are missing before '%s'", t->next);
	if (!get_variable(t, &number))
		return false;
	snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
	buf_append(out, digits, strlen(digits));
	return true;
}

/* Appends size bytes count times. */
static bool
repeat(struct text *t, const uint8_t *bytes, size_t size, uint64_t count, struct buf *out)
{
	uint8_t *room;
	uint64_t i;

	if (size > 0 && count > BYTES_MOST / size)
		return text_fail(t, "too many bytes");
	room = buf_reserve(out, size * count + 1);
	if (room == NULL)
		return text_fail(t, "no memory");
	if (size == 1)
		memset(room, bytes[0], count);
	else
		for (i = 0; size > 0 && i < count; i++)
			memcpy(room + i * size, bytes, size);
	buf_commit(out, size * count);
	return true;
}

bool
text_get_bytes(struct text *t, struct buf *out)
{
	struct buf term = { 0 };
	uint64_t count;
	bool ok;

	text_is_at_end(t);
	do {
		count = 1;
		ok = get_term(t, &term);
		if (ok && *t->next == '*') {
			t->next++;
			ok = get_primary(t, &count);
		}
		ok = ok && repeat(t, buf_data(&term), buf_size(&term), count, out);
		buf_fini(&term);
	} while (ok && *t->next == '+' && t->next++);
	return ok;
}

void
text_get_sign(struct text *t, char out[TEXT_SIGN_SIZE])
{
	size_t size;

	text_is_at_end(t);
	size = strspn(t->next, "=!<>:");
	strlcpy(out, t->next, size < 2 ? size + 1 : TEXT_SIGN_SIZE);
	t->next += size;
}

int
text_compare(uint64_t a, const char *sign, uint64_t b)
{
	if (strcmp(sign, "==") == 0)
		return a == b;
	if (strcmp(sign, "!=") == 0)
		return a != b;
	if (strcmp(sign, "<") == 0)
		return a < b;
	if (strcmp(sign, "<=") == 0)
		return a <= b;
	if (strcmp(sign, ">") == 0)
		return a > b;
	if (strcmp(sign, ">=") == 0)
		return a >= b;
	return -1;
}

bool
text_get_duration(struct text *t, uint64_t *out)
{
	uint64_t number;

	if (!text_get_number(t, &number))
		return false;
	if (text_accept(t, "ms"))
		*out = number * CLOCK_MS;
	else if (text_accept(t, "s"))
		*out = number * CLOCK_SEC;
	else if (text_accept(t, "h"))
		*out = number * 3600 * CLOCK_SEC;
	else
		return text_fail(t, "a unit (ms, s, h) is missing before '%s'", t->next);
	return true;
}
