/*
 * scratch: private directories of a test below TMPDIR, and programs that it runs.
 */
#ifndef TESTS_STRESS_SCRATCH_H
#define TESTS_STRESS_SCRATCH_H

enum { SCRATCH_PATH_SIZE = 96 }; /* short enough that a socket's name can follow */

/* A new empty directory, mode 0700; the test fails when there is none to be had. */
void scratch_create(char path[SCRATCH_PATH_SIZE]);

/* Removes it with all that is in it. An empty path is nothing. */
void scratch_remove(char path[SCRATCH_PATH_SIZE]);

/* Runs a program to its end, output thrown away; the test fails unless it exits with 0. */
void scratch_run(const char *const *args);

/* The path of name below the environment's variable (SRC, BUILD); the test fails without that variable. */
void scratch_find(char *out, unsigned size, const char *variable, const char *name);

#endif
