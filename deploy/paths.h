/*
 * paths: the same file as the host names it and as the program in Gramine does.
 *
 * Both are in normal form, without "." and repeated slashes; ".." is refused. The program sees a
 * file of the host at its own path, a relative one below /, unless a MOUNT shows it elsewhere.
 * Strings that come out are valid as long as the struct.
 */
#ifndef DEPLOY_PATHS_H
#define DEPLOY_PATHS_H

#include <stdbool.h>

#include "deploy/lines.h"

struct mountline;
struct mountline_list;
struct word;

struct paths {
	const struct mountline_list *mounts;
	char *here;         /* the current directory */
	struct lines texts; /* the strings that come out; users may add theirs */
};

/* mounts outlives *p. Returns 0 or a negative errno, with a message; paths_fini() in any case. */
int paths_init(struct paths *p, const struct mountline_list *mounts);

void paths_fini(struct paths *p);

/* The functions below return 0 or a negative errno, with a message about the word from. */

/* *inner: where the program sees that path of the host if no MOUNT counts; "" for the root. */
int paths_to_inner(struct paths *p, const struct word *from, const char *path, const char **inner);

/* *host: path in normal form; relative if it is. */
int paths_to_host(struct paths *p, const struct word *from, const char *path, const char **host);

/*
 * path as the program sees it: *inner in normal form, *host the path of the host, and *cover the
 * MOUNT that shows it, NULL for none.
 */
int paths_look_up(struct paths *p, const struct word *from, const char *path, const char **inner,
    const char **host, const struct mountline **cover);

/* A path of the host, from the root on. */
const char *paths_make_absolute(struct paths *p, const char *host);

/* A path of the host as it is, or without the current directory in front. */
const char *paths_make_relative(const struct paths *p, const char *host);

/* True if path is folder or below it, both absolute or both relative. */
bool paths_is_below(const char *path, const char *folder);

#endif
