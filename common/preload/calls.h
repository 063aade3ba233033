/*
 * calls: the functions of the C library that this library stands in front of. calls_open() is what
 * a program calls as open(), and so on for all; the files calls_*.c have them, by subject.
 *
 * Each decides first, and cheaply, whether the path or the descriptor is a memory file's; if not,
 * it calls the next function of that name with the same arguments, and nothing else. A call is not
 * served either
 *
 *	from within a call of ours	it is the client library's, or a signal handler's
 *	in a child of vfork(2)		the tables are its parent's
 *
 * and the kernel then answers for the placeholder: EBADF, except to dup, close and F_GETFD.
 *
 * Functions that C declares with three dots have the parameters here that their arguments arrive
 * in: on the machines of this library a call passes both in the same way, and it costs less.
 *
 * Those of the C library that it calls itself, within fclose() or posix_spawn(), do not come here.
 */
#ifndef COMMON_PRELOAD_CALLS_H
#define COMMON_PRELOAD_CALLS_H

#include <errno.h>

/* The name that programs call the function by. */
#define CALLS_AS(name) __asm__(#name) __attribute__((visibility("default")))

/* One more name of the function that programs call first. */
#define CALLS_ALSO_AS(name, first) \
	__asm__(".globl " #name "\n\t.set " #name ", " #first "\n\t.type " #name ", @function");

/* As programs want it: 0, or -1 and errno. */
static inline int
calls_result(int error)
{
	if (error == 0)
		return 0;
	errno = -error;
	return -1;
}

#endif
