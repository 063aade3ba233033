/*
 * words: what sm_error() says: a thread's last failure as a sentence.
 *
 * Whoever decides that something has failed says why, words_fail(); the public functions begin
 * with words_begin() and end a failure with words_settle(), which puts strerror's words where
 * nobody had better ones.
 */
#ifndef COMMON_CLIENT_WORDS_H
#define COMMON_CLIENT_WORDS_H

/*
 * A public call begins: what the last one said is not about this one, but stays until it fails
 * too.
 */
void words_begin(void);

/* Sets the words, cut where they are too long. Returns error, a negative errno, as it is. */
int words_fail(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts more in front of the words of this call. Returns error. */
int words_prefix(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A public call ends with error: makes sure that the words are about it. Returns error. */
int words_settle(int error);

/* The words; "" when this thread never failed. */
const char *words_get(void);

#endif
