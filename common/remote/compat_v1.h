/*
 * compat_v1: taking and releasing the lock of a version 1 smdish server (PROTOCOL 4).
 *
 * Such a server refuses a LOCK while another session holds it, so the client asks again, with
 * growing pauses. It has exclusive locks only, sends the whole segment with every LOCK, and expects
 * it with every UNLOCK. The shadow keeps what the server sent: that is sent back when nothing is to
 * be published.
 */
#ifndef COMMON_REMOTE_COMPAT_V1_H
#define COMMON_REMOTE_COMPAT_V1_H

#include <stdbool.h>
#include <stdint.h>

#include "common/remote/remotefile.h"

/*
 * See the members acquire and release of struct backend_ops. -EBADE: the file has a segment and is
 * not mapped here.
 */
int compat_v1_acquire(struct remotefile *f, enum protocol_mode mode, uint64_t deadline,
    struct eintr *e);
int compat_v1_release(struct remotefile *f, bool is_publishing, uint64_t until);

#endif
