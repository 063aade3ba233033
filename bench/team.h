/*
 * team: processes, of one thread or several, that do something together and
 * begin each step of it at the same moment.
 *
 * The steps are meetings: team_meet() of the parent and team_pass() of every
 * worker return when all of them are there.  How many there are is up to both sides,
 * which must agree.  A worker that fails ends its process at once; the parent
 * hears of it at the next meeting and gives up, instead of waiting for ever.
 *
 * What workers have to tell goes through memory that the caller shares with
 * them (team_share()).  Create a team before this process opens anything with
 * the client library: then the workers, who are forks, inherit nothing of it.
 * The parent sleeps while they work.
 */
#ifndef BENCH_TEAM_H
#define BENCH_TEAM_H

#include <stdbool.h>
#include <stddef.h>

/* More than any machine runs; the tokens of one meeting must fit into a pipe. */
enum { TEAM_WORKERS_MOST = 10000 };

struct team; /* the parent's end */
struct gate; /* a worker's end */

struct team_plan {
	size_t processes;
	size_t threads; /* of each process; workers are all of them */
	/*
	 * In each process, before its threads: make what they share.  NULL
	 * after saying why not.
	 */
	void *(*enter)(void *arg);
	/*
	 * In each thread.  worker counts from 0, the threads of one process one
	 * after the other.  0, or -1 after saying what is wrong.
	 */
	int (*work)(void *arg, void *shared, size_t worker, struct gate *gate);
	/* In each process, when all of its threads have worked well. */
	void (*leave)(void *shared);
	void *arg;
};

/* size bytes of zeros that parent and workers will share; NULL: no memory.  munmap(2) frees them. */
void *team_share(size_t size);

/* Start the processes.  -errno; *plan is copied. */
int team_create(struct team **out, const struct team_plan *plan);

/* Wait until all workers have come to team_pass(), and let them go on.  -EPIPE: one has ended. */
int team_meet(struct team *team);

/*
 * Tell workers that come to team_pass() that there is nothing more to do, and wait
 * for all to end.  0, or -EPIPE if one of them did not end well.
 */
int team_finish(struct team *team);

/* Kill who is still there.  NULL is fine. */
void team_destroy(struct team *team);

/* In a worker: wait for all the others.  False: that was all, end. */
bool team_pass(struct gate *gate);

#endif
