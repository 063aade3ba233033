/*
 * word: a word of a premanifest, and where it stands, for messages.
 *
 * A word that is all zeros is none. The file's name belongs to the caller and outlives the word. An
 * option of the command line, which has no line, can stand in for a word: file is then its name.
 */
#ifndef DEPLOY_WORD_H
#define DEPLOY_WORD_H

#include <stddef.h>

#include "common/base/premanifest.h"

struct word {
	char *text; /* NULL: there is none */
	const char *file;
	unsigned line, column; /* from 1; line 0: see above */
};

/* Sets w, which is none, to a copy of that word of the line; w->file to file. 0 or -ENOMEM. */
int word_copy(struct word *w, const char *file, const struct premanifest_line *line, size_t number);

void word_fini(struct word *w);

/* Sets the message, after the word's file, line and column. Returns error. */
int word_fail(const struct word *w, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts the word's file, line and column in front of the message that was set. Returns error. */
int word_blame(const struct word *w, int error);

#endif
