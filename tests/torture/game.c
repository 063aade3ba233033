#include "tests/torture/game.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "tests/stress/patience.h"
#include "tests/torture/deed.h"
#include "tests/torture/player.h"
#include "tests/torture/stage.h"

enum {
	HANG_MS = 12 * 1000,       /* longer than this no call takes, */
	HANG_BLIND_MS = 40 * 1000, /* where a lie may have locked something: 10 s for each wait */
	ROUND_MS = 8 * 1000,       /* a round ends early where the machine is slow */
	DELAY_MOST_US = 2000,      /* from the end of a life to its kill */
	DEED_STREAM = 2000
};

struct game {
	const struct round *round;
	struct ledger *ledger;
	struct stage stage;
	struct player_world world;
	struct player players[ROUND_PLAYERS_MOST];
	struct player auditor;
	struct choice deeds;
	uint64_t next; /* steps of all threads until the next deed */
	int crowd;     /* the end of a pipe that hangs up when all players have gone */
};

static bool
is_wrong(const struct game *g)
{
	return atomic_load(&g->ledger->is_complained) != 0;
}

/* The watch. */

static void
expect_to_return(struct game *g, const struct ledger_process *p, const struct ledger_thread *t)
{
	const char *call = atomic_load(&t->call);
	uint64_t since = atomic_load(&t->since), now = clock_now();
	uint64_t limit = round_is_blind(g->round) ? HANG_BLIND_MS : HANG_MS;

	if (call == NULL || since > now || !patience_is_over(now - since, limit) ||
	    atomic_load(&t->call) == NULL || atomic_load(&t->since) != since)
		return;
	ledger_note(g->ledger,
	    "process %s (pid %d), thread %d, step %lu: no return from %s for %lu s", p->name,
	    (int)atomic_load(&p->pid), (int)(t - p->threads), (unsigned long)atomic_load(&t->step),
	    call, (unsigned long)((now - since) / CLOCK_SEC));
}

/* A process that is not there any more. */
static void
judge_end(struct game *g, struct ledger_process *p)
{
	if (atomic_load(&p->state) != LEDGER_HAS_ENDED && !atomic_load(&p->is_doomed))
		ledger_note(g->ledger,
		    "process %s ended by itself, at step %lu of its first thread", p->name,
		    (unsigned long)atomic_load(&p->threads[0].step));
	atomic_store(&p->pid, 0);
	atomic_store(&p->state, LEDGER_FREE);
}

/* Returns how many processes there are. */
static unsigned
watch(struct game *g)
{
	unsigned count = 0, i, k;

	for (i = 0; i < LEDGER_PROCESSES; i++) {
		struct ledger_process *p = &g->ledger->processes[i];
		pid_t pid = atomic_load(&p->pid);

		if (pid <= 0)
			continue;
		/* Players are this process's children: they are there until they are waited for. */
		if (kill(pid, 0) != 0 && errno == ESRCH) {
			judge_end(g, p);
			continue;
		}
		count++;
		for (k = 0; k < ROUND_THREADS_MOST && !atomic_load(&p->is_doomed); k++)
			expect_to_return(g, p, &p->threads[k]);
	}
	return count;
}

/* Players. */

/* Waits for the player, if it has ended. */
static void
reap(struct game *g, struct player *p)
{
	int status;

	if (p->process == NULL || waitpid(p->pid, &status, WNOHANG) != p->pid)
		return;
	if (status != 0 && !atomic_load(&p->process->is_doomed))
		ledger_note(g->ledger, "process %s ended with status 0x%x", p->process->name,
		    (unsigned)status);
	p->process = NULL;
}

static void
end_life(struct game *g, struct player *p)
{
	if (p->process == NULL || !p->is_to_be_killed ||
	    atomic_load(&p->process->threads[0].step) < p->end)
		return;
	/* Not always at the beginning of a step. */
	usleep((useconds_t)(choice_branch(g->round->seed, p->end) % DELAY_MOST_US));
	deed_kill(g->ledger, p->process);
}

static void
reap_all(struct game *g)
{
	unsigned i;

	for (i = 0; i < g->round->players; i++)
		reap(g, &g->players[i]);
	reap(g, &g->auditor);
}

/* Returns how many processes there are. */
static unsigned
look(struct game *g)
{
	reap_all(g);
	return watch(g);
}

static void
keep_alive(struct game *g)
{
	unsigned i;

	for (i = 0; i < g->round->players; i++) {
		end_life(g, &g->players[i]);
		if (g->players[i].process == NULL)
			(void)player_begin(&g->players[i], &g->world);
	}
}

