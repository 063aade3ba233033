/*
 * client: the client library, as this one uses it: loaded at the first use of a mount, with
 * dlopen(3) and RTLD_LOCAL, so that a program without memory files pays nothing and no program
 * meets a symbol of OpenSSL. All calls of smclient.h are here.
 *
 * Functions return 0 or a negative errno. They may wait for a server, and so nobody calls them with
 * the mutex of the tables (state.h). The library's mounts are those of the mount file that
 * mountpoints.h has read.
 *
 * All handles are opened with SM_OPEN_OWNER: their locks belong to the handle, not to a thread.
 */
#ifndef COMMON_PRELOAD_CLIENT_H
#define COMMON_PRELOAD_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/client/smclient.h"

/*
 * Loads the library and its mount file, once. Returns -ENOSYS when there is no library, and else an
 * error of the mount file; a line reports it. One thread at a time calls this.
 */
int client_load(void);

/*
 * Opens placeholders until the numbers of standard input, output and error are taken, which the
 * library would give to its sockets; returns those that were free, as bits. client_leave() gives
 * them back. What opens descriptors here does it itself; fork(2) does, too.
 */
unsigned client_occupy(void);
void client_leave(unsigned taken);

/* flags: SM_OPEN_CREATE, SM_OPEN_EXCLUSIVE. */
int client_open(struct sm_file **out, const char *path, int flags);

int client_close(struct sm_file *handle);

/* Like sm_map(). */
int client_map(struct sm_file *handle, void *hint, size_t size, void **out);

int client_unmap(void *address);

/* how: SM_READ or SM_WRITE, and SM_TRY or SM_INTERRUPTIBLE. */
int client_acquire(struct sm_file *handle, int how);

int client_downgrade(struct sm_file *handle);
int client_release(struct sm_file *handle);
int client_holder(struct sm_file *handle, struct sm_holder *out);
int client_stat(struct sm_file *handle, struct sm_stat *out);

/* In a forked child, before a call that waits: the library connects if it has to. */
void client_attach(struct sm_file *handle);

/* The calling thread's last failure in words. */
const char *client_error(void);

/*
 * The calling thread's last failure is ENOENT: true when it says that no process has the memory
 * file open, which has words of its own, and false when it has those of the system, as for a mount
 * whose directory does not exist.
 */
bool client_says_absent(void);

#endif
