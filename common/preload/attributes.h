/*
 * attributes: the answers of stat(2) and its like. A memory file is a regular file of mode 0660
 * that belongs to the caller, with one link and no times. Its device is 0:0xf5, its number a hash
 * of the path, the same in every process. A mount point is a directory of mode 0755.
 */
#ifndef COMMON_PRELOAD_ATTRIBUTES_H
#define COMMON_PRELOAD_ATTRIBUTES_H

#include <stdint.h>
#include <sys/stat.h>

void attributes_of_file(struct stat *out, const char *path, uint64_t size);

void attributes_of_mount(struct stat *out, const char *path);

/* The same as statx(2) has it. */
void attributes_extend(struct statx *out, const struct stat *st);

#endif
