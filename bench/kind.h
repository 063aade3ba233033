/*
 * kind: the kinds of memory files that there are. A world (world.h) has one mount of each; the table has a column and
 * the targets have rows for each of those that are listed here.
 */
#ifndef BENCH_KIND_H
#define BENCH_KIND_H

#include <stddef.h>
#include <stdio.h>

struct kind {
	const char *type;   /* as mount files and our output call it */
	const char *path;   /* where it is mounted in a world */
	const char *server; /* the program that serves it; NULL: it needs none */
	const char *files;  /* the directory of its host files, in the world's; NULL: it has none */
	const char *key;    /* the file of its master key, there; NULL: it has none */
	const char *mount;  /* the line of the mount file; @ is the world's directory */
	const char *about;  /* in the line above the table: what it is */
};

enum { KIND_COUNT = 3 };

extern const struct kind kinds[KIND_COUNT];

/* The one of a type, or NULL if there is none. */
const struct kind *kind_find(const char *type);

/* Its place in kinds. */
size_t kind_index(const struct kind *kind);

/* Make its directory and its key in the world's directory. -1 after saying what is wrong. */
int kind_furnish(const struct kind *kind, const char *directory);

/* Write its line of a mount file. */
void kind_write_mount(FILE *file, const struct kind *kind, const char *directory);

#endif
