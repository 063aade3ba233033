/*
 * forkmark: identifies the copy of the process that is running, without a system call.
 *
 * The number differs in every copy: after fork(2), a bare clone(2), and one into another pid
 * namespace. It is in a page that the kernel empties in the copy (MADV_WIPEONFORK, Linux 4.14).
 * Where there are no such pages (a library OS) the number is the process id, read in each call:
 * there a copy must have another id than its ancestors.
 *
 * vfork(2) and other calls that share memory make no copy.
 */
#ifndef COMMON_BASE_FORKMARK_H
#define COMMON_BASE_FORKMARK_H

#include <stdint.h>

/* The number of this copy; never 0. */
uint64_t forkmark_get(void);

#endif
