#include "tests/hostile/honest.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/client/smclient.h"
#include "tests/stress/client.h"
#include "tests/stress/daemon.h"

enum { PAUSE_US = 500, NEWCOMER_PAUSE_MS = 20, REFUSED_PAUSE_MS = 5 };

/* Waiting for a processor, so far: /proc/PID/schedstat of both ends. */
struct delays {
	int server, own;
};

static int
open_schedstat(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%ld/schedstat", (long)pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* The second number of the file, nanoseconds; 0 without a file. */
static uint64_t
read_delay(int fd)
{
	unsigned long long delay = 0;
	char text[128];
	ssize_t n = pread(fd, text, sizeof text - 1, 0);

	if (n <= 0)
		return 0;
	text[n] = '\0';
	return sscanf(text, "%*u %llu", &delay) == 1 ? delay : 0;
}

static uint64_t
delay_so_far(const struct delays *d)
{
	return read_delay(d->server) + read_delay(d->own);
}

static void
add_wait(struct honest *h, enum honest_phase phase, struct honest_wait wait)
{
	struct honest_waits *w = &h->waits[phase];
	unsigned count = atomic_load(&w->count);

	if (count == 0 || wait.net > w->worst.net)
		w->worst = wait;
	w->net[count % HONEST_WAITS_MOST] = wait.net;
	atomic_store(&w->count, count + 1);
}

/* A wait that began before an attack and ended in it belongs to the attack. */
static void
end_wait(struct honest *h, uint64_t delayed)
{
	uint64_t gross = clock_now() - atomic_load(&h->begun);
	struct honest_wait wait = { gross > delayed ? gross - delayed : 0, gross };

	atomic_store(&h->begun, 0);
	add_wait(h, (enum honest_phase)atomic_load(&h->phase), wait);
}

/* Adds one to the counter in a critical section. Returns false when the server refuses. */
static bool
increment(struct honest *h, struct client *c)
{
	uint64_t expected = atomic_load(&h->increments);

	if (sm_lock(c->file) != 0)
		return false;
	if (c->words[0] != expected)
		child_complain(&h->complaint, "the honest counter: expected %lu, got %lu",
		    (unsigned long)expected, (unsigned long)c->words[0]);
	c->words[0] = expected + 1;
	if (sm_unlock(c->file) != 0)
		return false;
	atomic_store(&h->increments, expected + 1);
	return true;
}

static void
run_resident(struct honest *h, const struct daemon *d)
{
	const struct timespec pause = { 0, PAUSE_US * 1000 };
	struct delays delays = { open_schedstat(d->pid), open_schedstat(getpid()) };
	struct client c = { 0 };
	uint64_t delay;

	if (!client_open(&c, d, HONEST_RESIDENT_FILE, HONEST_SEGMENT))
		child_complain(&h->complaint, "the resident cannot open: %s", sm_error(c.sm));
	while (!atomic_load(&h->is_over)) {
		delay = delay_so_far(&delays);
		atomic_store(&h->begun, clock_now());
		if (!increment(h, &c))
			child_complain(&h->complaint, "the server ended the resident: %s",
			    sm_error(c.sm));
		end_wait(h, delay_so_far(&delays) - delay);
		nanosleep(&pause, NULL);
	}
}

/*
 * True when it was served. Each visit has a file of its own, since the server may learn late that
 * the last one has ended.
 */
static bool
visit(struct honest *h, const struct daemon *d)
{
	static unsigned visits;
	struct client c = { 0 };
	char path[32];
	bool is_served;

	snprintf(path, sizeof path, "/s/newcomer%u", visits++);
	atomic_store(&h->increments, 0);
	is_served = client_open(&c, d, path, HONEST_SEGMENT) && increment(h, &c);
	client_close(&c);
	return is_served;
}

static void
run_newcomer(struct honest *h, const struct daemon *d)
{
	struct delays delays = { open_schedstat(d->pid), open_schedstat(getpid()) };
	uint64_t delay;

	while (!atomic_load(&h->is_over)) {
		delay = delay_so_far(&delays);
		atomic_store(&h->begun, clock_now());
		while (!visit(h, d)) {
			/* Its wait goes on until honest_give_up(). */
			if (atomic_load(&h->is_over))
				return;
			poll(NULL, 0, REFUSED_PAUSE_MS);
		}
		end_wait(h, delay_so_far(&delays) - delay);
		poll(NULL, 0, NEWCOMER_PAUSE_MS);
	}
}

static pid_t
begin(void (*run)(struct honest *, const struct daemon *), struct honest *h, const struct daemon *d)
{
	pid_t pid = child_begin();

	if (pid != 0)
		return pid;
	run(h, d);
	_exit(EXIT_SUCCESS);
}

pid_t
honest_begin_resident(struct honest *h, const struct daemon *d)
{
	return begin(run_resident, h, d);
}

pid_t
honest_begin_newcomer(struct honest *h, const struct daemon *d)
{
	return begin(run_newcomer, h, d);
}

bool
honest_is_net(void)
{
	return access("/proc/self/schedstat", R_OK) == 0;
}

struct honest_wait
honest_worst(const struct honest *h, enum honest_phase phase)
{
	return h->waits[phase].worst;
}

static int
compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

uint64_t
honest_p999(const struct honest *h, enum honest_phase phase)
{
	unsigned count = atomic_load(&h->waits[phase].count);
	uint64_t *sorted, result;

	if (count > HONEST_WAITS_MOST)
		count = HONEST_WAITS_MOST;
	if (count == 0)
		return 0;
	sorted = malloc(count * sizeof *sorted);
	if (sorted == NULL)
		return 0;
	memcpy(sorted, h->waits[phase].net, count * sizeof *sorted);
	qsort(sorted, count, sizeof *sorted, compare);
	result = sorted[(uint64_t)(count - 1) * 999 / 1000];
	free(sorted);
	return result;
}

void
honest_give_up(struct honest *h, enum honest_phase phase)
{
	uint64_t begun = atomic_load(&h->begun), gross;

	if (begun == 0)
		return;
	gross = clock_now() - begun;
	add_wait(h, phase, (struct honest_wait){ gross, gross });
	atomic_store(&h->begun, 0);
}
