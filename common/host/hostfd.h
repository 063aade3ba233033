/*
 * hostfd: a descriptor of ours, and the file that it was opened for.
 *
 * A program may close descriptors that it does not know (closefrom(3)) and have files of its own
 * under the same numbers a moment later. So before the library writes through a descriptor, locks
 * or closes it, it compares device and inode number with what it opened.
 */
#ifndef COMMON_HOST_HOSTFD_H
#define COMMON_HOST_HOSTFD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct hostfd {
	int fd; /* -1: none */
	uint64_t device, inode;
};

#define HOSTFD_CLOSED ((struct hostfd){ .fd = -1 })

/* The descriptor fd, of which st is the status. */
static inline struct hostfd
hostfd_of(int fd, const struct stat *st)
{
	return (struct hostfd){ fd, st->st_dev, st->st_ino };
}

/* False when there is none, or when it is not what was opened any more. */
bool hostfd_is_intact(const struct hostfd *d);

/* Closes it if it is intact. Device and inode stay, for hostfd_is_same(). */
void hostfd_close(struct hostfd *d);

/* Whether both were opened for the same file. */
static inline bool
hostfd_is_same(const struct hostfd *a, const struct hostfd *b)
{
	return a->device == b->device && a->inode == b->inode;
}

#endif
