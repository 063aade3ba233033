/*
 * mountspec: makes a mount from its text: the arguments of sm_mount() or the words of a MOUNT line.
 *
 * The text comes from the operator of the program. Any text is a mount or an error with a message.
 */
#ifndef COMMON_CLIENT_MOUNTSPEC_H
#define COMMON_CLIENT_MOUNTSPEC_H

struct mount;

/* The arguments of sm_mount(), and its errors but for EEXIST. */
int mountspec_create(struct mount **out, const char *uri, const char *path, const char *type,
    const char *options);

#endif
