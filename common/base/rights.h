/*
 * rights: descriptors that a peer passes over a unix socket (SCM_RIGHTS), which no program of this
 * project wants.
 *
 * A peer may pass a descriptor whose close(2) blocks: a TCP socket that lingers, a file of its own
 * file system. A process that receives the message with recv(2) closes such a descriptor inside
 * that call. A kernel since Linux 6.16 refuses to pass descriptors to a socket whose SO_PASSRIGHTS
 * is 0, and a connection has the value that the listening socket had when the peer connected. With
 * other kernels, and for connections that are older than rights_refuse(), descriptors have to be
 * received, and closed where that may take time: see closer.h.
 *
 * Built with -DRIGHTS_NO_OPTION, these functions do as on a kernel without SO_PASSRIGHTS.
 */
#ifndef COMMON_BASE_RIGHTS_H
#define COMMON_BASE_RIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

enum { RIGHTS_MOST = 253 }; /* descriptors in one message: SCM_MAX_FD of unix(7) */

/* The descriptors that came with a message; they are the caller's, and close-on-exec. */
struct rights {
	int fds[RIGHTS_MOST];
	size_t count;
};

/* If possible, peers that connect to the listening socket fd later cannot pass descriptors. */
void rights_refuse(int fd);

/* True when descriptors may come with the bytes of the socket fd. */
bool rights_may_come(int fd);

/*
 * Receives into parts, without waiting. Returns what recvmsg(2) returns, with errno; *came is set
 * in any case.
 */
ssize_t rights_receive(int fd, struct iovec *parts, size_t part_count, struct rights *came);

#endif
