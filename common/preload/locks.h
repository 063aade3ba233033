/*
 * locks: fcntl()'s record locks, lockf() and flock() on memory files. Functions return 0 or a
 * negative errno.
 */
#ifndef COMMON_PRELOAD_LOCKS_H
#define COMMON_PRELOAD_LOCKS_H

#include <fcntl.h>
#include <stdbool.h>

struct description;

/* True for the commands of fcntl() below. */
bool locks_is_command(int command);

/* F_SETLK, F_SETLKW, F_GETLK and F_OFD_*. */
int locks_fcntl(struct description *d, int command, struct flock *lock);

int locks_flock(struct description *d, int operation);

int locks_lockf(struct description *d, int command, off_t length);

#endif
