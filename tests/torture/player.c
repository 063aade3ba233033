#include "tests/torture/player.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/client/smclient.h"
#include "tests/stress/patience.h"
#include "tests/torture/fault.h"
#include "tests/torture/handles.h"
#include "tests/torture/limits.h"
#include "tests/torture/own.h"
#include "tests/torture/section.h"
#include "tests/torture/step.h"

enum {
	PLANT_PLAYER = 1,
	PLANT_STEPS = 24, /* the plant is in one of the first steps of that player's first thread */
	DEPTH_MOST = 2,
	CHILD_STEPS_MOST = 40,
	CHILD_PAUSE_MOST_US = 20 * 1000,
	AUDIT_STREAM = 1000
};

/* The threads of this process. */
struct cast {
	const struct player_world *world;
	struct ledger_process *process;
	struct handles handles;
	struct actor actors[ROUND_THREADS_MOST];
	pthread_t threads[ROUND_THREADS_MOST];
	unsigned thread_count;
	uint64_t stream;
	uint64_t end;   /* the first thread's last step */
	uint64_t plant; /* the first thread's; 0: none */
	unsigned depth;
	unsigned round_number;
};

static struct cast cast;

static void fork_child(struct actor *a, struct handle *held);

static void
make_actor(unsigned i)
{
	struct actor *a = &cast.actors[i];

	*a = (struct actor){ .round = cast.world->round,
		.stage = cast.world->stage,
		.handles = &cast.handles,
		.seat = { cast.world->ledger, cast.process, &cast.process->threads[i] },
		.choice = choice_begin(choice_branch(cast.stream, i)),
		.round_number = cast.round_number,
		.depth = cast.depth,
		.plant = i == 0 ? cast.plant : 0,
		.fork = fork_child };
}

static bool
is_over(const struct actor *a)
{
	const struct ledger *l = a->seat.ledger;

	return atomic_load(&l->is_over) || atomic_load(&l->round) != a->round_number ||
	    atomic_load(&cast.process->threads[0].step) >= cast.end;
}

static void *
play(void *arg)
{
	struct actor *a = arg;

	a->tid = gettid();
	fault_watch(a);
	while (!is_over(a)) {
		choice_next(&a->choice);
		atomic_store(&a->seat.thread->step, a->choice.step);
		step_play(a);
		atomic_fetch_add(&a->seat.ledger->steps, 1);
	}
	return NULL;
}

/* Plays with that many threads until the end of all. */
static void
play_all(unsigned threads)
{
	unsigned i, begun = 1;

	cast.thread_count = threads;
	for (i = 0; i < threads; i++)
		make_actor(i);
	while (begun < threads &&
	    pthread_create(&cast.threads[begun], NULL, play, &cast.actors[begun]) == 0)
		begun++;
	play(&cast.actors[0]);
	for (i = 1; i < begun; i++)
		pthread_join(cast.threads[i], NULL);
}

static void
free_all(void)
{
	ledger_call(&cast.actors[0].seat, "sm_free");
	handles_fini(&cast.handles);
	ledger_return(&cast.actors[0].seat);
}

static void __attribute__((noreturn)) end(bool frees)
{
	if (frees)
		free_all();
	own_check(&cast.actors[0]);
	atomic_store(&cast.process->state, LEDGER_HAS_ENDED);
	_exit(EXIT_SUCCESS);
}

/* Children. */

static void __attribute__((noreturn)) become_another_program(void)
{
	atomic_store(&cast.process->state, LEDGER_HAS_ENDED);
	limits_lift();
	execl("/bin/true", "true", (char *)NULL);
	_exit(EXIT_SUCCESS);
}

/* How a child ends; the others just exit. */
enum ending { BECOMES_ANOTHER, FREES, ENDINGS = 4 };

/* What the child's first thread draws before its first step. */
struct childhood {
	uint64_t pause_us;
	uint64_t steps;
	unsigned threads;
	bool closes_all; /* descriptors, first */
	enum ending ending;
};

