/*
 * smclient_core: the objects behind smclient.h, and how a public function begins and ends; for the
 * files that make up smclient.h: smclient.c (sets of mounts), smclient_file.c (memory files) and
 * smclient_fork.c.
 *
 * Locks are always taken in this order: the set's mutex, that of the mount, that of its lists,
 * those of the backend, that of the file.
 */
#ifndef COMMON_CLIENT_SMCLIENT_CORE_H
#define COMMON_CLIENT_SMCLIENT_CORE_H

#include <bsd/sys/queue.h>
#include <pthread.h>

#include "common/base/error.h"
#include "common/client/file.h"
#include "common/client/forkhooks.h"
#include "common/client/mount.h"
#include "common/client/smclient.h"

struct tls_context;

struct sm_file {
	TAILQ_ENTRY(sm_file) link;
	struct sm *sm;
	struct file *file;
	struct filehandle handle;
};

TAILQ_HEAD(handle_list, sm_file);

struct sm {
	struct forkhook fork;
	pthread_mutex_t mutex;    /* guards the rest; no thread waits while it has it */
	struct mount_list mounts; /* only grows */
	struct handle_list handles;
	struct tls_context *tls; /* NULL: plaintext; set once */
};

/* The beginning of every public call: detects a fork that skipped the hooks. */
static inline void
smclient_begin(struct sm *sm)
{
	error_begin();
	forkhooks_check(&sm->fork);
}

/* The end of every public call. Returns 0, or -1 with errno and a message. */
int smclient_end(int error);

/* Registers the functions of sm around fork(2); forkhooks_remove(&sm->fork) ends that. -ENOMEM. */
int smclient_add_forkhook(struct sm *sm);

#endif
