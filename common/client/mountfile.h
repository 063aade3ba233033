/*
 * mountfile: what sm_load() reads: the directives of a premanifest that are about mounts.
 *
 * The file belongs to whoever configures the program, but may be garbage all the same: whatever
 * is in it, the result is mounts or an error with file and line.
 */
#ifndef COMMON_CLIENT_MOUNTFILE_H
#define COMMON_CLIENT_MOUNTFILE_H

#include <stddef.h>

#include "common/client/mount.h"

struct tls_context;

struct mountfile {
	struct mount_list mounts; /* the caller moves them out, or mountfile_fini() destroys them */
	struct tls_context *tls;  /* NULL: there was no CAFILE; the same */
	char *ca_file, *cert_file, *key_file;
};

/* Destroys what the caller has not taken out. */
void mountfile_fini(struct mountfile *f);

/*
 * Reads the file at path, and the PEM files that it names, into *f, whose list is empty and the
 * rest zeros. Returns 0 or a negative errno with words; *f then holds nothing that counts, and
 * needs mountfile_fini().
 */
int mountfile_load(struct mountfile *f, const char *path);

/* The same from size bytes at bytes; name is for messages. PEM files are not read. */
int mountfile_parse(struct mountfile *f, const char *name, const void *bytes, size_t size);

#endif
