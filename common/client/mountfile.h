/*
 * mountfile: the mount file that sm_load() reads: a premanifest, of which only the directives about
 * mounts count.
 *
 * The file belongs to the operator of the program, but may contain any bytes: the result is mounts
 * or an error with file and line.
 */
#ifndef COMMON_CLIENT_MOUNTFILE_H
#define COMMON_CLIENT_MOUNTFILE_H

#include <stddef.h>

#include "common/client/mount.h"

struct tls_context;

struct mountfile {
	/* The caller moves these out, or mountfile_fini() destroys them. */
	struct mount_list mounts;
	struct tls_context *tls; /* NULL: there was no CAFILE */

	char *ca_file, *cert_file, *key_file, *crl_file; /* NULL: not named */
	char *base; /* where relative paths begin: the directory of the file; see mount_resolve() */
};

/* Destroys everything that the caller has not moved out. */
void mountfile_fini(struct mountfile *f);

/*
 * Reads the file at path, and the PEM files that it names, into *f, whose list is empty and the
 * rest zeros. Returns 0 or a negative errno, with a message. After a failure *f needs
 * mountfile_fini(), too.
 */
int mountfile_load(struct mountfile *f, const char *path);

/*
 * The same from size bytes at bytes; name is for messages. Reads no PEM files. Relative paths stay
 * as they are, unless f->base is set.
 */
int mountfile_parse(struct mountfile *f, const char *name, const void *bytes, size_t size);

#endif
