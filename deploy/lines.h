/*
 * lines: a list of lines of text, as a manifest is made of them.
 *
 * The first failure stays: what is added after it is lost, and lines_error() tells it at the end,
 * so that those who add need not look. A list that is all zeros is empty and valid.
 */
#ifndef DEPLOY_LINES_H
#define DEPLOY_LINES_H

#include <stdbool.h>
#include <stddef.h>

struct lines {
	char **at;
	size_t count;
	int error; /* the first failure, or 0 */
};

void lines_fini(struct lines *l);

/* Adds a line. Returns it, valid as long as the list; "" when it was lost. */
char *lines_add(struct lines *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds a copy of text unless it is there. */
void lines_add_once(struct lines *l, const char *text);

/* True if text is one of the lines. */
bool lines_has(const struct lines *l, const char *text);

/* Sorts them by their bytes. */
void lines_sort(struct lines *l);

/* 0, or -ENOMEM when a line was lost. */
int lines_error(const struct lines *l);

#endif
