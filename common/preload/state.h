/*
 * state: the two mutexes of this library, and how they pass a fork(2).
 *
 * The mutex of the *tables* protects descriptors, descriptions and the state of locks. No thread
 * keeps it while it waits for anything, and nobody calls the client library with it. The mutex of
 * the *files* is for opening, mapping and closing memory files, one at a time; its holder may wait
 * for a server. A thread that wants both takes that of the files first. A thread that waits for the
 * lock of a memory file has neither. One that waits for another thread's use of an owner may have
 * that of the files: owner.h says why that ends.
 *
 * Around fork(2) the forking thread has both, so that the child finds consistent tables. The client
 * library installs handlers of its own when it is loaded; ours are installed after them, and so run
 * before them in the parent: a thread that is in the client library with the mutex of the files
 * comes to an end before the client library stops.
 */
#ifndef COMMON_PRELOAD_STATE_H
#define COMMON_PRELOAD_STATE_H

void state_lock(void);
void state_unlock(void);

void state_lock_files(void);
void state_unlock_files(void);

/*
 * Installs the handlers, once; child runs in each forked child, with both mutexes. Returns 0 or
 * -ENOMEM.
 */
int state_install(void (*child)(void));

#endif
