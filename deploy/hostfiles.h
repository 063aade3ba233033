/*
 * hostfiles: the files of the host that a read-only mount shows, one by one.
 *
 * The files belong to the packager, who trusts them; their names may have any characters.
 */
#ifndef DEPLOY_HOSTFILES_H
#define DEPLOY_HOSTFILES_H

struct lines;

/*
 * Adds to out, sorted, the path itself if it is a regular file, or if it is a directory the paths
 * of all regular files below it. A symbolic link counts as what it leads to; those to directories
 * are not followed. Returns 0; -EINVAL for a name with a control character; errors of stat(2) and
 * opendir(3); with a message.
 */
int hostfiles_list(struct lines *out, const char *path);

#endif
