/*
 * mount: a mount point, the backend behind it, its options, and the files that are open through it.
 *
 * Mount points are compared by whole components. So paths have one normal form: "/a/b", without
 * repeated or trailing slashes and without "."; the root is "".
 *
 * Backends call this file: it must not call mountspec.c or backends.c, which refer to them.
 */
#ifndef COMMON_CLIENT_MOUNT_H
#define COMMON_CLIENT_MOUNT_H

#include <bsd/sys/queue.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/client/backend.h"
#include "common/crypto/keys.h"

struct dirty_ops;
struct file;

TAILQ_HEAD(mount_list, mount);
TAILQ_HEAD(file_list, file);

/* locks=: how the processes of a memory file without a server see each other. */
enum mount_locks {
	MOUNT_LOCKS_ANY,    /* not given: as the file's creator said; in a new file kernel locks */
	MOUNT_LOCKS_KERNEL, /* with locks of the kernel, which end with their process */
	MOUNT_LOCKS_NONE    /* without */
};

struct mount {
	TAILQ_ENTRY(mount) link;
	const struct backend_ops *ops;
	const char *base;                /* while it is made: see mount_resolve() */
	char *point;                     /* in normal form */
	bool is_full;                    /* sync=full */
	const struct dirty_ops *tracker; /* track= */
	char *name;                      /* name=; NULL: not given */
	char *key_file;                  /* key=; NULL: not given */
	bool has_master_key;             /* it was read */
	uint64_t silence; /* silence=, ns: without an answer so long a server is gone */
	uint8_t master_key[KEYS_SIZE];
	enum mount_locks locks;
	char *directory; /* of the host's files, for backends that have one */

	bool is_ending; /* sm_free() closes all of its files */

	bool is_ready; /* between a fork's beginning and end: its thread has the mutex */

	/* Guards what follows; held while a file is opened, closed, mapped and unmapped. */
	pthread_mutex_t mutex;

	/*
	 * A thread with the mutex also takes this one while it changes the list of files or of the
	 * backend's connections, or a file's replica. It does not wait then, so fork(2) always gets
	 * it and finds none of them half changed.
	 */
	pthread_mutex_t lists;
	struct file_list files;

	/* The backend's own or NULL: configure makes it; detach, even after a failure, frees it. */
	void *backend_state;
};

enum { MOUNT_PATH_SIZE = 4096, MOUNT_SILENCE_DEFAULT = 30, MOUNT_SILENCE_MOST = 86400 }; /* s */

/* Brings path to normal form. Returns 0; -EINVAL (not absolute, or with a ".."); -ENAMETOOLONG. */
int mount_normalize(char out[MOUNT_PATH_SIZE], const char *path);

/* A mount at point (in normal form), not configured; the caller sets its tracker. -ENOMEM. */
int mount_create(struct mount **out, const struct backend_ops *ops, const char *point);

/*
 * Makes *out, the caller's to free, of a path of the host. A relative path begins at base, an
 * absolute path, so that chdir(2) does not change its meaning later; base NULL leaves it as it is,
 * and "" says that there is none. Returns 0, -ENOMEM, or -ENOENT with words (error.h).
 */
int mount_resolve(char **out, const char *base, const char *path);

/*
 * For a backend's configure: sets the directory of the host's files from that part of the URI,
 * "file:/dir". Returns 0, -EINVAL or -ENOMEM.
 */
int mount_set_directory(struct mount *m, const char *uri);

/*
 * When a call that begins now gives up, unless it waits for a lock: the server is silent. A call
 * that moves bytes has a second more for each MiB. CLOCK_NEVER where there is no server.
 */
uint64_t mount_deadline(const struct mount *m);

/* Takes NULL. The mount must have no files. */
void mount_destroy(struct mount *m);

/* The mount at that point (in normal form), or NULL. */
struct mount *mount_at(const struct mount_list *list, const char *point);

/*
 * The mount with the longest point that is a prefix of path (in normal form); *name is then the
 * rest of path, "/" first, or "" for the point itself. NULL when there is none.
 */
struct mount *mount_find(const struct mount_list *list, const char *path, const char **name);

#endif
