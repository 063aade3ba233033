/*
 * highfd: descriptors of the library are above those of the standard streams.
 *
 * A program that was started with its standard output closed writes to number 1 all the same. That
 * must not be the connection to a server, or a file of the host.
 */
#ifndef COMMON_BASE_HIGHFD_H
#define COMMON_BASE_HIGHFD_H

/*
 * Returns fd, or, if it is 0, 1 or 2, a copy above, having closed fd. A negative fd is returned as
 * it is. -1 with errno when there is no copy; fd is closed then, too.
 */
int highfd(int fd);

/* The same for the two of a pipe. Returns 0, or -1 with errno; both are closed then. */
int highfd_pair(int fds[2]);

#endif
