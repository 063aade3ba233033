/*
 * memdir: the directory of smufserver's files on the host (smuf/FORMAT 1).
 *
 * One server owns it (dirlock.h); once another server has taken the directory over, nothing is
 * created and nothing removed. Files are created with O_EXCL, so an existing file is never changed.
 * At start the server removes the files that a killed server left, and no others: it recognises a
 * lock file by its magic, a segment file by the lock file that records its size, and a lock file
 * that was not yet written by its name in .smufserver.lock. Foreign files stay; the log names them,
 * and their names are refused.
 *
 * A file that has ended is removed only if it is the one that the server created (hostid.h).
 *
 * Files are opened for each access and then closed: a server may have more files than descriptors.
 * Each access to a lock file first checks its magic and life, so that the server never writes to a
 * file that replaced it. The lying host can remove, replace and lock files at any time; the server
 * then returns errors. Nothing is mapped: no truncation can kill the server.
 */
#ifndef SMUF_MEMDIR_H
#define SMUF_MEMDIR_H

#include <stdbool.h>
#include <stdint.h>

struct hostid;
struct memdir;

/*
 * Opens and locks the directory at path and removes leftovers. Waits for some seconds where only
 * the lock file's count tells whether its owner lives. Returns 0; -EEXIST when another server has
 * locked it; or another negative errno; with a message (error.h).
 */
int memdir_open(struct memdir **out, const char *path);

/*
 * Says to other starters that this server lives; to be called about every DIRLOCK_BEAT_MS, now is
 * nanoseconds of the monotonic clock. Returns 0, or -ESTALE, which is logged, when another server
 * has taken the directory over: then this one has to end.
 */
int memdir_keep(struct memdir *d, uint64_t now);

/* True at most once a second: for log lines that clients can cause as often as they like. */
bool memdir_may_log(struct memdir *d, uint64_t now);

/* The path of the directory, for messages. */
const char *memdir_path(const struct memdir *d);

/* Unlocks and closes the directory. Takes NULL. */
void memdir_close(struct memdir *d);

/*
 * Creates the lock file of a memory file, ticket and turn 0. *id is for its removal. Returns 0,
 * -EEXIST when the name is taken, -EIO when the directory is no longer ours, or another negative
 * errno, such as -ENOSPC or -EACCES.
 */
int memdir_create_lock(struct memdir *d, const char *name, uint64_t life, struct hostid *id);

/*
 * Creates its segment file, size bytes of zeros without storage. Errors: the same, and -ESTALE when
 * the lock file, which has to record the size, is gone or replaced.
 */
int memdir_create_segment(struct memdir *d, const char *name, uint64_t life, uint64_t size,
    struct hostid *id);

/*
 * Removes the segment file, or the lock file, which has to be the last. A foreign file that has the
 * name stays: -EEXIST. Returns 0 otherwise, also when the directory is no longer ours; or
 * -EINPROGRESS, see hostid.h, where *cleared is, too.
 */
int memdir_remove_segment(struct memdir *d, const char *name, const struct hostid *id,
    uint64_t *cleared);
int memdir_remove_lock(struct memdir *d, const char *name, const struct hostid *id);

/*
 * Reads ticket and turn, which the host may have changed. Returns 0; -ESTALE when the lock file is
 * gone or replaced; -EMFILE, -ENFILE or -ENOMEM, which say nothing of the file; or -EIO.
 */
int memdir_read_lock(const struct memdir *d, const char *name, uint64_t life, uint32_t *ticket,
    uint32_t *turn);

/* Writes the turn alone, or ticket and turn. Errors: the same. */
int memdir_write_turn(const struct memdir *d, const char *name, uint64_t life, uint32_t turn);
int memdir_write_lock(const struct memdir *d, const char *name, uint64_t life, uint32_t ticket,
    uint32_t turn);

#endif
