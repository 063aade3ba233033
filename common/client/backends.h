/*
 * backends: the list of all backends, by type of mount.
 *
 * The backends are above this room. backends.c names them and the linker finds them: it is the only
 * place of the product that refers upward. The other files of this room that a backend calls must
 * not call backends.c; mountspec.c, which no backend calls, does.
 */
#ifndef COMMON_CLIENT_BACKENDS_H
#define COMMON_CLIENT_BACKENDS_H

struct backend_ops;

/* The backend for mounts of that type ("smdish"); NULL when there is none. */
const struct backend_ops *backends_find(const char *type);

#endif
