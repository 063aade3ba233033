#include "bench/scratch.h"

#include <err.h>
#include <ftw.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

/* <linux/magic.h> does not list this one. */
#define XFS_MAGIC 0x58465342

/*
 * A socket's address has 108 bytes, and a mount file's lexer its own ideas
 * about blanks, # and $: a TMPDIR that is long or strange is not used.
 */
int
scratch_create(char out[SCRATCH_PATH_SIZE])
{
	static const char plain[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "0123456789/._-";
	const char *tmp = getenv("TMPDIR");

	if (tmp == NULL || tmp[0] != '/' || strlen(tmp) > 40 || tmp[strspn(tmp, plain)] != '\0')
		tmp = "/tmp";
	snprintf(out, SCRATCH_PATH_SIZE, "%s/smbench.XXXXXX", tmp);
	if (mkdtemp(out) == NULL) {
		warn("%s", out);
		out[0] = '\0';
		return -1;
	}
	return 0;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	if (remove(path) == -1)
		warn("cannot remove %s", path);
	return 0;
}

void
scratch_destroy(char path[SCRATCH_PATH_SIZE])
{
	if (path[0] != '\0')
		nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	path[0] = '\0';
}

const char *
scratch_file_system(char out[32], const char *path)
{
	static const struct {
		unsigned long magic;
		const char *name;
	} known[] = { { EXT4_SUPER_MAGIC, "ext4" }, { XFS_MAGIC, "xfs" },
		{ BTRFS_SUPER_MAGIC, "btrfs" }, { TMPFS_MAGIC, "tmpfs" },
		{ OVERLAYFS_SUPER_MAGIC, "overlayfs" } };
	struct statfs fs;
	unsigned long magic = 0;

	if (statfs(path, &fs) == 0)
		magic = (unsigned long)fs.f_type;
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (known[i].magic == magic)
			return known[i].name;
	snprintf(out, 32, "file system 0x%lx", magic);
	return out;
}
