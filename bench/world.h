/*
 * world: the kinds of memory files, and the private directory for a run that measures them.
 *
 * The directory holds everything that a run makes: certificates, sockets, logs, host files, and a
 * mount file with a mount of each kind. It is below $TMPDIR or /tmp: host files are then on a disk,
 * as a program's own would be, unless that directory is in memory. watcher.h starts the servers,
 * which use the certificates and sockets.
 */
#ifndef BENCH_WORLD_H
#define BENCH_WORLD_H

#include <limits.h>

enum { WORLD_SMDISH, WORLD_SMUF, WORLD_SMC, WORLD_KINDS };

struct world_kind {
	const char *type;   /* in mount files and in the output */
	const char *path;   /* its mount point */
	const char *server; /* the program that serves it; NULL: none */
	const char *files;  /* the directory of its host files; NULL: it has none */
	const char *key;    /* the file of its master key; NULL: it has none */
	const char *mount;  /* its line of the mount file; @ stands for the world's directory */
	const char *about;  /* its description above the table */
};

/* The table has a column, and the targets have rows, for each of these. */
extern const struct world_kind world_kinds[WORLD_KINDS];

struct world {
	char directory[64]; /* "" when it is not open; also for other files of a run */
	char conf[96];      /* the mount file, for sm_load() */
};

/* The name of the certificate that the mount file gives to clients: pki/NAME.crt, pki/NAME.key. */
#define WORLD_CLIENT "smbench"

/*
 * Makes the directory with the host files' directories, the master keys and the mount file. Returns
 * 0, or a negative errno after printing why it failed; *world is then not open.
 */
int world_open(struct world *world);

/* Removes the directory and everything in it. */
void world_close(struct world *world);

/* Writes the path of DIRECTORY/NAME and suffix to out. Returns out. */
const char *world_path(const struct world *world, char out[PATH_MAX], const char *name,
    const char *suffix);

/*
 * The name of the file system that the directory is on, "ext4" or "tmpfs", or its hexadecimal
 * number if it is not a known one. Returns out or a constant.
 */
const char *world_file_system(const struct world *world, char out[32]);

#endif
