#include "bench/world.h"

#include <err.h>
#include <errno.h>
#include <ftw.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>

/* <linux/magic.h> does not have this one. */
#define XFS_MAGIC 0x58465342

#define MASTER_KEY_SIZE 32 /* the whole of its file */

const struct world_kind world_kinds[WORLD_KINDS] = {
	[WORLD_SMDISH] = { "smdish", "/memserver0", "smdishserver", NULL, NULL,
	    "MOUNT unix:@/smdishserver.sock /memserver0 smdish name=smdishserver",
	    "segments in the server's memory" },
	[WORLD_SMUF] = { "smuf", "/memserver1", "smufserver", "smuf", NULL,
	    "MOUNT unix:@/smufserver.sock,file:@/smuf /memserver1,/memfiles1 smuf name=smufserver",
	    "segments sealed in the host's files" },
	[WORLD_SMC] = { "smc", "/memserver2", NULL, "smc", "smc.key",
	    "MOUNT file:@/smc /memserver2,/memfiles2 smc key=@/smc.key",
	    "no server, segments encrypted in the host's files" },
};

const char *
world_path(const struct world *world, char out[PATH_MAX], const char *name, const char *suffix)
{
	snprintf(out, PATH_MAX, "%s/%s%s", world->directory, name, suffix);
	return out;
}

const char *
world_file_system(const struct world *world, char out[32])
{
	static const struct {
		unsigned long magic;
		const char *name;
	} known[] = { { EXT4_SUPER_MAGIC, "ext4" }, { XFS_MAGIC, "xfs" },
		{ BTRFS_SUPER_MAGIC, "btrfs" }, { TMPFS_MAGIC, "tmpfs" },
		{ OVERLAYFS_SUPER_MAGIC, "overlayfs" } };
	struct statfs fs;
	unsigned long magic = 0;

	if (statfs(world->directory, &fs) == 0)
		magic = (unsigned long)fs.f_type;
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (known[i].magic == magic)
			return known[i].name;
	snprintf(out, 32, "file system 0x%lx", magic);
	return out;
}

/* --- opening ------------------------------------------------------------ */

/* Prints errno as the reason why path cannot be made. Returns it as a negative errno. */
static int
fail(const char *path)
{
	const int error = errno != 0 ? -errno : -EIO;

	warn("%s", path);
	return error;
}

/*
 * A socket's address has 108 bytes, and a mount file gives blanks, # and $ a meaning: a TMPDIR that
 * is long or has unusual characters is not used.
 */
static int
make_directory(struct world *world)
{
	static const char plain[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "0123456789/._-";
	const char *tmp = getenv("TMPDIR");

	if (tmp == NULL || tmp[0] != '/' || strlen(tmp) > 40 || tmp[strspn(tmp, plain)] != '\0')
		tmp = "/tmp";
	snprintf(world->directory, sizeof world->directory, "%s/smbench.XXXXXX", tmp);
	if (mkdtemp(world->directory) == NULL) {
		int error = fail(world->directory);

		world->directory[0] = '\0';
		return error;
	}
	return 0;
}

static int
make_key(const char *path)
{
	unsigned char key[MASTER_KEY_SIZE];
	FILE *file;

	if (getrandom(key, sizeof key, 0) != sizeof key || (file = fopen(path, "w")) == NULL ||
	    (fwrite(key, sizeof key, 1, file) != 1) | fclose(file))
		return fail(path);
	return 0;
}

static int
make_files(const struct world *world, const struct world_kind *kind)
{
	char path[PATH_MAX];

	if (kind->files != NULL && mkdir(world_path(world, path, kind->files, ""), 0700) == -1)
		return fail(path);
	return kind->key == NULL ? 0 : make_key(world_path(world, path, kind->key, ""));
}

static void
write_mount(FILE *file, const struct world *world, const struct world_kind *kind)
{
	for (const char *c = kind->mount; *c != '\0'; c++)
		if (*c == '@')
			fputs(world->directory, file);
		else
			fputc(*c, file);
	fputc('\n', file);
}

static int
write_conf(struct world *world)
{
	const char *dir = world->directory;
	FILE *file;

	snprintf(world->conf, sizeof world->conf, "%s/mounts", dir);
	if ((file = fopen(world->conf, "w")) == NULL)
		return fail(world->conf);
	for (size_t i = 0; i < WORLD_KINDS; i++)
		write_mount(file, world, &world_kinds[i]);
	fprintf(file, "CAFILE %s/pki/root.crt\n", dir);
	fprintf(file, "CERTFILE %s/pki/%s.crt\n", dir, WORLD_CLIENT);
	fprintf(file, "KEYFILE %s/pki/%s.key\n", dir, WORLD_CLIENT);
	return ferror(file) | fclose(file) ? fail(world->conf) : 0;
}

int
world_open(struct world *world)
{
	int error = make_directory(world);

	for (size_t i = 0; i < WORLD_KINDS && error == 0; i++)
		error = make_files(world, &world_kinds[i]);
	if (error == 0)
		error = write_conf(world);
	if (error != 0)
		world_close(world);
	return error;
}

/* --- closing ------------------------------------------------------------ */

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
world_close(struct world *world)
{
	if (world->directory[0] != '\0')
		nftw(world->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	world->directory[0] = '\0';
}
