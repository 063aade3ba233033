/*
 * view: what a program in Gramine sees of the host, as the premanifest's MOUNT, EXEC, MODULE and
 * file directives say; gramine.h says which path of the program is which of the host.
 *
 * Use: view_init(), then view_add_mounts() and what the program needs besides. The lists are then
 * elements of TOML arrays.
 */
#ifndef DEPLOY_VIEW_H
#define DEPLOY_VIEW_H

#include <stdbool.h>

#include "deploy/grants.h"
#include "deploy/lines.h"
#include "deploy/paths.h"

struct package;
struct word;

struct view {
	const struct package *p;
	struct grants grants;
	struct lines folders; /* of libraries, as the program sees them */
	bool has_secrets;     /* a mount is encrypted */

	struct paths paths;
	const char *runtime; /* "file:DIRECTORY of Gramine's C library, without the closing quote */
	const char *key;     /* the member of an encrypted mount that names its key */
};

/*
 * An empty view of p, which outlives it. runtime is the directory of Gramine's C library, NULL: for
 * the template to ask; key_name that of the key of encrypted files. Returns 0 or a negative errno,
 * with a message; view_fini() is needed in any case.
 */
int view_init(struct view *v, const struct package *p, const char *runtime, const char *key_name);

void view_fini(struct view *v);

/* The functions below return 0 or a negative errno, with a message. */

/* Adds the MOUNTs, and the files of KEYFILE, CRLFILE and key=; once, before the others. */
int view_add_mounts(struct view *v);

/* Adds a file at path, as the program sees it, for the word of the premanifest. */
int view_add_file(struct view *v, const struct word *from, const char *path);

/*
 * Adds a program at path, a path of the host, and its libraries. Sets *inner to its path as the
 * program sees it, valid as long as the view.
 */
int view_add_program(struct view *v, const struct word *from, const char *path, const char **inner);

/* The same for a library, which can then be found by its name. */
int view_add_library(struct view *v, const struct word *from, const char *path, const char **inner);

/* 0, or -ENOMEM when something was lost. */
int view_error(const struct view *v);

#endif