static struct childhood
draw_childhood(struct choice *c)
{
	struct childhood h;

	h.pause_us = choice_happens(c, 30) ? choice_draw(c, CHILD_PAUSE_MOST_US) : 0;
	h.steps = choice_draw(c, CHILD_STEPS_MOST);
	h.threads = 1 + (unsigned)choice_draw(c, cast.world->round->threads);
	h.ending = (enum ending)choice_draw(c, ENDINGS);
	h.closes_all = choice_happens(c, 10) && round_has_kills(cast.world->round);
	/* Nobody would close the files in its place. */
	if (!round_has_kills(cast.world->round) && h.ending != BECOMES_ANOTHER)
		h.ending = FREES;
	/* ThreadSanitizer knows no threads of a child of a process with threads. */
	if (fault_is_build("tsan"))
		h.threads = 1;
	return h;
}

/* The lock is the parent's. */
static void
expect_not_held(struct actor *a, struct handle *held)
{
	if (sm_unlock(held->file) != -1 || errno != ENOLCK)
		ledger_complain(&a->seat, "sm_unlock in a forked child: expected ENOLCK, got %s",
		    strerror(errno));
}

static void __attribute__((noreturn))
be_child(struct ledger_process *process, uint64_t stream, struct handle *held)
{
	struct choice c = choice_begin(stream);
	struct childhood h = draw_childhood(&c);

	cast.process = process;
	cast.stream = stream;
	cast.end = h.steps;
	cast.plant = 0;
	cast.depth++;
	make_actor(0);
	fault_watch(&cast.actors[0]);
	usleep((useconds_t)h.pause_us);
	if (h.ending == BECOMES_ANOTHER)
		become_another_program();
	if (h.closes_all)
		own_close_all(&cast.actors[0]);
	if (held != NULL)
		expect_not_held(&cast.actors[0], held);
	play_all(h.threads);
	end(h.ending == FREES);
}

/* The library's fork handlers belong to the call. */
static pid_t
call_fork(struct actor *a)
{
	pid_t pid;

	handles_lock(a->handles);
	ledger_call(&a->seat, "fork");
	pid = fork();
	if (pid == 0) {
		handles_inherit(a->handles);
		return 0;
	}
	ledger_return(&a->seat);
	handles_unlock(a->handles);
	return pid;
}

/* AddressSanitizer does not lock its memory for a fork: a child may find it locked for ever. */
static bool
may_fork(const struct actor *a)
{
	return a->depth < DEPTH_MOST && (!fault_is_build("asan") || cast.thread_count == 1);
}

static void
fork_child(struct actor *a, struct handle *held)
{
	uint64_t stream = choice_branch(a->choice.stream, a->choice.step);
	struct ledger_process *process;
	char name[LEDGER_NAME_SIZE];
	pid_t pid;

	if (!may_fork(a))
		return;
	snprintf(name, sizeof name, "%.20s/%d.%lu", a->seat.process->name,
	    (int)(a->seat.thread - a->seat.process->threads), (unsigned long)a->choice.step);
	process = ledger_admit(a->seat.ledger, name);
	if (process == NULL)
		return;
	atomic_store(&process->is_void, atomic_load(&a->seat.process->is_void));
	pid = call_fork(a);
	if (pid == 0) {
		if (atomic_load(&a->seat.ledger->round) != a->round_number)
			_exit(EXIT_SUCCESS);
		atomic_store(&process->pid, getpid());
		be_child(process, stream, held);
	}
	/* The child notes its own id: it may have ended by now, and its place be another's. */
	if (pid == -1)
		atomic_store(&process->state, LEDGER_FREE);
	else
		ledger_add(a->seat.ledger, LEDGER_FORKS);
}

/* Players. */

static void
be_interrupted(int number)
{
	(void)number;
}

