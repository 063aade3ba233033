/*
 * team: processes, of one thread or several, that begin each step of their work together.
 *
 * Workers are all threads of all processes. Between two steps they wait at a barrier: team_wait()
 * of each worker and team_release() of the parent return when all of them have arrived. The callers
 * of both agree on the number of steps. A worker that fails ends its process at once; the parent's
 * next team_release() reports it instead of waiting for ever. The parent sleeps while they work.
 *
 * Workers put their results into memory of the caller, which they have a copy of: team_finish()
 * brings what they wrote there back, through a pipe, for library OSes share no memory across
 * fork(2). Workers that need shared memory while they run have team_share(). A caller creates a
 * team before it opens anything with the client library: then its workers, which are forks, inherit
 * nothing of it.
 */
#ifndef BENCH_TEAM_H
#define BENCH_TEAM_H

#include <stdbool.h>
#include <stddef.h>

/* More than any machine runs; the tokens of one barrier must fit into a pipe. */
enum { TEAM_WORKERS_MOST = 10000 };

struct team;         /* the parent's end */
struct team_barrier; /* a worker's end */

struct team_plan {
	size_t processes;
	size_t threads; /* of each process */
	/*
	 * Called in each process before its threads start. Returns the object that they share, or
	 * NULL after printing why it failed.
	 */
	void *(*setup)(void *arg);
	/*
	 * Called in each thread. worker counts from 0, the threads of a process one after the
	 * other. Returns 0, or a negative errno after printing why it failed.
	 */
	int (*work)(void *arg, void *shared, size_t worker, struct team_barrier *barrier);
	/* Called in each process when all of its threads have returned 0. */
	void (*teardown)(void *shared);
	void *arg;
	/*
	 * result_size bytes for each worker, in the order of their numbers, in memory of the
	 * caller; NULL: they have no results.
	 */
	void *results;
	size_t result_size;
};

/*
 * Maps size bytes of zeros that the parent and the workers share. Returns NULL, and prints why,
 * without memory or where the system shares none. munmap(2) frees them.
 */
void *team_share(size_t size);

/* Starts the processes. Copies *plan. Returns 0 or a negative errno. */
int team_create(struct team **out, const struct team_plan *plan);

/* Waits until all workers are at the barrier and releases them. -EPIPE: a process has ended. */
int team_release(struct team *team);

/*
 * Lets the next team_wait() of each worker return false, takes their results, and waits until all
 * processes have ended. Returns 0, or -EPIPE if one of them failed.
 */
int team_finish(struct team *team);

/* Kills the processes that still run. NULL does nothing. */
void team_destroy(struct team *team);

/* In a worker: waits for all the others. Returns false when there is no further step. */
bool team_wait(struct team_barrier *barrier);

#endif
