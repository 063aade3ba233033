/*
 * mountline: a MOUNT directive as a packager reads it.
 *
 *	MOUNT file:HOST POINT chroot ro|rw
 *	MOUNT file:HOST POINT encrypted
 *	MOUNT SERVER POINT nextfs
 *	MOUNT SERVER POINT smdish [OPTIONS]
 *	MOUNT SERVER,file:DIRECTORY POINT[,POINT] smuf [OPTIONS]
 *	MOUNT file:DIRECTORY POINT[,POINT] smc [OPTIONS]
 *
 * The last three are the library's, which parses them here as sm_load() does, without reading the
 * key's file. HOST is a path of the host, DIRECTORY one as the program sees it.
 */
#ifndef DEPLOY_MOUNTLINE_H
#define DEPLOY_MOUNTLINE_H

#include <bsd/sys/queue.h>
#include <stdbool.h>

#include "deploy/word.h"

struct mount;
struct premanifest_fault;

enum mountline_type {
	MOUNTLINE_CHROOT,
	MOUNTLINE_ENCRYPTED,
	MOUNTLINE_NEXTFS,
	MOUNTLINE_SMDISH,
	MOUNTLINE_SMUF,
	MOUNTLINE_SMC
};

struct mountline {
	TAILQ_ENTRY(mountline) link;
	enum mountline_type type;
	struct word uri, path, type_word; /* as they stand there */
	struct word options;              /* the fifth word, if there is one */
	char *point, *second; /* of path, in the normal form of mount.h; second may be NULL */
	bool is_writable;     /* chroot rw */
	struct mount *mount;  /* the library's; NULL for its other types */
};

TAILQ_HEAD(mountline_list, mountline);

/*
 * Parses a line whose first word is MOUNT. file is the name for messages, which outlives *out.
 * Returns 0 or a negative errno, and then *fault is set.
 */
int mountline_create(struct mountline **out, const char *file, const struct premanifest_line *line,
    struct premanifest_fault *fault);

/* Takes NULL. */
void mountline_destroy(struct mountline *m);

/* The part of a file: URI behind the scheme: HOST above. Asserts that the type has one. */
const char *mountline_host(const struct mountline *m);

/*
 * The line of the list with the longest mount point that path, in normal form, is at or below, of
 * those that show files of the host (chroot, encrypted); *rest is then the rest of path. NULL when
 * there is none.
 */
const struct mountline *mountline_cover(const struct mountline_list *list, const char *path,
    const char **rest);

/* True if a mount point of the two is the same. */
bool mountline_collides(const struct mountline *a, const struct mountline *b);

#endif
