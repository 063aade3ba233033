/*
 * premanifest: the lexer of premanifests; mount files are premanifests too. It knows words, not
 * their meaning.
 *
 *	# a comment reaches to the end of the line
 *	MOUNT file:${HOME}/mem /memserver smdish	a directive, named by its first word
 *
 * Blanks separate words (space, tab; a carriage return at the end of the line counts as one).
 * $NAME and ${NAME}, of letters, digits and underscores, are replaced by that variable of the
 * environment, anywhere in a word; a ~ that is a whole word, or a word's begin before a slash, by
 * $HOME. A value stays within its word. A # begins a comment where a word could begin. There is no
 * quoting. A byte order mark of UTF-8 at the beginning, which some editors write, is skipped, and
 * is in no column.
 *
 * Any bytes may come in. Control characters, an unset variable, a $ without a name, a ~ before
 * another character at a word's begin, and more than the limits below are errors, reported with
 * file, line and column.
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

#define PREMANIFEST_MARK "\xef\xbb\xbf" /* the byte order mark */

/* A directive; valid during the call that receives it. */
struct premanifest_line {
	const char *file;
	unsigned number; /* of the line, from 1 */
	size_t count;    /* of words, at least 1 */
	const char *const *words;
	const unsigned *columns; /* where the words begin: bytes of the line, from 1 */
};

/* Why a directive is refused. */
struct premanifest_fault {
	size_t word;                          /* the number of the word at fault, from 0 */
	char reason[PREMANIFEST_REASON_SIZE]; /* a sentence, without file, line and column */
};

/* Refuses the word of that number, with text for the reason, cut to fit. Returns error. */
int premanifest_refuse(struct premanifest_fault *fault, size_t word, int error, const char *text);

/* The same with the message that the call that failed has set (error.h). */
int premanifest_refuse_told(struct premanifest_fault *fault, size_t word, int error);

/*
 * Executes a directive. Returns 0 to go on, or a negative errno to stop with, and then sets *fault,
 * which is all zeros before.
 */
typedef int premanifest_directive(void *arg, const struct premanifest_line *line,
    struct premanifest_fault *fault);

/*
 * Calls directive, with arg, for each directive in size bytes at bytes. file is the name for
 * messages. Returns 0; -EINVAL for a malformed line; or the error that directive returned. On
 * failure reason is a sentence that begins with file, line and column.
 */
int premanifest_parse(const char *file, const void *bytes, size_t size,
    premanifest_directive *directive, void *arg, char reason[PREMANIFEST_REASON_SIZE]);

/* The same for the file at path; also errors of open(2) and read(2), -EFBIG and -ENOMEM. */
int premanifest_load(const char *path, premanifest_directive *directive, void *arg,
    char reason[PREMANIFEST_REASON_SIZE]);

#endif
