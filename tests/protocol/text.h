/*
 * text: a cursor over a line of a protocol script: words, numbers, bytes, variables.
 *
 *	number		12, 0x1f, 64K, 1M, $g; with + - * between them and no blanks
 *	bytes		"text\n\0\x7f", hex:00ff, $i (its decimal digits); each may be "repeated"*N,
 *			and + joins them
 *	duration	50ms, 60s, 1h
 *
 * A function that returns false leaves the reason in the text's error.
 */
#ifndef TESTS_PROTOCOL_TEXT_H
#define TESTS_PROTOCOL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"

enum {
	TEXT_WORD_SIZE = 40,
	TEXT_SIGN_SIZE = 3,
	TEXT_ERROR_SIZE = 1024,
	TEXT_VARIABLE_MOST = 64,
	TEXT_VALUE_SIZE = 32
};

/* The value of a variable: a number, or, when size is not 0, that many bytes. */
struct text_value {
	uint64_t number;
	size_t size;
	uint8_t bytes[TEXT_VALUE_SIZE];
};

struct text_variables {
	struct {
		char name[TEXT_WORD_SIZE];
		struct text_value value;
	} list[TEXT_VARIABLE_MOST];
	size_t count;
};

struct text {
	const char *next;
	struct text_variables *variables;
	char error[TEXT_ERROR_SIZE];
};

/* Sets the error, unless there is one. Returns false, for the caller to return. */
bool text_fail(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Skips blanks; true when nothing follows. */
bool text_is_at_end(struct text *t);

/* Skips blanks, and the string if it follows: true then. */
bool text_accept(struct text *t, const char *string);

/* The same, and the string must follow. */
bool text_expect(struct text *t, const char *string);

/* Skips blanks; true when a number, or bytes, begin here. A variable can begin both. */
bool text_has_number(struct text *t);
bool text_has_bytes(struct text *t);

/* Parses a word of letters, digits, _ and -, after blanks. */
bool text_get_word(struct text *t, char out[TEXT_WORD_SIZE]);

bool text_get_number(struct text *t, uint64_t *out);

/* Appends the bytes to out. */
bool text_get_bytes(struct text *t, struct buf *out);

/* Appends the bytes of hexadecimal digits, up to the end of the line. */
bool text_get_hex(struct text *t, struct buf *out);

/* Parses a sign of = ! < > :, after blanks; "" when there is none. */
void text_get_sign(struct text *t, char out[TEXT_SIGN_SIZE]);

/* Returns whether a == b, a < b, ... holds; -1 for an unknown sign. */
int text_compare(uint64_t a, const char *sign, uint64_t b);

/* Parses a duration, in nanoseconds. */
bool text_get_duration(struct text *t, uint64_t *out);

/* Parses the name after the $ of a variable: letters, digits, _ (no -: $i-1 is a difference). */
bool text_get_name(struct text *t, char out[TEXT_WORD_SIZE]);

/* Returns the value of a variable, or NULL. */
const struct text_value *text_find(const struct text_variables *v, const char *name);

/* Sets a variable, which may exist. */
bool text_set(struct text *t, const char *name, struct text_value value);

/* Removes the value of a variable. */
void text_forget(struct text_variables *v, const char *name);

#endif