/* The adversary. */

/* Returns false when it has done all its deeds, or at the deadline. None before the plant. */
static bool
do_deeds(struct game *g, uint64_t deadline)
{
	if (!atomic_load(&g->ledger->is_planted))
		return true;
	if (clock_now() > deadline)
		return false;
	if (atomic_load(&g->ledger->steps) < g->next)
		return true;
	choice_next(&g->deeds);
	if (g->deeds.step > g->round->deeds)
		return false;
	g->next += 1 + choice_draw(&g->deeds, g->round->gap);
	deed_do(&g->stage, g->ledger, &g->deeds);
	return true;
}

/* The end. */

static void
kill_all(struct game *g)
{
	unsigned i;

	for (i = 0; i < LEDGER_PROCESSES; i++)
		deed_kill(g->ledger, &g->ledger->processes[i]);
}

/* As they are when something is wrong. */
static void
stop_all(struct game *g)
{
	unsigned i;

	for (i = 0; i < LEDGER_PROCESSES; i++)
		if (atomic_load(&g->ledger->processes[i].pid) > 0)
			kill(atomic_load(&g->ledger->processes[i].pid), SIGSTOP);
}

/* Waits until at most that many processes are left. */
static void
await_end(struct game *g, unsigned left)
{
	uint64_t begun = clock_now();

	atomic_store(&g->ledger->is_over, true);
	if (round_is_blind(g->round))
		kill_all(g);
	while (look(g) > left && !is_wrong(g)) {
		if (patience_is_over(clock_now() - begun, HANG_BLIND_MS))
			ledger_note(g->ledger, "the round is over, and players do not end");
		patience_breathe();
	}
}

/* Waits for those, too, whose process ids are not known yet: they were being forked. */
static void
await_crowd(struct game *g)
{
	struct pollfd p = { .fd = g->crowd };
	uint64_t deadline = patience_until(HANG_MS);

	close(LEDGER_CROWD);
	while (!is_wrong(g) && poll(&p, 1, 0) == 0) {
		if (clock_now() > deadline)
			ledger_note(g->ledger, "the round is over, and a child does not end");
		look(g);
		patience_breathe();
	}
}

/* What has been published is there when all players have gone. */
static void
audit(struct game *g)
{
	g->auditor.pid = player_audit(&g->world, &g->auditor.process);
	while (g->auditor.pid > 0 && !atomic_load(&g->ledger->is_watched) && !is_wrong(g)) {
		look(g);
		patience_breathe();
	}
	await_end(g, 1);
	await_crowd(g);
	atomic_store(&g->ledger->is_audited, true);
	await_end(g, 0);
}

static void
finish(struct game *g)
{
	char text[STAGE_FILE_SIZE];

	if (round_is_blind(g->round)) {
		await_end(g, 0);
		await_crowd(g);
	} else if (!is_wrong(g))
		audit(g);
	if (is_wrong(g) || stage_close(&g->stage, text))
		return;
	ledger_note(g->ledger, "%s", text);
}

bool
game_play(const struct round *r, struct ledger *l, const struct game_options *o)
{
	static struct game g;
	uint64_t deadline = clock_after_ms(clock_now(), ROUND_MS);
	int ends[2];
	unsigned i;

	if (pipe2(ends, O_CLOEXEC) != 0 || dup3(ends[1], LEDGER_CROWD, O_CLOEXEC) == -1)
		err(EXIT_FAILURE, "a pipe");
	close(ends[1]);
	g = (struct game){ .round = r,
		.ledger = l,
		.world = { r, &g.stage, l, o->has_plant },
		.crowd = ends[0],
		.deeds = choice_begin(choice_branch(r->seed, DEED_STREAM)),
		.next = r->gap };
	for (i = 0; i < r->players; i++)
		g.players[i].index = i;
	ledger_begin(l, r->lease_ms * CLOCK_MS);
	atomic_store(&l->is_planted, !o->has_plant);
	stage_open(&g.stage, r, o->pki, o->can_mount);
	while (!is_wrong(&g) && do_deeds(&g, deadline)) {
		look(&g);
		keep_alive(&g);
		patience_breathe();
	}
	finish(&g);
	close(g.crowd);
	if (is_wrong(&g)) {
		stop_all(&g);
		stage_show_log(&g.stage);
	}
	return !is_wrong(&g);
}
