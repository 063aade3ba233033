/*
 * honest: the honest clients beside an attack, and how long the server let them wait.
 *
 * The *resident* has a connection open and takes an uncontended lock with a segment of 1 KiB again
 * and again. The *newcomer* connects, opens, locks and disconnects again and again, and tries again
 * at once when the server refuses it: its wait lasts until it has been served. Each is a process of
 * its own, counts in its segment, and complains when the counter is not exact.
 *
 * A wait is judged *net*: without the time in which the main thread of the server, or the client,
 * was ready to run and waited for a processor, as the kernel counts it (/proc/PID/schedstat). So
 * neither the other processes of the machine nor the attackers' own use of it fail a test, while
 * every moment counts in which the server runs for others, sleeps, or is blocked. A wait that never
 * ended counts with all its time. Where the kernel does not count, net is gross, and limits grow
 * with the load instead (patience.h).
 */
#ifndef TESTS_HOSTILE_HONEST_H
#define TESTS_HOSTILE_HONEST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/stress/child.h"

struct daemon;

enum { HONEST_SEGMENT = 1024, HONEST_WAITS_MOST = 32768 };

#define HONEST_CERTIFICATE "client"
#define HONEST_RESIDENT_FILE "/s/resident"

/* A wait in nanoseconds. */
struct honest_wait {
	uint64_t net, gross;
};

enum honest_phase { HONEST_CALM, HONEST_ATTACKED, HONEST_PHASES };

/* The waits of one client in one phase; the client adds to them. */
struct honest_waits {
	atomic_uint count;
	struct honest_wait worst;
	uint64_t net[HONEST_WAITS_MOST]; /* the last ones, when there were more */
};

/* One client, in shared memory. */
struct honest {
	struct child_complaint complaint;
	atomic_int phase;
	atomic_bool is_over;      /* told to end */
	atomic_ullong begun;      /* when the present wait began; 0: none */
	atomic_ullong increments; /* that its counter has */
	struct honest_waits waits[HONEST_PHASES];
};

/* Starts a client of d with its state in h, from child_share(). Returns its process. */
pid_t honest_begin_resident(struct honest *h, const struct daemon *d);
pid_t honest_begin_newcomer(struct honest *h, const struct daemon *d);

/* True when the kernel counts how long a process waits for a processor. */
bool honest_is_net(void);

/* The worst wait of a phase, and the wait that 999 of 1000 do not exceed; zeros without any. */
struct honest_wait honest_worst(const struct honest *h, enum honest_phase phase);
uint64_t honest_p999(const struct honest *h, enum honest_phase phase);

/* Counts the present wait, which does not end, as one of this phase. Its process has ended. */
void honest_give_up(struct honest *h, enum honest_phase phase);

#endif
