/*
 * mount: a mount point, the backend behind it, its options, and the files that are open through
 * it.
 *
 * Mount points are compared by whole components, so paths are brought to one form first: "/a/b",
 * no repeated or trailing slash, no "."; the root is "". A mount's text comes from whoever
 * configures the program.
 */
#ifndef COMMON_CLIENT_MOUNT_H
#define COMMON_CLIENT_MOUNT_H

#include <bsd/sys/queue.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/client/backend.h"
#include "common/crypto/keys.h"

struct dirty_ops;
struct file;

TAILQ_HEAD(mount_list, mount);
TAILQ_HEAD(file_list, file);

struct mount {
	TAILQ_ENTRY(mount) link;
	const struct backend_ops *ops;
	char *point;                     /* in that one form */
	bool is_full;                    /* sync=full */
	const struct dirty_ops *tracker; /* track= */
	char *name;                      /* name=; NULL: not given */
	bool has_master_key;             /* key= */
	uint8_t master_key[KEYS_SIZE];
	char *directory; /* of the host's files, for backends that have one */

	/* Guards what follows; held while a file is opened, closed, mapped and unmapped. */
	pthread_mutex_t mutex;
	struct file_list files;

	/* The backend's own or NULL: configure makes it; detach, even after a failure, frees it. */
	void *backend_state;
};

enum { MOUNT_PATH_SIZE = 4096 };

/* Brings path to the one form. Returns 0; -EINVAL (not absolute, or with a ".."); -ENAMETOOLONG. */
int mount_normalize(char out[MOUNT_PATH_SIZE], const char *path);

/* The arguments of sm_mount(), and its errors but for EEXIST. */
int mount_create(struct mount **out, const char *uri, const char *path, const char *type,
    const char *options);

/* For a backend's configure: the part of the URI that says where the host's files are, "file:/dir". -EINVAL, -ENOMEM. */
int mount_set_directory(struct mount *m, const char *uri);

/* Takes NULL. Its files must be gone. */
void mount_destroy(struct mount *m);

/* The mount at that point (in the one form), or NULL. */
struct mount *mount_at(const struct mount_list *list, const char *point);

/*
 * The mount with the longest point that is a prefix of path (in the one form); *name is then what
 * is left of path, "/" first, or "" for the point itself. NULL when there is none.
 */
struct mount *mount_find(const struct mount_list *list, const char *path, const char **name);

#endif
