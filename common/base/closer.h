/*
 * closer: closes descriptors that peers have passed (rights.h) and sockets on which they may lie,
 * in a thread of its own. Only daemons use it: a library has no thread of its own.
 *
 * The thread starts with the first descriptor and ends with the process, which waits for no close.
 * It does nothing else, and blocks all signals. Where SO_PASSRIGHTS works nothing needs it, and it
 * never starts.
 *
 * A socket stops lingering before it is closed, and descriptors that lie unread on a unix socket
 * are received first, some levels deep, and closed in the same way. So a close blocks only for a
 * file whose file system makes it (FUSE, NFS). Up to CLOSER_QUEUE_MOST descriptors wait for the
 * thread. When the queue is full, or the thread cannot be started, the caller closes the descriptor
 * itself, in the same way: then a peer whose file system never answers can hold up the caller, but
 * it cannot make the process keep descriptors without bound.
 */
#ifndef COMMON_BASE_CLOSER_H
#define COMMON_BASE_CLOSER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

enum { CLOSER_QUEUE_MOST = 1024 };

/*
 * Takes over the descriptor and closes it soon. A connected unix socket is shut down first, also
 * for other processes that have it.
 */
void closer_close(int fd);

/*
 * Receives from a socket for which rights_may_come(), as recvmsg(2) does without waiting. A message
 * that brings descriptors is thrown away: the call closes them and returns -1 with errno EPROTO.
 */
ssize_t closer_receive(int fd, struct iovec *parts, size_t part_count);

/* True when the thread has been started. */
bool closer_has_thread(void);

#endif
