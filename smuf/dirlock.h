/*
 * dirlock: one smufserver owns a directory: the lock file in it (smuf/FORMAT 1).
 *
 * The owner holds an flock(2) on the file, and counts in it every DIRLOCK_BEAT_MS. flock alone is
 * not enough: a library OS may have none, or one that other instances and the host do not see. A
 * starter that finds a file, and cannot be sure that the kernel's lock would tell, waits for
 * DIRLOCK_BEATS beats and refuses to start if the count has moved. It is a count and not a time,
 * because the host's clocks are the host's.
 *
 * An owner that stood still for longer than that may find another owner in the file. From then on
 * dirlock_keep() and dirlock_is_ours() say so, and the owner must change nothing in the directory.
 *
 * The file also records the name of the lock file that is being created, see memdir.h. The host can
 * write, remove and replace the file: then it can start a second owner, or stop the first.
 */
#ifndef SMUF_DIRLOCK_H
#define SMUF_DIRLOCK_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DIRLOCK_BEAT_MS = 1000, DIRLOCK_BEATS = 3 };

struct dirlock {
	int directory;  /* the caller's descriptor */
	int fd;         /* of the lock file; -1: not locked */
	uint64_t owner; /* a random number: this owner, not the one before */
	uint64_t count;
	uint64_t kept_at; /* when count was last written */
	bool is_lost;     /* another owner was seen */
};

#define DIRLOCK_NONE ((struct dirlock){ .directory = -1, .fd = -1 })

/*
 * Locks directory, which stays open until dirlock_release(). May wait for DIRLOCK_BEATS + 1 beats.
 * Returns 0; -EEXIST when another server owns it; -ENOTSUP when files there are read and written by
 * mapping only; or another negative errno.
 */
int dirlock_take(struct dirlock *l, int directory);

/*
 * Counts, unless it has just done so; to be called every DIRLOCK_BEAT_MS at least. now is
 * nanoseconds of the monotonic clock. Returns 0, or -ESTALE when there is another owner.
 */
int dirlock_keep(struct dirlock *l, uint64_t now);

/* False when there is another owner. To be called before a change in the directory. */
bool dirlock_is_ours(struct dirlock *l);

/* Records the name of the file that is being created; "": none. */
void dirlock_record(const struct dirlock *l, const char *name);

/* Copies the recorded name to out. Returns its length; 0: none. */
size_t dirlock_recorded(const struct dirlock *l, char out[NAME_MAX + 1]);

/* Removes the lock file if it is ours, and unlocks. Also for DIRLOCK_NONE. */
void dirlock_release(struct dirlock *l);

/* Unlocks, and leaves the file: it is for the next start. Also for DIRLOCK_NONE. */
void dirlock_leave(struct dirlock *l);

#endif
