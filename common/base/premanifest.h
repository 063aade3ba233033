/*
 * premanifest: the lexer of premanifests, which mount files are too. It knows words, not what
 * they mean.
 *
 *	# a comment reaches to the end of the line
 *	MOUNT file:$HOME/mem /memserver smdish		a directive, named by its first word
 *
 * Words are separated by blanks (space, tab; a carriage return before the line's end counts as
 * one). $NAME, of letters, digits and underscores, is replaced by the variable of the
 * environment, wherever in a word it is; what it holds stays one word. A # begins a comment where
 * a word could begin. There is no quoting.
 *
 * Any bytes may come in. Control characters, an unset variable, a $ without a name, and more than
 * the limits below are errors, told with file and line.
 */
#ifndef COMMON_BASE_PREMANIFEST_H
#define COMMON_BASE_PREMANIFEST_H

#include <stddef.h>

enum {
	PREMANIFEST_SIZE_MOST = 1024 * 1024, /* of a file */
	PREMANIFEST_LINE_SIZE = 8192,        /* of a line's words, expanded, each with a NUL */
	PREMANIFEST_WORDS_MOST = 64,         /* of a line */
	PREMANIFEST_REASON_SIZE = 512
};

/* A directive; valid during the call that it is handed to. */
struct premanifest_line {
	const char *file;
	unsigned number; /* of the line, from 1 */
	size_t count;    /* of words, at least 1 */
	const char *const *words;
};

/*
 * Returns 0 to go on, or a negative errno to stop with; it then fills in reason, without file and
 * line.
 */
typedef int premanifest_directive(void *arg, const struct premanifest_line *line,
    char reason[PREMANIFEST_REASON_SIZE]);

/*
 * Hands each directive in size bytes at bytes to directive, with arg. file is the name for
 * messages. Returns 0; -EINVAL for what is not allowed; or what directive returned; reason is
 * then a sentence that begins with file and line.
 */
int premanifest_parse(const char *file, const void *bytes, size_t size,
    premanifest_directive *directive, void *arg, char reason[PREMANIFEST_REASON_SIZE]);

/* The same for the file at path; also the errors of open(2) and read(2), -EFBIG, -ENOMEM. */
int premanifest_load(const char *path, premanifest_directive *directive, void *arg,
    char reason[PREMANIFEST_REASON_SIZE]);

#endif
