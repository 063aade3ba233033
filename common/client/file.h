/*
 * file: a memory file as one process has it: a descriptor of the backend, the replica, and the
 * threads that hold the lock or queue for it. All handles of one path share it; it lives until
 * the last of them is closed and the mapping is gone.
 *
 * When its server went away it stays as it is, for those who have it, and fails; a new open of
 * the same path makes another. Functions return 0 or a negative errno, with words.
 */
#ifndef COMMON_CLIENT_FILE_H
#define COMMON_CLIENT_FILE_H

#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/client/filelock.h"
#include "common/client/replica.h"
#include "common/wire/protocol.h"

struct backend_file;
struct mount;
struct sm_stat;
struct tls_context;

struct file {
	TAILQ_ENTRY(file) link; /* of the mount's */
	struct mount *mount;
	char *name;
	unsigned handles;
	struct filelock lock;
	struct replica replica; /* used with the lock, mapped with the mount's mutex too */
	struct backend_file *backend;
};

/* Finds or opens name; counts one more handle. See the member open of struct backend_ops. */
int file_open(struct file **out, struct mount *m, struct tls_context *tls, const char *name);

/*
 * A handle is gone: what was locked through it is given back, and nothing published. Frees the
 * file with its last handle, unless it is mapped. The result is that of the last release if
 * nobody was told yet.
 */
int file_close(struct file *f, const void *via);

/* sm_map(); *out is the address. */
int file_map(struct file *f, const void *via, void *hint, size_t size, void **out);

/*
 * sm_unmap(); -ENOENT when no file of m is mapped at address. May free the file, as file_close().
 */
int file_unmap(struct mount *m, const void *address);

/* Takes the lock through via; deadline as in filelock_acquire(). */
int file_lock(struct file *f, const void *via, enum protocol_mode mode, uint64_t deadline);

int file_unlock(struct file *f);

int file_dirty(struct file *f, size_t offset, size_t length);

int file_stat(struct file *f, struct sm_stat *out);

/* fork(2): no thread is in the file's lock between the two. */
void file_fork_prepare(struct file *f);
void file_fork_parent(struct file *f);

/* In the child: nobody holds the lock or waits for it, the replica is void. is_prepared: see forkhooks.h. */
void file_fork_child(struct file *f, bool is_prepared);

#endif
