/*
 * compat_v1: taking and releasing the lock of a version 1 smdish server (DESIGN 4.1).
 *
 * Such a server refuses a LOCK while another session holds it, so the client asks again, with
 * growing pauses. It has exclusive locks only, sends the whole segment with every LOCK and wants
 * it back with every UNLOCK. The shadow keeps what came, to be sent back when nothing is to be
 * published.
 */
#ifndef COMMON_REMOTE_COMPAT_V1_H
#define COMMON_REMOTE_COMPAT_V1_H

#include <stdbool.h>
#include <stdint.h>

#include "common/remote/remotefile.h"

/* As the members of struct backend_ops. -EBADE: the file has a segment and is not mapped here. */
int compat_v1_acquire(struct remotefile *f, enum protocol_mode mode, uint64_t deadline);
int compat_v1_release(struct remotefile *f, bool is_publishing);

#endif
