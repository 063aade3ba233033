/*
 * file_core: what closing a memory file needs of its critical sections; for file.c (handles and the
 * mapping) and file_section.c (the way of a thread to the lock and back). Others include file.h.
 */
#ifndef COMMON_CLIENT_FILE_CORE_H
#define COMMON_CLIENT_FILE_CORE_H

#include "common/client/file.h"

/*
 * Ends the waits of file_lock() through h, which is going to be closed, with -EBADF. Returns when
 * no thread is in file_lock() for it. The caller has no lock of the mount or of the file.
 */
void file_end_waits(struct file *f, struct filehandle *h);

#endif
