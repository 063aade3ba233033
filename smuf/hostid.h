/*
 * hostid: which file has a name on the host, so that the server removes no file but its own.
 *
 * A file is known by device, inode number and, where the file system keeps it, the time of its
 * birth: inode numbers are used again. The host can forge all three; it can remove any file anyway.
 */
#ifndef SMUF_HOSTID_H
#define SMUF_HOSTID_H

#include <stdint.h>

enum { HOSTID_CLEAR = 8 * 1024 * 1024 }; /* bytes of storage that go in one call */

struct hostid {
	uint64_t device, inode;
	uint64_t born; /* nanoseconds since 1970; 0: not known */
};

/* Fills *id with what has that name in directory; zeros when there is nothing. */
void hostid_get(struct hostid *id, int directory, const char *name);

/*
 * Removes the file of that name if it is id. The storage of a large one goes first, HOSTID_CLEAR
 * bytes in each call: unlink(2) alone would take long. Returns 0 when no file of ours has the name;
 * -EINPROGRESS to be called again; -EEXIST when another file has it, which stays. *cleared, 0 at
 * first, is kept in between.
 */
int hostid_remove(int directory, const char *name, const struct hostid *id, uint64_t *cleared);

#endif
