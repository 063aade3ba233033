#include "common/preload/attributes.h"

#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { DEVICE_MINOR = 0xf5, FILE_MODE = 0660, DIRECTORY_MODE = 0755, BLOCK = 4096, SECTOR = 512 };

/* FNV-1a. */
static ino_t
hash(const char *path)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	while (*path != '\0')
		h = (h ^ (uint8_t)*path++) * UINT64_C(0x100000001b3);
	return (ino_t)h;
}

static void
fill(struct stat *out, const char *path, mode_t mode)
{
	memset(out, 0, sizeof *out);
	out->st_dev = makedev(0, DEVICE_MINOR);
	out->st_ino = hash(path);
	out->st_mode = mode;
	out->st_nlink = 1;
	out->st_uid = geteuid();
	out->st_gid = getegid();
	out->st_blksize = BLOCK;
}

void
attributes_of_file(struct stat *out, const char *path, uint64_t size)
{
	fill(out, path, S_IFREG | FILE_MODE);
	out->st_size = (off_t)size;
	out->st_blocks = (blkcnt_t)((size + BLOCK - 1) / BLOCK * (BLOCK / SECTOR));
}

void
attributes_of_mount(struct stat *out, const char *path)
{
	fill(out, path, S_IFDIR | DIRECTORY_MODE);
}

void
attributes_extend(struct statx *out, const struct stat *st)
{
	memset(out, 0, sizeof *out);
	out->stx_mask = STATX_TYPE | STATX_MODE | STATX_NLINK | STATX_UID | STATX_GID | STATX_INO |
	    STATX_SIZE | STATX_BLOCKS;
	out->stx_blksize = (uint32_t)st->st_blksize;
	out->stx_nlink = (uint32_t)st->st_nlink;
	out->stx_uid = st->st_uid;
	out->stx_gid = st->st_gid;
	out->stx_mode = (uint16_t)st->st_mode;
	out->stx_ino = st->st_ino;
	out->stx_size = (uint64_t)st->st_size;
	out->stx_blocks = (uint64_t)st->st_blocks;
	out->stx_dev_minor = DEVICE_MINOR;
}
