/*
 * launch [-f] PROGRAM [ARGUMENT]...: runs a program of the product where the system answers as in
 * Gramine: system calls by a filter (tests/stress/libos.h), the rest by libos.so, which lies beside
 * this program. -f: with flock(2), which no other process sees.
 */
#include <err.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/stress/libos.h"

/* LIBOS_FLOCK tells the interposer. */
static void
preload(bool has_flock)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - sizeof ".so");

	if (n == -1)
		err(127, "/proc/self/exe");
	strcpy(path + n, ".so");
	if (setenv("LD_PRELOAD", path, 1) == -1 ||
	    (has_flock && setenv("LIBOS_FLOCK", "1", 1) == -1))
		err(127, "the environment");
}

int
main(int argc, char **argv)
{
	const bool has_flock = argc > 1 && strcmp(argv[1], "-f") == 0;
	char **program = argv + 1 + has_flock;

	if (*program == NULL)
		errx(2, "usage: libos [-f] PROGRAM [ARGUMENT]...");
	preload(has_flock);
	if (libos_enter(has_flock) != 0)
		errx(77, "no seccomp filters here");
	execv(*program, program);
	err(127, "%s", *program);
}
