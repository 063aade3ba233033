/*
 * conform: rows of the table of calls and situations, for conform.c. Each row is a function that
 * runs in a process of its own, with a name of its own for its file, and says what came of it in a
 * few words: the name of an errno, or a result.
 */
#ifndef TESTS_PRELOAD_CONFORM_H
#define TESTS_PRELOAD_CONFORM_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, DIRECTORY_SIZE = 200, PATH_SIZE = 512 };

struct row {
	const char *name;
	const char *(*run)(void);
};

extern const struct row rows_open[], rows_size[], rows_map[], rows_lock[], rows_rest[];

extern char directory[DIRECTORY_SIZE]; /* where the rows' files are */
extern char path[PATH_SIZE];           /* of the row's file */

/* The row's path with suffix behind it, until the next call. */
char *path_with(const char *suffix);

/* "0", or the name of errno when result is -1. */
const char *outcome(long result);

/* A number as text. */
const char *number(long n);

/* Opens the row's file, which it makes, or ends the row. */
int make(int flags);

/* The same, of one page. */
int make_page(void);

/* The whole of one page, shared, of a descriptor for reading and writing; or ends the row. */
char *map_page(int fd);

/* fcntl(2): a lock of the bytes from begin, length of them. Returns its result. */
int lock_bytes(int fd, int command, int type, off_t begin, off_t length);

/* Returns what try says in a child that has just been forked. */
const char *in_child(const char *(*try)(int fd), int fd);

/* For in_child(): locks the whole file, opened anew or inherited, without waiting. */
const char *try_write(int fd);
const char *try_read(int fd);

#endif
