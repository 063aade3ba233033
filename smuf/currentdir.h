/*
 * currentdir: the directory of a smufserver that was given none (-r): the current one, unless it
 * has other files. A server that is started in a home or in a checkout by mistake stops there, and
 * puts no file between them.
 *
 * The host can show any names: then the server starts, or does not.
 */
#ifndef SMUF_CURRENTDIR_H
#define SMUF_CURRENTDIR_H

#include <stddef.h>

/*
 * Returns 0 when the current directory is empty but for the files at the paths own[] (NULL: none),
 * or has the lock file of a server; -ENOTEMPTY with a message (error.h) that names a file there; or
 * another negative errno.
 */
int currentdir_check(const char *const own[], size_t count);

#endif
