/*
 * memdir: the directory of smufserver's files on the host (DESIGN 6).
 *
 * One server owns it: an flock(2) on .smufserver.lock keeps a second one out. Files are made with O_EXCL, so what is
 * there already is never touched; at start, what a server that was killed left behind is removed, and nothing else:
 * a lock file is known by its magic, a segment file by the lock file that announces it, a lock file that was not yet
 * written by its name in .smufserver.lock. Foreign files stay, are named in the log, and their names refused.
 *
 * Files are opened for each access and not kept open: a server may have more files than descriptors. An access
 * to a lock file first looks for magic and life, so that a file which somebody put in its place is not written to.
 * Nothing is mapped: no truncation can kill the server.
 */
#ifndef SMUF_MEMDIR_H
#define SMUF_MEMDIR_H

#include <stdbool.h>
#include <stdint.h>

struct memdir;

/*
 * Opens and locks the directory at path, and removes leftovers. Returns 0 or a negative errno, having said in the log
 * what is wrong: -EEXIST when another server has it.
 */
int memdir_open(struct memdir **out, const char *path);

/* Whether it is time for another line in the log that clients cause as often as they like: one a second. */
bool memdir_may_log(struct memdir *d, uint64_t now);

/* Its path, for messages. */
const char *memdir_path(const struct memdir *d);

/* Gives the directory up. Takes NULL. */
void memdir_close(struct memdir *d);

/* Makes the lock file of a memory file, ticket and turn 0. Returns 0, -EEXIST, -ENOSPC, -EACCES, ... or -EIO. */
int memdir_create_lock(struct memdir *d, const char *name, uint64_t life);

/* Makes its segment file, so many bytes of zeros with no storage behind them. Errors: the same. */
int memdir_create_segment(struct memdir *d, const char *name, uint64_t life, uint64_t size);

/* Removes the lock file and, if there is one, the segment file, which goes first. */
void memdir_remove(struct memdir *d, const char *name, bool has_segment);

/* Reads what the host has for ticket and turn. Returns 0 or -EIO: it is gone, or not ours. */
int memdir_read_lock(const struct memdir *d, const char *name, uint64_t life, uint32_t *ticket,
    uint32_t *turn);

/* Stores the turn. Returns 0 or -EIO. */
int memdir_write_turn(const struct memdir *d, const char *name, uint64_t life, uint32_t turn);

/* Stores ticket and turn. Returns 0 or -EIO. */
int memdir_write_lock(const struct memdir *d, const char *name, uint64_t life, uint32_t ticket,
    uint32_t turn);

#endif
