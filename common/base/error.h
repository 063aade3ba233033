/*
 * error: a thread's last failure as a sentence, which sm_error() returns.
 *
 * An error is 0 or a negative errno everywhere; this module keeps the sentence that goes with it.
 * The function that decides on an error sets the message, error_message(). A public function begins
 * with error_begin() and ends a failure with error_finish(), which takes the text of strerror(3)
 * when no function has set a message. "With a message" in another header means that the function
 * has set it. Messages are per thread and never hold keys or contents of segments.
 */
#ifndef COMMON_BASE_ERROR_H
#define COMMON_BASE_ERROR_H

#include <stdbool.h>

/* A public call begins: the message of an earlier call stays until this one fails too. */
void error_begin(void);

/* True when this call has set a message. */
bool error_is_set(void);

/* Sets the message, cut if it is too long. Returns error, a negative errno, as it is. */
int error_message(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts text in front of this call's message. Returns error. */
int error_prefix(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A public call ends with error: sets the message if this call has not. Returns error. */
int error_finish(int error);

/* The message; "" when no call of this thread has failed. Valid until the next call here. */
const char *error_text(void);

/*
 * The text of strerror(3) for error, a negative errno. Valid until this thread's next call of
 * error_string().
 */
const char *error_string(int error);

#endif
