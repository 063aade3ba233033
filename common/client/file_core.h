/*
 * file_core: closing and mapping a memory file (file.c) need these functions of its critical
 * sections (file_section.c). Others include file.h.
 */
#ifndef COMMON_CLIENT_FILE_CORE_H
#define COMMON_CLIENT_FILE_CORE_H

#include "common/client/file.h"

/*
 * Ends the waits of file_lock() through h, which is going to be closed, with -EBADF. Returns when
 * no thread is in file_lock() for it. The caller has no lock of the mount or of the file.
 */
void file_end_waits(struct file *f, struct filehandle *h);

/*
 * The owner of h, which holds the lock exclusively, shares it, while no other thread of this
 * process gets it: so the segment can be mapped without letting go. file_hold_again() follows.
 * Returns 0; or -EBUSY: another one holds the lock, or its server is too old; or an error of the
 * release, after which the lock is released.
 */
int file_share(struct file *f, const struct filehandle *h);

/*
 * Waits for readers of other processes to leave, and holds the lock exclusively, with the replica
 * up to date. When that fails, the lock is released.
 */
int file_hold_again(struct file *f, const struct filehandle *h);

#endif
