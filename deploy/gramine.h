/*
 * gramine: the manifest of a package for Gramine, as a template for gramine-manifest(1).
 *
 * What the host must not choose is in the manifest, and so measured: arguments, environment, and
 * each file that the program reads in the clear, one by one. What it must not read is encrypted:
 * the files of KEYFILE and key=. Only a trial, whose secrets the host may know, has an insecure key
 * in the manifest, or takes arguments from the host.
 *
 * The program sees each file at its path on the host (a relative one below /), unless a MOUNT shows
 * it elsewhere. EXEC, MODULE and preloaded libraries are paths of the host. CAFILE, CERTFILE,
 * CONFFILE, CRLFILE, KEYFILE, key= and the directories of smuf and smc are paths as the program
 * sees them: those that no MOUNT shows are mounted from the same path of the host.
 *
 * The host may change the file of CRLFILE: the CA signs what is in it, and a hash would forbid new
 * lists.
 */
#ifndef DEPLOY_GRAMINE_H
#define DEPLOY_GRAMINE_H

#include <stdbool.h>
#include <stddef.h>

struct lines;
struct package;

struct gramine_config {
	bool is_trial;
	const char *runtime;  /* directory of its C library; NULL: the template asks Gramine */
	const char *key_name; /* of the encrypted files' key; NULL: Gramine's default */
	const char *const *preloads;
	size_t preload_count;
	const char *const *variables; /* NAME=VALUE */
	size_t variable_count;
	const char *const *arguments; /* after the program's name */
	size_t argument_count;
};

/*
 * Adds the lines of the manifest to out. Reads the program and its libraries, and the directories
 * of mounts. Returns 0 or a negative errno, with a message.
 */
int gramine_make(struct lines *out, const struct package *p, const struct gramine_config *config);

#endif
