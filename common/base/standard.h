/*
 * standard: the standard streams of our programs.
 *
 * A program may be started with a standard stream closed. The next file or connection that it opens
 * would get the number, and what it prints would go there. And a program that prints to a full disk
 * must not end with success. So main() begins with standard_hold(), and ends what it prints with
 * standard_finish().
 *
 * The program's user chooses the streams. Only programs use this: a library leaves the streams of
 * its program alone.
 */
#ifndef COMMON_BASE_STANDARD_H
#define COMMON_BASE_STANDARD_H

/*
 * Opens /dev/null as each standard stream that is closed, in a way (O_PATH) in which reading and
 * writing fail with EBADF as before. A program that is executed finds the stream closed.
 */
void standard_hold(void);

/*
 * Writes what stdout has buffered. Returns 0, or a negative errno with a message: that of the first
 * failure, in each later call, too.
 */
int standard_flush(void);

/*
 * The same at the end of the program of that name. Returns status; or EXIT_FAILURE when some of the
 * output was lost, which a line on standard error says.
 */
int standard_finish(const char *name, int status);

#endif
