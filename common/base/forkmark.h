/*
 * forkmark: which copy of the process this is, without a system call.
 *
 * The number is another one in every copy: after fork(2), a bare clone(2), one into another pid namespace. It is kept in
 * a page that the kernel empties in the copy (MADV_WIPEONFORK, Linux 4.14); where there are no such pages (a library OS)
 * it is the process id, asked for each time: a copy there must have another one than its ancestors.
 *
 * vfork(2) and others that share memory make no copy.
 */
#ifndef COMMON_BASE_FORKMARK_H
#define COMMON_BASE_FORKMARK_H

#include <stdint.h>

/* The number; never 0. */
uint64_t forkmark_get(void);

#endif
