/*
 * ownfd: a descriptor of ours, told apart from those of the program.
 *
 * A program may close descriptors that it does not know (closefrom(3)) and have files and sockets
 * of its own under the same numbers a moment later. So before the library uses or closes a number
 * that it kept from an earlier call, or while it waited, it asks here whether the number still
 * leads to what it opened. If it does not, the call fails, and the library forgets the number and
 * closes nothing.
 *
 * Two files differ by device, inode number and time of birth: a file system may give a new file
 * the inode number of one that was removed. Two sockets differ by the kernel's cookie; a library OS
 * that numbers no sockets is asked for both addresses of a connection.
 *
 * A number that the library gets for something new is lost to all that had it before, also when
 * both are the same file.
 *
 * Check and use are two system calls. The module cannot help a program that closes descriptors in
 * one thread between those two in another one, nor one that opens the very file anew under the
 * number: this one is taken for ours. The host says what is compared. One that lies makes calls
 * fail, or makes them use the program's descriptors, which it can do to any program.
 */
#ifndef COMMON_HOST_OWNFD_H
#define COMMON_HOST_OWNFD_H

#include <stdbool.h>
#include <stdint.h>

struct ownfd {
	int fd;         /* -1: none */
	uint64_t owner; /* of the number, see ownfd.c */
	uint64_t device, inode;
	uint64_t birth;     /* nanoseconds; 0: unknown */
	uint64_t cookie;    /* of a socket; 0: unknown */
	uint64_t addresses; /* of a connection, when its socket has no number: a hash; 0: none */
};

#define OWNFD_CLOSED ((struct ownfd){ .fd = -1 })

/* The failure in words, when a descriptor is not what was opened any more. */
#define OWNFD_LOST "the program has closed a descriptor of the library"

/*
 * The open descriptor fd, which has just been opened or, if it is a socket, connected. One of which
 * the system tells nothing is never intact.
 */
struct ownfd ownfd_of(int fd);

/* False when there is none, or when it is not what was opened any more. */
bool ownfd_is_intact(const struct ownfd *d);

/* Closes it if it is intact. Device and inode stay, for ownfd_is_same(). */
void ownfd_close(struct ownfd *d);

/* Whether both were opened for the same file. */
static inline bool
ownfd_is_same(const struct ownfd *a, const struct ownfd *b)
{
	return a->device == b->device && a->inode == b->inode;
}

#endif
