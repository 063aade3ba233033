/*
 * words: what sm_error() says: a thread's last failure as a sentence.
 *
 * Whoever decides that something has failed says why, error_message(); the public functions begin
 * with error_begin() and end a failure with error_finish(), which puts strerror's words where
 * nobody had better ones.
 */
#ifndef COMMON_BASE_ERROR_H
#define COMMON_BASE_ERROR_H

/*
 * A public call begins: what the last one said is not about this one, but stays until it fails
 * too.
 */
void error_begin(void);

/* Sets the words, cut where they are too long. Returns error, a negative errno, as it is. */
int error_message(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts more in front of the words of this call. Returns error. */
int error_prefix(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A public call ends with error: makes sure that the words are about it. Returns error. */
int error_finish(int error);

/* The words; "" when this thread never failed. */
const char *error_text(void);

#endif
