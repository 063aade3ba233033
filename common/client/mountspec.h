/*
 * mountspec: makes a mount from its text: the arguments of sm_mount() or the words of a MOUNT line.
 *
 * The text comes from the operator of the program. Any text is a mount or an error with a message.
 */
#ifndef COMMON_CLIENT_MOUNTSPEC_H
#define COMMON_CLIENT_MOUNTSPEC_H

struct mount;

/* The number of each word of a MOUNT line; the line's first word, MOUNT, is 0. */
enum mountspec_word { MOUNTSPEC_URI = 1, MOUNTSPEC_PATH, MOUNTSPEC_TYPE, MOUNTSPEC_OPTIONS };

/*
 * The arguments of sm_mount(), and its errors but for EEXIST. Relative paths begin at the working
 * directory.
 */
int mountspec_create(struct mount **out, const char *uri, const char *path, const char *type,
    const char *options);

/*
 * The same without the key of the option key=, whose file need not exist here; relative paths begin
 * at base, see mount_resolve(). On failure *wrong is the word at fault.
 */
int mountspec_parse(struct mount **out, const char *base, const char *uri, const char *path,
    const char *type, const char *options, enum mountspec_word *wrong);

/* Reads the key of the option key=, if the mount has that. Returns 0 or an error of sm_mount(). */
int mountspec_read_key(struct mount *m);

#endif
