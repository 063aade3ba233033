/*
 * stats: what this process did with each memory file, for SM_STATS=1 in the environment: a line
 * for each file when the process exits.
 *
 * The counts of a path begin with its first open and stay until the process ends, whichever sets
 * open and close the file meanwhile. A forked child counts from zero. The counts are relaxed
 * atomics: those of exclusive sections are changed by the holder of the lock, and need no
 * exchange; the others by any thread. A thread may count after another one has closed the file.
 * Nothing here takes a lock.
 */
#ifndef COMMON_CLIENT_STATS_H
#define COMMON_CLIENT_STATS_H

#include <stdbool.h>
#include <stdint.h>

struct dirty;

/* The counts of a file. */
struct stats;

/*
 * The counts of the file of that name below a mount point. NULL: nobody wants them, or there is no
 * memory. The environment is read in the first call of the process, which also arranges for the
 * lines at exit(3).
 */
struct stats *stats_get(const char *point, const char *name);

/* Another section; the caller has the lock. */
void stats_add_section(struct stats *s, bool is_shared);

/* A section began after a wait of so many nanoseconds. */
void stats_add_wait(struct stats *s, uint64_t ns);

/*
 * The server of the file has answered after so many nanoseconds. Returns true when that was a
 * wait: it took more than twice as long as the fastest answer so far. A server does not say
 * whether it made the caller wait.
 */
bool stats_is_wait(struct stats *s, uint64_t ns);

/* The pieces of d were published; the caller holds the lock exclusively. */
void stats_add_published(struct stats *s, const struct dirty *d);

/* A run of bytes from offset on was received. */
void stats_add_received(struct stats *s, uint32_t offset, uint32_t length);

/* In a fork's child: all counts are zero. May be called several times. */
void stats_fork_child(void);

#endif
