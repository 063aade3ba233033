/*
 * libos: a library OS as it treats host files: system calls that it does not have, and shared
 * mappings that are private without saying so.
 *
 * Filters hold for this process and its later children, and cannot be taken back: install them in a
 * child. Nothing here calls cmocka.
 */
#ifndef TESTS_STRESS_LIBOS_H
#define TESTS_STRESS_LIBOS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { LIBOS_CALLS_MOST = 8 };

/* The mapping that a process gets when it asks for a shared mapping of a file. */
enum libos_mapping {
	LIBOS_SHARED,
	LIBOS_COPY_ON_WRITE,
	LIBOS_COPY /* of all pages, at once */
};

/*
 * From now on these system calls (SYS_pread64, ...; at most LIBOS_CALLS_MOST) fail with that errno.
 * Returns 0, or a negative errno where the kernel has no such filters.
 */
int libos_forbid(const int *calls, size_t count, int error);

/* The same for the commands of fcntl(2) that lock byte ranges of a file (F_OFD_SETLK, ...). */
int libos_forbid_locks(int error);

/*
 * From now on all system calls answer as in Gramine 1.9, as far as a filter can do that: it sees
 * numbers, and not the files behind them (tests/ground/interposer.c does the rest). With
 * has_flock, flock(2) stays. Returns 0, or a negative errno where the kernel has no such filters.
 */
int libos_enter(bool has_flock);

/*
 * mmap(2), but a shared mapping of a file is as gives says. A test program defines its own mmap
 * with it: void *fake_mmap(...) __asm__("mmap").
 */
void *libos_mmap(enum libos_mapping gives, void *hint, size_t size, int prot, int flags, int fd,
    off_t offset);

#endif
