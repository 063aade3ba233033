/*
 * macro: words of a script that stand for statements: `let ready(X) X> NEW_FDTABLE ; X< 0`.
 */
#ifndef TESTS_PROTOCOL_MACRO_H
#define TESTS_PROTOCOL_MACRO_H

#include <stdbool.h>
#include <stddef.h>

#include "tests/protocol/text.h"

enum { MACRO_MOST = 32, MACRO_PARAMETER_MOST = 4, MACRO_BODY_SIZE = 1024 };

struct macro {
	char name[TEXT_WORD_SIZE];
	char parameters[MACRO_PARAMETER_MOST][TEXT_WORD_SIZE];
	size_t count;
	char body[MACRO_BODY_SIZE];
};

struct macro_list {
	struct macro list[MACRO_MOST];
	size_t count;
};

/*
 * Defines NAME(X, Y) with the body up to the end of the text. A second definition replaces the
 * first.
 */
bool macro_define(struct macro_list *m, struct text *t);

/* Returns the macro that is called at t, or NULL. */
const struct macro *macro_find(const struct macro_list *m, const struct text *t);

/* Consumes the call from t; its body, with the arguments inserted, goes to out. */
bool macro_expand(const struct macro *m, struct text *t, char out[MACRO_BODY_SIZE]);

#endif