static void
prepare(const struct player_world *w, struct ledger_process *process, uint64_t stream)
{
	const struct sigaction interrupt = { .sa_handler = be_interrupted };

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)signal(SIGCHLD, SIG_IGN); /* children vanish when they end */
	(void)sigaction(ACTOR_INTERRUPT, &interrupt, NULL);
	memset(&cast, 0, sizeof cast);
	cast.world = w;
	cast.process = process;
	cast.stream = stream;
	cast.round_number = atomic_load(&w->ledger->round);
	make_actor(0);
	fault_watch(&cast.actors[0]);
	if (handles_init(&cast.handles, w->stage) != 0)
		ledger_complain(&cast.actors[0].seat, "sm_mount: %s (%s)", strerror(errno),
		    sm_error(NULL));
}

static void __attribute__((noreturn)) be_player(const struct player *p,
    const struct player_world *w, struct ledger_process *process, uint64_t stream)
{
	struct choice c = choice_begin(stream);
	bool frees = choice_happens(&c, 50) || !round_has_kills(w->round);

	prepare(w, process, stream);
	cast.end = p->is_to_be_killed ? UINT64_MAX : p->end;
	if (w->has_plant && p->index == PLANT_PLAYER && p->lives == 1)
		cast.plant = 1 + choice_draw(&c, PLANT_STEPS);
	else if (w->round->trouble == ROUND_LIMITS)
		limits_set(w->round, &c);
	play_all(w->round->threads);
	end(frees);
}

bool
player_begin(struct player *p, const struct player_world *w)
{
	uint64_t stream = choice_branch(choice_branch(w->round->seed, 1 + p->index), p->lives);
	struct choice c = choice_begin(choice_branch(stream, ROUND_THREADS_MOST));
	char name[LEDGER_NAME_SIZE];

	snprintf(name, sizeof name, "%u.%u", p->index, p->lives);
	p->process = ledger_admit(w->ledger, name);
	if (p->process == NULL)
		return false;
	p->end = w->round->life / 8 + choice_draw(&c, w->round->life);
	p->is_to_be_killed = choice_happens(&c, 60) && round_has_kills(w->round);
	p->lives++;
	p->pid = fork();
	if (p->pid == 0)
		be_player(p, w, p->process, stream);
	atomic_store(&p->process->pid, p->pid);
	return true;
}

/* The auditor. */

/*
 * A file of smc whose last process was killed, or had closed its descriptors, stays until another
 * one opens and closes it. is_first: those that stay may take the room that others need.
 */
static void
close_old_names(struct actor *a, bool is_first)
{
	unsigned last = atomic_load(&a->seat.ledger->generation), generation, i;
	char path[STAGE_PATH_SIZE];
	struct sm_file *file;

	for (generation = 0; generation < last; generation++)
		for (i = 0; i < a->round->files; i++) {
			stage_path(i, generation, path);
			file = sm_open(cast.handles.sm, path);
			if (file == NULL && is_first && a->round->trouble == ROUND_FULL_DISK)
				continue;
			if (file == NULL || sm_close(file) != 0)
				ledger_complain(&a->seat, "%s: %s", path, sm_error(NULL));
		}
}

static void __attribute__((noreturn))
be_auditor(const struct player_world *w, struct ledger_process *process)
{
	struct actor *a = &cast.actors[0];
	struct handle *files[ROUND_FILES_MOST];
	unsigned i;

	close(LEDGER_CROWD);
	prepare(w, process, choice_branch(w->round->seed, AUDIT_STREAM));
	for (i = 0; i < w->round->files; i++)
		files[i] = handles_take(a, i, true);
	atomic_store(&w->ledger->is_watched, true);
	while (!atomic_load(&w->ledger->is_audited))
		patience_breathe();
	for (i = 0; i < w->round->files; i++)
		if (files[i] != NULL)
			section_audit(a, files[i]);
	if (w->round->kind == ROUND_SMC) {
		close_old_names(a, true);
		close_old_names(a, false);
	}
	end(true);
}

pid_t
player_audit(const struct player_world *w, struct ledger_process **process)
{
	pid_t pid;

	*process = ledger_admit(w->ledger, "auditor");
	if (*process == NULL)
		return -1;
	pid = fork();
	if (pid == 0)
		be_auditor(w, *process);
	atomic_store(&(*process)->pid, pid);
	return pid;
}
