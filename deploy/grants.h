/*
 * grants: what a manifest for Gramine gives a program of the host: mounts, and which files are
 * trusted (their hashes are in the manifest) and allowed (the host may change them), as elements of
 * TOML arrays.
 *
 * Gramine looks at the allowed files first, and would not check a trusted file below an allowed
 * directory: such a file is refused. So all that is allowed comes first, and all that is hidden,
 * then what is trusted. Files are trusted one by one, never a directory.
 */
#ifndef DEPLOY_GRANTS_H
#define DEPLOY_GRANTS_H

#include <stdbool.h>

#include "deploy/lines.h"
#include "deploy/paths.h"

struct word;

struct grants {
	struct paths *paths; /* the caller's; outlives this */
	struct lines mounts, trusted, allowed;

	struct lines points;    /* where mounts are */
	struct lines hidden;    /* paths of the host */
	struct lines writables; /* absolute paths of the host */
};

void grants_init(struct grants *g, struct paths *paths);
void grants_fini(struct grants *g);

/* host is a path of the host in normal form (paths.h), inner one as the program sees it. */

/* A string "KIND:HOST", as TOML has it. */
char *grants_make_uri(struct grants *g, const char *kind, const char *host);

/* The file is encrypted, or the host may change it: grants_trust() leaves it out. */
void grants_hide(struct grants *g, const char *host);

/*
 * Allows a directory with all in it, or a file, which must be there. The functions below return 0
 * or a negative errno, with a message about the word from.
 */
int grants_allow(struct grants *g, const struct word *from, const char *kind, const char *host);

/* Trusts a regular file, which must be there. */
int grants_trust(struct grants *g, const struct word *from, const char *host);

/*
 * Mounts uri, a TOML string, at inner. type is one of Gramine's, NULL for the usual one; more has
 * further members of the table, or is "". The same mount twice is one.
 */
int grants_mount(struct grants *g, const struct word *from, const char *type, const char *inner,
    const char *uri, const char *more);

/*
 * Sorts the lists, by their bytes. Gramine mounts in the order of the list: a mount below another
 * one, which would hide it, comes later.
 */
void grants_sort(struct grants *g);

/* 0, or -ENOMEM when something was lost. */
int grants_error(const struct grants *g);

#endif
