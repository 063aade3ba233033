/*
 * plain: critical sections without any of our work, as programs have them
 * where they trust the kernel: a file mapped with MAP_SHARED, and a record lock
 * (fcntl, F_SETLKW) on the whole of another.
 *
 * The memory may be /dev/zero, as with the original: then every process has
 * zeros of its own, and only the lock is shared.
 *
 * A record lock belongs to a process.  Where threads compete it is an
 * open-file-description lock (F_OFD_SETLKW), which keeps them apart too.
 */
#ifndef BENCH_PLAIN_H
#define BENCH_PLAIN_H

#include <stdbool.h>

#include "bench/section.h"

/*
 * Open the two files, which may be one, and are made if they do not exist; a
 * regular file shorter than size is made longer.  They stay when it is closed.
 * is_threaded: other threads of this process open them, too.  -errno, *out is
 * then untouched.
 */
int plain_open(struct section *out, const char *mempath, const char *lockpath, size_t size,
    bool is_threaded);

#endif
