/*
 * scratch: private directories of a test below TMPDIR, and programs that it runs.
 */
#ifndef TESTS_STRESS_SCRATCH_H
#define TESTS_STRESS_SCRATCH_H

enum { SCRATCH_PATH_SIZE = 96 }; /* short enough that a socket's name can follow */

/* Makes an empty directory of mode 0700, or fails the test. */
void scratch_create(char path[SCRATCH_PATH_SIZE]);

/* Removes the directory with all its content. Does nothing with an empty path. */
void scratch_remove(char path[SCRATCH_PATH_SIZE]);

/* Runs a program to its end without output; fails the test unless it exits with 0. */
void scratch_run(const char *const *args);

/*
 * Writes the path of name below an environment variable (SRC, BUILD) to out; fails the test without
 * that variable.
 */
void scratch_find(char *out, unsigned size, const char *variable, const char *name);

#endif
