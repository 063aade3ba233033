/*
 * duplicates: close(2), dup(2) and their like, where one of the descriptors is a memory file's.
 * Results are those of the calls, with errno.
 *
 * The kernel's table is changed by the same call as for any descriptor; the tables of this library
 * follow it. A number leaves them before the kernel may give it to something else.
 */
#ifndef COMMON_PRELOAD_DUPLICATES_H
#define COMMON_PRELOAD_DUPLICATES_H

int duplicates_close(int fd);

/* first to last are going to be closed. */
void duplicates_leave_range(unsigned first, unsigned last);

/* command: F_DUPFD or F_DUPFD_CLOEXEC, with the lowest number that is wanted. */
int duplicates_dup(int fd, int command, int lowest);

/* dup2() and dup3(); from and to differ. */
int duplicates_replace(int from, int to, int flags);

#endif
