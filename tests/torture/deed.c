#include "tests/torture/deed.h"

#include <signal.h>
#include <unistd.h>

#include "tests/stress/patience.h"
#include "tests/torture/lies.h"

enum {
	STOP_MOST_US = 300 * 1000,
	SERVER_STOP_MOST_US = 500 * 1000,
	DOWN_MOST_US = 100 * 1000,
	DELAY_MOST_US = 3000,
	LIES_MOST = 4
};

void
deed_kill(struct ledger *l, struct ledger_process *p)
{
	pid_t pid = atomic_load(&p->pid);

	if (pid <= 0 || atomic_load(&p->state) != LEDGER_RUNS ||
	    atomic_exchange(&p->is_doomed, true))
		return;
	ledger_announce(l, "process %s (pid %d) is killed", p->name, (int)pid);
	kill(pid, SIGKILL);
	ledger_add(l, LEDGER_KILLS);
}

/* The first process at or after the chosen place that runs; NULL: none. */
static struct ledger_process *
find_process(struct ledger *l, uint64_t at)
{
	unsigned i;

	for (i = 0; i < LEDGER_PROCESSES; i++) {
		struct ledger_process *p = &l->processes[(at + i) % LEDGER_PROCESSES];

		if (atomic_load(&p->state) == LEDGER_RUNS && atomic_load(&p->pid) > 0)
			return p;
	}
	return NULL;
}

/* Stops the process for that time. */
static void
stop(struct ledger *l, pid_t pid, uint64_t us)
{
	ledger_announce(l, "process %d is stopped for %lu ms", (int)pid, (unsigned long)us / 1000);
	ledger_add(l, LEDGER_STOPS);
	kill(pid, SIGSTOP);
	usleep((useconds_t)us);
	kill(pid, SIGCONT);
}

static void
hurt_process(struct stage *s, struct ledger *l, struct choice *c)
{
	struct ledger_process *p = find_process(l, choice_draw(c, LEDGER_PROCESSES));
	bool kills = choice_happens(c, 50);
	uint64_t us = choice_draw(c, STOP_MOST_US);

	if (p != NULL && kills && round_has_kills(s->round))
		deed_kill(l, p);
	else if (p != NULL)
		stop(l, atomic_load(&p->pid), us);
}

static void
restart(struct stage *s, struct ledger *l, struct choice *c)
{
	bool kills = choice_happens(c, 50);
	uint64_t us = choice_draw(c, DOWN_MOST_US);

	ledger_announce(l, "the server is %s, and begun again after %lu ms",
	    kills ? "killed" : "ended", (unsigned long)us / 1000);
	if (kills)
		daemon_signal(&s->daemon, SIGKILL);
	else
		daemon_stop(&s->daemon);
	usleep((useconds_t)us);
	daemon_start(&s->daemon);
	ledger_add(l, LEDGER_RESTARTS);
}

static void
lie(struct stage *s, struct ledger *l, struct choice *c)
{
	uint64_t count = 1 + choice_draw(c, LIES_MOST), i;
	/* A sanitizer takes the SIGBUS of a cut file for a fault of the program. */
	bool cuts = s->round->kind != ROUND_SMC || !patience_is_sanitized();

	ledger_announce(l, "the host changes files, %lu times", (unsigned long)count);
	for (i = 0; i < count; i++) {
		lies_tell(stage_directory(s), cuts, c);
		ledger_add(l, LEDGER_LIES);
	}
}

/* Mostly with other memory files: those that are there may have all the room they need. */
static void
fill(struct stage *s, struct ledger *l, struct choice *c)
{
	bool is_same = choice_happens(c, 30);

	ledger_announce(l, "the disk is filled");
	stage_fill(s);
	atomic_fetch_add(&l->generation, is_same ? 0 : 1);
	usleep((useconds_t)choice_draw(c, STOP_MOST_US));
	stage_empty(s);
}

/* The trouble of the round. */
static void
trouble(struct stage *s, struct ledger *l, struct choice *c)
{
	switch (s->round->trouble) {
	case ROUND_RESTARTS:
		restart(s, l, c);
		break;
	case ROUND_LIES:
		lie(s, l, c);
		break;
	case ROUND_FULL_DISK:
		fill(s, l, c);
		break;
	default:
		hurt_process(s, l, c);
	}
}

void
deed_do(struct stage *s, struct ledger *l, struct choice *c)
{
	uint64_t n = choice_draw(c, 100), us = choice_draw(c, SERVER_STOP_MOST_US);

	usleep((useconds_t)choice_draw(c, DELAY_MOST_US));
	if (n < 40)
		hurt_process(s, l, c);
	else if (n < 80)
		trouble(s, l, c);
	else if (n < 90 && s->round->kind != ROUND_SMC)
		stop(l, s->daemon.pid, us);
	else
		atomic_fetch_add(&l->generation, 1);
}
